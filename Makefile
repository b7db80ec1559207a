# Each target sets up .venv on a fresh machine, then does its work. Another interpreter: make PYTHON=python3.12 test
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
RUN := $(VENV)/bin/python -m
export SDL_VIDEODRIVER ?= dummy

.PHONY: demo test lint bench docs clean

demo: $(VENV)/.installed ## train PPO to read digits, rank it, film it
	$(RUN) palaestra.scenarios.main demo

test: lint ## lint, types and all tests
	WANDB_MODE=offline $(RUN) pytest -n 2 --dist worksteal

lint: $(VENV)/.installed
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	mkdir -p .lint && ln -sfn .. .lint/palaestra
	cd .lint && MYPYPATH=. ../$(RUN) mypy -p palaestra --config-file ../pyproject.toml

bench: $(VENV)/.installed ## speed of environments and of training, beside peers
	$(VENV)/bin/python benchmarks/env_speed.py
	$(VENV)/bin/python benchmarks/train_speed.py

docs: $(VENV)/.docs ## the documentation, into site/docs; open site/docs/index.html
	$(RUN) mkdocs build --strict --quiet

$(VENV)/.docs: $(VENV)/.installed
	$(VENV)/bin/pip install --disable-pip-version-check --quiet -c constraints.txt -e '.[docs]'
	touch $@

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Palaestra needs Python 3.11 or newer; got " + sys.version) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --disable-pip-version-check --quiet -c constraints.txt -e '.[test,dev]'
	touch $@

clean:
	rm -rf $(VENV) .lint .mypy_cache .ruff_cache .pytest_cache build site/docs *.egg-info
