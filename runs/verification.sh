#!/usr/bin/env bash
# What a proof of unlearning is worth: providers against verifiers, and private triggers, on `digits`. Writes
# results/verification/: matrix.md (half an hour on 2 cores) and backdoor.md (ten minutes), each with its figures as
# JSON. It goes on where it stopped.
# Run: runs/verification.sh [REPETITIONS [ROUNDS]]  (fewer for a trial: then nothing is written to results/)
set -euo pipefail
cd "$(dirname "$0")/.."
out=results/verification
[ $# = 0 ] || out="$(mktemp -d)"
expunge verify matrix digits --repetitions "${1:-20}" --out "$out"
python runs/verify_backdoor.py "${2:-100}" "$out"
echo "$out"
