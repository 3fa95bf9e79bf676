#!/usr/bin/env bash
# Score every method on every forget set of `digits`, 100 models against 100 oracles, and write results/ and what is made
# of it. Goes on where it stopped. Options go to the bench, for a trial with few models: then results/ is left alone.
# Run: runs/leaderboard_digits.sh [--models 10 --method scrub ...]
set -euo pipefail
cd "$(dirname "$0")/.."
out="${OUT:-out/leaderboard-digits}"
if [ $# = 0 ]; then # what two methods start from
    expunge build digits --for sisa --for amnesiac --models 100
fi
code=0
expunge bench digits --classic --out "$out" "$@" || code=$?
if [ $code != 0 ] && [ $code != 3 ]; then # 3: a row failed, which the tables say
    exit $code
fi
if [ $# = 0 ]; then
    python runs/collect.py "$out"
else
    expunge leaderboard "$(mktemp -d)" --add "$out"
fi
