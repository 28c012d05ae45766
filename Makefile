# Proxykit's commands. `make demo` and `make test` set up all that they need.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: help demo test lint format bench clean

help:
	@echo "make demo    start both proxies, send real requests through them, show what happened"
	@echo "make test    lint, type check and run every test"
	@echo "make lint    only ruff, mypy and import-linter"
	@echo "make format  write the code as ruff formats it"
	@echo "make bench   measure beside nginx, HAProxy, Squid and others"
	@echo "make clean   remove what these made"

# The virtual environment is made again when what it must hold changes.
.venv/.installed: setup.cfg pyproject.toml
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || tests/install-packages python3-venv
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

# These are compiled where they are installed.
.venv/.extras: .venv/.installed
	@$(BIN)/python -c 'import ldap, gssapi' 2>/dev/null || tests/install-packages \
		gcc python3-dev ldap.h=libldap-dev sasl.h=libsasl2-dev krb5.h=libkrb5-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[ldap,negotiate]'
	@touch $@

demo: .venv/.installed
	@$(BIN)/python -m demo

test: lint .venv/.extras
	@tests/install-packages curl git node=nodejs chromium openssl microsocks slapd redis-server squid \
		krb5kdc=krb5-kdc kadmin.local=krb5-admin-server kinit=krb5-user ip=iproute2 nft=nftables npm
	tests/install-cache-tests .venv/cache-tests
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

lint: .venv/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	PYTHON=$(BIN)/python benchmarks/install
	$(BIN)/python -m benchmarks

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis _trial_temp*
