#!/usr/bin/env bash
# Audit methods on forget sets of `digits`, 100 models against 100 oracles, by every audit: one folder of records and
# verdicts for each set and method. On 2 cores about a minute for each set, whose oracles' weights are trained, and one to
# five for each method, whose shadow models unlearn one by one. It goes on where it stopped.
# Run: runs/audits.sh [METHOD ...]
set -euo pipefail
cd "$(dirname "$0")/.."
out="${OUT:-out/audits}"
[ $# != 0 ] || set -- identity oracle fine-tune gradient-ascent neg-grad-plus random-labels scrub salun ssd influence
for forget_set in random-50 memorised-50 class-3; do
    for method in "$@"; do
        folder="$out/$forget_set/$method"
        [ -f "$folder/verdicts.jsonl" ] && continue
        code=0
        expunge audit digits "$forget_set" --method "$method" --audit all --models 100 --out "$folder" || code=$?
        if [ $code != 0 ] && [ $code != 3 ]; then # 3: a method failed, and what it prints says why
            exit $code
        fi
    done
done
