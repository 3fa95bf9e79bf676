#!/usr/bin/env bash
# What certificates claim and what was measured: every certified method on `tabular`, `tabular-mlp` and `digits`, with
# planted faults. Writes results/certificates/. What was done is kept in the store, so the same command goes on after a
# stop. On `digits` fewer models, and a Langevin training of 100 steps, for those of full batches take hours there; and
# steps of 2 / 20.01, for those of 2 / 1.01, which the smoothness of 1 gives that is assumed otherwise, diverge.
# Of processor time: 2 minutes for `tabular`, 4 for `tabular-mlp`, 20 for `digits`.
# Run: runs/certificates.sh [MODELS [SUITE ...]]  (with arguments, for a trial: then nothing is written to results/)
#      runs/certificates.sh render  (the page anew out of certificates.json, after its words changed; computes nothing)
set -euo pipefail
cd "$(dirname "$0")/.."
out=results/certificates
if [ "${1:-}" = render ]; then
  exec python - "$out" << 'END'
import json
import sys
from pathlib import Path

from expunge.reports.certification.page import certificates_page

folder = Path(sys.argv[1])
rows = json.loads((folder / "certificates.json").read_text())["rows"]
(folder / "certificates.md").write_text(certificates_page(rows))
END
fi
models=(--models 200 --models digits=25)
[ $# = 0 ] || { out="$(mktemp -d)" && models=(--models "$1"); }
shift $(($# < 1 ? $# : 1))
suites=("$@")
[ ${#suites[@]} != 0 ] || suites=(tabular tabular-mlp digits)
settings=()
if [[ " ${suites[*]} " == *" digits "* ]]; then
  settings=(--set digits:langevin-unlearning.training_steps=100 --set digits:descent-to-delete.smoothness=20)
fi
expunge certify page "${suites[@]/#/--suite=}" "${models[@]}" "${settings[@]}" --out "$out"
echo "$out"
