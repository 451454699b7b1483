# The project's commands. `make demo` and `make test` set up everything they need.
.DEFAULT_GOAL := help
# The first Python 3.11 on the path that was built with optimisations, or else the first. Distributions
# build with optimisations; pyenv does not, and its Python is a sixth slower.
OPTIMISED := import ensurepip, sys, sysconfig; sys.exit(sys.base_prefix != '/usr' \
	and '--enable-optimizations' not in str(sysconfig.get_config_var('CONFIG_ARGS')))
PYTHON ?= $(or $(shell for found in $$(which -a python3.11 2>/dev/null); do \
	"$$found" -c "$(OPTIMISED)" 2>/dev/null && echo "$$found" && break; done),python3.11)
VENV := .venv
BIN := $(VENV)/bin
export DAGSTER_HOME ?= $(CURDIR)/.lakehouse/dagster
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := true

SPARK_JARS := $(or $(LAKEHOUSE_SPARK_JARS),$(CURDIR)/.lakehouse/spark-jars)
SPARK_POM := lakehouse_assets/engine/jars/pom.xml
PYTEST_ARGS ?=
EXTRAS := ui,dev,docs,connect,azure,sources,streams,postgres,k8s,serving,polars
PIP := PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install -q --no-compile --disable-pip-version-check
# PySpark is published as source only. pip builds a wheel of 400 MB from it, which need not be compressed.
PLAIN := --config-settings-package pyspark:--build-option=--compression=stored
# Code that is never imported, a third of the environment, is not compiled.
NEVER_IMPORTED := site-packages/(.*/tests|pip|setuptools|pkg_resources|mypyc?|databricks|Crypto)/
# Azurite, the storage emulator of the tests in lakehouse_assets_tests/azure.
AZURITE := $(CURDIR)/.lakehouse/azurite
AZURITE_FILES := $(addprefix lakehouse_assets_tests/azure/,package.json package-lock.json .npmrc)
# axe-core, with which lakehouse_assets_tests/pages checks accessibility, in the machine's Chromium.
AXE := $(CURDIR)/.lakehouse/axe
AXE_FILES := $(addprefix lakehouse_assets_tests/pages/,package.json package-lock.json .npmrc)

MINUTES ?= 60
SEED ?= 1

# Database servers of the tests in lakehouse_assets_tests/sources.
DATABASES := $(CURDIR)/.lakehouse/databases
# The broker of lakehouse_assets_tests/streams.
KAFKA := $(CURDIR)/.lakehouse/kafka
KAFKA_POM := lakehouse_assets_tests/streams/kafka/pom.xml
# The library with which lakehouse_assets_tests/test_clocks.py sets the clocks of processes.
FAKETIME := $(CURDIR)/.lakehouse/faketime
# The proxy of lakehouse_assets_tests/operations.
NGINX := $(CURDIR)/.lakehouse/nginx

# Clients of lakehouse_assets_tests/endpoint.
SQL_CLIENTS := $(CURDIR)/.lakehouse/sql-clients
SQL_CLIENTS_POM := lakehouse_assets_tests/endpoint/pom.xml

# `make demo|ui|mlflow ENGINE=spark` uses its own lake, MLflow and Dagster; STATE=.lakehouse uses DuckDB's.
ENGINE := duckdb
ifeq ($(ENGINE),spark)
STATE ?= .lakehouse/spark
demo ui mlflow: export LAKEHOUSE_ENGINE := spark
demo ui mlflow: export LAKEHOUSE_ROOT := $(abspath $(STATE))/lake
demo ui mlflow: export LAKEHOUSE_MLFLOW_URI := sqlite:///$(abspath $(STATE))/mlflow/mlflow.db
demo ui mlflow: export LAKEHOUSE_DAGSTER_HOME := $(abspath $(STATE))/dagster
demo ui mlflow: export DAGSTER_HOME := $(abspath $(STATE))/dagster
demo ui: spark
else ifneq ($(ENGINE),duckdb)
$(error ENGINE is $(ENGINE); use ENGINE=duckdb or ENGINE=spark)
else
demo: export LAKEHOUSE_ROOT := .lakehouse/lake
endif

.PHONY: docs docs-links help reference setup spark azurite axe kafka databases faketime nginx sql-clients demo test test-cluster soak lint types ui mlflow pages pictures notebooks sample bench bench-engines bench-tweets bench-streams constraints licences clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(VENV)/.ready ## Create the environment from the pinned constraints

$(VENV)/.ready: pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not installed; install Python 3.11 or set PYTHON=..."; exit 1; }
	@echo "Creating the environment in $(VENV) with $(PYTHON) (a few minutes, once)"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) uv
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install -q -c constraints.txt $(PLAIN) -e '.[$(EXTRAS)]' || \
		{ echo "uv could not; pip may know another index of packages"; $(PIP) -e '.[$(EXTRAS)]'; }
	@$(BIN)/python -m compileall -q -j 0 -x '$(NEVER_IMPORTED)' $(VENV)/lib lakehouse_assets >/dev/null 2>&1 || true
	@$(BIN)/lakehouse home >/dev/null
	@touch $@

