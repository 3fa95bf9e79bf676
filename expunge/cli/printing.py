"""Results as people or programs read them on standard output."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from expunge.printed_tables import print_table
from expunge.records import Score, SplitName, to_json
from expunge.terminal import out, print_json, print_json_text, print_line, print_text, say

if TYPE_CHECKING:  # a command imports what it needs: torch takes a second, which --help need not wait for
    from expunge.bench.enough import Enough
    from expunge.bench.until_decided import Decided, Decisions
    from expunge.ensembles.published.porting import Ported
    from expunge.methods.searches import Search
    from expunge.suites import Suite


NAMED = 6  # so many are named in one line
Sizes = Mapping[str, Mapping[SplitName, int]]


def sizes_of(suite: "Suite", forget_sets: Sequence[str]) -> Sizes:
    """How many numbers a P95 of each split of these forget sets is of."""
    return {
        name: {split: len(columns) for split, columns in suite.columns(suite.forget_sets[name]).items()}
        for name in forget_sets
    }


def print_scores(
    scores: list[Score],
    as_json: bool,
    *,
    classic: bool = False,
    metrics: Sequence[str] = (),
    sizes: Sizes | None = None,
) -> None:
    """One table for each forget set, then those of the classic scores and of ``metrics``; or one record a line.

    ``sizes`` says how many examples the splits of each forget set have, where that is known.
    """
    from expunge.reports import render_classic, render_metrics, render_tables
    from expunge.reports.tables.scores import SPARE

    if as_json:
        print_json_text("[" + ",\n ".join(map(to_json, scores)) + "]")
        return
    more = [*(render_classic(scores) if classic else []), *(render_metrics(scores, metrics) if metrics else [])]
    for table in render_tables(scores, sizes or {}):
        print_table(table, SPARE)
    for table in more:
        print_table(table)


def print_decided(decided: "Decided", as_json: bool) -> None:
    """Who is nearer to the oracles than whom, after how many models, and what that saved; beside JSON, for people."""
    tell = say if as_json else print_line
    for each in decided.sets:
        for line in _in_lines(each):
            tell(line)
    unlearned, full = decided.unlearned
    tell(f"unlearned {unlearned} of {full} models: {100 * decided.saved:.0f} % saved")
    for folder in list(decided.tables)[1:]:
        tell(f"rows that ran on, among themselves: {folder}")


def _in_lines(found: "Decisions") -> list[str]:
    """Of a forget set: what was decided after how many models, and what was not."""
    lines = []
    for models in sorted({each.models for each in found.decided}):
        beaten: dict[str, list[str]] = {}
        for each in found.decided:
            if each.models == models:
                beaten.setdefault(each.nearer, []).append(each.farther)
        told = _some([f"{nearer} nearer than {_some(names)}" for nearer, names in beaten.items()], "; ")
        lines.append(f"  after {models} models: {told}")
    if found.open_:
        told = _some([f"{one} and {other}" for one, other in found.open_])
        lines.append(f"  not told apart with {max(found.ran.values(), default=found.full)} models or fewer: {told}")
    return [f"{found.forget_set}: {len(found.decided)} pairs decided, {len(found.open_)} open", *lines]


def _some(names: Sequence[str], between: str = ", ") -> str:
    more = [f"and {len(names) - NAMED} more"] if len(names) > NAMED else []
    return between.join([*names[:NAMED], *more])


def print_enough(found: "Sequence[Enough]", cost: float, methods: int, bench: Path | None = None) -> None:
    """The numbers of models that tell a gap, a row for each question on each forget set; then what is assumed."""
    table = Table("forget set", "told apart", "gap", "models", "oracles", "cost", "own")
    notes: dict[str, list[str]] = {}
    for each in found:
        held_out = f" + {each.held_out:,}" if each.held_out else ""
        question = each.question.replace("a method from the oracle", "from oracle")
        if each.note:
            notes.setdefault(each.note, []).append(f"{each.forget_set}, {question}")
        table.add_row(
            each.forget_set,
            question,
            "–" if each.gap is None else f"{each.gap:.3g}",
            "–" if each.models is None else f"{each.models:,}",
            "–" if each.oracles is None else f"{each.oracles:,}{held_out}",
            "–" if each.cost is None else f"{each.cost:,.0f}",
            "–" if each.own_models is None else f"{each.own_models} / {each.own_oracles}",
        )
    print_table(table)
    for note, rows in notes.items():
        print_text(f"{'; '.join(rows)}: {note}")
    print_text(
        f"Power 95 %, level 5 %; the cheapest numbers, {methods} methods at {100 * cost:g} % of a retraining a model, "
        "an oracle at one. From oracle: a method from the oracle. Gap: in sd of the oracles; + held-out oracles, the "
        "floor; cost: in retrainings; own: models / oracles, the cheapest within what the suite has."
    )
    pairing = ", ".join(f"{100 * each.left:.0f} % on {each.forget_set}" for each in found if each.left is not None)
    if pairing:
        source = "methods that are made up; --bench DIR takes it from those of a bench" if bench is None else ""
        print_text(
            "Assumed: two methods lie halfway between the floor and doing nothing, and being paired on the same "
            f"pretrained models leaves of the variance {pairing}, measured on {source or f'those of --bench {bench}'}."
        )


def say_what_lacks(scores: Sequence[Score]) -> None:
    """Say, once, what records of an older schema do not say."""
    lacking = {name: None for score in scores for name in score.subject.lacks}
    if lacking:
        told = ", ".join(name.replace("_", " ") for name in lacking)
        say(f"records of schema 1 do not say {told}, and so do not prove what was forgotten; bench again for that")
    elif any(score.lacks for score in scores):
        say("records of schema 2 have no checksum, so that not all damage to them is seen; bench again for that")


def print_checks(checks: list[dict[str, Any]], as_json: bool) -> None:
    """Checks with ``name``, ``ok`` and ``found``, one a line."""
    if as_json:
        print_json(checks)
        return
    width = max(len(each["name"]) for each in checks)
    for each in checks:
        print_line(f"{'ok  ' if each['ok'] else 'FAIL'}  {each['name']:<{width}}  {each['found']}")


def print_ported(ensembles: "list[Ported]", as_json: bool) -> None:
    """Ensembles that were brought in or written out, one a line."""
    if as_json:
        print_json([{"ensemble": each.ensemble, "models": each.models} for each in ensembles])
        return
    for each in ensembles:
        print_line(f"{each.ensemble}  {each.models} models")


def print_search(search: "Search", suite: str) -> None:
    """The trials, the best first and the failed last, then the frontier of distance against cost."""
    best = sorted(search.trials, key=lambda each: (not each.points, each.objective(math.inf), each.number))
    for trial in best:
        last = trial.points[-1] if trial.points else None
        value, cost = (f"{last.objective:.3f}", f"{100 * last.cost:.1f} %") if last else ("failed", "")
        settings = ", ".join(f"{key}={each}" for key, each in trial.settings.items()) or "the defaults"
        print_line(f"{value:>6}  {cost:>7}  {trial.number:3}  {settings}{'  ' + trial.reason if trial.reason else ''}")
    limit = f"cost at most {100 * search.limit:g} % of a retraining" if search.limit else "any cost: it trains anew"
    nothing = search.untouched.objective
    print_line(f"{search.objective}; for {search.kind}; untouched {nothing:.3f}; {limit}")
    if not search.frontier:
        costly = all("costs too much" in trial.reason for trial in search.trials)
        advice = f"; all cost too much: raise --limit above {search.limit:g}" if costly and search.limit else ""
        print_line(f"no trial succeeded: nothing is chosen{advice}")
        return
    if search.frontier[-1].objective >= nothing:
        print_line("no trial came nearer to the oracles than doing nothing")
    print_line("frontier: what is nearest to the oracles at each cost")
    for stop in search.frontier:
        keys = [key for key in search.space if key in stop.settings]
        options = " ".join(f"--set {search.method}.{key}={stop.settings[key]}" for key in keys)
        print_line(f"{stop.objective:6.3f}  {100 * stop.cost:5.1f} %  trial {stop.trial:2}  {options}")
    print_line(f"to use one: expunge bench {suite} --method {search.method} and its --set")


def in_words(value: object) -> str:
    """A value of ``expunge info`` for people.

    >>> print(in_words({"lr": {"low": 0.001, "high": 0.1, "log": True, "whole": False}, "k": {"values": [1, 2]}}))
    lr = low 0.001, high 0.1, log
    k = values 1, 2
    """
    if isinstance(value, dict):
        return "\n".join(f"{key} = {_on_one_line(each)}" for key, each in value.items()) or "none"
    return _on_one_line(value)


def _on_one_line(value: object) -> str:
    """A value without its brackets; of a table what is not false."""
    if isinstance(value, dict):
        return ", ".join(
            key if each is True else f"{key} {_on_one_line(each)}" for key, each in value.items() if each is not False
        )
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return str(value)


def print_usability(scores: list[Score], as_json: bool) -> None:
    """What a usability attack found, as tables and answers; or one record a line."""
    from expunge.reports.usability import render_usability

    if as_json:
        print_json_text("[" + ",\n ".join(map(to_json, scores)) + "]")
        return
    for part in render_usability(scores):
        print_table(part) if isinstance(part, Table) else out.print(part)


def print_lab(scores: list[Score], as_json: bool) -> None:
    """What an attack of the lab found, as tables and their legend; or one record a line."""
    from expunge.reports.attacks import render_attack

    if as_json:
        print_json_text("[" + ",\n ".join(map(to_json, scores)) + "]")
        return
    for part in render_attack(scores):
        print_table(part) if isinstance(part, Table) else out.print(part)


def print_matrix(scores: list[Score], as_json: bool) -> None:
    """What the attacks of a matrix found, a table for each, and their legend; or one record a line."""
    from expunge.reports.attacks import render_matrix

    if as_json:
        print_json_text("[" + ",\n ".join(map(to_json, scores)) + "]")
        return
    for part in render_matrix(scores):
        print_table(part) if isinstance(part, Table) else out.print(part)
