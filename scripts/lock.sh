#!/usr/bin/env bash
# Locks the dependencies of pyproject.toml with hashes: one file each for cpu, gpu and development.
set -euo pipefail
cd "$(dirname "$0")/.."
lock() {
  scripts/uv.sh pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
    --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" "$@"
}
# The cache's client, the sender of traces, the signer of s3://, Kubernetes' client, Ray Data and OpenAI's byte pairs are in all of them: an operator
# who wants them should not need an image of their own, and a backfill runs from the service's.
lock --extra cpu --extra cache --extra otel --extra s3 --extra kube --extra data --extra cl100k --output-file requirements/cpu.txt
lock --extra gpu --extra cache --extra otel --extra s3 --extra kube --extra data --extra cl100k --output-file requirements/gpu.txt
lock --extra cpu --extra cache --extra otel --extra s3 --extra kube --extra data --extra cl100k --group dev --output-file requirements/dev.txt