spark: $(SPARK_JARS)/.ready ## Fetch Spark's jars with Maven, once
	@echo "Spark's jars are in $(SPARK_JARS)"

$(SPARK_JARS)/.ready: $(SPARK_POM)
	@command -v mvn >/dev/null || { echo "Maven is not installed; install it, or copy the jars that $(SPARK_POM) names to $(SPARK_JARS) and \`touch $@\`"; exit 1; }
	@mkdir -p $(SPARK_JARS) && rm -f $(SPARK_JARS)/*.jar
	@mvn -q -B -f $(SPARK_POM) dependency:copy-dependencies -DoutputDirectory=$(SPARK_JARS)
	@touch $@

azurite: $(AZURITE)/.ready ## Fetch the storage emulator of the tests with npm, once

$(AZURITE)/.ready: $(AZURITE_FILES)
	@command -v npm >/dev/null || { echo "npm is not installed; the tests against Azurite will be skipped."; exit 0; }; \
	rm -rf $(AZURITE) && mkdir -p $(AZURITE) && cp $(AZURITE_FILES) $(AZURITE) \
	&& cd $(AZURITE) && npm ci --silent --ignore-scripts --omit=optional && touch $@

axe: $(AXE)/.ready ## Fetch axe-core for the tests of pages with npm, once

$(AXE)/.ready: $(AXE_FILES)
	@command -v npm >/dev/null || { echo "npm is not installed; the tests of pages' accessibility will be skipped."; exit 0; }; \
	rm -rf $(AXE) && mkdir -p $(AXE) && cp $(AXE_FILES) $(AXE) \
	&& cd $(AXE) && npm ci --silent --ignore-scripts && touch $@

kafka: $(KAFKA)/.ready ## Fetch Kafka for the tests with Maven, once

# Not at the same time as Spark's: two Mavens would write the same plugins into one folder.
$(KAFKA)/.ready: $(KAFKA_POM) | $(filter spark,$(MAKECMDGOALS))
	@command -v mvn >/dev/null || { echo "Maven is not installed; the tests with a broker will be skipped."; exit 0; }; \
	rm -rf $(KAFKA) && mkdir -p $(KAFKA) \
	&& mvn -q -B -f $(KAFKA_POM) dependency:copy-dependencies -DoutputDirectory=$(KAFKA) && touch $@

databases: $(DATABASES)/.ready ## Fetch PostgreSQL and MariaDB for the tests from Debian, once
faketime: $(FAKETIME)/.ready ## Fetch libfaketime for the tests from Debian, once
sql-clients: $(SQL_CLIENTS)/.ready ## Fetch SQL clients for the tests (Debian, Maven, pip), once
nginx: $(NGINX)/.ready ## Fetch nginx for the tests from Debian, once

# apt lists what is not installed yet, and only that is fetched.
define FROM_DEBIAN
	@command -v apt-get >/dev/null || { echo "apt-get is not there; tests with $(1) will be skipped where it is not installed."; exit 0; }; \
	rm -rf $(@D) && mkdir -p $(@D)/packages $(@D)/root && cd $(@D)/packages \
	&& wanted=$$(apt-get -s -o Debug::NoLocking=1 install --no-install-recommends $(2) | sed -n 's/^Inst \([^ ]*\).*/\1/p') \
	&& { test -z "$$wanted" || { apt-get -q -o APT::Sandbox::User= download $$wanted >/dev/null \
	&& for package in *.deb; do dpkg -x $$package ../root; done; }; } \
	&& rm -rf $(@D)/packages && touch $@ \
	|| echo "$(1) could not be fetched (apt-get update, network?); tests with it will be skipped."
endef

$(DATABASES)/.ready:
	$(call FROM_DEBIAN,PostgreSQL and MariaDB,mariadb-server-core $$(apt-cache depends postgresql | sed -n 's/.*Depends: \(postgresql-[0-9]*\)$$/\1/p'))

$(FAKETIME)/.ready:
	$(call FROM_DEBIAN,libfaketime,libfaketime)

$(NGINX)/.ready:
	$(call FROM_DEBIAN,nginx,nginx)

$(SQL_CLIENTS)/.ready: $(SQL_CLIENTS_POM) | setup $(filter spark kafka,$(MAKECMDGOALS))
	$(call FROM_DEBIAN,psql and ODBC,odbc-postgresql libodbc2 $$(apt-cache depends postgresql-client | sed -n 's/.*Depends: \(postgresql-client-[0-9]*\)$$/\1/p'))
	@$(PIP) --no-deps --target $(SQL_CLIENTS)/python pyodbc==5.5.0 || echo "pyodbc could not be fetched; tests with it will be skipped."
	@command -v mvn >/dev/null || { echo "Maven is not installed; tests with JDBC will be skipped."; exit 0; }; \
	mvn -q -B -f $(SQL_CLIENTS_POM) dependency:copy-dependencies -DoutputDirectory=$(SQL_CLIENTS) \
	|| echo "The JDBC driver of PostgreSQL could not be fetched; tests with it will be skipped."

