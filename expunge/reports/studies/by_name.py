"""The studies that `expunge study` makes, by name; each writes its page and figures to a folder."""

from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import TypeAdapter

from expunge.engine import Watch, default_workers
from expunge.files import write_file
from expunge.reports.studies.metrics import Found as Rulers
from expunge.reports.studies.metrics import study_metrics
from expunge.reports.studies.metrics_page import metrics_page
from expunge.reports.studies.resistance import Judged, study_methods, study_resistance
from expunge.reports.studies.resistance_page import resistance_page
from expunge.reports.studies.tuning import Found, study_tuning
from expunge.reports.studies.tuning_page import tuning_page
from expunge.suites import load_suite

_FOUND = TypeAdapter(dict[str, Rulers])
_TUNING = TypeAdapter(Found)
_JUDGED = TypeAdapter(dict[str, list[Judged]])


def metrics(folder: Path, watch: Watch) -> Path:
    """Which distance judges: ``metrics.md`` and ``metrics.json``; the path of the page."""
    found = study_metrics(load_suite("digits"), watch)
    return _written(folder / "metrics.md", _FOUND.dump_json(found, indent=1), metrics_page(found))


def cheats(folder: Path, watch: Watch) -> Path:
    """Which cheats win, by which score: ``cheats.md`` and ``cheats.json``; the path of the page."""
    suite = load_suite("digits")
    found = {"methods": study_methods(suite, watch), "margins": study_resistance(suite, watch)}
    figures = _JUDGED.dump_json(found, indent=1)
    return _written(folder / "cheats.md", figures, resistance_page(found["margins"], found["methods"]))


def tuning(folder: Path, watch: Watch) -> Path:
    """What the searches for settings found and how far to trust them: ``tuning.md`` and ``tuning.json``."""
    suite = load_suite("digits")
    found = study_tuning(suite, watch, default_workers())
    return _written(folder / "tuning.md", _TUNING.dump_json(found, indent=1), tuning_page(suite.name, found))


def _written(page: Path, figures: bytes, text: str) -> Path:
    page.parent.mkdir(parents=True, exist_ok=True)
    write_file(page.with_suffix(".json"), figures + b"\n")
    write_file(page, text)
    return page


STUDIES: Mapping[str, Callable[[Path, Watch], Path]] = {"metrics": metrics, "cheats": cheats, "tuning": tuning}
