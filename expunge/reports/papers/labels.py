"""What rows are called in a paper: by the names of their records, or by those that somebody gives them."""

from collections.abc import Callable, Sequence

from expunge.bench.opened import Run
from expunge.errors import BadSetting, lookup
from expunge.methods.addresses import addressed
from expunge.names import require_name

Called = Callable[[str], str]


def as_recorded(name: str) -> str:
    """The name itself."""
    return name


def row_named(run: Run, name: str) -> str:
    """The row of ``run`` that ``name`` means: a method of one's own may be named without its folder or its file."""
    rows = {method: method for each in run.forget_sets.values() for method in each.methods}
    return lookup(f"row of {run.path}", addressed(name, rows), rows)


def labelled(run: Run, pairs: Sequence[str]) -> Called:
    """What each row is called, given ``METHOD=NAME`` of some; two rows that would share a name are refused."""
    labels: dict[str, str] = {}
    for pair in pairs:
        method, equals, name = pair.partition("=")
        if not (method and equals and name.strip()):
            raise BadSetting(f"--label {pair!r}: expected METHOD=NAME, for example scrub=SCRUB")
        labels[row_named(run, method)] = require_name("label", name.strip())
    called = {method: labels.get(method, method) for each in run.forget_sets.values() for method in each.methods}
    taken: dict[str, str] = {}
    for method, name in called.items():
        if name in taken:
            raise BadSetting(f"expected one name for each row, got {name!r} for {taken[name]} and {method}")
        taken[name] = method
    return lambda name: called.get(name, name)
