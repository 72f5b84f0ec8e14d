# make needs Python 3.11 or newer and Git, and installs uv in .tools/ if uv is missing.

export PATH := $(CURDIR)/.tools/bin:$(PATH)
# Python keeps compiled modules, or each of a thousand processes would compile its packages.
unexport PYTHONDONTWRITEBYTECODE

UV := $(or $(shell command -v uv),.tools/bin/uv)
# Concurrent tests: one more than cores, because many tests wait; two more are slower again.
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

test: $(UV) ## Check every combination, run representative services; ARGS="-k update", JOBS=1
	uv run pytest --numprocesses $(JOBS) --maxschedchunk 1 $(ARGS)

test-all: $(UV) ## Run all tests on all services; run again to continue after a failure
	uv run python -m tests.everything --jobs $(JOBS)

test-rest: $(UV) ## Run services that `make test` does not run, for MINUTES=20
	uv run python -m tests.everything --jobs $(JOBS) --rest --minutes $(or $(MINUTES),20)

faults: $(UV) ## Plant faults and check that a test finds each; ARGS="a-name another"
	uv run python -m tests.faults $(ARGS)

bench: $(UV) ## Measure latency under load and heavy work, and CPU time saved by a cache
	uv run python -m benchmarks.stall
	uv run python -m benchmarks.cache
	uv run python -m benchmarks.jobs

check: $(UV) ## Lint and type-check the code of this repository
	uv run ruff check
	uv run ruff format --check
	uv run mypy
	uv run python -m tests.wording

fix: $(UV) ## Apply the fixes and the format of ruff
	uv run ruff check --fix
	uv run ruff format

draw: $(UV) ## Redraw the diagrams of the documentation from rendered services
	uv run python -m docs.draw

release: $(UV) ## Check everything, then tag a release: VERSION=1.2.0
	@echo "$(VERSION)" | grep -qxE '[0-9]+\.[0-9]+\.[0-9]+' || \
		{ echo "VERSION is not of the form 1.2.0: make release VERSION=1.2.0"; exit 1; }
	@test -z "$$(git status --porcelain)" || { echo "Uncommitted changes: commit first."; exit 1; }
	@grep -q '^## \[$(VERSION)\] - 20' CHANGELOG.md || \
		{ echo "CHANGELOG.md lacks a section: add ## [$(VERSION)] - $$(date +%F)"; exit 1; }
	@! git rev-parse --quiet --verify "refs/tags/v$(VERSION)" >/dev/null || \
		{ echo "v$(VERSION) exists, and a release never moves: choose another VERSION."; exit 1; }
	$(MAKE) check test-all
	git tag --annotate "v$(VERSION)" --message "$(VERSION)"
	echo "v$(VERSION) $$(git rev-parse HEAD)" >> RELEASES
	git commit --quiet --message "Record v$(VERSION)" RELEASES
	@echo "Now: git push --follow-tags"

# `make` replaces an earlier render and its answers, and refuses to delete a folder that is no
# rendered service or has a Git repository.
render: $(UV)
	@test ! -e demo || test -e demo/.copier-answers.yml -a ! -e demo/.git || \
		{ echo "demo/ may hold work of yours: move the folder away, then try again."; exit 1; }
	rm -rf demo
	$(COPIER)

.tools/bin/uv:
	python3 -m venv .tools
	.tools/bin/pip install --quiet uv
