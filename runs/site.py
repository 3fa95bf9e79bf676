"""The site as static files: the pages of this repository as they lie here, and a reference made of the docstrings.

Needs the extra `docs`, which `make site` installs. A link that leads nowhere, or an anchor, ends it.
Run: python runs/site.py   (half a minute; then open out/site/index.html)
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType

import expunge
import expunge.certificates.theorems as theorems
from expunge.methods import METHODS
from expunge.metrics import METRICS

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "out/pages"
TOPS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE", "NOTICE", "CITATION.cff")
FOLDERS = ("docs", "results", "benchmarks", "examples", "runs")
IMPORTED = "`import expunge as xp`, then `xp.NAME`. `Score` stands among the [records](records.md)."
LINK = re.compile(r"\]\(([^)#\s]+)")


def main() -> None:
    """Gather, write, build."""
    shutil.rmtree(PAGES, ignore_errors=True)
    pages = [ROOT / name for name in TOPS] + [page for name in FOLDERS for page in (ROOT / name).rglob("*.md")]
    for page in pages:
        for file in (page, *_linked(page)):
            _bring(file)
    _bring(ROOT / "docs/site.css")
    for name, text in reference().items():
        to = PAGES / "python" / f"{name}.md"
        to.parent.mkdir(exist_ok=True)
        to.write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict"]
    sys.exit(subprocess.run(command, cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, check=False).returncode)


def reference() -> dict[str, str]:
    """The pages of the reference: a title, and what mkdocstrings is to write of each object."""
    names = [f"expunge.{home}.{name}" for name, home in expunge._HOMES.items() if home != "records"]
    return {
        "names": _page("Public names", IMPORTED, names),
        "records": _page("Records", "What a bench, an audit and a verification write.", ["expunge.records"]),
        "metrics": _page("Metrics", "A row of METRICS each.", (_path(row.function) for row in METRICS.values())),
        "methods": _page(
            "Methods",
            "The settings of each row of METHODS; its card is in [Methods](../docs/methods.md).",
            (_path(row.config) for row in METHODS.values()),
        ),
        "theorems": _page("Theorems", "What certificates are computed from.", _modules(theorems)),
        "errors": _page("Errors", "All of them end in one line.", ["expunge.errors"]),
    }


def _page(title: str, says: str, objects: Iterable[str]) -> str:
    return "\n\n".join([f"# {title}", says, *(f"::: {each}" for each in dict.fromkeys(objects))]) + "\n"


def _path(item: object) -> str:
    return f"{item.__module__}.{item.__qualname__}"  # type: ignore[attr-defined]


def _modules(package: ModuleType) -> list[str]:
    return [f"{package.__name__}.{each.name}" for each in iter_modules(package.__path__)]


def _linked(page: Path) -> list[Path]:
    """The files of this repository that a page links to."""
    found = [(page.parent / target).resolve() for target in LINK.findall(page.read_text(encoding="utf-8"))]
    return [file for file in found if file.is_file() and file.is_relative_to(ROOT)]


def _bring(file: Path) -> None:
    to = PAGES / file.relative_to(ROOT)
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, to)


if __name__ == "__main__":
    main()
