#!/usr/bin/env bash
# Every attack on `digits` or `tabular`, as its --help has it, then the settings under which more, or nothing, shows: a folder
# of records each, in a quarter of an hour on 2 cores. What `expunge threats` and docs/threats.md say is made of them.
# Run: runs/attacks.sh   It goes on where it stopped.
set -euo pipefail
cd "$(dirname "$0")/.."
out="${OUT:-out/attacks}"

run() { # NAME ATTACK ARGUMENT ...
    local folder="$out/$1" code=0 TIMEFORMAT="$1: %0R s, of which computing %0U s"
    shift
    [ -f "$folder/run.json" ] && return
    time expunge attack "$@" --out "$folder" || code=$?
    if [ $code != 0 ] && [ $code != 3 ]; then # 3: a method failed, and what it prints says why
        exit $code
    fi
}

run malicious-requests malicious-requests digits
run malicious-requests-methods malicious-requests digits --method gradient-ascent --method fine-tune --method sisa
run malicious-requests-surrogates malicious-requests digits --set surrogates=3
run malicious-requests-evading malicious-requests digits --set evade=1
run malicious-requests-untargeted malicious-requests digits --set goal=untargeted
run malicious-requests-second-order malicious-requests digits --method second-order
run malicious-requests-unrolling malicious-requests digits --method unrolling-sgd
run malicious-requests-amnesiac malicious-requests digits --method amnesiac
run malicious-sequence malicious-sequence digits
run malicious-sequence-greedy malicious-sequence digits --set plan=greedy
run over-unlearning over-unlearning digits
run over-unlearning-blending over-unlearning digits --set style=blending --set l2=2
run hidden-poison hidden-poison digits
run hidden-poison-matching hidden-poison digits --set style=matching --set poisons=14 --set camouflages=14
run backdoor-by-unlearning backdoor-by-unlearning digits
run backdoor-by-unlearning-fine-tune backdoor-by-unlearning digits --method fine-tune
run slow-down slow-down digits
run slow-down-decay slow-down digits --set decay=0.01
run unlearn-and-burn unlearn-and-burn digits
run unlearn-and-burn-methods unlearn-and-burn digits --method first-order --method neg-grad-plus --method fine-tune
run fairness-harm fairness-harm digits
run fairness-harm-methods fairness-harm digits --method first-order --method fine-tune
run fairness-harm-sisa fairness-harm digits --method sisa
run pair-membership pair-membership digits
run label-only-pair label-only-pair digits
run deletion-inference deletion-inference digits
run unlearning-inversion unlearning-inversion digits
run unlearning-inversion-label unlearning-inversion digits --set label=inferred
run reconstruction reconstruction tabular
run reconstruction-true reconstruction tabular --set curvature=true
run reconstruction-unconverged reconstruction tabular --set converged=false
run reconstruction-embedded reconstruction digits --set embedded=true
run reconstruction-embedded-true reconstruction digits --set curvature=true --set embedded=true
run relearning relearning digits --set budget=140 --set of_class=3
run relearning-any relearning digits
run adaptive-requests adaptive-requests digits
run adaptive-requests-record adaptive-requests digits --set reads=record
run usability usability digits
python runs/collect_attacks.py "$out"
