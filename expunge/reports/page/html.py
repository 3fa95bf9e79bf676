"""``report.html``: one file that explains itself and opens without a network."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, Template
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from expunge.bench.contents import Kept, Place, by_row, contents_of, require_room, write_contents
from expunge.bench.folder import SCORES, Folder, RowName, missing_arrays, read_folder, say_what_is_missing
from expunge.bench.run_info import RUN
from expunge.bench.score import why_impossible
from expunge.errors import UserError
from expunge.files import alone_with, cannot_write, unchanging, write_file
from expunge.records import Score
from expunge.reports.boards import boards
from expunge.reports.page.sections import page
from expunge.shipped import read_shipped

VENDOR = ("vega.min.js", "vega-lite.min.js", "vega-embed.min.js")  # versions and licences: NOTICE


def report(source: Path | str | Sequence[Score], folder: Path | str | None = None) -> Path:
    """Write ``report.html`` and return its path.

    Args:
        source: a folder that ``expunge bench`` wrote, or scores as :func:`expunge.evaluate` returns them.
        folder: where the page goes; default: the folder of results itself. Scores need it, and ``scores.jsonl`` is
            then written beside the page: new rows are added to those in the folder, the same row is replaced unless a
            bench wrote it, and a curve or arrays that the folder has are shown.
    """
    if not isinstance(source, Path | str):
        source = _keep(source, folder)
    target = Path(source if folder is None else folder) / "report.html"
    with unchanging(Path(source)):
        found = read_folder(Path(source))
        say_what_is_missing(missing_arrays(found.path, found.scores, found.run))
        text = render(found)
    write_page(target, text)
    return target


def render(results: Folder) -> str:
    """The page as text."""
    found = boards(results.scores)
    view = page(results, found)
    data = htmlsafe_json_dumps(view.pop("data"), allow_nan=False, separators=(",", ":"))
    return template("report.html.j2").render(view, data=data, libraries=libraries())


def template(name: str, *packages: str) -> Template:
    """A template of ``packages``, or of those that all pages share; what is put in is escaped, what lacks an error."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(name) for name in (*packages, "expunge.reports.page")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def _keep(scores: Sequence[Score], folder: Path | str | None) -> Path:
    """Add ``scores`` to those of ``folder``, but never in the place of rows of a bench, which have arrays."""
    if folder is None:
        raise UserError('expected a folder to write to, got none; call report(scores, "report/")')
    boards(scores)  # refuses what cannot be shown before anything is written
    path = Path(folder)
    for doubt in filter(None, map(why_impossible, scores)):
        raise UserError(f"these scores cannot be kept: {doubt}")
    with alone_with(path):
        found, (rows, ranks) = contents_of(path), by_row(scores)
        of_before = (path / RUN).exists() and found.run.files is None
        if not of_before and all(found.has(name, own) for name, own in rows.items()):
            return path
        benched = [name for name in rows if name in found.rows and found.rows[name].stands_on]
        others = {name: found.rows.keys() - rows.keys() for name in ranks if found.ranks.get(name)}
        if benched or (of_before and (path / SCORES).exists()) or any(others.values()):
            raise UserError(f"{path} holds the scores of a bench, which these would replace; choose another folder")
        subject = scores[0].subject
        require_room(path, found, (subject.suite, subject.suite_digest), _places(rows))
        curves, _ = by_row(found.loose)
        for name, own in rows.items():
            old = found.rows.get(name)
            found.rows[name] = Kept(own, old.curve if old else curves.get(name, []))
        found.ranks |= ranks
        found.run.suite, found.run.suite_digest = subject.suite, subject.suite_digest
        write_contents(path, found)
    return path


def _places(rows: Mapping[RowName, Sequence[Score]]) -> dict[str, Place]:
    """Of each forget set what its rows share, which those that are there must share too."""
    places = {}
    for name in dict.fromkeys(name for name, _ in rows):
        own = {method: scores[0] for (other, method), scores in rows.items() if other == name}
        first = next(iter(own.values()))
        places[name] = Place(first.subject.forget_digest, frozenset(own), first.models, first.oracle_models)
    return places


def write_page(target: Path, text: str | bytes) -> None:
    """Write a page, or a picture, and the folder that it is to stand in."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(target, error) from None
    write_file(target, text)


@cache
def libraries() -> list[Markup]:
    """The vendored scripts, made safe to stand inside a script element."""
    folder = Path(__file__).with_name("vendor")
    return [inline_script(read_shipped(folder / name).decode()) for name in VENDOR]


def inline_script(text: str) -> Markup:
    """Script text that cannot end its element, open a comment or ask for a source map.

    >>> inline_script("a = '</script>'; b = '<!--'\\n//# sourceMappingURL=a.map")
    Markup("a = '<\\\\/script>'; b = '<\\\\!--'\\n")
    """
    text = re.sub(r"^//# sourceMappingURL=.*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"</(?=script)", r"<\\/", text, flags=re.IGNORECASE)
    return Markup(text.replace("<!--", "<\\!--"))
