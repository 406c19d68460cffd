#!/bin/sh
# Builds .venv from requirements.lock and installs the project into it, or does nothing when both are already so.
# A build that was interrupted leaves no stamp and is begun again. Speaks on stderr only: stdout belongs to what follows.
set -eu
cd "$(dirname "$0")/.."
unset PYTHONHOME PYTHONPATH
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_ROOT_USER_ACTION=ignore

say() { echo "setup: $*" >&2; }
fail() { say "$*"; exit 1; }

# Prints version, whether pip can be put into a venv, and the interpreter itself (not a shim, not that of another venv).
probe='
import importlib.util, sys
if sys.version_info < (3, 11): sys.exit(1)
pip = all(importlib.util.find_spec(name) for name in ("venv", "ensurepip"))
print("%d.%d.%d" % sys.version_info[:3], "pip" if pip else "nopip", getattr(sys, "_base_executable", sys.executable))
'

find_python() {
    if [ -n "${PYTHON:-}" ]; then set -- "$PYTHON"; else set -- python3.11 python3.12 python3.13 python3; fi
    lacking=
    for candidate; do
        found=$("$candidate" -c "$probe" 2>/dev/null) || continue
        version=${found%% *}
        found=${found#* }
        python=${found#* }
        if [ "${found%% *}" = pip ]; then return; fi
        lacking=${lacking:-$version}
    done
    if [ -n "$lacking" ]; then
        fail "Python $lacking has no ensurepip; on Debian or Ubuntu: apt install python${lacking%.*}-venv"
    fi
    fail "needs Python 3.11 or newer; tried $* (PYTHON=/path/to/python make setup names another)"
}

quietly() { # progress on a terminal, silence but for errors elsewhere
    if [ -t 2 ]; then "$@" >&2; else "$@" -qq >&2; fi
}

trap 'fail "interrupted; the next run begins again"' INT TERM

find_python
stamp=.venv/tallybook.stamp
libraries="$PWD $python $version $(cksum <requirements.lock)"
project=$(cksum <pyproject.toml)

if [ "$(sed -n 1p "$stamp" 2>/dev/null)" != "$libraries" ]; then
    say "building .venv with Python $version; this takes a minute"
    rm -rf .venv
    "$python" -m venv .venv >&2 || fail "$python could not make a venv"
    quietly .venv/bin/python -m pip install --require-hashes -r requirements.lock ||
        fail "the libraries could not be installed; when the cause is mended, run it again"
    printf '%s\n' "$libraries" >"$stamp"
fi
if [ "$(sed -n 2p "$stamp")" != "$project" ]; then
    quietly .venv/bin/python -m pip install --no-deps --no-build-isolation -e . || fail "the project could not be installed"
    printf '%s\n%s\n' "$libraries" "$project" >"$stamp.new"
    mv "$stamp.new" "$stamp"
    say "ready"
fi
