# make repro   run the pipeline, publish to MLflow, say where the report is
# make claims  the papers' claims over five seeds; their ledger is reports/claims.csv
# make test    the whole test suite              make lint   ruff and mypy
# make ui      MLflow, Prefect, a worker (loopback) make publish  result files into MLflow again
# make clean   removes all outputs and caches, .cache and the local mlflow.db among them: the next repro renders the world again.
#              Keeps the environment, your data sets and reports/results.csv.
#
# Every target sets up .venv by itself, once; it is renewed when constraints.txt or pyproject.toml changes.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := repro
.PHONY: repro claims publish test ui lint clean

include .env
export

PYTHON ?= python3
# Stages at once, each with its share of the cores.
WORKERS ?= 2
VENV := .venv
INSTALLED := $(VENV)/installed
# `python` in the commands of dvc.yaml must be the one of the environment.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

repro: $(INSTALLED)
	python -m flows.local --workers $(WORKERS)
	vultus publish --if-changed
	@echo "report: file://$(CURDIR)/reports/site/index.html"

# The report reads the ledger that was published last: a reproduction does not wait for the claims.
claims: $(INSTALLED)
	python -m flows.local --workers 1 --pipeline claims/dvc.yaml
	cp reports/ledger.csv reports/claims.csv
	dvc --wait-for-lock repro --single-item report

publish: $(INSTALLED)
	vultus publish

test: $(INSTALLED)
	OMP_NUM_THREADS=1 pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: $(INSTALLED)
	ruff check .
	ruff format --check .
	mypy

ui: $(INSTALLED)
	python -m flows.ui

clean:
	rm -rf data/raw/world data/tables data/features models reports/systems reports/site
	rm -rf mlflow.db mlartifacts .cache .dvc/cache .dvc/tmp .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

# mediapipe's metadata asks for a second OpenCV and an old numpy, neither of which it needs: it goes in alone. It is optional at
# run time, so its absence on some platform must not stop the rest.
$(INSTALLED): constraints.txt pyproject.toml
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install -c constraints.txt "torch==2.13.0" -e ".[data,speech,recognition,pipeline,dev]"
	$(VENV)/bin/pip install -c constraints.txt --no-deps mediapipe absl-py flatbuffers \
		|| echo "mediapipe is not available here: landmarks of real faces will come from the detector trained by the pipeline"
	touch $(INSTALLED)
