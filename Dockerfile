# One image for every part: web, worker, beat, serve and the one-shot migrate.
#   docker build -t mlportal .                       local or shared-volume files
#   docker build -t mlportal --build-arg KIND=s3 .   files on an S3-compatible store
#   docker build -t mlportal --build-arg KIND="s3 otel" .   and traces for an OpenTelemetry collector
FROM python:3.11-slim-bookworm AS build
ARG KIND=runtime
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /app
COPY requirements requirements
RUN python -m venv /venv && \
    for kind in ${KIND}; do \
        /venv/bin/pip install --require-hashes --no-deps --only-binary :all: -r requirements/${kind}.txt || exit 1; \
    done

FROM python:3.11-slim-bookworm
ENV PATH=/venv/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    MLPORTAL_DATA_DIR=/data \
    MLPORTAL_BIND=0.0.0.0 \
    MLPORTAL_STATIC_ROOT=/app/static-root
RUN useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin mlportal && \
    install -d -o mlportal -g mlportal -m 0700 /data
COPY --from=build /venv /venv
WORKDIR /app
COPY . .
# Static files are part of the image; the secrets that loading the settings makes are not.
RUN ln -s /app/scripts/mlportal /usr/local/bin/mlportal && \
    MLPORTAL_DATA_DIR=/tmp/build python -m mlportal.cli collect && rm -rf /tmp/build && \
    python -m compileall -q mlportal projects experiments monitoring deployments
USER mlportal
VOLUME /data
EXPOSE 8000 8001
# Each service of docker-compose.yml has the check of its own part; this one fits the default command.
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s CMD ["mlportal", "check", "web"]
CMD ["mlportal", "web"]
