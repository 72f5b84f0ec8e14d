# Needs Python 3.11 or newer, Git and make. uv does the rest, and is fetched if it is missing.

export PATH := $(CURDIR)/.tools/bin:$(PATH)
# Compiled modules are kept: without them, each of a thousand processes compiles its packages anew.
unexport PYTHONDONTWRITEBYTECODE

UV := $(or $(shell command -v uv),.tools/bin/uv)
# Tests that run at once: one more than there are cores, since many wait; two more are slower again.
JOBS ?= $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 1)))
COPIER = uv run --quiet copier copy --vcs-ref HEAD --defaults $(ANSWERS:%=--data '%') . demo

.PHONY: help demo variant test test-all test-rest faults bench check fix draw release render

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

demo: render ## Render a service into demo/ and start it; ANSWERS="database=sqlite", HOST=, PORT=
	cd demo && uv run --quiet poe dev

variant: render ## Render a service into demo/ and run its checks and tests; ANSWERS="…"
	cd demo && uv run --quiet poe check
	cd demo && uv run --quiet poe test
	cd demo && uv run --quiet poe test-live

test: $(UV) ## Check every combination, run those that stand for all; ARGS="-k update", JOBS=1
	uv run pytest --numprocesses $(JOBS) --maxschedchunk 1 $(ARGS)

test-all: $(UV) ## Run everything, each service too; the same command goes on after a failure
	uv run python -m tests.everything --jobs $(JOBS)

test-rest: $(UV) ## Run services that `make test` does not run, in MINUTES=20
	uv run python -m tests.everything --jobs $(JOBS) --rest --minutes $(or $(MINUTES),20)

faults: $(UV) ## Plant faults, and see that the tests find each; ARGS="a-name another"
	uv run python -m tests.faults $(ARGS)

bench: $(UV) ## Measure how services answer under load and heavy work, and what a cache saves
	uv run python -m benchmarks.stall
	uv run python -m benchmarks.cache
	uv run python -m benchmarks.jobs

check: $(UV) ## Lint and type-check the template's own code
	uv run ruff check
	uv run ruff format --check
	uv run mypy

fix: $(UV) ## Mend what ruff can mend
	uv run ruff check --fix
	uv run ruff format

draw: $(UV) ## Redraw the README's pictures from the default service
	uv run python -m docs.draw

release: $(UV) ## Check all, then tag a release: VERSION=1.2.0
	@echo "$(VERSION)" | grep -qxE '[0-9]+\.[0-9]+\.[0-9]+' || \
		{ echo "Say which: make release VERSION=1.2.0"; exit 1; }
	@test -z "$$(git status --porcelain)" || { echo "Commit what you have changed first."; exit 1; }
	@grep -q '^## \[$(VERSION)\] - 20' CHANGELOG.md || \
		{ echo "Give CHANGELOG.md a section: ## [$(VERSION)] - $$(date +%F)"; exit 1; }
	@! git rev-parse --quiet --verify "refs/tags/v$(VERSION)" >/dev/null || \
		{ echo "v$(VERSION) is there already, and a release never moves."; exit 1; }
	$(MAKE) check test-all
	git tag --annotate "v$(VERSION)" --message "$(VERSION)"
	echo "v$(VERSION) $$(git rev-parse HEAD)" >> RELEASES
	git commit --quiet --message "Record v$(VERSION)" RELEASES
	@echo "Now: git push --follow-tags"

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
