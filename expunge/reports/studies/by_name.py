"""The studies that `expunge study` makes, by name; each writes its page and figures to a folder."""

from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import TypeAdapter

from expunge.engine import Watch
from expunge.reports.studies.metrics import Found, study_metrics
from expunge.reports.studies.metrics_page import metrics_page
from expunge.reports.studies.resistance import Judged, study_resistance
from expunge.reports.studies.resistance_page import resistance_page
from expunge.store import write_file
from expunge.suites import load_suite

_FOUND = TypeAdapter(dict[str, Found])
_JUDGED = TypeAdapter(list[Judged])


def metrics(folder: Path, watch: Watch) -> Path:
    """Which distance judges: ``metrics.md`` and ``metrics.json``; the path of the page."""
    found = study_metrics(load_suite("digits"), watch)
    folder.mkdir(parents=True, exist_ok=True)
    write_file(folder / "metrics.json", _FOUND.dump_json(found, indent=1) + b"\n")
    write_file(folder / "metrics.md", metrics_page(found))
    return folder / "metrics.md"


def cheats(folder: Path, watch: Watch) -> Path:
    """Which cheats win, by which score: ``cheats.md`` and ``cheats.json``; the path of the page."""
    found = study_resistance(load_suite("digits"), watch)
    folder.mkdir(parents=True, exist_ok=True)
    write_file(folder / "cheats.json", _JUDGED.dump_json(found, indent=1) + b"\n")
    write_file(folder / "cheats.md", resistance_page(found))
    return folder / "cheats.md"


STUDIES: Mapping[str, Callable[[Path, Watch], Path]] = {"metrics": metrics, "cheats": cheats}
