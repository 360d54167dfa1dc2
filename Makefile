# Everything a person does with a checkout. Needs make, a Python >= 3.11 and the package index, nothing else.
# `make PYTHON=/path/to/python` chooses the Python; `make demo ARGS='--port 8180'` passes options on.

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALL := $(PIP) install -qq --progress-bar off -c requirements.lock
RUN := $(VENV)/.installed-run
TEST := $(VENV)/.installed-test
DEV := $(VENV)/.installed-dev
PEERS := $(VENV)/.installed-peers
COMPILE := $(VENV)/.installed-compile
COMPILED := $(VENV)/compiled
SOURCES := pyproject.toml deploy/compile.py $(shell find gateway policies -type f ! -name '*.pyc')
# Where there is a C compiler, what is measured is what is shipped; `ARGS=--interpreted` measures the sources.
FAST := $(if $(or $(findstring --interpreted,$(ARGS)),$(if $(shell command -v cc),,none)),,$(COMPILED)/.made)
WANTED := pyproject.toml requirements.lock
# Two files of tests at a time: most of a test is waiting. `make test ARGS='-n 0 ..'` runs one after the other.
SIDE_BY_SIDE := -n 2 --dist loadfile
ARGS ?=

.PHONY: help demo test programs check fix compiled bench bench-past profile growth chaos lock clean

help:
	@echo 'make demo    start a long-poll service, the gateway before it, and print lines to paste'
	@echo 'make test    run all tests'
	@echo 'make check   format, lint, types, house rules'
	@echo 'make fix     put format and lint right where that can be done by machine'
	@echo 'make compiled  the gateway with its hot modules compiled, in $(COMPILED); two minutes, needs a C compiler'
	@echo 'make bench   measure: memory per held poll, time per call, against a naive proxy'
	@echo '             (ARGS=--peers: against nginx, HAProxy, Varnish, Traefik and Caddy)'
	@echo 'make bench-past  ask a generated day of ten million calls; a minute, 1 GiB of disk meanwhile'
	@echo 'make profile show where CPU and memory of the gateway go, by function and by type; two minutes'
	@echo 'make growth  measure whether a request costs the same with many polls, routes, consumers; minutes'
	@echo 'make chaos   break things at full size: restarts, storms, floods; minutes'
	@echo 'make lock    refresh requirements.lock from the package index'
	@echo 'make clean   remove $(VENV) and caches'

demo: $(RUN)
	@$(BIN)/gateway demo $(ARGS)

test: $(TEST) programs $(FAST)
	$(BIN)/python -m pytest tests $(SIDE_BY_SIDE) -rs --no-fold-skipped $(ARGS)

# What tests drive that is no Python: a browser for the dashboard, Prometheus for deploy/, jq for the recipes of docs/.
programs:
	@sh tests/install-debian-packages.sh chromium prometheus jq haproxy

check: $(DEV)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_house.py

fix: $(DEV)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

compiled: $(COMPILED)/.made

# Never beside the sources: what is compiled would hide every later edit of them.
$(COMPILED)/.made: $(COMPILE) $(SOURCES)
	@command -v cc > /dev/null || { echo 'Error: no C compiler; on Debian and Ubuntu: apt install gcc libc6-dev' >&2; exit 1; }
	@echo 'Compiling the gateway (a minute or two) ..'
	@rm -rf build/wheel
	@HATCH_BUILD_HOOK_ENABLE_CUSTOM=1 $(PIP) wheel -qq --no-deps --no-build-isolation --wheel-dir build/wheel .
	@rm -rf $(COMPILED) && $(PIP) install -qq --no-deps --target $(COMPILED) build/wheel/*.whl
	@touch $@

bench: $(TEST) $(FAST) $(if $(findstring --peers,$(ARGS)),$(PEERS))
	$(BIN)/python -m tests.bench $(ARGS)

bench-past: $(TEST)
	$(BIN)/python -m tests.bench.past $(ARGS)

profile: $(TEST)
	$(BIN)/python -m tests.bench.profile $(ARGS)

growth: $(TEST) $(FAST)
	$(BIN)/python -m tests.bench.growth $(ARGS)

chaos: $(TEST) $(FAST)
	@sh tests/install-debian-packages.sh faketime
	$(BIN)/python -m tests.chaos $(ARGS)

$(BIN)/python:
	@fit='import sys; sys.exit(sys.version_info < (3, 11))'; \
	for python in $(or $(PYTHON),python3.13 python3.12 python3.11 python3 python); do \
	  if "$$python" -c "$$fit" 2>/dev/null; then \
	    echo "Making $(VENV) with $$("$$python" --version) .."; \
	    "$$python" -m venv $(VENV) && exit 0; \
	    rm -rf $(VENV); \
	    echo "$$python cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv" >&2; \
	  fi; \
	done; \
	echo 'Error: no Python >= 3.11 found that makes one; install it, or name it: make PYTHON=/path/to/python3.11' >&2; \
	exit 1

$(RUN): $(WANTED) | $(BIN)/python
	@echo 'Installing the gateway (half a minute the first time) ..'
	@$(INSTALL) -e .
	@touch $@

$(TEST): $(WANTED) | $(BIN)/python
	@echo 'Installing the gateway and what its tests need (half a minute the first time) ..'
	@$(INSTALL) -e '.[test]'
	@touch $@

$(DEV): $(WANTED) | $(BIN)/python
	@echo 'Installing the gateway and what its checks need (half a minute the first time) ..'
	@$(INSTALL) -e '.[test,dev]'
	@touch $@

$(PEERS): $(WANTED) | $(BIN)/python
	@sh tests/install-debian-packages.sh nginx haproxy varnish varnish-modules
	@echo 'Installing Traefik and Caddy (half a minute the first time) ..'
	@$(INSTALL) -e '.[test,peers]' && touch $@ || echo 'They could not be installed: the comparison is without them'

$(COMPILE): $(WANTED) | $(BIN)/python
	@echo 'Installing what compiles the gateway ..'
	@$(INSTALL) -e '.[compile]'
	@touch $@

LOCK_VENV := build/lock-venv
lock:
	@rm -rf $(LOCK_VENV)
	@$(or $(PYTHON),python3.11) -m venv $(LOCK_VENV)
	@echo 'Resolving all dependencies afresh ..'
	@$(LOCK_VENV)/bin/python -m pip --disable-pip-version-check install -qq --progress-bar off '.[test,dev,peers,compile]'
	@{ echo '# Constraints of every install in the Makefile. Refreshed by `make lock` (Python 3.11, all extras).'; \
	  $(LOCK_VENV)/bin/python -m pip --disable-pip-version-check freeze --exclude longpoll-gateway; } > $(LOCK_VENV)/lock.txt
	@mv $(LOCK_VENV)/lock.txt requirements.lock
	@rm -rf $(LOCK_VENV)
	@echo "requirements.lock holds $$(grep -c == requirements.lock) packages"

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
