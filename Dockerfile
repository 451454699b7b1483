# The images of the project. From the repository's folder:
#   docker build -t lakehouse .                             everything on the embedded engine
#   docker build -t lakehouse-spark --target spark .        the same with Java and Spark's jars
#   docker build -t lakehouse-serving --target serving .    a model's server and nothing else
# docs/how-to/containers.md says how to run them. Secrets come from the environment or from mounted
# files when a container starts; none is in an image.
ARG PYTHON=python:3.11.14-slim-bookworm

FROM ${PYTHON} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 \
    UV_NO_CACHE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never \
    VIRTUAL_ENV=/opt/lakehouse PATH=/opt/lakehouse/bin:$PATH
WORKDIR /source
COPY constraints.txt pyproject.toml README.md ./
# uv stays outside of the environment that is copied.
RUN python -m venv /opt/uv \
    && /opt/uv/bin/pip install -c constraints.txt uv \
    && ln -s /opt/uv/bin/uv /usr/local/bin/uv

# The environment of everything: dependencies first, so that a change of code builds one layer.
FROM build AS environment
RUN python -m venv --without-pip "$VIRTUAL_ENV" \
    && uv pip install -r pyproject.toml -c constraints.txt \
        --extra ui --extra postgres --extra azure --extra sources --extra streams \
        --extra serving --extra k8s \
    # 400 MB of jars that only the target `spark` needs.
    && mv "$VIRTUAL_ENV"/lib/python3.11/site-packages/pyspark/jars /opt/pyspark-jars \
    && python -m compileall -q -j 0 -x '/(tests|pyspark|databricks)/' "$VIRTUAL_ENV/lib"
COPY lakehouse_assets lakehouse_assets
RUN uv pip install --no-deps --compile-bytecode .

# The environment of a model's server: no Dagster, no Spark, no DuckDB.
FROM build AS serving-environment
COPY deploy/serving/requirements.txt deploy/serving/
RUN python -m venv --without-pip "$VIRTUAL_ENV" \
    && uv pip install -r deploy/serving/requirements.txt -c constraints.txt \
    && python -m compileall -q -j 0 -x '/(tests|databricks)/' "$VIRTUAL_ENV/lib"
COPY lakehouse_assets lakehouse_assets
RUN uv pip install --no-deps --compile-bytecode .

FROM ${PYTHON} AS runtime
# One user without rights, who owns the folders that containers mount volumes on.
RUN groupadd --gid 10001 lakehouse \
    && useradd --uid 10001 --gid 10001 --home-dir /var/lib/lakehouse --create-home lakehouse \
    && install --owner lakehouse --group lakehouse --directory \
        /var/lib/lakehouse/dagster /var/lib/lakehouse/lake /var/lib/lakehouse/landing \
        /var/lib/lakehouse/models /var/lib/lakehouse/pages /var/lib/lakehouse/audit \
    && install --owner lakehouse --group lakehouse --mode 700 --directory /var/lib/lakehouse/secrets
ENV PATH=/opt/lakehouse/bin:$PATH \
    HOME=/var/lib/lakehouse \
    LAKEHOUSE_HOME=/var/lib/lakehouse \
    MPLCONFIGDIR=/tmp/matplotlib \
    MLFLOW_DISABLE_TELEMETRY=true \
    DO_NOT_TRACK=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /var/lib/lakehouse
USER 10001:10001

FROM runtime AS serving
COPY --from=serving-environment /opt/lakehouse /opt/lakehouse
ENV OMP_NUM_THREADS=1
EXPOSE 5001
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:5001/health', timeout=3)"]
# The token comes from the environment or, with --token-file, from a mounted secret. TLS is the proxy's.
ENTRYPOINT ["lakehouse", "serve", "model", "--host", "0.0.0.0"]
CMD ["churn"]

FROM runtime AS lakehouse
COPY --from=environment /opt/lakehouse /opt/lakehouse
ENV DAGSTER_HOME=/var/lib/lakehouse/dagster \
    LAKEHOUSE_DAGSTER_HOME=/var/lib/lakehouse/dagster \
    LAKEHOUSE_ROOT=/var/lib/lakehouse/lake \
    LAKEHOUSE_LANDING=/var/lib/lakehouse/landing \
    LAKEHOUSE_PAGES=/var/lib/lakehouse/pages/site \
    LAKEHOUSE_AUDIT=/var/lib/lakehouse/audit
# Of the default command; each service of compose.yaml has its own.
EXPOSE 4000
HEALTHCHECK --interval=30s --timeout=30s --start-period=180s \
    CMD ["dagster", "api", "grpc-health-check", "--port", "4000"]
# The code location, as Dagster's webserver, daemon and Helm chart ask for it.
CMD ["dagster", "code-server", "start", "--host", "0.0.0.0", "--port", "4000", \
    "--module-name", "lakehouse_assets.definitions", "--location-name", "lakehouse_assets"]

FROM ${PYTHON} AS jars
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends maven && rm -rf /var/lib/apt/lists/*
COPY lakehouse_assets/engine/jars/pom.xml /jars/
RUN mvn -q -B -f /jars/pom.xml dependency:copy-dependencies -DoutputDirectory=/opt/spark-jars

FROM lakehouse AS spark
USER 0
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends openjdk-17-jre-headless \
    && rm -rf /var/lib/apt/lists/*
USER 10001:10001
COPY --from=environment /opt/pyspark-jars /opt/lakehouse/lib/python3.11/site-packages/pyspark/jars
COPY --from=jars /opt/spark-jars /opt/spark-jars
ENV LAKEHOUSE_ENGINE=spark LAKEHOUSE_SPARK_JARS=/opt/spark-jars

# What is built without --target.
FROM lakehouse
