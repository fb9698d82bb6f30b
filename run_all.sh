#!/usr/bin/env bash
# The one entry point: makes the environment when it is missing, then runs what is asked.
set -euo pipefail

usage() {
    cat <<'EOF'
./run_all.sh [quick|desk|gpu|paper|FILE.yaml] [--jobs N] [--only FIGURE] [--dry-run] [--rerun-stale]
                              run a study (quick, if none is named): results, figures, report
./run_all.sh setup            make the environment alone; every other command does it when needed
./run_all.sh test [...]       run the tests; arguments go to pytest: -m "not slow" is the shorter loop
./run_all.sh status PROFILE   say how far a study is: done, stale, broken off, left, and how long that takes
./run_all.sh verify [PROFILE] say which results no longer fit the code or are not what was stored; exit code 1 if any
./run_all.sh choose PROFILE [--snr DB] [--macs N] [--symbols N] [--drop POINTS]
                              the best measured models within limits of device, channel and accuracy
./run_all.sh recheck PROFILE RUN [--upstream] | recheck PROFILE --sample N
                              compute finished runs again in a folder of their own, and compare
./run_all.sh prove COMMIT     whether today's code and a commit's give the same numbers, to the bit
./run_all.sh report [PROFILE] make figures, verdicts and the page again from the results there are
./run_all.sh bench            measure speed on this machine

The environment is the active conda environment, unless that is base, or else .venv.
PYTHON names the Python (3.11 or newer) that .venv is made with; python3 if unset.
EOF
}

conda=false
env=.venv
if [[ -n ${CONDA_PREFIX:-} && ${CONDA_DEFAULT_ENV:-base} != base ]]; then
    conda=true
    env=$CONDA_PREFIX
fi
python=$env/bin/python
stamp=$env/device-edge-inference.stamp

checksum() { cat requirements.txt requirements.lock | cksum; }

# The stamp is written last, so an environment that has one is whole.
ready() { [[ -x $python && -f $stamp && $(<"$stamp") == "$(checksum)" ]]; }

make_venv() {
    local base=${PYTHON:-python3}
    if ! "$base" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        echo "run_all.sh needs Python 3.11 or newer, and $base is" \
            "$("$base" --version 2>/dev/null || echo not there); name another one with PYTHON=..."
        exit 2
    fi
    echo "Making .venv: some minutes, once."
    "$base" -m venv --clear .venv
    "$python" -m pip install --quiet --require-hashes --no-deps -r requirements.lock
    # Not in the lock, because its builds (CPU, CUDA) differ; uv.toml says more.
    "$python" -m pip install torch --constraint requirements.txt
}

# Notebooks count as unchanged whatever outputs JupyterLab has saved in them: git looks at them through this filter,
# which .gitattributes names. Only in a clone of this project, not where it lies inside another repository.
strip_outputs() {
    local filter="'$python' -m nbstripout --extra-keys 'metadata.papermill cell.metadata.papermill cell.metadata.execution'"
    if [[ $(git rev-parse --show-toplevel 2>/dev/null) -ef . && $(git config filter.nbstripout.clean) != "$filter" ]]; then
        git config --local filter.nbstripout.clean "$filter"
    fi
}

setup() (
    if command -v flock >/dev/null; then # two calls at once: the second waits, then finds it made
        exec 9<requirements.lock
        flock --nonblock 9 || { echo "Waiting for another set-up to end." && flock 9; }
    fi
    if ready; then return; fi
    rm -f "$stamp"
    if $conda; then
        "${CONDA_EXE:-conda}" env update -p "$CONDA_PREFIX" -f environment.yml
    else
        make_venv
    fi
    checksum >"$stamp"
)

for argument in "$@"; do
    shift
    case $argument in
        -h | --help) usage && exit ;;
        [!/]*.yaml | [!/]*.yml) argument=$PWD/$argument ;; # a study's file, from where the caller is
    esac
    set -- "$@" "$argument"
done
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")"
if [[ ${1:-} == setup && $# -gt 1 ]]; then
    echo "setup takes no arguments, and ${*:2} was given." >&2
    exit 2
fi
ready || setup >&2
strip_outputs
case ${1:-quick} in
    setup) ;;
    test) exec "$python" -m pytest "${@:2}" ;;
    *) exec "$python" -m lib "${@:-quick}" ;;
esac
