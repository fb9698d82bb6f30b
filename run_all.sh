#!/usr/bin/env bash
# The one entry point: makes the environment when it is missing, then runs what is asked.
# Written for bash 3.2 and what macOS has too: no `readlink -f`, and flock only where there is one.
set -euo pipefail

usage() {
    cat <<'EOF'
./run_all.sh [quick|desk|gpu|paper|FILE.yaml] [--jobs N] [--only FIGURE] [--dry-run] [--rerun-stale]
                              run a study (quick, if none is named): results, figures, report
./run_all.sh setup [--active] make the environment alone; every other command does it when needed
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

The environment is .venv, or the active conda, mamba or pixi environment if it is called device-edge-inference or
`setup --active` was called in it once. No other one is changed. PYTHON names the Python (3.11 or newer) that .venv is
made with; python3 if unset.
EOF
}

base_python=${PYTHON:-python3}
# What a study computes depends on the repository alone: on no modules, options and start-up files of the user.
for name in ${!PYTHON@} CDPATH; do unset "$name"; done
export PYTHONNOUSERSITE=1 PYTHONUTF8=1

marker=device-edge-inference.stamp
env=.venv
active=${CONDA_PREFIX:-}
if [[ ${CONDA_DEFAULT_ENV:-base} == base ]]; then active=; fi
if [[ -n $active && (-f $active/$marker || $CONDA_DEFAULT_ENV == device-edge-inference || "$*" == "setup --active") ]]
then
    env=$active
fi
python=$env/bin/python
stamp=$env/$marker

checksum() { cat requirements.txt requirements.lock | cksum; }

# The stamp is written last, so an environment that has one is whole.
ready() { [[ -x $python && -f $stamp && $(<"$stamp") == "$(checksum)" ]]; }

check_python() {
    if ! "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        echo "run_all.sh needs Python 3.11 or newer, and $1 is" \
            "$("$1" --version 2>/dev/null || echo not there)$2"
        exit 2
    fi
}

make_venv() {
    check_python "$base_python" "; name another one with PYTHON=..."
    if [[ -n $active ]]; then
        echo "The active environment $active is another project's and is left as it is;" \
            "./run_all.sh setup --active would install into it."
    fi
    echo "Making .venv: some minutes, once."
    "$base_python" -m venv --clear .venv
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
    if [[ $env == .venv ]]; then make_venv; else check_python "$python" "."; fi
    rm -f "$stamp"
    "$python" -m pip install --quiet --require-hashes --no-deps -r requirements.lock
    # Not in the lock, because its builds (CPU, CUDA) differ; uv.toml says more.
    "$python" -m pip install torch --constraint requirements.txt
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
here=${BASH_SOURCE[0]}
while [[ -L $here ]]; do # it may be called by a link
    target=$(readlink "$here")
    case $target in
        /*) here=$target ;;
        *) here=$(dirname "$here")/$target ;;
    esac
done
cd "$(dirname "$here")"
if [[ $# -eq 0 ]]; then set -- quick; fi
if [[ $1 == setup && $# -gt 1 && "$*" != "setup --active" ]]; then
    shift
    echo "setup takes no arguments but --active, and $* was given." >&2
    exit 2
fi
if [[ "$*" == "setup --active" && -z $active ]]; then
    echo "There is no active conda environment, other than perhaps base, which is left as it is." >&2
    exit 2
fi
ready || setup >&2
strip_outputs
case $1 in
    setup) ;;
    test)
        shift
        exec "$python" -m pytest --numprocesses auto --dist loadgroup "$@"
        ;;
    *) exec "$python" -m lib "$@" ;;
esac
