#!/usr/bin/env bash
# Score every method on every forget set of `digits`, 100 models against 100 oracles, with the settings that were found
# for its kind: for at most 15 % of a retraining, written to results/ and what is made of it, and for 50 %, written to
# results/at-50/. About half an hour, and an hour, on 2 cores. Goes on where it stopped. Options go to the bench, for a
# trial with few models: then results/ is left alone.
# Run: runs/leaderboard_digits.sh [--models 10 --method scrub ...]
set -euo pipefail
cd "$(dirname "$0")/.."
out="${OUT:-out/leaderboard-digits}"
score() { # BUDGET OPTION ...
    local budget="$1" code=0
    shift
    if [ $# = 0 ]; then # what two methods start from
        expunge build digits --for sisa --for amnesiac --budget "$budget" --models 100
    fi
    expunge bench digits --classic --budget "$budget" --out "$out-${budget%\%}" "$@" || code=$?
    if [ $code != 0 ] && [ $code != 3 ]; then # 3: a row failed, which the tables say
        exit $code
    fi
}
for budget in 15% 50%; do
    score "$budget" "$@"
done
if [ $# = 0 ]; then
    python runs/collect.py "$out-15"
    expunge leaderboard results/at-50 --add "$out-50"
else
    expunge leaderboard "$(mktemp -d)" --add "$out-15"
fi
