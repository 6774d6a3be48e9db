# One door: `make help` lists what there is. Everything runs in .venv, which is made from requirements.lock when needed.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help config-named env env-nnunet demo demo-stages judge-demo trial test test-containers test-nnunet test-faults linked check image compile ui serve bench bench-peers simulate docs screenshots site code-lock lock hashes audit sbom clean

BIN := $(CURDIR)/.venv/bin
STAMP := .venv/.installed
LINKED := build/linked
NNUNET := .venv-nnunet/.installed
export PATH := $(BIN):$(PATH)
export MLFLOW_DISABLE_TELEMETRY := true
PORT ?= 5000
WORKERS ?= 2
IMAGE ?= localhost/nephrite:latest
PARAMS ?= params.yaml
CONFIG ?=
DATA ?=
FOLDER ?= results/$(basename $(notdir $(CONFIG)))
PROCESSES ?= 2
CLUSTER ?= pipelines/cluster.yaml
SCANS ?=
MODEL ?= models:/nephrite-segmenter@champion
SERVE_PORT ?= 5001
# strict: a broken link or a page outside the nav fails; the variable silences Material's note about its successor
# they need other versions than the lock's, so they have an environment of their own
TOOL = build/tools/bin
TOOLS = [ -x $(TOOL)/pip-audit ] || { python3 -m venv build/tools && \
    PIP_CONSTRAINT=/dev/null $(TOOL)/pip install -q --disable-pip-version-check pip-audit==2.10.1 cyclonedx-bom==7.5.0; }
SITE = NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

env: $(STAMP) ## The environment, from the lock file (Python 3.11 or 3.12; name one with PYTHON=...)

$(STAMP): requirements.lock pyproject.toml setup.py
	@python=""
	for candidate in $(PYTHON) python3.11 python3.12 python3; do
	    if "$$candidate" -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null; then
	        python="$$candidate"; break
	    fi
	done
	if [ -z "$$python" ]; then
	    echo "Nephrite needs Python 3.11 or 3.12, and none was found; install one, or name it: make env PYTHON=/path/to/python3.11" >&2
	    exit 1
	fi
	[ -x $(BIN)/python ] || { echo "Making .venv with $$($$python --version)"; "$$python" -m venv .venv; }
	echo "Installing the locked packages: about 7 GB, 2 to 8 minutes"
	export PIP_CONSTRAINT=/dev/null PIP_DISABLE_PIP_VERSION_CHECK=1  # the lock is the only list of versions
	$(BIN)/python -m pip install -q -r requirements.lock
	$(BIN)/python -m pip install -q --no-deps --no-build-isolation -e .
	touch $(STAMP)

env-nnunet: $(NNUNET) ## nnU-Net v2 in .venv-nnunet, for segmenters of kind 'nnunet': 0.5 GB, since it shares torch with .venv

# its dependencies want other versions than the lock's; what it does not bring itself, it finds in .venv
$(NNUNET): $(STAMP) requirements-nnunet.lock
	@[ -x .venv-nnunet/bin/python ] || $(BIN)/python -m venv .venv-nnunet
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
	    > "$$(.venv-nnunet/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/shared.pth"
	export PIP_CONSTRAINT=/dev/null PIP_DISABLE_PIP_VERSION_CHECK=1
	.venv-nnunet/bin/python -m pip install -q --no-deps -r requirements-nnunet.lock
	.venv-nnunet/bin/python -c 'import nnunetv2.training.nnUNetTrainer.nnUNetTrainer' > /dev/null
	touch $(NNUNET)

demo: env ## The whole trial on the embedded phantom, in minutes on two cores
	@git rev-parse --git-dir >/dev/null 2>&1 || $(BIN)/dvc config -q --local core.no_scm true
	$(BIN)/nephrite warm $(MAKE) --no-print-directory -o env demo-stages
	echo; cat reports/summary.txt

# in one warm process, from which each stage is forked; DVC runs one stage at a time, but lets two commands work on different ones
demo-stages:
	@$(BIN)/dvc --wait-for-lock repro prepare
	# painters, then arms, a core each: all stages of one that ends with $$1, by the names that $$2 makes of its own
	each() {
	    $(BIN)/dvc stage list --name-only | grep -E "^$$1" | sed -E "s/^$$1(.*)/$$2/" | xargs -P 2 -L 1 $(BIN)/dvc --wait-for-lock repro -s
	}
	each screen 'train_gan\1 synthesize\1 screen\1'
	each evaluate 'train_segmenter\1 evaluate\1'
	$(BIN)/dvc --wait-for-lock repro

