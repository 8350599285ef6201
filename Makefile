# The commands of the study. `make book` and `make test` set up .venv if needed.
PYTHON ?= python3
BIN := .venv/bin
# requirements.lock leaves these packages out. A torch build with CUDA requires them itself.
CUDA_PACKAGES := ^(cuda|nvidia|triton)
APT_HINT := On Debian and Ubuntu: sudo apt install make g++ python3-dev python3-venv

# The preset: a name, or the path of a .yml file. Without it, `make book`, `make study`, `make publish` and `make reproduce` are on the
# presets of batches/book.yml, and `make batch` is on the preset of the batch.
PRESET ?=
# More values for the Snakefile, such as data_root=/data/VOC2012. A path with a space is quoted: CONFIG="data_root='/my data'"
CONFIG ?=

help:
	@echo "make book    compute what is neither published nor in results/, run the chapters, and render the book into _build/html"
	@echo "make study   print what is left to compute of all chapters, and compute it; stop it at any time, and call it again"
	@echo "make publish    put what the chapters show into published/, after make book"
	@echo "make reproduce  compute everything anew, in results/reproduced/, and compare its numbers with the published ones"
	@echo "        All four take PRESET=mini (default: the presets of batches/book.yml), and CONFIG=\"data_root=... shards=8\" for real data"
	@echo "make batch BATCH=ablations    run the missing parts of batches/ablations.yml, also with CONFIG"
	@echo "make pdf     print the rendered book into _build/html/ribstudy.pdf and link it from the front page; needs chromium"
	@echo "make campaign    disturb commands and mutate inputs, at random; see README.md, Reliability"
	@echo "make lab-test    open, run and save a notebook in JupyterLab, in a browser; takes minutes"
	@echo "make cluster-test    run batches on a Slurm that is started here, with faults; see the page On a cluster"
	@echo "make links   find broken links in the rendered book, including links to other sites; needs a network"
	@echo "make test    run the tests"
	@echo "make lint    check code, chapters and English; make format fixes the formatting"
	@echo "make setup   only set up .venv and the filter that keeps notebook outputs out of git"
	@echo "make bench   measure the cost of an adaptation on this machine; the page on costs shows the result"
	@echo "make gpu-check   check and measure everything on the GPU of this machine, in at most 25 minutes; without one, in small"
	@echo "make gpu-copy    pack the project for a machine without a network: _build/ribstudy-gpu.tar.gz"
	@echo "make clean   remove the rendered book; results stay"
	@echo "make lock    pin the newest packages in requirements.lock and environment.yml"

# Stages that use the GPU take turns. Without a GPU they do not wait for each other.
GPU := $(if $(shell nvidia-smi -L 2> /dev/null),--resources gpu=1)

# Not `all`: Snakemake ignores the limit of a container.
CORES = $$($(BIN)/python -c "from ribstudy.runtime import ranks; print(ranks.cores())")

SNAKEMAKE = $(BIN)/snakemake --quiet host progress reason --cores $(CORES) $(GPU)

OF_PRESET := $(if $(PRESET),--preset '$(PRESET)')
WITH_PRESET := $(if $(PRESET),preset='$(PRESET)')
config = $(if $(strip $(1) $(CONFIG)),--config $(1) $(CONFIG))

book: filter
	$(SNAKEMAKE) book $(call config,$(WITH_PRESET))
	@echo "The book: file://$(CURDIR)/_build/html/index.html"

study: .venv/.ready
	@$(BIN)/python -m ribstudy left $(OF_PRESET) $(call config)
	$(SNAKEMAKE) --keep-going results $(call config,$(WITH_PRESET))

publish: .venv/.ready
	$(BIN)/python -m ribstudy publish $(OF_PRESET) $(call config)

