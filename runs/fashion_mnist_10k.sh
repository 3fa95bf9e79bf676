#!/usr/bin/env bash
# Build the suite `fashion-mnist-10k`, score every method on every forget set, and collect the records in results/.
# Needs Debian's package dataset-fashion-mnist, or EXPUNGE_DATA, or the hub. One to two hours on 2 cores; goes on where it stopped.
set -euo pipefail
cd "$(dirname "$0")/.."
expunge build fashion-mnist-10k
expunge bench fashion-mnist-10k --out out/fashion-mnist-10k
python runs/collect.py out/fashion-mnist-10k