judge-demo: env ## The verdict on scores of arms that were trained elsewhere: build/judge-demo/report.html, in seconds
	@$(BIN)/nephrite judge --scores examples/judge/scores.csv --question fakes,real --null real_again=real --out build/judge-demo --no-record

config-named:
	@[ -n "$(CONFIG)" ] || { echo "name the params file: make trial CONFIG=configs/lidc.yaml DATA=... FOLDER=..." >&2; exit 1; }

trial: config-named env ## A whole trial: CONFIG=configs/lidc.yaml DATA=folder-of-cases FOLDER=results/lidc (PROCESSES=2, EXTERNAL=folder)
	$(BIN)/nephrite plan --params $(CONFIG) $(if $(DATA),--set acquire.folder.path=$(DATA)) $(if $(EXTERNAL),--set acquire.external.path=$(EXTERNAL)) --folder $(FOLDER) --processes $(PROCESSES)
	$(BIN)/nephrite trial --params $(CONFIG) $(if $(DATA),--set acquire.folder.path=$(DATA)) $(if $(EXTERNAL),--set acquire.external.path=$(EXTERNAL)) --folder $(FOLDER) --processes $(PROCESSES)

test: env ## The whole test suite, real servers and a real browser included
	@bash tests/browser/install.sh
	OMP_NUM_THREADS=1 $(BIN)/pytest -n $(WORKERS) --dist loadfile -m "not containers and not nnunet" $(ARGS)

test-containers: env ## The image, the pipeline in real containers, MLflow on PostgreSQL and S3: as root on Debian
	@bash tests/containers/run.sh

test-nnunet: env-nnunet ## The real nnU-Net as a segmenter, at tiny size: trained, asked, seeded, shares drawn
	@OMP_NUM_THREADS=1 $(BIN)/pytest -m nnunet $(ARGS)

test-faults: env ## Kills, damaged inputs, outages, full disks, counted: a sample; everything, for hours, with WHOLE=1
	@mkdir -p build
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.faults $(if $(WHOLE),--whole) --table build/faults.md $(ARGS)

image: ## The container image, with Docker or Podman (PODMAN=podman), its size and its bill of materials
	@bash tests/containers/build_image.sh $(IMAGE)
	$(MAKE) --no-print-directory sbom || echo "no bill of materials: its tool cannot be installed here; later: make sbom" >&2

compile: env ## build/augmentation.yaml and, with SCANS=s3://..., build/inference.yaml, for Kubeflow (PARAMS=... CLUSTER=... IMAGE=...)
	compile() {
	    $(BIN)/nephrite-pipeline compile --params $(PARAMS) --cluster $(CLUSTER) --image $(IMAGE) \
	        $(if $(findstring @sha256:,$(IMAGE)),,--allow-tag) "$$@"
	}
	compile
	$(if $(SCANS),compile --pipeline inference --scans $(SCANS))

