"""The figures of an opened run: the report's own plots, each in a file, and a heat map of methods by forget sets."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from expunge.bench.folder import ARRAYS
from expunge.bench.opened import AGAIN, Run
from expunge.engine import warn
from expunge.errors import BadSetting, lookup
from expunge.methods.addresses import addressed
from expunge.names import as_file_name
from expunge.records import SPLITS
from expunge.reports.boards import Board, Line, boards
from expunge.reports.page import plots
from expunge.reports.page.drawing import Axis, Look, distance_axis, looks
from expunge.reports.page.examples import Example, read_evidence, strip_data
from expunge.reports.page.heat_maps import Shade, Spec, heat_map
from expunge.reports.page.sections import by_reading, methods_of
from expunge.reports.papers.labels import Called, as_recorded, labelled
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
    """What is drawn: of which forget sets, of which examples and methods the margins, and what rows are called."""

    forget_set: str | None = None
    examples: Sequence[int] = ()
    methods: Sequence[str] = ()
    labels: Sequence[str] = ()  # METHOD=NAME


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
    seen, axis, called = looks(methods_of(every)), distance_axis(found), labelled(run, wanted.labels)
    yield "methods-by-sets", methods_by_sets(found, called)
    undrawn: list[str] = []
    for board in found:
        name = as_file_name(board.forget_set)
        for split, spec in _quality(run, board, seen, axis, called):
            yield f"quality-{name}-{split}", spec
        for example, method in _shown_margins(run, board, wanted, undrawn):
            label = f"example-{example.index}-{as_file_name(called(method))}"
            yield f"margins-{name}-{label}", margins(example, method, seen[method], called)
    if undrawn:
        warn(f"no margins are drawn {', '.join(undrawn)}: {run.path / ARRAYS} does not have them; {AGAIN}")


def _quality(
    run: Run, board: Board, seen: Mapping[str, Look], axis: Axis, called: Called
) -> Iterator[tuple[str, Spec]]:
    """Distance against compute on each split, where any method has both."""
    points = {
        split: [{**each, "method": called(each["method"])} for each in plots.quality_points(board, run.curve, split)]
        for split in SPLITS
    }
    everywhere = [point for each in points.values() for point in each]
    if everywhere:
        across, looked = plots.compute_axis(everywhere), {called(name): look for name, look in seen.items()}
        anchors = {name: shown if called(name) == name else called(name) for name, shown in plots.ANCHORS.items()}
        for split, each in points.items():
            yield split, plots.quality(board, each, split, looked, (across, axis), HEIGHT, anchors)


def _shown_margins(run: Run, board: Board, wanted: Wanted, undrawn: list[str]) -> Iterator[tuple[Example, str]]:
    """The chosen examples, or the three that tell most, each with the methods that are asked for, or the nearest.

    Where the arrays are not there, what was asked for by name is refused; the rest is added to ``undrawn``, in words.
    """
    usable = [line.row.method for line in board.lines if not line.row.failed]
    rows = {name: name for name in usable if name not in (FLOOR, NOTHING)}
    asked = [addressed(name, rows) for name in wanted.methods]
    methods = [lookup(f"row with margins on {board.forget_set!r}", name, rows) for name in asked] or list(rows)[:1]
    place = run.path / ARRAYS / as_file_name(board.forget_set)
    evidence = read_evidence(place, usable, chosen=wanted.examples or None)
    kept = set(evidence.examples[0].unlearned) if evidence.examples else set[str]()
    lacking = [name for name in methods if name not in kept]
    if lacking and (wanted.examples or wanted.methods):
        why = evidence.missing or f"The margins of {', '.join(lacking)} are not there."
        raise BadSetting(f"{place}: {why} Bench again with the same --out")
    if lacking:
        undrawn.append(f"on {board.forget_set}" if evidence.missing else f"of {lacking[0]} on {board.forget_set}")
    yield from product(evidence.examples, [method for method in methods if method in kept])


def margins(example: Example, method: str, look: Look, called: Called = as_recorded) -> Spec:
    """The margins of one example before and after unlearning, and of the oracles."""
    label = "" if example.label is None else f", label {example.label}"
    colors, name = ("#66707a", look.color, "#1f2933"), called(method)
    data = strip_data(replace(example, unlearned={name: example.unlearned[method]}), name, colors)
    told = f"margins of pretrained, {name} and oracle models on example {example.index}{label}"
    return {**plots.margins(STRIPS), "datasets": data, "description": told}


def methods_by_sets(found: Sequence[Board], called: Called = as_recorded) -> Spec:
    """The share of the gap closed by each method on each forget set, darker where it is more; a mark where spoilt."""
    rows = [name for name in by_reading(methods_of(found), found) if name != FLOOR]
    columns = [board.forget_set for board in found]
    cells = [
        {"row": called(line.row.method), "column": board.forget_set, "reading": line.reading, **_shown(line)}
        for board in found
        for line in board.lines
        if line.row.method in rows
    ]
    shades = {name: shade for name, (_, shade) in STEPS.items()} | {UNTOLD: Shade("#ffffff")}
    told = f"share of the gap closed on forget, by method and forget set; {MARKS['breaks the model']} breaks the model"
    return heat_map(cells, ([called(name) for name in rows], columns), shades, told)


def _shown(line: Line) -> Mapping[str, str]:
    closed = line.row.closed
    mark = f"{MARKS[line.reading]} " if line.reading in SPOILT else ""
    if closed is None:
        return {"text": f"{mark}{formats.ABSENT}", "shade": UNTOLD}
    step = next(name for name, (least, _) in STEPS.items() if closed.value >= least)
    return {"text": f"{mark}{formats.whole_percent(closed.value)}", "shade": step}
