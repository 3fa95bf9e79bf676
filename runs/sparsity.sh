#!/usr/bin/env bash
# The claims of Jia et al. 2023 on sparse models, on digits: build sparse ensembles, run methods on them, two applications,
# then write results/sparsity/*.json and results/sparsity.md. About 25 minutes on 2 cores; it goes on where it stopped.
set -euo pipefail
cd "$(dirname "$0")/.."
python runs/backdoor_cleansing.py
python runs/transfer.py
python runs/sparsity.py
