"""The tables of ``docs/threats.md``: what words mean, the survey's taxonomy, all that was measured, run by run."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from expunge.attacks import ATTACKS, DEFENCES
from expunge.attacks.attack import Success
from expunge.attacks.lab.arms import ARMS, HONEST
from expunge.attacks.survey import FAMILIES, THREATS
from expunge.attacks.threat import Threat
from expunge.errors import StoreError
from expunge.files import write_file
from expunge.methods.references import REFERENCES
from expunge.outside import read_text
from expunge.reports.attacks.tables import SHARE, over
from expunge.reports.attacks.words import COUNTS, OF_ATTACKS, OF_DEFENCES, SHOWS
from expunge.reports.studies.markdown import Markdown, code, escaped, grid
from expunge.reports.threats.defended import FOLDER, write_defences
from expunge.reports.threats.results import SHIPPED, Result, collect, read_results, summarised, write_results
from expunge.reports.threats.rows import axes, commands, main_runs, success_of, successes, verdict

WORDS, TAXONOMY, MEASURED = "words", "threats", "measured"
DOCS = "docs/threats.md"
KEPT = "results/attacks"


def publish(root: Path, out: Path | None = None, defended: Path | None = None) -> None:
    """Collect the runs in the folder ``out``, and those with defences in ``defended``; write what the package ships of
    all that are kept, and the pages.

    ``read_results`` reads what was shipped when it was first asked: the page is of the results just written.
    """
    kept, page = root / KEPT, root / DOCS
    if out is not None:
        collect(out, kept)
    if defended is not None:
        collect(defended, kept.parent / FOLDER)
    write_defences(kept)
    found = summarised(kept)
    write_results(SHIPPED, found)
    write_file(page, with_tables(read_text(page, StoreError), found))


def with_tables(text: str, results: Sequence[Result] | None = None) -> str:
    """The page with its tables made anew; :class:`StoreError` where the markers to write between are not there."""
    found = read_results() if results is None else tuple(results)
    for name, table in ((WORDS, legend()), (TAXONOMY, taxonomy(found)), (MEASURED, measured(found))):
        begin, end = f"<!-- {name}: made by `make docs`, not by hand -->", f"<!-- end of {name} -->"
        if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
            raise StoreError(f"{DOCS}: expected the markers {begin!r} and {end!r} once, in this order")
        block = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        made = f"{begin}\n\n{table}\n\n{end}".replace("\\", r"\\")  # which sub would read
        text = block.sub(made, text)
    return text


def legend() -> str:
    """What the words mean that are said of attacks and of defences, here and wherever they are told."""
    return "\n".join(f"- {each}" for each in (OF_ATTACKS, OF_DEFENCES, COUNTS))


def taxonomy(results: Sequence[Result]) -> str:
    """A table for each family of the survey."""
    parts = []
    for family, what in FAMILIES.items():
        own = {name: row for name, row in THREATS.items() if row.family == family}
        lines = [_line(name, row, results) for name, row in own.items()]
        table = grid(
            ["threat", "who; goal; knows; when", "technique", "here", "what shows", "defences that apply"], lines
        )
        parts.append(f"**{family}**: {what}.\n\n{table}")
    return "\n\n".join(parts)


def _line(name: str, row: Threat, results: Sequence[Result]) -> list[str]:
    works = "; ".join(REFERENCES[key].short for key in row.works)
    place = f" [{row.number}]" if row.number else ""
    placed = "; ".join(", ".join(values) for values in axes(row).values()) or "–"
    countered = f"; against it: {row.countermeasure}" if row.countermeasure else ""
    return [
        _lines([code(name), escaped(f"{works}{place}")]),
        placed,
        f"{row.technique}{countered}",
        _lines([*map(code, commands(row, results)), *map(escaped, [row.here, *row.differs.values()])]),
        _lines(map(escaped, _shown(row, results))),
        in_groups(row.defences) if row.attacks else "–",
    ]


def _lines(parts: Iterable[str]) -> Markdown:
    return Markdown("<br>".join(part for part in parts if part))


def _shown(row: Threat, results: Sequence[Result]) -> list[str]:
    found = main_runs(row, results)
    if len(found) <= len(row.plays):
        return [f"{verdict(each)}: {successes(each)}" for each in found] or ["–"]
    shows = [each.method for each in found if each.shows]
    return [f"{SHOWS} with {len(shows)} of {len(found)}{': ' if shows else ''}{'; '.join(shows)}"]


def in_groups(names: Sequence[str]) -> str:
    """Names of defences, in short where they are all of those of one time.

    >>> in_groups(["owner-cap"]), in_groups([])
    ('owner-cap', 'none')
    """
    said, left = [], list(names)
    for when in ("training", "request", "release"):
        own = [name for name, row in DEFENCES.items() if row.when == when]
        lacking = [name for name in own if name not in left]
        if len(lacking) <= 1 < len(own):
            said.append(f"all at {when}{f' but {lacking[0]}' if lacking else ''}")
            left = [name for name in left if name not in own]
    return ", ".join([*said, *left]) or "none"


def measured(results: Sequence[Result]) -> str:
    """A table for each attack, a line for each run and method."""
    parts = []
    for name, row in ATTACKS.items():
        own = [each for each in results if each.attack == name]
        if own:
            parts.append(f"### {name}\n\n{_described(own[0], row.arms)}\n\n{_runs(own)}")
    return "\n\n".join(parts)


def _described(found: Result, arms: Mapping[str, str]) -> str:
    of_arms = "".join(f" {name}: {what}." for name, what in arms.items())
    success = f"Success: {found.what}.{of_arms}"
    return str(escaped(success))


def _runs(results: Sequence[Result]) -> str:
    names = [name for name in ARMS if any(name in each.arms for each in results)]
    lines = [
        [
            code(each.command),
            each.method,
            *(success_of(each, name) for name in names),
            over(each.excess.get(each.against), Success(each.what, share=each.share)),
            over(each.lost, SHARE),
            verdict(each),
        ]
        for each in results
    ]
    control = "honest request" if results[0].against == HONEST else results[0].against
    return grid(["run", "method", *names, f"attack − {control}", "accuracy lost, %", "reads"], lines)
