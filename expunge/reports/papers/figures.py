"""The figures of an opened run: the report's own plots, each in a file, and a heat map of methods by forget sets."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from expunge.bench.folder import ARRAYS
from expunge.bench.opened import AGAIN, Run
from expunge.engine import warn
from expunge.errors import BadSetting, lookup
from expunge.names import as_file_name
from expunge.records import SPLITS
from expunge.reports.boards import Board, Line, boards
from expunge.reports.page import plots
from expunge.reports.page.drawing import Axis, Look, distance_axis, looks
from expunge.reports.page.examples import Example, read_evidence, strip_data
from expunge.reports.page.heat_maps import Shade, Spec, heat_map
from expunge.reports.page.sections import by_reading, methods_of
from expunge.reports.papers.pictures import require_drawable, write_picture
from expunge.reports.readings import MARKS
from expunge.reports.summaries import FLOOR, NOTHING
from expunge.reports.tables import formats

HEIGHT, STRIPS = 300, 190  # pixels of a plot, and of a histogram with its three strips
STEPS = {  # of the gap closed, darkest first
    "90 % of the gap or more": (0.9, Shade("#123f63", "#ffffff")),
    "60 to 90 %": (0.6, Shade("#3f78a8", "#ffffff")),
    "30 to 60 %": (0.3, Shade("#8fb8d8")),
    "5 to 30 %": (0.05, Shade("#cfe0ee")),
    "less than 5 %": (float("-inf"), Shade("#f7f9fb")),
}
UNTOLD = "no share of the gap: failed, or a set without headroom"
SPOILT = ("breaks the model", "doubted", "failed")  # readings whose mark stands beside the number


@dataclass(frozen=True)
class Wanted:
    """What is drawn: of which forget sets, and of which examples and methods the margins."""

    forget_set: str | None = None
    examples: Sequence[int] = ()
    methods: Sequence[str] = field(default_factory=tuple)


def draw_figures(run: Run, folder: Path, form: str, width: int, wanted: Wanted) -> list[Path]:
    """Write all figures to ``folder``, in the format ``form``; the files. What is not drawn is said in a warning."""
    require_drawable(form, width)
    found = dict(figures(run, wanted))
    return [write_picture(folder / f"{name}.{form}", spec, width=width) for name, spec in found.items()]


def figures(run: Run, wanted: Wanted) -> Iterator[tuple[str, Spec]]:
    """Names of figures, and their specifications; a warning where margins are not there to be drawn."""
    every = boards(run.scores)
    names = [run.forget_set(wanted.forget_set).name] if wanted.forget_set is not None else list(run.forget_sets)
    if wanted.examples and len(names) > 1:
        raise BadSetting(f"expected --forget-set beside --example, one of {', '.join(names)}, got none")
    found = [board for board in every if board.forget_set in names]
    seen, axis = looks(methods_of(every)), distance_axis(found)
    yield "methods-by-sets", methods_by_sets(found)
    undrawn: list[str] = []
    for board in found:
        name = as_file_name(board.forget_set)
        for split, spec in _quality(run, board, seen, axis):
            yield f"quality-{name}-{split}", spec
        for label, spec in _margins(run, board, seen, wanted, undrawn):
            yield f"margins-{name}-{label}", spec
    if undrawn:
        warn(f"no margins are drawn {', '.join(undrawn)}: {run.path / ARRAYS} does not have them; {AGAIN}")


def _quality(run: Run, board: Board, seen: Mapping[str, Look], axis: Axis) -> Iterator[tuple[str, Spec]]:
    """Distance against compute on each split, where any method has both."""
    points = {split: plots.quality_points(board, run.curve, split) for split in SPLITS}
    everywhere = [point for each in points.values() for point in each]
    if everywhere:
        across = plots.compute_axis(everywhere)
        for split, each in points.items():
            yield split, plots.quality(board, each, split, seen, (across, axis), HEIGHT)


def _margins(
    run: Run, board: Board, seen: Mapping[str, Look], wanted: Wanted, undrawn: list[str]
) -> Iterator[tuple[str, Spec]]:
    """The margins of the chosen examples, or of the three that tell most, under each method that is asked for.

    Where the arrays are not there, what was asked for by name is refused; the rest is added to ``undrawn``, in words.
    """
    usable = [line.row.method for line in board.lines if not line.row.failed]
    rows = {name: name for name in usable if name not in (FLOOR, NOTHING)}
    methods = [lookup(f"row with margins on {board.forget_set!r}", name, rows) for name in wanted.methods]
    place = run.path / ARRAYS / as_file_name(board.forget_set)
    evidence = read_evidence(place, usable, chosen=wanted.examples or None)
    kept = set(evidence.examples[0].unlearned) if evidence.examples else set[str]()
    methods = methods or list(rows)[:1]  # the nearest
    lacking = [name for name in methods if name not in kept]
    if lacking and (wanted.examples or wanted.methods):
        why = evidence.missing or f"The margins of {', '.join(lacking)} are not there."
        raise BadSetting(f"{place}: {why} Bench again with the same --out")
    if lacking:
        undrawn.append(f"on {board.forget_set}" if evidence.missing else f"of {lacking[0]} on {board.forget_set}")
    for example in evidence.examples:
        for method in methods:
            if method in kept:
                yield f"example-{example.index}-{as_file_name(method)}", margins(example, method, seen[method])


def margins(example: Example, method: str, look: Look) -> Spec:
    """The margins of one example before and after unlearning, and of the oracles."""
    label = "" if example.label is None else f", label {example.label}"
    data = strip_data(example, method, ("#66707a", look.color, "#1f2933"))
    told = f"margins of pretrained, {method} and oracle models on example {example.index}{label}"
    return {**plots.margins(STRIPS), "datasets": data, "description": told}


def methods_by_sets(found: Sequence[Board]) -> Spec:
    """The share of the gap closed by each method on each forget set, darker where it is more; a mark where spoilt."""
    rows = [name for name in by_reading(methods_of(found), found) if name != FLOOR]
    columns = [board.forget_set for board in found]
    cells = [
        {"row": line.row.method, "column": board.forget_set, "reading": line.reading, **_shown(line)}
        for board in found
        for line in board.lines
        if line.row.method in rows
    ]
    shades = {name: shade for name, (_, shade) in STEPS.items()} | {UNTOLD: Shade("#ffffff")}
    told = f"share of the gap closed on forget, by method and forget set; {MARKS['breaks the model']} breaks the model"
    return heat_map(cells, (rows, columns), shades, told)


def _shown(line: Line) -> Mapping[str, str]:
    closed = line.row.closed
    mark = f"{MARKS[line.reading]} " if line.reading in SPOILT else ""
    if closed is None:
        return {"text": f"{mark}{formats.ABSENT}", "shade": UNTOLD}
    step = next(name for name, (least, _) in STEPS.items() if closed.value >= least)
    return {"text": f"{mark}{formats.whole_percent(closed.value)}", "shade": step}
