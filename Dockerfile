# syntax=docker/dockerfile:1
# Images of every node of the cluster, head and workers alike:
#   docker build --target cpu -t embedserve:0.1.0-cpu .
#   docker build --target gpu -t embedserve-gpu:0.1.0-gpu .
# Models are fetched by the pods; `--build-arg BAKE="text-embedding@1.0.0 image-embedding@1.0.0"` puts them inside.
# The gpu overlays serve the fp16 versions: image-embedding@1.2.0, text-embedding@1.2.0.
# The base is pinned by digest, of all its architectures. Renew both together: --build-arg BASE=python:...@sha256:...
ARG BASE=python:3.11.14-slim-bookworm@sha256:65a93d69fa75478d554f4ad27c85c1e69fa184956261b4301ebaf6dbb0a3543d

FROM ${BASE} AS source
WORKDIR /build
COPY pyproject.toml README.md LICENSE ./
COPY requirements/cpu.txt requirements/gpu.txt requirements/
COPY scripts/k8s_install.sh scripts/
COPY models models
COPY deployments deployments

FROM source AS install-cpu
RUN scripts/k8s_install.sh cpu /opt/embedserve

FROM source AS install-gpu
RUN scripts/k8s_install.sh gpu /opt/embedserve

FROM ${BASE} AS runtime
# wget: KubeRay's readiness probe of workers calls it. libstdc++6: ONNX Runtime and Ray load it.
# hadolint ignore=DL3008,SC2016
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libstdc++6 wget \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1000 --create-home --shell /bin/bash embedserve \
    && install --directory --owner=embedserve --group=embedserve /models \
    # KubeRay may start Ray in a login shell, which sets PATH anew.
    && echo 'export PATH="/opt/embedserve/bin:$PATH"' > /etc/profile.d/embedserve.sh
ENV PATH=/opt/embedserve/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    EMBEDSERVE_MODELS=/models \
    RAY_USAGE_STATS_ENABLED=0 \
    # Serve loads pandas into each process for nothing (docs/serve_internals.md, `lean_serve`).
    PYTHONPATH=/opt/embedserve/lib/python3.11/site-packages/deployments/serve_internals/without_pandas
WORKDIR /home/embedserve
EXPOSE 8000

FROM runtime AS cpu
COPY --from=install-cpu /opt/embedserve /opt/embedserve
USER 1000:1000
ARG BAKE=""
# hadolint ignore=SC2086
RUN if [ -n "$BAKE" ]; then embedserve models pull --profile production $BAKE; fi
CMD ["embedserve", "--help"]

FROM runtime AS gpu
COPY --from=install-gpu /opt/embedserve /opt/embedserve
# CUDA and cuDNN come from the locked wheels; the driver comes from the node, by NVIDIA's container runtime, which starts no
# container on a driver that is older than the wheels' CUDA needs (docs/gpu.md, "Drivers").
# Google's nodes mount driver and nvidia-smi at /usr/local/nvidia instead, which is on no search path.
# hadolint ignore=SC2016
RUN find /opt/embedserve -type d -path '*/nvidia/*/lib' > /etc/ld.so.conf.d/embedserve-cuda.conf && ldconfig \
    && echo 'export PATH="$PATH:/usr/local/nvidia/bin"' >> /etc/profile.d/embedserve.sh
ENV PATH=$PATH:/usr/local/nvidia/bin \
    LD_LIBRARY_PATH=/usr/local/nvidia/lib64 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_REQUIRE_CUDA="cuda>=13.0" \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 1000:1000
ARG BAKE=""
# hadolint ignore=SC2086
RUN if [ -n "$BAKE" ]; then embedserve models pull --profile production $BAKE; fi
CMD ["embedserve", "--help"]
