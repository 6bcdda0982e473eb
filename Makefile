# `make` lists the targets. Variables: PYTHON (3.11 or 3.12), VENV, VENV_FULL, JOBS (test processes), PYTEST_ARGS,
# DEMO_ARGS (options of mono-distill demo).
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= $(shell for python in python3.11 python3.12 python3; do \
  $$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null && echo $$python && break; \
  done)
VENV ?= .venv
VENV_FULL ?= .venv-full
JOBS ?= 2
PYTEST_ARGS ?=
DEMO_ARGS ?=
MMCV := 2.1.0
# spearman_eps.py needs a folder of images and is run by hand.
BENCHMARKS ?= losses kernels kd_branch kitti_metric decoding monodetr_step did_step

# One thread each: the tests run in $(JOBS) processes, and more threads than cores slow them down.
export OMP_NUM_THREADS ?= 1
export MPLBACKEND ?= Agg
export PIP_DEFAULT_TIMEOUT ?= 60
export PIP_RETRIES ?= 10
export PIP_RESUME_RETRIES ?= 10
export PIP_PROGRESS_BAR ?= off
export PIP_NO_INPUT := 1
export PIP_ROOT_USER_ACTION := ignore
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# A stamp carries the checksum of the files it depends on: an unchanged checkout has nothing to do, however new its files.
PACKAGES := $(shell cksum < constraints.txt | cut -d' ' -f1)
PROJECT := $(shell (pwd; cat setup.py pyproject.toml requirements.txt mono_distill/version.py) | cksum | cut -d' ' -f1)

# $(call retry,COMMAND): pip mends a broken connection; this also survives a registry that is away for a moment.
retry = for pause in 5 20 0; do if $(1); then break; elif [ $$pause = 0 ]; then exit 1; fi; \
  echo "Trying again in $$pause s" >&2; sleep $$pause; done

# $(call install_packages,VENV,PACKAGE TO LEAVE OUT): every pinned package, wheels only. torch comes first and with its own
# requirements, which differ between the CPU and the CUDA build. Packages of an interrupted run may be half there, so they
# are all written again. pip stays as the venv brought it: interrupted while it replaces itself, it is gone.
define install_packages
	@if [ -z '$(PYTHON)' ]; then echo 'No Python 3.11 or 3.12: install one, or say make PYTHON=/path/to/python3.11' >&2; exit 1; fi
	@if ! $(1)/bin/python -m pip --version >/dev/null 2>&1; then echo 'Creating $(1) with $(PYTHON)'; $(PYTHON) -m venv $(1); fi
	@grep '^[A-Za-z]' constraints.txt | grep -v '^$(2)==' > $(1)/pins.txt
	@echo "Installing $$(wc -l < $(1)/pins.txt) pinned packages into $(1)"
	@trap 'exit 130' INT TERM; repair=; if [ -e $(1)/.unfinished ]; then repair=--ignore-installed; fi; touch $(1)/.unfinished; \
	pip="$(1)/bin/python -m pip install -qq --only-binary :all: $$repair"; \
	$(call retry,$$pip --no-warn-conflicts -c constraints.txt torch); \
	$(call retry,$$pip --no-deps -r $(1)/pins.txt); \
	rm $(1)/.unfinished
endef

define install_project
	@$(1)/bin/python -m pip install -qq --no-index --no-deps --no-build-isolation --editable .
	@rm -f $(1)/.project-*; touch $@
	@echo 'Ready: $(1)/bin/mono-distill doctor'
endef

.PHONY: help setup setup-full test test-full lint demo bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.project-$(PROJECT) ## install the lite tier (mmcv-lite, nothing is compiled) into $(VENV)

$(VENV)/.packages-$(PACKAGES):
	$(call install_packages,$(VENV),none)
	@rm -f $(VENV)/.packages-*; touch $@

$(VENV)/.project-$(PROJECT): $(VENV)/.packages-$(PACKAGES)
	$(call install_project,$(VENV))

setup-full: $(VENV_FULL)/.project-$(PROJECT) ## install the full tier (mmcv with compiled ops) into $(VENV_FULL)

$(VENV_FULL)/.packages-$(PACKAGES):
	$(call install_packages,$(VENV_FULL),mmcv-lite)
	@rm -f $(VENV_FULL)/.packages-*; touch $@

# A wheel that pip finds (PIP_FIND_LINKS) and that loads with this torch is taken; otherwise mmcv is compiled in
# .cache/mmcv-$(MMCV), where an interrupted compilation goes on, and its wheel is kept in .cache/wheels.
$(VENV_FULL)/.mmcv-$(PACKAGES): $(VENV_FULL)/.packages-$(PACKAGES)
	@echo 'Looking for a wheel of mmcv $(MMCV) with compiled ops'
	@PIP_FIND_LINKS="$${PIP_FIND_LINKS:-} .cache/wheels" $(VENV_FULL)/bin/python -m pip install -qq --no-deps \
	  --only-binary :all: mmcv==$(MMCV) 2>/dev/null && $(VENV_FULL)/bin/python -c 'import torch, mmcv._ext' 2>/dev/null \
	  || $(MAKE) --no-print-directory compile-mmcv
	@rm -f $(VENV_FULL)/.mmcv-*; touch $@

.PHONY: compile-mmcv
compile-mmcv:
	@echo 'None fits. Compiling mmcv $(MMCV): about half an hour on two cores; it needs a C++ compiler, for GPU ops also nvcc.'
	@$(call retry,$(VENV_FULL)/bin/python -m pip install -qq --only-binary :all: -r requirements/mmcv-build.txt)
	@$(call retry,$(VENV_FULL)/bin/python -m pip download -qq --no-deps --no-build-isolation --no-binary :all: -d .cache mmcv==$(MMCV))
	@tar -xzf .cache/mmcv-$(MMCV).tar.gz -C .cache
	@rm -f .cache/wheels/mmcv-$(MMCV)-*.whl
	MMCV_WITH_OPS=1 $(VENV_FULL)/bin/python -m pip wheel -qq --no-deps --no-build-isolation --wheel-dir .cache/wheels .cache/mmcv-$(MMCV)
	@$(VENV_FULL)/bin/python -m pip install -qq --no-deps --force-reinstall .cache/wheels/mmcv-$(MMCV)-*.whl
	@$(VENV_FULL)/bin/python -c 'import torch, mmcv._ext'

$(VENV_FULL)/.project-$(PROJECT): $(VENV_FULL)/.mmcv-$(PACKAGES)
	$(call install_project,$(VENV_FULL))

test: setup lint ## lint, then all tests of the lite tier
	$(VENV)/bin/python -m pytest -n $(JOBS) $(PYTEST_ARGS)

test-full: setup-full ## all tests in the full tier, those that need compiled ops included
	$(VENV_FULL)/bin/python -m pytest -n $(JOBS) $(PYTEST_ARGS)

lint: setup ## ruff, mypy and import-linter
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

demo: setup ## make driving data, train teacher and student, distil, report: about ten minutes, continues after Ctrl-C
	$(VENV)/bin/mono-distill demo $(DEMO_ARGS)

bench: setup ## time and memory of losses, kernels and KITTI evaluation (minutes)
	@for name in $(BENCHMARKS); do echo "== benchmarks/$$name.py"; $(VENV)/bin/python benchmarks/$$name.py; done

clean: ## remove build products and caches; environments and work_dirs stay
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +
