"""What a terminal shows: results on standard output, all else on standard error."""

import json
import time
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from expunge.records import Score, to_json

if TYPE_CHECKING:  # a command imports what it needs: torch takes a second, which --help need not wait for
    from expunge.engine import Watch
    from expunge.ensembles.published.porting import Ported
    from expunge.methods.tuned import Search

out = Console()
err = Console(stderr=True)


def say(text: str) -> None:
    """A line for people, on standard error, so that standard output is the result alone."""
    err.print(text, markup=False, highlight=False, soft_wrap=True)


def print_line(text: str) -> None:
    """A line of the result, as it is."""
    out.print(text, markup=False, highlight=False, soft_wrap=True)


def print_json(value: object) -> None:
    """The result as JSON; NaN and infinity are refused, for they are not JSON."""
    print_line(json.dumps(value, indent=1, allow_nan=False))


def print_scores(scores: list[Score], as_json: bool, *, classic: bool = False) -> None:
    """One table for each forget set, after them those of the classic scores if wanted; or one record a line."""
    from expunge.reports import render_classic, render_tables

    if as_json:
        print_line("[" + ",\n ".join(map(to_json, scores)) + "]")
        return
    for table in [*render_tables(scores), *(render_classic(scores) if classic else [])]:
        out.print(table)


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
        print_line("no trial succeeded: nothing is chosen")
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


def duration(seconds: float) -> str:
    """Minutes and seconds.

    >>> duration(61.2)
    '1 min 1 s'
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


class ProgressLine:
    """A watch that draws a bar on a terminal, and elsewhere prints a plain line every few seconds."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._started = self._printed = self._seen = time.monotonic()
        self._total = 0
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self._bar = Progress(*columns, TextColumn("left"), TimeRemainingColumn(), console=err, transient=True)
        self._task = self._bar.add_task(what, total=None)

    def __enter__(self) -> "Watch":
        if err.is_terminal:
            self._bar.start()
        return self._see

    def __exit__(self, *_: object) -> None:
        if err.is_terminal:
            self._bar.stop()

    def _see(self, done: int, total: int, label: str) -> None:
        if err.is_terminal:
            self._bar.update(self._task, completed=done, total=total, description=label)
            return
        now = time.monotonic()
        if total != self._total:  # another list of jobs began when the last one ended
            self._started, self._total = self._seen, total
        self._seen = now
        if done < total and now - self._printed < 5:
            return
        self._printed = now
        left = (now - self._started) / done * (total - done)
        say(f"{self._what}: {done}/{total} done, {duration(left)} left ({label})")
