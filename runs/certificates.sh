#!/usr/bin/env bash
# What certificates claim and what was measured: every certified method on `tabular`, with planted faults. Writes
# results/certificates/. Minutes on 2 cores; what was done is kept in the store.
# Run: runs/certificates.sh [MODELS [SUITE ...]]  (with arguments, for a trial: then nothing is written to results/)
set -euo pipefail
cd "$(dirname "$0")/.."
out=results/certificates
[ $# = 0 ] || out="$(mktemp -d)"
models="${1:-200}"
shift $(($# < 1 ? $# : 1))
suites=("$@")
[ ${#suites[@]} != 0 ] || suites=(tabular)
expunge certify page "${suites[@]/#/--suite=}" --models "$models" --out "$out"
echo "$out"
