#!/usr/bin/env bash
# Five attacks before six methods and four defences on `digits`: writes results/attacks/matrix.json and matrix.md. About
# a quarter of an hour on 2 cores; it goes on where it stopped. Options go to the command, for a trial: then results/ is left alone.
# Run: runs/attack_matrix.sh [--models 5 --method scrub ...]
set -euo pipefail
cd "$(dirname "$0")/.."
out="${OUT:-out/matrix}"
code=0
expunge attack matrix digits --out "$out" "$@" || code=$?
if [ $code != 0 ] && [ $code != 3 ]; then # 3: a method failed, which the tables say
    exit $code
fi
[ $# != 0 ] || python runs/attack_matrix.py "$out"
