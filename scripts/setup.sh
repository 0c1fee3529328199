#!/usr/bin/env bash
# Makes .venv from a locked file: `setup.sh cpu|gpu|dev [python]`. Does nothing when it is up to date.
set -euo pipefail
cd "$(dirname "$0")/.."
kind=$1
export PYTHON=${2:-python3} UV_PYTHON_DOWNLOADS=never
# The development set holds the cpu set, so that `make run` after `make test` takes the environment as it is.
wanted="requirements/$kind.txt"
for stamp in ".venv/.$kind" $([ "$kind" = cpu ] && echo .venv/.dev); do
  if [ -f "$stamp" ] && [ ! "$wanted" -nt "$stamp" ] && [ ! pyproject.toml -nt "$stamp" ]; then exit 0; fi
done
if ! "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
  echo "embedserve needs Python 3.11 or newer; '$PYTHON' is $("$PYTHON" --version 2>&1 || true). Name another one: make $([ "$kind" = dev ] && echo test || echo run) PYTHON=python3.12" >&2
  exit 1
fi
echo "setting up .venv from $wanted" >&2
[ -x .venv/bin/python ] || scripts/uv.sh venv --quiet --python "$PYTHON" .venv
# A service is a dozen processes that load the same modules at once, and where PYTHONDONTWRITEBYTECODE is set each compiles them
# anew at each start: 40 s of processor time to a ready service instead of 22.
scripts/uv.sh pip sync --quiet --compile-bytecode --python .venv/bin/python --require-hashes "$wanted"
scripts/uv.sh pip install --quiet --python .venv/bin/python --no-deps --editable .
.venv/bin/python -m compileall -q deployments models
rm -f .venv/.cpu .venv/.gpu .venv/.dev
touch ".venv/.$kind"
