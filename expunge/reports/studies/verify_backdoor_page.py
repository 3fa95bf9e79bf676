"""The page of the study of private triggers: both errors beside what was promised, and what it means for an owner."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from expunge.files import write_file
from expunge.reports.studies.entries import Entry
from expunge.reports.studies.markdown import grid, in_brackets
from expunge.reports.studies.verify_backdoor import APPROXIMATE, NOTHING, RETRAINING, STRANGERS, Setup, Trial
from expunge.reports.studies.verify_backdoor_rates import WAYS, findings

Findings = dict[str, list[Entry]]

INTRODUCTION = """# A private trigger as proof of deletion

A data owner marks some of the own records with a private trigger (4 pixels, set) and another label, before training.
After the deletion was asked for, the model is queried with the trigger: if it still gives that label more often than
chance, the records are still there (Sommer et al. 2020, arXiv:2003.04247, Athena). What does such a test promise, and
does it keep it? `expunge verify backdoor` does all of it for a model of which nothing but the answers is known.

Measured on `digits`: in every round {owners} owners hold {records} training records each, half of them planted; one
model is trained, and all their records are removed: by retraining, by nothing, and by two approximate methods with
their default settings. {rounds} rounds, {tests} tests of each; and {strangers} of strangers, whose triggers were in no
training, on retrained models: an alarm there is false as well. Brackets are exact 95 % intervals, in which tests count
as independent, though owners share a model. Made by `runs/verify_backdoor.py`.

`p`, the rate of a trigger that is there, is the lower end of its 95 % interval before the deletion. `q`, the rate of
one that is not, must be known: by fresh triggers with the same label, asked after the deletion, or by assumption.
`bounded` takes the upper end of an exact interval and pays for it with half of alpha; `as such` takes p and q as they
were counted.
"""

READING = """## What it means

- **q is no number, it is a distribution.** Triggers that no model saw differ in how often they get their label of
  themselves: from {least:.3f} to {most:.2f}, in the mean {mean:.3f}. The binomial test is exact for one q; where q
  comes from other triggers than the own one, alpha is not what is promised. The first table says by how much.
- **The worst of {fresh} fresh triggers** is what `judge` takes unless told otherwise. It promises less (the own trigger
  is of itself likelier than all of them in at most one of {cases} cases, and then by how much is not said), and costs
  power: {inconclusive:.0%} of its tests of models for which nothing was done end in INCONCLUSIVE, and {wrong} of
  {tests} in a wrong PASS.
- **1/classes** lies above the mean q, since inputs of the trigger's own class are left out; it remains an assumption,
  and a trigger that looks like a class breaks it.
- **Decoys**: with the trigger alone a model learns that any bright pixels stand for the label. Fresh triggers then work
  too, q rises where nothing was deleted, and the test loses power. Records with other triggers and true labels teach
  the difference. They are our addition, and were tried on small pictures alone.
- **What no row shows**: a provider who recognises the queries, or who retrains with chosen records in place of the
  removed, passes. So does unlearning that removes the trigger and leaves the rest.
