"""``report.html``: one file that explains itself and opens without a network."""

import os
import re
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from expunge.bench.folder import RUN, SCORES, Folder, read_folder
from expunge.errors import StoreError, UserError
from expunge.records import Score, write_scores
from expunge.reports.boards import boards
from expunge.reports.page.sections import page
from expunge.shipped import read_shipped

VENDOR = ("vega.min.js", "vega-lite.min.js", "vega-embed.min.js")  # versions and licences: NOTICE


def report(source: Path | str | Sequence[Score], folder: Path | str | None = None) -> Path:
    """Write ``report.html`` and return its path.

    Args:
        source: a folder that ``expunge bench`` wrote, or scores as :func:`expunge.evaluate` returns them.
        folder: where the page goes. For a folder of results that folder itself, unless given; for scores it must be
            given, ``scores.jsonl`` is written beside the page, and a curve or arrays already there are shown.
    """
    if not isinstance(source, Path | str):
        source = _keep(source, folder)
    results = read_folder(Path(source))
    target = Path(source if folder is None else folder) / "report.html"
    write_page(target, render(results))
    return target


def render(results: Folder) -> str:
    """The page as text."""
    found = boards(results.scores)
    environment = Environment(
        loader=PackageLoader("expunge.reports.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    view = page(results, found)
    data = htmlsafe_json_dumps(view.pop("data"), allow_nan=False, separators=(",", ":"))
    return environment.get_template("report.html.j2").render(view, data=data, libraries=libraries())


def _keep(scores: Sequence[Score], folder: Path | str | None) -> Path:
    """Write ``scores`` to ``folder``, but never over the scores of a bench."""
    if folder is None:
        raise UserError('expected a folder to write to, got none; call report(scores, "report/")')
    boards(scores)  # refuses what cannot be shown before anything is written
    path = Path(folder)
    file = path / SCORES
    part = path / (SCORES + ".new")
    try:
        path.mkdir(parents=True, exist_ok=True)
        write_scores(part, scores)
    except OSError as error:
        raise _unwritable(file, error) from None
    if (path / RUN).exists() and file.exists() and file.read_bytes() != part.read_bytes():
        part.unlink()
        raise UserError(f"{path} holds the scores of a bench, which these would replace; choose another folder")
    os.replace(part, file)
    return path


def write_page(target: Path, text: str) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=".report-", suffix=".part")
    except OSError as error:
        raise _unwritable(target, error) from None
    part = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        part.chmod(0o644)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)


def _unwritable(file: Path, error: OSError) -> StoreError:
    return StoreError(f"cannot write {file}: {error.strerror}; name a folder that can be written")


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
