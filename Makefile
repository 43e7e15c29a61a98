# The two commands of the README, and the ones developers need. Everything is made inside .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready-
export PIP_CACHE_DIR := $(CURDIR)/$(VENV)/cache/pip
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYTHONPYCACHEPREFIX := $(CURDIR)/$(VENV)/cache/pycache
export RUFF_CACHE_DIR := $(CURDIR)/$(VENV)/cache/ruff
export MYPY_CACHE_DIR := $(CURDIR)/$(VENV)/cache/mypy

.PHONY: demo test test-vm lint types proof bench docs peers s3-server jupyter clean

demo: $(READY)demo  ## queue real training jobs on this machine's GPUs, or on simulated ones
	@$(BIN)/python -m dcdaemon.cli.demo

test: $(READY)dev  ## all tests but the slow proofs
	$(BIN)/python -m pytest -o cache_dir=$(VENV)/cache/pytest

lint: $(READY)dev  ## style, format and the repository's own rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)dev  ## strict types
	$(BIN)/mypy

proof: $(READY)dev  ## slow proofs: kills, databases in trouble, floods, fuzzing; their rows go to docs/reliability.md
	$(BIN)/python -m pytest -o cache_dir=$(VENV)/cache/pytest -m proof tests/proof

test-vm: $(READY)dev  ## the installed service under a real systemd, in a virtual machine (root, qemu, debootstrap)
	$(BIN)/python -m pytest -o cache_dir=$(VENV)/cache/pytest -m vm tests/vm

bench: $(READY)dev  ## the benchmark table of docs/benchmarks.md
	$(BIN)/python -m benchmarks

peers: $(READY)peers  ## gpustat, nvitop and nvitop-exporter, for the tests that compare our readings with theirs

jupyter: $(READY)jupyter  ## a Jupyter server, for the test of the recipe in docs/interactive.md

s3-server: $(READY)s3  ## an S3 server that checks signatures, for the tests of the object store

fuzz: $(READY)fuzz  ## schemathesis, for the tests that fuzz the API from its own description

clean:
	rm -rf $(VENV)

$(READY)demo: EXTRAS := torch
$(READY)dev: EXTRAS := torch,postgres,grafana,snmpv3,backup,dev

$(READY)demo $(READY)dev: pyproject.toml constraints.txt
	@$(install)

$(READY)peers: tests/compat/constraints.txt
	@test -x $(VENV)/peers/bin/python || $(PYTHON) -m venv $(VENV)/peers
	@$(VENV)/peers/bin/pip install --quiet --requirement $<
	@touch $@

$(READY)jupyter: tests/jupyter/requirements.txt
	@test -x $(VENV)/jupyter/bin/python || $(PYTHON) -m venv $(VENV)/jupyter
	@$(VENV)/jupyter/bin/pip install --quiet --requirement $<
	@touch $@

# Apart, too: it needs another urllib3 than niquests brings.
$(READY)s3: tests/s3_server/requirements.txt
	@test -x $(VENV)/s3/bin/python || $(PYTHON) -m venv $(VENV)/s3
	@$(VENV)/s3/bin/pip install --quiet --requirement $<
	@touch $@

# Apart for the same reason.
$(READY)fuzz: tests/fuzz/requirements.txt
	@test -x $(VENV)/fuzz/bin/python || $(PYTHON) -m venv $(VENV)/fuzz
	@$(VENV)/fuzz/bin/pip install --quiet --requirement $<
	@touch $@

# pip only: pinned by constraints.txt; PIP_CONSTRAINT also pins what builds are made with.
define install
set -e; \
$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'error: Python 3.11 or newer is needed, this is '"$$($(PYTHON) -V)"; echo 'hint: make PYTHON=python3.12'; exit 2; }; \
test -x $(BIN)/python || $(PYTHON) -m venv $(VENV); \
echo 'installing into $(VENV) (pinned by constraints.txt; PyTorch is large: this takes a few minutes once)'; \
PIP_CONSTRAINT=$(CURDIR)/constraints.txt $(BIN)/pip install --quiet -e '.[$(EXTRAS)]'; \
touch $@
endef
