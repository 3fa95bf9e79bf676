#!/usr/bin/env bash
# Tune every method that has settings to search on a suite, for each kind of forget set, and write the records from which
# a bench takes its settings: `digits` with 20 trials each that did not fail; `fashion-mnist-10k` with TRIALS of them
# (default 6), what was found for `digits` among the first, at most LIMIT of a retraining each (default 0.15). Each is
# tried on 20 models; nothing that is scored takes part.
# On one quiet core a search takes 10 s to 3 minutes on `digits`; each record says how long. One search a core at a time;
# what is finished is kept in the store and a record that is there is left alone, so run it again and it goes on where
# it stopped; remove a record to search anew.
# Run: runs/tune.sh SUITE [KIND[,KIND...]|all [METHOD ...]]
set -euo pipefail
cd "$(dirname "$0")/.."
suite="${1:?expected a suite: digits or fashion-mnist-10k}"
kinds="${2:-all}"
shift $(($# < 2 ? $# : 2))
case "$suite" in
    digits) options=(--sampler optuna) ;;
    fashion-mnist-10k) options=(--sampler optuna --trials "${TRIALS:-6}" --start digits --oracles 50 --limit "${LIMIT:-0.15}") ;;
    *) echo "expected digits or fashion-mnist-10k, got $suite" >&2 && exit 2 ;;
esac
if [ "$kinds" = all ]; then kinds=class,memorised,random,subclass,neighbours; fi
methods="$(python - "$@" << 'END'
import sys

from expunge.methods import METHODS

print(*(sys.argv[1:] or (name for name, method in METHODS.items() if method.search)))
END
)"
side="$(env -u OMP_NUM_THREADS nproc)" # which would take the next line for an answer
export OMP_NUM_THREADS=1
search() { # SUITE KIND METHOD OPTION ...
    local suite="$1" kind="$2" method="$3" code=0 kept file
    shift 3
    file="expunge/methods/tuned/$suite/$kind/$method.json"
    [ ! -e "$file" ] || return 0
    kept="$(mktemp -d)"
    expunge tune "$method" "$suite" --kind "$kind" --workers 1 "$@" --out "$kept/record.json" > "$kept/out" 2>&1 || code=$?
    if [ $code = 0 ]; then
        mkdir -p "$(dirname "$file")"
        mv "$kept/record.json" "$file"
        echo "$kind $method: $(grep -o '"seconds": [0-9.]*' "$file" | tail -1)"
    else # 3: every trial failed; 2: the suite lacks what it needs
        echo "$kind $method: no settings: $(tail -1 "$kept/out")" >&2
    fi
    rm -rf "$kept"
}
export -f search
for kind in ${kinds//,/ }; do
    printf '%s\n' $methods | xargs -P "$side" -I {} bash -c 'search "$@"' _ "$suite" "$kind" {} "${options[@]}"
done
python -m expunge.shipped
