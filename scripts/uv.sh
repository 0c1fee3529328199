#!/usr/bin/env bash
# Runs uv; where the machine has none, from an environment of its own.
set -euo pipefail
if command -v uv >/dev/null; then exec uv "$@"; fi
cd "$(dirname "$0")/.."
if [ ! -x .venv-uv/bin/uv ]; then
  echo "setting up uv" >&2
  rm -rf .venv-uv
  "${PYTHON:-python3}" -m venv .venv-uv
  .venv-uv/bin/pip install --quiet --disable-pip-version-check uv >&2
fi
exec .venv-uv/bin/uv "$@"
