#!/usr/bin/env bash
# Tune every method that has settings to search on a suite, and write the settings that a bench uses: `digits` with 24
# trials each; `fashion-mnist-10k` with 6, the second of them those found for `digits`. Each is tried on 20 models and
# three tuning sets; nothing that is scored takes part. On 2 cores about half a minute a method on `digits`, one or two
# on `fashion-mnist-10k`, more for those that train from scratch, and for `fashion-mnist-10k` half an hour before the
# first. What is finished is kept in the store, so run it again and it goes on where it stopped.
# Run: runs/tune.sh SUITE [METHOD ...]
set -euo pipefail
cd "$(dirname "$0")/.."
suite="${1:?expected a suite: digits or fashion-mnist-10k}"
shift
case "$suite" in
    digits) options=(--budget 24) ;;
    fashion-mnist-10k) options=(--budget 6 --start digits --oracles 50 --limit 0.3) ;; # a retraining has 8 epochs there, on digits 15
    *) echo "expected digits or fashion-mnist-10k, got $suite" >&2 && exit 2 ;;
esac
methods="$(python - "$@" << 'END'
import sys

from expunge.methods import METHODS

print(*(sys.argv[1:] or (name for name, method in METHODS.items() if method.search)))
END
)"
folder="expunge/methods/tuned/$suite"
kept="$(mktemp -d)"
trap 'rm -rf "$kept"' EXIT
for method in $methods; do
    code=0
    echo "== $method"
    expunge tune "$method" "$suite" "${options[@]}" --out "$kept/$method.json" || code=$?
    if [ $code = 0 ]; then
        mkdir -p "$folder"
        mv "$kept/$method.json" "$folder/$method.json"
    elif [ $code = 3 ]; then
        echo "$method: every trial failed, so no settings are kept" >&2
    else
        exit $code
    fi
done
