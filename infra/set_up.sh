#!/usr/bin/env bash
# Install densecorr and its development tools into .venv, with uv where it is installed, else with venv and pip.
# `make setup` runs this once, and again when pyproject.toml or the constraints change.
#
#   PYTHON=python3.12 make setup      another interpreter (at least 3.11)
#   EXTRAS=dev,gl,s3 make setup       further extras of pyproject.toml
set -euo pipefail
cd "$(dirname "$0")/.."

extras=${EXTRAS:-dev}
options=(--constraint infra/constraints.txt --editable ".[$extras]")
if ! command -v nvidia-smi >/dev/null; then
    options=(--constraint infra/constraints-cpu.txt "${options[@]}")
fi

find_python() { # the first interpreter that is new enough
    local candidate
    for candidate in ${PYTHON:-python3 python3.11 python3.12 python3.13}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "Expected Python 3.11 or newer; received none. Install it, or name it: PYTHON=/path/to/python make setup" >&2
    return 1
}

started=$SECONDS
if command -v uv >/dev/null; then
    echo "Setting up .venv with uv"
    # uv reads none of pip's settings: hand over where pip was told to find wheels.
    export UV_FIND_LINKS=${UV_FIND_LINKS:-${PIP_FIND_LINKS:-}}
    [ -n "$UV_FIND_LINKS" ] || unset UV_FIND_LINKS
    [ -x .venv/bin/python ] || uv venv --quiet --python "${PYTHON:->=3.11}" .venv
    uv pip install --quiet --python .venv/bin/python --compile-bytecode "${options[@]}"
else
    echo "Setting up .venv with pip (a few minutes the first time; uv, where installed, takes less)"
    if [ ! -x .venv/bin/pip ]; then
        python=$(find_python)
        "$python" -m venv .venv || {
            echo "On Debian and Ubuntu: apt install python3-venv" >&2
            exit 1
        }
    fi
    .venv/bin/python -m pip install --quiet --disable-pip-version-check "${options[@]}"
fi
echo "Set up in $((SECONDS - started)) s: $(.venv/bin/python --version), torch $(.venv/bin/python -c 'from importlib.metadata import version; print(version("torch"))')"
