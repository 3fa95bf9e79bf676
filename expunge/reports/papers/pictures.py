"""Vega-Lite specifications as files: SVG, PDF and PNG through vl-convert, HTML with the report's own scripts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2.utils import htmlsafe_json_dumps

from expunge.errors import BadSetting, suggestion
from expunge.reports.page.html import libraries, template, write_page

VEGA_LITE = "6.4"  # the version of the scripts in the report, major and minor: the same picture here and there
FORMATS = ("svg", "pdf", "png", "html")
SHARPNESS = 2  # pixels of a PNG for each of the width
NARROWEST, WIDEST = 300, 4000  # widths of a picture
GREY, INK = "#57606a", "#1f2933"

CONFIG = {  # as report.js has it
    "font": "DejaVu Sans, Arial, sans-serif",
    "view": {"stroke": None},
    "title": {"fontSize": 12.5, "fontWeight": 600, "anchor": "start", "color": INK},
    "axis": {
        "labelFontSize": 11.5,
        "titleFontSize": 12,
        "titleFontWeight": 600,
        "labelColor": GREY,
        "titleColor": INK,
        "gridColor": "#eceff2",
        "domainColor": "#9aa3af",
        "tickColor": "#9aa3af",
        "titlePadding": 8,
    },
}

Spec = Mapping[str, Any]


def require_drawable(form: str, width: int) -> None:
    """Refuse, before any work, a format that there is not or that nothing here can draw, and a width beyond reason."""
    if form not in FORMATS:
        raise BadSetting(f"unknown format {form!r}; {suggestion(form, FORMATS)}")
    if not NARROWEST <= width <= WIDEST:
        raise BadSetting(f"expected a --width of {NARROWEST} to {WIDEST}, got {width}")
    if form != "html":
        _converter()


def require_folder(place: Path) -> None:
    """Refuse, before any work, a file where a folder for pictures is expected."""
    if place.exists() and not place.is_dir():
        raise BadSetting(f"expected a folder for pictures, got the file {place}; give another --out")


def write_picture(file: Path, spec: Spec, *, width: int) -> Path:
    """Write one picture, ``width`` wide with its labels, in the format that the name of the file ends in.

    One that says how wide it is at most, as a heat map of few columns does, is no wider.
    """
    form = file.suffix.removeprefix(".")
    require_drawable(form, width)
    width = min(width, spec.get("usermeta", {}).get("widest", width))
    if form == "html":
        data = htmlsafe_json_dumps({"plots": {"picture": dict(spec)}}, allow_nan=False, separators=(",", ":"))
        page = template("picture.html.j2").render(
            title=spec["description"], width=width, data=data, libraries=libraries()
        )
        write_page(file, page)
        return file
    fixed = {**spec, "width": width, "autosize": {"type": "fit-x", "contains": "padding"}, "background": "white"}
    more = {"scale": SHARPNESS} if form == "png" else {}
    draw = getattr(_converter(), f"vegalite_to_{form}")
    write_page(file, draw(fixed, vl_version=VEGA_LITE, config=CONFIG, **more))
    return file


def _converter() -> Any:
    try:
        import vl_convert
    except ImportError:
        raise BadSetting(
            "svg, pdf and png need vl-convert-python; run pip install -e '.[figures]' in the checkout of expunge"
        ) from None
    known = vl_convert.get_vegalite_versions()
    if VEGA_LITE not in known:
        raise BadSetting(
            f"expected a vl-convert-python with Vega-Lite {VEGA_LITE}, as the report has, got {', '.join(known)}; "
            "run pip install -e '.[figures]' in the checkout of expunge"
        )
    return vl_convert
