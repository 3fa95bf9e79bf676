"""The command that sets attacks of the lab before methods and defences: the matrix."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from expunge.cli.application import FAILED_ROWS, OK, Command
from expunge.cli.options import AsJson, Cluster, Seed, Suite, Workers, load, place_of_work, put_once, settings_of
from expunge.cli.printing import print_matrix
from expunge.errors import BadSetting
from expunge.terminal import ProgressLine, say

if TYPE_CHECKING:  # a command imports what it needs: torch takes a second, which --help need not wait for
    from expunge.attacks.lab.settings import Lab
    from expunge.attacks.removal import Attacked
    from expunge.records import Score

MatrixAttacks = Annotated[
    list[str] | None,
    typer.Option(
        "--attack",
        help="An attack of the lab; repeat. Default: malicious-requests, over-unlearning, unlearn-and-burn, "
        "deletion-inference, hidden-poison.",
    ),
]
MatrixMethods = Annotated[
    list[str] | None,
    typer.Option(
        "--method",
        help="A method that serves the requests, or file.py:function; repeat. Default: first-order, second-order, "
        "gradient-ascent, fine-tune, amnesiac, sisa.",
    ),
]
MatrixDefences = Annotated[
    list[str] | None,
    typer.Option(
        "--defence",
        help="A defence that looks at the requests; repeat; all, or none. Default: membership, isolated-medoids, "
        "update-norm, validation-gate.",
    ),
]
MatrixModels = Annotated[
    int | None, typer.Option("--models", help="Number of victims of each attack; default: the attack's own, mostly 10.")
]
MatrixSettings = Annotated[
    list[str] | None, typer.Option("--set", help="A setting, as ATTACK.KEY=VALUE or METHOD.KEY=VALUE; repeat.")
]
Honest = Annotated[int | None, typer.Option(help="Honest requests that defences should let pass; default: 200.")]
Out = Annotated[Path, typer.Option("--out", help="Folder for records and page.")]


def matrix(
    suite: Suite = "digits",
    attack: MatrixAttacks = None,
    method: MatrixMethods = None,
    defence: MatrixDefences = None,
    models: MatrixModels = None,
    honest: Honest = None,
    set_: MatrixSettings = None,
    seed: Seed = 0,
    out_: Out = Path("out/matrix"),
    workers: Workers = None,
    cluster: Cluster = None,
    as_json: AsJson = False,
) -> int:
    """Play every attack against every method and defence: how far each gets, beside its controls.

    Each cell is what `expunge attack NAME` plays, and is not played twice. A cell that cannot be played says why.
    """
    from expunge.attacks.lab.matrix import TELLING, run_matrix
    from expunge.reports.attacks import report_matrix

    loaded = load(suite, None)
    names = tuple(dict.fromkeys(attack or TELLING))
    own, of_methods = _divided(set_ or [])
    configs = _configured(
        names,
        own,
        models=models,
        methods=_methods(method, of_methods),
        defences=_defences(defence),
        honest=honest,
        seed=seed,
    )
    with ProgressLine("attack matrix", whole=True) as watch:
        scores = run_matrix(loaded, configs, out_, workers=place_of_work(workers, cluster), watch=watch)
    page = report_matrix(out_, command=" ".join(["expunge", *sys.argv[1:]]))
    print_matrix(scores, as_json)
    say(f"records: {out_ / 'scores.jsonl'}, page: {page}")
    return _code(scores)


def _code(scores: "Sequence[Score]") -> int:
    """That of rows that failed; what cannot be has not failed."""
    from expunge.attacks.lab.matrix import CAN_BE

    failed = [score for score in scores if score.status == "failed" and score.subject.config.get(CAN_BE, True)]
    return FAILED_ROWS if failed else OK


def _configured(names: Sequence[str], own: Mapping[str, dict[str, str]], **lab: object) -> "dict[str, Lab]":
    """The settings of each attack; some for an attack that is not in the matrix are refused."""
    from expunge.attacks import ATTACKS
    from expunge.attacks.lab.matrix import require_in_matrix
    from expunge.attacks.lab.settings import configured

    for name in names:
        require_in_matrix(name)
    if unused := own.keys() - set(names):
        raise BadSetting(f"a setting is given for {min(unused)!r}, which is not in the matrix; name it with --attack")
    return {name: configured(name, ATTACKS[name].config, own.get(name, {}), **lab) for name in names}


def _divided(pairs: Sequence[str]) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Settings of attacks, by attack, and those of methods as they were given."""
    from expunge.attacks import ATTACKS

    own: dict[str, dict[str, str]] = {}
    others = []
    for pair in pairs:
        target, equals, value = pair.partition("=")
        name, dot, key = target.rpartition(".")
        if not (equals and dot and name and key):
            raise BadSetting(f"--set {pair!r}: expected ATTACK.KEY=VALUE or METHOD.KEY=VALUE, as scrub.lr=0.02")
        if name in ATTACKS:
            put_once(own.setdefault(name, {}), key, value, target)
        else:
            others.append(pair)
    return own, others


def _methods(names: list[str] | None, pairs: list[str]) -> "tuple[Attacked, ...]":
    from expunge.attacks.lab.matrix import SERVING
    from expunge.attacks.removal import Attacked

    settings, chosen = settings_of(pairs), dict.fromkeys(names or SERVING)
    if unused := settings.keys() - chosen.keys():
        raise BadSetting(f"a setting is given for {min(unused)!r}, which is not in the matrix; name it with --method")
    return tuple(Attacked(name, settings.get(name, {})) for name in chosen)


def _defences(names: list[str] | None) -> tuple[str, ...]:
    """All of them, none, or those that are named."""
    from expunge.attacks.defences import DEFENCES
    from expunge.attacks.lab.matrix import LOOKING

    if names and "none" in names and len(names) > 1:
        raise BadSetting("--defence none: expected no other defence beside it")
    chosen = [each for name in names or LOOKING for each in (DEFENCES if name == "all" else [name])]
    return tuple(dict.fromkeys(name for name in chosen if name != "none"))


def add_to(group: typer.Typer) -> None:
    """Give a group of commands the matrix."""
    told = "Play every attack against every method and defence: how far each gets, beside its controls"
    group.command("matrix", cls=Command, short_help=told, epilog="Example: expunge attack matrix digits --models 5")(
        matrix
    )