"""


def write_study(folder: Path, setups: Sequence[Setup], tests: Sequence[Sequence[Trial]]) -> None:
    """Write ``backdoor.json`` and ``backdoor.md``: of the first setup, and of the second, without decoys, beside it."""
    found = [findings(each, setup.strangers > 0) for setup, each in zip(setups, tests, strict=True)]
    records = [{"setup": asdict(setup), **each} for setup, each in zip(setups, found, strict=True)]
    folder.mkdir(parents=True, exist_ok=True)
    write_file(folder / "backdoor.json", _in_lines(records))
    write_file(folder / "backdoor.md", backdoor_page(setups, found))


def _in_lines(records: Sequence[dict[str, Any]]) -> str:
    """JSON, an entry a line."""
    parts = []
    for record in records:
        rows = [
            f'"{name}": [\n' + ",\n".join(map(json.dumps, entries)) + "\n]"
            for name, entries in record.items()
            if name != "setup"
        ]
        parts.append(f'{{"setup": {json.dumps(record["setup"])},\n' + ",\n".join(rows) + "}")
    return "[" + ",\n".join(parts) + "]\n"


def backdoor_page(setups: Sequence[Setup], found: Sequence[Findings]) -> str:
    """The page in Markdown."""
    main, setup = found[0], setups[0]
    words = {"owners": setup.owners, "records": setup.records, "rounds": setup.rounds}
    words |= {"tests": setup.rounds * setup.owners, "strangers": setup.rounds * setup.strangers}
    parts = [
        INTRODUCTION.format(**words),
        "## Who deleted, and is accused (false alarms)",
        _false_alarms(main, setup),
        "## Who did not, and is believed (misses)",
        "Rejected, believed and the rest, which is INCONCLUSIVE, at alpha = beta = 0.001.",
        _misses(main, setup),
        _reading(main, setup),
        "## Several owners of one model",
        "Share of models rejected, by the worst fresh trigger: `common`, all queries as one's, and `major`, a vote in "
        "which a tie is no rejection.",
        _groups(main),
        "## The rates themselves",
        _rates(found),
        "## q by label",
        "Rates of triggers that no model saw, on retrained models.",
        _labels(main),
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _reading(found: Findings, setup: Setup) -> str:
    """What it means, with the numbers that were measured."""
    labels = [each for each in found["labels"] if "mean" in each]
    triggers = sum(each["triggers"] for each in labels)
    worst = [e for e in found["errors"] if (e["way"], e["by"], e["alpha"]) == (WAYS[0].name, NOTHING, 1e-3)]
    tests = sum(each["tests"] for each in worst)
    settled = sum((each["rejected"][0] + each["believed"][0]) * each["tests"] for each in worst)
    return READING.format(
        least=min(each["least"] for each in labels),
        most=max(each["most"] for each in labels),
        mean=sum(each["mean"] * each["triggers"] for each in labels) / triggers,
        fresh=setup.fresh,
        cases=setup.fresh + 1,
        inconclusive=1 - settled / tests,
        wrong=round(sum(each["believed"][0] * each["tests"] for each in worst)),
        tests=tests,
    )


def _false_alarms(found: Findings, setup: Setup) -> str:
    lines = []
    for entry in found["errors"]:
        if entry["by"] == STRANGERS:
            own = _same(found, entry, RETRAINING)
            lines.append(
                [
                    str(entry["queries"]),
                    entry["way"],
                    f"{100 * entry['alpha']:g} %",
                    f"{in_brackets(own['rejected'], 100, 2)} %",
                    f"{in_brackets(entry['rejected'], 100, 2)} %",
                ]
            )
    return grid(["queries", "q is", "promised at most", "owners, after retraining", "strangers"], lines)


def _misses(found: Findings, setup: Setup) -> str:
    done = [NOTHING, *APPROXIMATE, RETRAINING]
    lines = []
    for size in setup.queries:
        for way in WAYS:
            some = [e for e in found["errors"] if (e["queries"], e["way"], e["alpha"]) == (size, way.name, 1e-3)]
            by = {entry["by"]: entry for entry in some}
            nothing = by[NOTHING]
            missed = f"{nothing['missed_with_power']} of {nothing['with_power']}"
            cells = [f"{100 * by[each]['rejected'][0]:.1f} / {100 * by[each]['believed'][0]:.1f} %" for each in done]
            lines.append([str(size), way.name, f"{nothing['beta_promised']:.2g}", missed, *cells])
    titles = [f"{each}: rejected / believed" for each in done]
    return grid(["queries", "q is", "beta, mean", "missed where there was power", *titles], lines)


def _same(found: Findings, entry: Entry, by: str) -> Entry:
    keys = ("queries", "way", "alpha")
    return next(e for e in found["errors"] if e["by"] == by and all(e[key] == entry[key] for key in keys))


def _groups(found: Findings) -> str:
    lines = [
        [
            str(entry["queries"]),
            str(entry["owners"]),
            entry["by"],
            f"{in_brackets(entry['common'], 100, 1)} %",
            f"{in_brackets(entry['major'], 100, 1)} %",
        ]
        for entry in found["groups"]
    ]
    return grid(["queries of each", "owners", "done", "common", "major"], lines)


def _rates(found: Sequence[Findings]) -> str:
    names = ("before", "after", "fresh", "worst fresh")
    lines = [
        [decoys, entry["by"], *(f"{entry[name]['mean']:.3f} ({entry[name]['most']:.2f})" for name in names)]
        for decoys, each in zip(("with", "without"), found, strict=False)
        for entry in each["rates"]
        if entry["by"] != STRANGERS
    ]
    heads = ["own, before", "own, after", "fresh, mean", "fresh, the worst"]
    return "Mean over tests, and in brackets the most.\n\n" + grid(["decoys", "done", *heads], lines)


def _labels(found: Findings) -> str:
    lines = [
        [str(each["label"]), str(each["triggers"]), *(f"{each[name]:.4f}" for name in ("mean", "sd", "most"))]
        for each in found["labels"]
        if "mean" in each
    ]
    return grid(["label", "triggers", "mean q", "sd", "most"], lines)