# Everything in a folder of its own, also the drawn data, and without any published result. Photographs are linked.
REPRODUCED = $(CURDIR)/results/reproduced/$(or $(basename $(notdir $(PRESET))),book)
PHOTOGRAPHS = $(wildcard $(patsubst ribstudy/datasets/lists/%.json,data/%,$(wildcard ribstudy/datasets/lists/*.json)))
reproduce: .venv/.ready
	@mkdir -p '$(REPRODUCED)/data'
	@$(foreach images,$(PHOTOGRAPHS),ln -sfnt '$(REPRODUCED)/data' '$(CURDIR)/$(images)';)
	RIBSTUDY_RESULTS='$(REPRODUCED)' RIBSTUDY_DATA='$(REPRODUCED)/data' RIBSTUDY_PUBLISHED='$(REPRODUCED)/published' \
	  $(SNAKEMAKE) --directory '$(REPRODUCED)' --keep-going batch \
	  $(call config,$(if $(filter %.yml %.yaml,$(PRESET)),preset="$$(realpath '$(PRESET)')",$(WITH_PRESET)))
	@$(BIN)/python -m ribstudy compare $(OF_PRESET) --results '$(REPRODUCED)'
	@echo "To reproduce it once more from nothing: rm -r '$(REPRODUCED)'"

batch: .venv/.ready
	@test -n "$(BATCH)" || { echo "Name a batch (make batch BATCH=ablations): $(basename $(notdir $(wildcard batches/*.yml)))"; exit 1; }
	$(SNAKEMAKE) --keep-going batch $(call config,batch='$(BATCH)' $(WITH_PRESET))

pdf: .venv/.ready
	$(BIN)/python -m tools.print_book

links: .venv/.ready
	$(BIN)/python -m tools.check_links --external

test: .venv/.ready
	$(BIN)/python -m pytest -n auto --dist loadgroup

lint: .venv/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m tools.lint

format: .venv/.ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/python -m ribstudy.workflow.stripped book/*.ipynb

setup: filter

# What an editor writes into a notebook stays out of git. .gitattributes names the filter; JupyterLab tells git after it saves.
filter: .venv/.ready
	@install -D -m 644 profiles/jupyterlab/jupyter_server_config.json -t .venv/etc/jupyter
	@! git rev-parse --git-dir > /dev/null 2>&1 || \
	  git config filter.notebook.clean '"$(CURDIR)/$(BIN)/python" -m ribstudy.workflow.stripped'

# On a Slurm and an NFS server that the tests start on this machine. Needs root, and: apt install slurm-wlm slurmdbd munge mariadb-server
# user-mode-linux nfs-kernel-server
cluster-test: .venv/.ready
	RIBSTUDY_CLUSTER_TESTS=1 $(BIN)/python -m pytest --durations=0 -v -rs tests/cluster

# JupyterLab in a browser: opens a notebook, runs all cells, moves a slider, saves.
lab-test: .venv/.ready
	RIBSTUDY_LAB_TESTS=1 $(BIN)/python -m pytest tests/lab

# All trials; make test has a short campaign. Commit first, because it publishes too.
campaign: .venv/.ready
	PYTHONPATH=.:tests $(BIN)/python -P -m campaign $(CAMPAIGN)

bench: .venv/.ready
	$(BIN)/python -m ribstudy.bench

gpu-check: .venv/.ready
	$(BIN)/python -m ribstudy.bench.gpu_check $(GPU_CHECK)

# Git sends a part of its objects only if it is asked to.
PARTIAL := git -c uploadpack.allowFilter=true -c uploadpack.allowAnySHA1InWant=true upload-pack
# The last commit, without the published results, which nothing on the other machine reads. Git goes along, so that records name it.
COPY := _build/ribstudy-gpu
gpu-copy:
	@rm -rf '$(COPY)'
	git clone --quiet --depth 1 --filter=blob:none --no-checkout --upload-pack '$(PARTIAL)' -c 'remote.origin.uploadpack=$(PARTIAL)' \
	  'file://$(CURDIR)' '$(COPY)/ribstudy'
	git -C '$(COPY)/ribstudy' sparse-checkout set --no-cone '/*' '!/published/'
	git -C '$(COPY)/ribstudy' checkout --quiet
	tar -C '$(COPY)' -czf '$(COPY).tar.gz' ribstudy
	@rm -rf '$(COPY)'
	@du -h '$(COPY).tar.gz'

clean:
	rm -rf _build

.venv/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or later is needed, but $(PYTHON) is " \
	  + sys.version.split()[0] + ". Name another Python: make PYTHON=/path/to/python3")'
	@test -x $(BIN)/pip || $(PYTHON) -m venv --clear .venv || { rm -rf .venv; echo "$(APT_HINT)"; exit 1; }
	$(BIN)/pip install -r requirements.lock || { echo "$(APT_HINT)"; exit 1; }
	$(BIN)/pip install --no-deps -e .
	touch $@

lock:
	$(PYTHON) -m venv --clear .venv-lock
	.venv-lock/bin/pip install -e '.[crf,book,slurm,dev]' torch==2.13.0 torchvision==0.28.0
	sed -i '/^[^#]/d' requirements.lock
	.venv-lock/bin/pip freeze --exclude-editable | grep -Ev '$(CUDA_PACKAGES)' | sed 's/+[a-z0-9.]*$$//' >> requirements.lock
	sed -i '/- pip:/q' environment.yml
	sed -n '/^pydensecrf/d; s/^[^#]/      - &/p' requirements.lock >> environment.yml
	rm -rf .venv-lock

.PHONY: help book study publish reproduce batch pdf links campaign cluster-test lab-test test lint format setup filter bench gpu-check gpu-copy clean lock
