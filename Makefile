# Kurabako: `make run` shows the box, `make test` tests it. Both do all their own set-up.

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
PYTEST_ARGS ?= -n 2 --dist loadgroup

PREFIX ?= /usr/local
BOX_DIR ?= /opt/kurabako
DESTDIR ?=

BIN := $(VENV)/bin

.PHONY: run test check bench install uninstall clean help

help: ## what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Kurabako needs Python 3.11 or newer; $(PYTHON) is older. Set PYTHON=/path/to/python3.11."; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "Python's venv module is missing: apt-get install python3-venv"; rm -rf $(VENV); exit 1; }

$(VENV)/.installed-run: pyproject.toml | $(BIN)/python
	@echo "Installing Kurabako into $(VENV) …" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[demo]'
	@touch $@

$(VENV)/.installed-test: pyproject.toml | $(BIN)/python
	@$(BIN)/python -m tests.requirements --install
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@# The libraries for Kerberos are built here, which needs what only root may install.
	@if command -v krb5-config >/dev/null && command -v gcc >/dev/null; then \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[kerberos]' || \
	  echo "Kerberos is not tested: its libraries cannot be built here." >&2; fi
	@touch $@ $(VENV)/.installed-run

run: $(VENV)/.installed-run ## see the box work on this machine (Ctrl-C ends it); ARGS="--once --json" for one run
	@$(BIN)/kurabako demo $(ARGS)

test: $(VENV)/.installed-test ## install everything the tests need and run them all
	@$(BIN)/python -m tests.requirements --install
	$(BIN)/python -m pytest $(PYTEST_ARGS) $(ARGS)

check: $(VENV)/.installed-test ## style, types and the layers of the house
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.installed-test ## compare with stock restic, borg and rclone on this machine; ARGS=--scale: a repository of 10 TB
	@$(BIN)/python -m tests.requirements --install
	$(BIN)/python -m tests.bench $(ARGS)

install: ## make this Debian 12 machine a box (as root)
	image/install.sh "$(DESTDIR)" "$(BOX_DIR)" "$(PREFIX)" "$(PYTHON)"

uninstall: ## take the box's software away and leave its data (as root)
	image/uninstall.sh "$(DESTDIR)" "$(BOX_DIR)" "$(PREFIX)"

clean: ## remove what make made here
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis demo
