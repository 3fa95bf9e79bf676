#!/usr/bin/env bash
# What every defence does to every attack that shows, on `digits` or `tabular`, with the defaults of both: the record of
# results/attacks/defences.md, and of the numbers of defences in docs/threats.md. A run takes half a minute to three
# minutes on one core. NAME ...: those runs alone.
# Run: runs/attack_defences.sh [NAME ...]   It goes on where it stopped.
set -euo pipefail
cd "$(dirname "$0")/.."
out="${OUT:-out/defences}"
wanted=" $* "

run() { # NAME ATTACK ARGUMENT ...
    local folder="$out/$1" name="$1" code=0
    shift
    [ "$wanted" = "  " ] || [[ "$wanted" == *" $name "* ]] || return 0
    [ -f "$folder/run.json" ] && return
    expunge attack "$@" --defence all --out "$folder" || code=$?
    if [ $code != 0 ] && [ $code != 3 ]; then # 3: a method failed, and what it prints says why
        exit $code
    fi
}

run over-unlearning over-unlearning digits
run malicious-requests malicious-requests digits
run hidden-poison hidden-poison digits
run deletion-inference deletion-inference digits
run unlearning-inversion unlearning-inversion digits
run adaptive-requests adaptive-requests digits
run backdoor-by-unlearning backdoor-by-unlearning digits
run slow-down slow-down digits
run malicious-sequence malicious-sequence digits
run unlearn-and-burn unlearn-and-burn digits
run reconstruction reconstruction tabular
run relearning relearning digits --set budget=140 --set of_class=3
run pair-membership pair-membership digits
run label-only-pair label-only-pair digits
python runs/collect_attacks.py --defended "$out"
