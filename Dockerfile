# syntax=docker/dockerfile:1
# One image per role: `docker build --target edge -t limen/edge .` (targets: edge, watcher, compiler, limen).
# Each holds only what its role imports; none runs as root, none holds a compiler or pip's cache.

ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS build
WORKDIR /source
RUN pip install --no-cache-dir hatchling
COPY pyproject.toml README.md LICENSE ./
COPY proto proto
COPY services services
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels .

FROM python:${PYTHON}-slim AS base
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PATH=/opt/limen/bin:$PATH
RUN useradd --uid 65532 --user-group --home-dir /var/lib/limen --create-home --shell /usr/sbin/nologin limen \
    && python -m venv /opt/limen
STOPSIGNAL SIGTERM

# The edge: takes traffic. No Kubernetes client, no YAML, no credentials to either.
FROM base AS edge
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-compile "$(echo /wheels/limen-*.whl)[edge]"
USER 65532:65532
WORKDIR /var/lib/limen
ENTRYPOINT ["limen"]
CMD ["edge"]

# The watcher: the only role that talks to Kubernetes.
FROM base AS watcher
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-compile "$(echo /wheels/limen-*.whl)[watcher]"
USER 65532:65532
WORKDIR /var/lib/limen
ENTRYPOINT ["limen"]
CMD ["watcher"]

FROM base AS compiler
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-compile "$(echo /wheels/limen-*.whl)[compiler]"
USER 65532:65532
WORKDIR /var/lib/limen
ENTRYPOINT ["limen"]
CMD ["compiler"]

# Everything in one, with a NATS server: `docker run limen/limen up --manifests …`, `limen demo`, `limen keys`.
FROM base AS limen
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-compile "$(echo /wheels/limen-*.whl)[all]" \
    && install -d -o 65532 -g 65532 -m 0700 /keys
USER 65532:65532
WORKDIR /var/lib/limen
ENTRYPOINT ["limen"]
CMD ["--help"]
