#!/usr/bin/env bash
# The claims of Jia et al. 2023 on sparse models, on digits: build sparse ensembles, bench methods on them, write
# results/sparsity/digits.json and results/sparsity.md. About 25 minutes on 2 cores; it goes on where it stopped.
set -euo pipefail
cd "$(dirname "$0")/.."
python runs/sparsity.py
