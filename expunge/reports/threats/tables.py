"""The taxonomy in the terminal: a table for each family, or all of single threats."""

from collections.abc import Mapping, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from expunge.attacks.lab.arms import ATTACK
from expunge.attacks.survey import FAMILIES
from expunge.attacks.threat import LETTERS, Threat
from expunge.methods.references import REFERENCES
from expunge.reports.attacks.words import COUNTS, OF_ATTACKS
from expunge.reports.threats.results import Result, read_results
from expunge.reports.threats.rows import (
    axes,
    commands,
    in_words,
    main_runs,
    runs_of,
    source,
    success_of,
    verdict,
)

LEGEND = (
    "Axes of Liu et al. 2025, arXiv:2403.13682, table I: "
    + "; ".join(
        ", ".join(f"{letter}{place} {name}" for place, name in enumerate(names, 1)) for letter, names in LETTERS.items()
    )
    + ". Measured by the command of the row, beside its control, with 95 % intervals over victims; of several methods "
    f"the one on which the attack gains most. {OF_ATTACKS} {COUNTS} `expunge threats NAME` tells all of a threat, a "
    "family or an attack: which control, how many victims, other settings, and the defences that apply."
)


def overview(threats: Mapping[str, Threat]) -> list[Table | Text]:
    """A table for each family, and the legend; for 80 columns and more."""
    parts: list[Table | Text] = []
    for family, what in FAMILIES.items():
        own = {name: row for name, row in threats.items() if row.family == family}
        if own:
            parts += [_table(f"{family}: {what}", own), Text()]
    return [*parts, Text(LEGEND)]


def _table(title: str, threats: Mapping[str, Threat]) -> Table:
    table = Table(
        title=Text(title, style="bold"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
    )
    for name in ("threat", "axes"):
        table.add_column(name, no_wrap=True)
    told = {name: _here(row) for name, row in threats.items()}
    longest = max(len(word) for lines in told.values() for line in lines for word in line.split())
    table.add_column("here", overflow="fold", min_width=longest)  # a command is not cut short, and no name broken
    for name, row in threats.items():
        works = [REFERENCES[key].short.partition(",")[0] for key in row.works]
        table.add_row("\n".join([name, *works]), row.axes, "\n".join(told[name]), end_section=True)
    return table


def _here(row: Threat) -> list[str]:
    if not row.attacks:
        return [row.here]
    found, results = [], main_runs(row, read_results())
    for command in commands(row, results):
        found += [command, _shortly([each for each in results if each.command == command])]
    return found


def _shortly(results: Sequence[Result]) -> str:
    """Of several methods the one on which the attack gains most over its control."""
    best = max(results, key=_gain)
    told = f"{verdict(best)}: {success_of(best, ATTACK)}, control {success_of(best, best.against).partition(' [')[0]}"
    shows = sum(each.shows is True for each in results)
    return told if len(results) == 1 else f"{told} ({best.method}); shows in {shows} of {len(results)} cases"


def _gain(found: Result) -> float:
    cell = found.excess.get(found.against)
    return float("-inf") if cell is None else cell.value


def in_full(name: str, row: Threat) -> list[tuple[str, str]]:
    """All of one threat, as names and what is said under them."""
    lines = [("threat", name), ("family", f"{row.family}: {FAMILIES[row.family]}"), ("source", source(row))]
    lines += [("technique", row.technique)]
    lines += [(key, ", ".join(values)) for key, values in axes(row).items()]
    lines += [("countered by", row.countermeasure or ("nothing, in the survey" if row.number else ""))]
    lines += [("here", row.here), *(("differs", f"{axis}: {why}") for axis, why in row.differs.items())]
    lines += [("run", each) for each in commands(row, read_results())]
    last = ""
    for each in runs_of(row, read_results()):
        if each.command != last:
            lines.append(("measured", each.command))
        lines.append(("", in_words(each)))
        last = each.command
    lines += [("defences that apply", ", ".join(row.defences) or "none of DEFENCES can see it")] if row.attacks else []
    return [(key, told) for key, told in lines if told]
