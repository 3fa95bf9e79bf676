#!/usr/bin/env bash
# Tune every method that has settings to search on `digits`, 24 trials each, and write the recipes that a bench uses.
# Nothing that is scored takes part. Some minutes a method on 2 cores, more for those that train from scratch;
# what is finished is kept in the store, so run it again and it goes on where it stopped.
# Run: runs/tune_digits.sh [METHOD ...]
set -euo pipefail
cd "$(dirname "$0")/.."
methods="$(python - "$@" << 'END'
import sys

from expunge.methods import METHODS

print(*(sys.argv[1:] or (name for name, method in METHODS.items() if method.search)))
END
)"
folder=expunge/methods/recipes/digits
kept="$(mktemp -d)"
trap 'rm -rf "$kept"' EXIT
for method in $methods; do
    code=0
    echo "== $method"
    expunge tune "$method" digits --budget 24 --out "$kept/$method.json" || code=$?
    if [ $code = 0 ]; then
        mkdir -p "$folder"
        mv "$kept/$method.json" "$folder/$method.json"
    elif [ $code = 3 ]; then
        echo "$method: every trial failed, so it has no recipe" >&2
    else
        exit $code
    fi
done
