#!/usr/bin/env bash
# What certificates claim and what was measured: every certified method on `tabular`, `tabular-mlp` and `digits`, with
# planted faults. Writes results/certificates/. What was done is kept in the store, so the same command goes on after a
# stop. Fewer models on `digits`, and a Langevin training of 100 steps, for those of full batches take hours there.
# Run: runs/certificates.sh [MODELS [SUITE ...]]  (with arguments, for a trial: then nothing is written to results/)
set -euo pipefail
cd "$(dirname "$0")/.."
out=results/certificates
models=(--models 200 --models digits=50)
[ $# = 0 ] || { out="$(mktemp -d)" && models=(--models "$1"); }
shift $(($# < 1 ? $# : 1))
suites=("$@")
[ ${#suites[@]} != 0 ] || suites=(tabular tabular-mlp digits)
settings=()
[[ " ${suites[*]} " != *" digits "* ]] || settings=(--set digits:langevin-unlearning.training_steps=100)
expunge certify page "${suites[@]/#/--suite=}" "${models[@]}" "${settings[@]}" --out "$out"
echo "$out"
