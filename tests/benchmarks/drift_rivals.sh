#!/bin/sh
# Make an environment of its own for a rival of the drift benchmark: drift_rivals.sh evidently|nannyml FOLDER
# Evidently does not import under pandas 3, NannyML pins much: neither fits beside ours. Then:
#   EVIDENTLY_PYTHON=FOLDER/bin/python python -m tests.benchmarks.drift
#   NANNYML_PYTHON=FOLDER/bin/python python -m tests.benchmarks.oracles
set -eu
python=${PYTHON:-python3}
case $1 in
    evidently) packages="evidently==0.7.23 pandas<3" ;;
    nannyml) packages="nannyml==0.13.1 statsmodels pyarrow" ;;
    *) echo "unknown rival: $1" >&2; exit 2 ;;
esac
[ -x "$2/bin/python" ] || "$python" -m venv --without-pip "$2"
# shellcheck disable=SC2086 # a list of words
"$python" -m pip --python "$2/bin/python" install --quiet --disable-pip-version-check --no-input \
    --only-binary :all: $packages