demo: setup ## Build the whole lake from data/ (ENGINE=spark: on Spark)
	@LAKEHOUSE_LANDING=data $(BIN)/lakehouse run
	@$(if $(filter spark,$(ENGINE)),echo "This lake is in $(STATE): make ui ENGINE=spark and make mlflow ENGINE=spark show it.")

test: setup azurite axe kafka databases faketime nginx sql-clients ## Run all tests (PYTEST_ARGS=--require-spark: Spark's too)
	@$(BIN)/python -m pytest -q -n 3 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

test-cluster: setup spark ## Test on a Spark cluster and a Connect server on this machine
	@$(BIN)/python -m pytest -q --cluster --require-spark lakehouse_assets_tests/engine/test_cluster.py

soak: setup faketime ## Run the daemon through deliveries, kills, full disks (MINUTES=60)
	@$(BIN)/python -m lakehouse_assets_tests.soak --minutes $(MINUTES) --seed $(SEED)

lint: setup ## Check style, docstrings, security rules and imports
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/lint-imports

types: setup ## Check types, strictly
	@$(BIN)/mypy && $(BIN)/mypy docs/generated.py docs/conf.py

ui: PORT ?= 3000
ui: setup ## Open the Dagster UI on http://127.0.0.1:3000 (or PORT=3001)
	@$(BIN)/lakehouse home >/dev/null
	@$(BIN)/dg dev -h 127.0.0.1 -p $(PORT)

mlflow: PORT ?= 5000
mlflow: setup ## Open MLflow on http://127.0.0.1:5000 (or PORT=5001)
	@page="$$($(BIN)/lakehouse mlflow-uri --page http://127.0.0.1:$(PORT))"; \
	echo "Open $$page"; \
	[ -z "$$DISPLAY$$WAYLAND_DISPLAY" ] || (sleep 10; $(BIN)/python -m webbrowser -t "$$page" >/dev/null) & \
	$(BIN)/mlflow server --workers 1 --host 127.0.0.1 --port $(PORT) --backend-store-uri "$$($(BIN)/lakehouse mlflow-uri)"

docs: setup ## Build the documentation in docs/_build/html, check its links
	@$(BIN)/python -m sphinx -q -W --keep-going -d docs/_build/doctrees -b html docs docs/_build/html
	@grep -rhoE 'href="https?://[^"#]+' docs/_build/html --include='*.html' | cut -d'"' -f2 | sort -u > docs/_build/links.txt
	@echo "Open docs/_build/html/index.html. docs/_build/links.txt lists the links to other sites: make docs-links fetches them."

reference: setup ## Write the generated pages of docs/reference
	@$(BIN)/python docs/generated.py

docs-links: setup ## Check the documentation's links to other sites (network)
	@$(BIN)/python -m sphinx -q -d docs/_build/doctrees -b linkcheck docs docs/_build/linkcheck

pages: setup ## Write the pages of measures and open them
	@$(BIN)/lakehouse pages --open

pictures: setup ## Take the README's pictures of the pages again (Chromium)
	@$(BIN)/python -m lakehouse_assets_tests.pages.pictures

notebooks: setup ## Write the notebooks of docs/tutorials from their pages
	@$(BIN)/python -m lakehouse_assets_tests.notebooks

sample: setup ## Make data/ and deliveries/ again (seeded: the same bytes)
	@rm -rf data/airline data/retail data/streams deliveries
	@$(BIN)/python -m lakehouse_assets.sample.airline --out data
	@$(BIN)/python -m lakehouse_assets.sample.airline.deliveries --out deliveries
	@$(BIN)/python -m lakehouse_assets.sample.retail --out data
	@$(BIN)/python -m lakehouse_assets.sample.retail.devices --sample --out data/streams/devices

bench: setup ## Compare with hand-written DuckDB SQL + delta-rs (long)
	@$(BIN)/python -m lakehouse_assets_tests.benchmark

bench-engines: setup spark ## Compare DuckDB with Spark on this machine by size (long)
	@$(BIN)/python -m lakehouse_assets_tests.benchmark.engines

bench-tweets: setup ## Measure five million tweets: time, CPU, memory (long)
	@$(BIN)/python -m lakehouse_assets_tests.benchmark.tweets

bench-streams: setup kafka ## Measure streams: events per second, latency (minutes)
	@$(BIN)/python -m lakehouse_assets_tests.benchmark.streams

constraints: setup ## Write constraints.txt from the environment
	@{ echo "# Every package of the environment, pinned. Made by \`make constraints\`; names and versions only."; \
	  $(BIN)/python -m pip freeze --exclude-editable; } > constraints.txt

licences: setup ## Write docs/reference/packages.md: licences and release dates
	@$(BIN)/python -m lakehouse_assets_tests.operations.licences

clean: ## Remove the environment and the local lake
	@rm -rf $(VENV) .lakehouse
