#!/usr/bin/env bash
# The claims of Jia et al. 2023 on sparse models: build sparse ensembles, run methods on them, two applications on digits,
# then write results/sparsity/*.json and results/sparsity.md. On 2 cores about 25 minutes for digits and an hour
# for fashion-mnist-10k; it goes on where it stopped.
# Run: runs/sparsity.sh [SUITE ...]
set -euo pipefail
cd "$(dirname "$0")/.."
python runs/backdoor_cleansing.py
python runs/transfer.py
[ $# != 0 ] || set -- digits fashion-mnist-10k
python runs/sparsity.py "$@"
