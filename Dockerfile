# One image for every stage, for MLflow's server and for serving: `nephrite` and its locked dependencies in /opt/nephrite.
#   docker build --build-arg COMMIT="$(git rev-parse HEAD)" -t nephrite .
# Another base (Python 3.11 or 3.12 with pip):  --build-arg BASE_IMAGE=nvcr.io/nvidia/pytorch:25.10-py3
# Another build of torch, e.g. for processors:  --build-arg TORCH_INDEX=URL of the index that offers torch and torchvision
# Other versions of torch than the lock's:      --build-arg TORCH_REQUIREMENT="torch==2.13.0 torchvision==0.28.0"
#   Both must come from one index: the usual torchvision does not load beside a torch without CUDA.
ARG BASE_IMAGE=docker.io/library/python:3.11-slim-bookworm

# An empty environment, without pip: the base's own pip fills it.
# hadolint ignore=DL3006 # the tag is part of BASE_IMAGE
FROM ${BASE_IMAGE} AS environment
ARG PYTHON=python3
ENV PYTHON=${PYTHON} PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_PROGRESS_BAR=off
RUN "${PYTHON}" -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)) and "BASE_IMAGE needs Python 3.11 or 3.12")' \
    && "${PYTHON}" -m venv --without-pip /opt/nephrite

# The lock of what runs, with the digest of every file. Wheels of another index or version of torch have other digests, so
# nothing is compared then, and only versions are kept. A stage of its own: other changes install nothing anew.
FROM environment AS requirements
ARG TORCH_INDEX=
ARG TORCH_REQUIREMENT=
WORKDIR /build
COPY requirements-image.lock requirements.lock ./
RUN sed -nE 's/^([A-Za-z0-9][^ ]*==[^ ]+).*/\1/p' requirements.lock > constraints.txt \
    && cp requirements-image.lock requirements.txt \
    && if [ -n "${TORCH_INDEX}${TORCH_REQUIREMENT}" ]; then \
        { echo '-c constraints.txt'; sed -nE 's/^([A-Za-z0-9][^ ]*==[^ ]+).*/\1/p' requirements-image.lock; } > requirements.txt \
        && sed -E -i '/^(triton|cuda-[a-z]+|nvidia-[a-z0-9-]+)==/d' requirements.txt; \
    fi \
    && if [ -n "${TORCH_REQUIREMENT}" ]; then \
        sed -E -i '/^(torch|torchvision|triton|cuda-[a-z]+|nvidia-[a-z0-9-]+)([=>].*)?$/d' constraints.txt requirements.txt \
        && echo "${TORCH_REQUIREMENT}" > torch.txt \
        && tr ' ' '\n' < torch.txt >> requirements.txt; \
    fi

# The dependencies at run time: tools of development and Kubeflow's SDK are not in this lock.
FROM environment AS dependencies
ARG TORCH_INDEX=
ARG PIP_INDEX_URL=
ARG PIP_FIND_LINKS=
COPY --from=requirements /build/requirements.txt /build/constraints.txt /build/
RUN if [ -n "${TORCH_INDEX}" ]; then \
        grep -hE '^(torch|torchvision)([=>].*)?$' /build/requirements.txt > /build/torch.txt \
        && PIP_INDEX_URL="${TORCH_INDEX}" "${PYTHON}" -m pip --python /opt/nephrite/bin/python install --no-compile --no-deps -r /build/torch.txt; \
    fi \
    && "${PYTHON}" -m pip --python /opt/nephrite/bin/python install --no-compile -r /build/requirements.txt \
    && "${PYTHON}" -m pip --python /opt/nephrite/bin/python check
# Bytecode that is never compared with its source: a read-only container starts as quickly as a used one.
# Templates that are not Python yet, as some packages hold, do not compile and are left as they are.
RUN /opt/nephrite/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/nephrite/lib > /dev/null || true

# Nephrite itself, by the same pip, into the same path: 1 MB that a change of the source makes anew.
FROM environment AS package
ARG PIP_INDEX_URL=
ARG PIP_FIND_LINKS=
ENV PIP_CONSTRAINT=/build/constraints.txt
WORKDIR /build
COPY --from=requirements /build/constraints.txt ./
COPY pyproject.toml setup.py README.md LICENSE ./
COPY src src
# Submitting needs Kubeflow's SDK and nephrite_kubeflow, which are not in the image; the links are in the environment already.
RUN "${PYTHON}" -m pip --python /opt/nephrite/bin/python install --no-compile --no-deps . \
    && rm -f /opt/nephrite/bin/nephrite-pipeline \
    && find /opt/nephrite -type l -delete \
    && "${PYTHON}" -m compileall -q --invalidation-mode unchecked-hash /opt/nephrite/lib

# hadolint ignore=DL3006 # the tag is part of BASE_IMAGE
FROM ${BASE_IMAGE}
RUN useradd --no-log-init --uid 10001 --user-group --no-create-home --home-dir /tmp --shell /usr/sbin/nologin nephrite
COPY --from=dependencies /opt/nephrite /opt/nephrite
# Only /tmp is written: libraries keep their caches there, and ask nobody for the user's name.
ENV PATH=/opt/nephrite/bin:${PATH} \
    PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    HOME=/tmp USER=nephrite XDG_CACHE_HOME=/tmp/.cache XDG_CONFIG_HOME=/tmp/.config \
    MPLCONFIGDIR=/tmp/.config/matplotlib TORCH_HOME=/tmp/.cache/torch HF_HOME=/tmp/.cache/huggingface \
    TRITON_CACHE_DIR=/tmp/.cache/triton TORCHINDUCTOR_CACHE_DIR=/tmp/.cache/inductor \
    MLFLOW_DISABLE_TELEMETRY=true MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR=false DVC_NO_ANALYTICS=1 GIT_PYTHON_REFRESH=quiet
WORKDIR /work
COPY params.yaml ./
COPY configs configs
COPY --from=package /opt/nephrite /opt/nephrite
ARG COMMIT=unknown
ARG VERSION=unknown
ENV NEPHRITE_COMMIT=${COMMIT} NEPHRITE_VERSION=${VERSION}
LABEL org.opencontainers.image.title="nephrite" \
      org.opencontainers.image.description="Does synthetic data make my segmenter better?" \
      org.opencontainers.image.revision="${COMMIT}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"
USER 10001:10001
HEALTHCHECK --interval=60s --timeout=20s CMD ["nephrite", "--version"]
ENTRYPOINT ["nephrite"]
