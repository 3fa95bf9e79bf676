"""What several commands are given, and what they make of it."""

from pathlib import Path
from typing import Annotated, Any

import typer

from expunge.cli.application import FAILED_ROWS, OK
from expunge.errors import BadSetting
from expunge.records import Score

Suite = Annotated[str, typer.Argument(help="Name of a suite, or file.py:function.")]
ForgetSets = Annotated[list[str] | None, typer.Option("--forget-set", help="Only this forget set; repeat.")]
Published = Annotated[str, typer.Option(help="The suite that the margins belong to.")]
Classic = Annotated[
    bool,
    typer.Option("--classic", help="Print the classic scores, with MIA-efficacy, which takes long."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else on standard output.")]
Prune = Annotated[
    str | None, typer.Option(help="Use the suite's sparse models: omp, imp or synflow, and a sparsity, as omp:0.95.")
]
Metrics = Annotated[
    list[str] | None,
    typer.Option("--metric", help="Also compute and print this metric of `expunge list metrics`; repeat."),
]
Workers = Annotated[int | None, typer.Option(help="Number of processes, one thread each; default: one per core.")]
Cluster = Annotated[str | None, typer.Option(help="Dask scheduler, tcp://HOST:PORT, whose workers see the same store.")]

Settings = Annotated[list[str] | None, typer.Option("--set", help="A setting, as METHOD.KEY=VALUE; repeat.")]
SettingsFiles = Annotated[
    list[Path] | None,
    typer.Option("--settings", help="A file of settings: TOML or JSON by method, or what tune --out wrote; repeat."),
]
Models = Annotated[
    int | None,
    typer.Option(help="Use the first N pretrained models and N oracles; default: 100, at most half of all."),
]
Oracles = Annotated[int | None, typer.Option(help="Compare with the first M oracles; default: as many as models.")]
Tuning = Annotated[str, typer.Option(help="Settings to use: tuned, where some were found for the suite, or default.")]
Budget = Annotated[str, typer.Option(help="Take the settings tuned for this share of the cost of one retraining.")]
Timeout = Annotated[
    float | None, typer.Option(help="Seconds a method of your own may take per model; default: no limit.")
]
Seed = Annotated[int, typer.Option(help="Seed of the methods' randomness.")]


def load(suite: str, prune: str | None) -> Any:
    """The suite of this name, or its sparse one."""
    from expunge.suites import load_suite

    loaded = load_suite(suite)
    return loaded if prune is None else loaded.pruned(prune)


def place_of_work(workers: int | None, cluster: str | None) -> int | str:
    """How many local workers, or the address of a scheduler, which answers there."""
    from expunge.clusters import connected
    from expunge.engine import default_workers

    if cluster is not None:
        if workers is not None:
            raise BadSetting("give --workers for this machine or --cluster for another, not both")
        with connected(cluster):  # before anything is printed, read or made for its sake
            return cluster
    if workers is not None and workers < 1:
        raise BadSetting(f"expected at least 1 worker, got {workers}")
    return workers or default_workers()


def settings_of(
    pairs: list[str], methods: list[str] | None = None, *, example: str = "scrub.lr=0.02"
) -> dict[str, dict[str, object]]:
    """``METHOD.KEY=VALUE`` as nested tables, each value of the type that its setting wants.

    METHOD may be the function's name alone of one of ``methods`` that is the user's own. ``example`` is shown to who
    writes another thing.
    """
    from typing import get_type_hints

    from expunge.methods import find_method
    from expunge.methods.addresses import addressed
    from expunge.methods.method import parse_setting

    settings: dict[str, dict[str, object]] = {}
    for pair in pairs:
        target, equals, text = pair.partition("=")
        name, dot, key = target.rpartition(".")
        if not (equals and dot and name and key):
            raise BadSetting(f"--set {pair!r}: expected METHOD.KEY=VALUE, for example {example}")
        name = addressed(name, methods or ())
        wanted = get_type_hints(find_method(name).config).get(key)
        put_once(settings.setdefault(name, {}), key, parse_setting(text, wanted), target)
    return settings


def put_once(settings: dict[str, Any], key: str, value: Any, told: str) -> None:
    """Keep the value of a setting; one that is given twice, as ``told``, is refused."""
    if key in settings:
        raise BadSetting(f"--set {told} is given twice, as {settings[key]} and as {value}; give it once")
    settings[key] = value


def by_suite(suites: list[str], given: list[str], mark: str) -> dict[str, list[str]]:
    """What is given of each suite: what names none is of all, and what names one, before ``mark``, comes after it."""
    named = [(suite, told) for told in given for suite in suites if told.startswith(f"{suite}{mark}")]
    of_all = [told for told in given if told not in [each for _, each in named]]
    return {
        each: of_all + [told.removeprefix(f"{each}{mark}") for suite, told in named if suite == each] for each in suites
    }


def share_of(text: str, option: str = "--budget") -> float:
    """A share of a retraining, as people write it.

    >>> share_of("15%"), share_of("15 %"), share_of("0.15")
    (0.15, 0.15, 0.15)
    """
    number, percent, rest = text.strip().partition("%")
    try:
        value = float(number) / (100 if percent else 1)
    except ValueError:
        value = float("nan")
    if rest or not 0 < value <= 1:
        near = f"; did you mean {number}%?" if 1 < value <= 100 and not percent else ""
        near = near or ("; the nearest is 100%" if value > 1 else "")
        raise BadSetting(f"{option} {text!r}: expected a share of a retraining, above 0% and at most 100%{near}")
    return value


def exit_code(scores: list[Score]) -> int:
    return FAILED_ROWS if any(score.status == "failed" for score in scores) else OK
