#!/usr/bin/env bash
# Installs the project into a new environment as the container images do: `k8s_install.sh cpu|gpu FOLDER [python]`.
# The Dockerfile runs this, and so can anybody, to see that the locked requirements install and the result imports.
set -euo pipefail
cd "$(dirname "$0")/.."
kind=$1 target=$2 python=${3:-python3}
requirements="requirements/$kind.txt"
[ -f "$requirements" ] || { echo "unknown kind '$kind': there is no $requirements" >&2; exit 2; }
"$python" -m venv "$target"
pip() { "$target/bin/python" -m pip --disable-pip-version-check --quiet "$@"; }
pip install --no-cache-dir --require-hashes --requirement "$requirements"
pip install --no-cache-dir --no-deps .
pip check
# From elsewhere, so that the installed package is found and not this folder.
cd "$target"
bin/python -c 'import deployments.apps.builders, deployments.serve_internals.http_hook, onnxruntime, ray; print("ray", ray.__version__)'
bin/embedserve models list >/dev/null
