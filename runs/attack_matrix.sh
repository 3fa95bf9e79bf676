#!/usr/bin/env bash
# Attacks before methods and defences on `digits`: the defaults of `expunge attack matrix`, and postponement, under which
# every attack is played anew. Writes results/attacks/matrix.json and matrix.md. Some twenty minutes on 2 cores; it goes
# on where it stopped. Options go to the command, for a trial: then results/ is left alone.
# Run: runs/attack_matrix.sh [--models 5 --method scrub ...]
set -euo pipefail
cd "$(dirname "$0")/.."
out="${OUT:-out/matrix}"
trial=$#
[ $# != 0 ] || set -- --defence membership --defence isolated-medoids --defence update-norm --defence validation-gate \
    --defence postponement
code=0
expunge attack matrix digits --out "$out" "$@" || code=$?
if [ $code != 0 ] && [ $code != 3 ]; then # 3: a method failed, which the tables say
    exit $code
fi
[ "$trial" != 0 ] || python runs/attack_matrix.py "$out"
