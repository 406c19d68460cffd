# The service as a container. It needs a PostgreSQL of its own (compose.yaml has one); the embedded one is for laptops.
# The base is pinned by tag; a digest has to be looked up where the image is built, and is better.
FROM python:3.11-slim AS builder
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv /opt/venv
WORKDIR /app
COPY requirements-runtime.lock ./
RUN /opt/venv/bin/python -m pip install --require-hashes --only-binary :all: -r requirements-runtime.lock
COPY pyproject.toml README.md alembic.ini ./
COPY connectors connectors
COPY migrations migrations
COPY service service
# Installed where it stands: migrations and alembic.ini are found beside the packages. Compiled now, since the file
# system is read-only later; what installs packages stays behind.
RUN /opt/venv/bin/python -m pip install --no-deps --no-build-isolation --editable . \
    && /opt/venv/bin/python -m pip uninstall --yes setuptools pip \
    && /opt/venv/bin/python -m compileall -q /opt/venv /app

FROM python:3.11-slim
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    TALLYBOOK_ENV=prod \
    TALLYBOOK_HOST=0.0.0.0 \
    TALLYBOOK_PORT=8000
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /tmp --shell /usr/sbin/nologin tallybook
COPY --from=builder /opt/venv /opt/venv
COPY --from=builder /app /app
WORKDIR /app
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 CMD ["tallybook", "check", "--health"]
ENTRYPOINT ["tallybook"]
CMD ["serve"]