# mypy and import-linter look for a package in a folder of its name: pipelines/ and components/ linked as setup.py maps them
linked:
	@rm -rf $(LINKED)
	mkdir -p $(LINKED)/nephrite_kubeflow/components
	ln -s $(CURDIR)/pipelines/*.* $(LINKED)/nephrite_kubeflow
	ln -s $(CURDIR)/components/*.* $(LINKED)/nephrite_kubeflow/components

check: env linked ## Style, types, import rules and the documentation's site; pre-commit runs the same
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=$(LINKED) $(BIN)/lint-imports
	$(SITE)

site: env ## The documentation as a site: build/site/index.html, strictly checked
	@$(SITE)

ui: env ## MLflow's page on the recorded runs: http://127.0.0.1:5000 (another port: PORT=...)
	@$(BIN)/nephrite ui --port $(PORT)

serve: env ## A registered model answers by HTTP, on this machine alone: http://127.0.0.1:5001 (MODEL=models:/NAME@ALIAS, SERVE_PORT=...)
	@export MLFLOW_TRACKING_URI=$${MLFLOW_TRACKING_URI:-sqlite:///mlflow.db}
	$(BIN)/mlflow models serve --model-uri $(MODEL) --env-manager local --host 127.0.0.1 --port $(SERVE_PORT) --workers 1

# `make bench prepare`: words after `bench` are parts of it, and no targets
ifeq ($(firstword $(MAKECMDGOALS)),bench)
PARTS := $(filter-out bench,$(MAKECMDGOALS))
.PHONY: $(PARTS)
$(PARTS): ; @:
endif
WRITE ?=
MINUTES ?= 30
TRY ?= train_segmenter.epochs=[2, 4, 8]

bench: env ## What is measured, against whom; parts by name: `make bench step`; `make bench verdict`: which settings see most (CONFIG, DATA, MINUTES, TRY); WRITE=1: into docs/speed.md
	@[ "$(PARTS)" = verdict ] || $(BIN)/python benchmarks/run.py $(if $(WRITE),--write) $(filter-out verdict,$(PARTS))
	[ -z "$(filter verdict,$(PARTS))" ] || $(BIN)/nephrite plan --params $(or $(CONFIG),$(PARAMS)) $(if $(DATA),--set acquire.folder.path=$(DATA)) \
	    --folder build/verdict --processes $(PROCESSES) --minutes $(MINUTES) --try '$(TRY)'

bench-peers: env-nnunet ## The same against MONAI, nnU-Net and pix2pix as its authors built it, in one run (WRITE=1: into docs/speed.md)
	@OMP_NUM_THREADS=1 .venv-nnunet/bin/python benchmarks/peers.py $(if $(WRITE),--write)

simulate: env ## The judge on many simulated trials: error rates, coverage, families (minutes; TRIALS=20000)
	NEPHRITE_SIMULATED_TRIALS=$(or $(TRIALS),20000) OMP_NUM_THREADS=1 $(BIN)/pytest -q tests/trial/test_judge.py tests/trial/test_curves.py tests/trial/test_worth.py

docs: env ## The generated pages of docs/ and the schema of trial.json, from src/nephrite: settings, trial.json, commands, files, errors, gallery
	$(BIN)/python docs/write_settings.py
	$(BIN)/python docs/write_trial_json.py
	$(BIN)/python docs/write_commands.py
	$(BIN)/python docs/write_errors.py
	$(BIN)/python docs/write_gallery.py
	$(BIN)/python docs/write_files.py

screenshots: env ## docs/images: the screenshots of the documentation, from a small trial in a real browser
	@bash tests/browser/install.sh
	$(BIN)/python docs/write_screenshots.py

code-lock: env ## code.lock, by which DVC sees what a change of code concerns; pre-commit does the same
	@$(BIN)/nephrite lock

lock: ## New exact versions from pyproject.toml (needs uv)
	@command -v uv >/dev/null || { echo "uv is missing; install it: pip install uv" >&2; exit 1; }
	uv pip compile -q --upgrade --all-extras --no-annotate --no-header --python-version 3.11 pyproject.toml -o requirements.lock
	$(MAKE) --no-print-directory hashes

hashes: ## The digests of the files of the versions that requirements.lock names; no version changes (needs uv)
	@command -v uv >/dev/null || { echo "uv is missing; install it: pip install uv" >&2; exit 1; }
	mkdir -p build
	sed -nE 's/^([A-Za-z0-9][^ ]*==[^ ]+).*/\1/p' requirements.lock > build/versions.txt
	compile() {
	    uv pip compile -q --generate-hashes --no-annotate --no-header --python-version 3.11 -c build/versions.txt pyproject.toml "$$@"
	}
	compile --all-extras -o build/requirements.lock
	compile -o build/requirements-image.lock
	{
	    echo '# Exact versions with the digests of their files, made by `make lock` from pyproject.toml; plain pip reads it. Do not edit by hand.'
	    cat build/requirements.lock
	} > requirements.lock
	{
	    echo '# The part of requirements.lock that the image holds: no tools of development, no Kubeflow SDK. By `make lock` or `make hashes`.'
	    cat build/requirements-image.lock
	} > requirements-image.lock

audit: ## Known vulnerabilities of the locked versions (needs the network; AUDIT=--where-possible lets it pass without)
	@$(TOOLS) || { echo "audit: its tools cannot be installed here" >&2; [ -n "$(AUDIT)" ] && exit 0 || exit 2; }
	python3 .ci/audit.py $(TOOL)/pip-audit $(AUDIT)

sbom: ## build/sbom.json: what the image holds, as a CycloneDX bill of materials
	@$(TOOLS)
	$(TOOL)/cyclonedx-py requirements requirements-image.lock --pyproject pyproject.toml --output-reproducible -o build/sbom.json 2> /dev/null
	echo "build/sbom.json: $$(grep -c '"purl"' build/sbom.json) packages"

clean: ## Remove outputs and caches of tools; DVC's cache, the records of runs and .venv stay
	rm -rf resolved data/raw data/prepared data/painted data/synthetic models/synthesizer models/segmenters scores predictions reports promotion
	rm -rf build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find data models scores -name '*.partial' -prune -exec rm -rf {} + 2>/dev/null || true

.ONESHELL:
