"""Results as people or programs read them on standard output."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table

from expunge.records import Score, SplitName, to_json
from expunge.terminal import out, print_json, print_json_text, print_line, print_table, say

if TYPE_CHECKING:  # a command imports what it needs: torch takes a second, which --help need not wait for
    from expunge.ensembles.published.porting import Ported
    from expunge.methods.tuned import Search
    from expunge.suites import Suite


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

    if as_json:
        print_json_text("[" + ",\n ".join(map(to_json, scores)) + "]")
        return
    more = [*(render_classic(scores) if classic else []), *(render_metrics(scores, metrics) if metrics else [])]
    for table in [*render_tables(scores, sizes or {}), *more]:
        print_table(table)


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
    """The trials, the best first and the failed last, then what was chosen."""
    best = sorted(search.trials, key=lambda each: (each.objective is None, each.objective, each.number))
    for trial in best:
        cost = "" if trial.cost is None else f"{100 * trial.cost:5.1f} %"
        value = "failed" if trial.objective is None else f"{trial.objective:6.3f}"
        settings = ", ".join(f"{key}={each}" for key, each in trial.settings.items()) or "the defaults"
        print_line(f"{value:>6}  {cost:>7}  {trial.number:3}  {settings}{'  ' + trial.reason if trial.reason else ''}")
    limit = f"cost at most {100 * search.limit:g} % of a retraining" if search.limit else "any cost: it trains anew"
    print_line(f"{search.objective}; untouched {search.untouched:.3f}; {limit}")
    if search.chosen is None:
        costly = all("costs too much" in trial.reason for trial in search.trials)
        advice = f"; all cost too much: raise --limit above {search.limit:g}" if costly and search.limit else ""
        print_line(f"no trial succeeded: nothing is chosen{advice}")
        return
    if search.chosen.objective >= search.untouched:
        print_line("no trial came nearer to the oracles than doing nothing")
    keys = [key for key in search.space if key in search.chosen.settings]
    options = " ".join(f"--set {search.method}.{key}={search.chosen.settings[key]}" for key in keys)
    print_line(f"chosen: trial {search.chosen.trial}; expunge bench {suite} --method {search.method} {options}")


def in_words(value: object) -> str:
    """A value of ``expunge info`` for people."""
    if isinstance(value, dict):
        return "\n".join(f"{key} = {each}" for key, each in value.items()) or "none"
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
