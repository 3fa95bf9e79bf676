"""Collect the records of a bench in results/: a JSON file for each suite, forget set and method, and a page of tables.

Run: python runs/collect.py [OUT]  (OUT is the --out folder of a bench; without it, what is made of the records is)
"""

import json
import sys
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path

from expunge.records import Score, read_scores
from expunge.reports.results import SHIPPED, Result, summarise, write_results

RESULTS = Path(__file__).parents[1] / "results"
SPLITS = ("forget", "retain", "test")
INTRODUCTION = """\
# Results

KLoM's 95th percentile over examples, in nats, with its 95 % interval; lower is better. `oracle` is the floor: held-out
oracles. `identity` is doing nothing. `differ`: the share of forget examples told apart from the oracles, false
discoveries held at 5 %. Cost in shares of one retraining. A rank counts the methods that are significantly better, from
its best to its worst place; ties are ties.

Made by the scripts of [runs/](../runs). Every file here is a list of records that hold all that is needed to get them
again."""


def main(outs: list[str]) -> None:
    """Write the files of the records in each folder, then the page of all there are and what the package ships."""
    for out in map(Path, outs):
        add(out)
    (RESULTS / "README.md").write_text(page())
    write_results(SHIPPED, shipped())


def add(out: Path) -> None:
    """Write the files of the records in ``out``."""
    rows: dict[tuple[str, str, str], list[Score]] = defaultdict(list)
    for score in read_scores(out / "scores.jsonl"):
        rows[score.suite, score.forget_set, score.method].append(score)
    for (suite, forget, method), scores in rows.items():
        file = RESULTS / suite / forget / f"{method}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("[\n" + ",\n".join(json.dumps(asdict(score)) for score in scores) + "\n]\n")


def shipped() -> list[Result]:
    """The headline of every file of records."""
    files = sorted(RESULTS.glob("*/*/*.json"))
    return [each for file in files for each in summarise([Score(**score) for score in json.loads(file.read_text())])]


def page() -> str:
    """All tables, one for each suite and forget set; rows in the order of their KLoM on forget."""
    parts = [INTRODUCTION]
    for suite in sorted(path for path in RESULTS.iterdir() if path.is_dir()):
        for forget in sorted(path for path in suite.iterdir() if path.is_dir()):
            parts.append(table(suite.name, forget))
    return "\n\n".join(parts) + "\n"


def table(suite: str, folder: Path) -> str:
    """The table of one forget set."""
    rows = [json.loads(file.read_text()) for file in folder.glob("*.json")]
    models = rows[0][0]["models"]
    lines = [f"## {suite}, {folder.name} ({models} models against {rows[0][0]['oracle_models']} oracles)", ""]
    lines += ["| method | rank | forget | retain | test | differ | accuracy on test | cost |", "| --- |" + " --- |" * 7]
    lines += [line(row) for row in sorted(rows, key=headline)]
    return "\n".join(lines)


def headline(row: list[dict[str, object]]) -> float:
    value = find(row, "klom", "p95", "forget")["value"]
    return float("inf") if value is None else float(str(value))


def line(row: list[dict[str, object]]) -> str:
    klom = [in_words(find(row, "klom", "p95", split)) for split in SPLITS]
    ranks = [each for each in row if each["metric"] == "rank"]
    rank = f"{ranks[0]['low']:.0f} to {ranks[0]['high']:.0f}" if ranks else ""
    differ, accuracy = find(row, "distinguishable", "share", "forget"), find(row, "accuracy", "mean", "test")
    first = row[0]
    cells = [f"`{first['method']}`", rank, *klom, percent(differ), percent(accuracy), f"{first['cost']:.1%}"]
    return "| " + " | ".join(cells) + " |"


def find(row: list[dict[str, object]], metric: str, aggregate: str, split: str) -> dict[str, object]:
    wanted = (metric, aggregate, split)
    found = [each for each in row if (each["metric"], each["aggregate"], each["split"]) == wanted]
    return found[0] if found else {"value": None}


def in_words(score: dict[str, object]) -> str:
    return "failed" if score["value"] is None else f"{score['value']:.2f} [{score['low']:.2f}, {score['high']:.2f}]"


def percent(score: dict[str, object]) -> str:
    return "" if score["value"] is None else f"{score['value']:.1%}"


if __name__ == "__main__":
    main(sys.argv[1:])
