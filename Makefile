# Needs Python 3.11 or newer, Git and make. uv does the rest, and is fetched if it is missing.

export PATH := $(CURDIR)/.tools/bin:$(PATH)

UV := $(or $(shell command -v uv),.tools/bin/uv)
COPIER = uv run --quiet copier copy --vcs-ref HEAD --defaults $(ANSWERS:%=--data '%') . demo

.PHONY: help demo variant test bench check fix draw render

help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

demo: render ## Render a service into demo/ and start it; ANSWERS="database=sqlite", HOST=, PORT=
	cd demo && uv run --quiet poe dev

variant: render ## Render a service into demo/ and run its checks and tests; ANSWERS="…"
	cd demo && uv run --quiet poe check
	cd demo && uv run --quiet poe test

test: $(UV) ## Render every combination, run every one that differs; ARGS="-k update"
	uv run pytest $(ARGS)

bench: $(UV) ## Measure how each service answers under load, and what its cache saves
	uv run python -m benchmarks.stall
	uv run python -m benchmarks.cache

check: $(UV) ## Lint and type-check the template's own code
	uv run ruff check
	uv run ruff format --check
	uv run mypy

fix: $(UV) ## Mend what ruff can mend
	uv run ruff check --fix
	uv run ruff format

draw: $(UV) ## Redraw the README's pictures from the default service
	uv run python -m docs.draw

# What is there was rendered before, and is replaced: answers are not carried over. A folder that
# is no service, or that somebody keeps in a repository, is not ours to delete.
render: $(UV)
	@test ! -e demo || test -e demo/.copier-answers.yml -a ! -e demo/.git || \
		{ echo "demo/ holds work of yours: move it away, then try again."; exit 1; }
	rm -rf demo
	$(COPIER)

.tools/bin/uv:
	python3 -m venv .tools
	.tools/bin/pip install --quiet uv
