# One image, three commands: api, worker, projector (and every other word of `flexcore`).
#
#   wheel: hatchling ──► environment: locked packages + the wheel ──► the image: that, and a user
#
# Kafka and PostgreSQL are other containers; neither a Java runtime nor the embedded servers are in here.
#
# The base by tag: Debian's security updates come with each build. To build the same bytes again, give a digest:
#   docker build --build-arg PYTHON=python:3.11.16-slim-trixie@sha256:… .
ARG PYTHON=python:3.11.16-slim-trixie

FROM ${PYTHON} AS wheel
WORKDIR /build
COPY tools/build.lock tools/
RUN python -m pip install --no-cache-dir --require-hashes --only-binary :all: -r tools/build.lock
COPY . .
RUN python -m hatchling build -t wheel -d dist

FROM ${PYTHON} AS environment
WORKDIR /build
COPY tools/image.lock tools/
# pip compiles what it installs: at run time nothing can be written there.
RUN python -m venv --without-pip /opt/flexcore \
    && python -m pip --python /opt/flexcore install --no-cache-dir --require-hashes --only-binary :all: -r tools/image.lock
COPY --from=wheel /build/dist dist
RUN python -m pip --python /opt/flexcore install --no-cache-dir --no-index --no-deps dist/*.whl

FROM ${PYTHON}
LABEL org.opencontainers.image.title="FlexCore" \
    org.opencontainers.image.description="Event streaming on Kafka for data pipelines: durable, replayable, readable." \
    org.opencontainers.image.licenses="Apache-2.0"
# A number of its own, which no account of a usual host has; volumes are made for it.
RUN groupadd --gid 10001 flexcore \
    && useradd --uid 10001 --gid 10001 --no-log-init --no-create-home --home-dir /data --shell /usr/sbin/nologin flexcore \
    && install -d -o 10001 -g 10001 -m 0750 /data /data/state /data/files
COPY --from=environment /opt/flexcore /opt/flexcore
# Whichever service it is, its pages are on port 8350. Steps see /data/files and never /data/state, which holds secrets.
ENV PATH=/opt/flexcore/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1 \
    FLEXCORE__DATA_DIR=/data/state \
    FLEXCORE__FILES__ROOT=/data/files \
    FLEXCORE__API__HOST=0.0.0.0 \
    FLEXCORE__API__PORT=8350 \
    FLEXCORE__WORKER__WEB_HOST=0.0.0.0 \
    FLEXCORE__WORKER__WEB_PORT=8350 \
    FLEXCORE__PROJECTOR__WEB_HOST=0.0.0.0 \
    FLEXCORE__PROJECTOR__WEB_PORT=8350
# All that is written: indexes, blobs and steps' scratch folders, and /tmp.
VOLUME /data
WORKDIR /data
EXPOSE 8350
USER 10001:10001
STOPSIGNAL SIGTERM
# Liveness: whoever restarts what is unhealthy must not do so because a broker is away, which /readyz tells of.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-m", "services.probe", "http://127.0.0.1:8350/livez"]
ENTRYPOINT ["flexcore"]
CMD ["--help"]
