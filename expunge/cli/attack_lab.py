"""The commands of the attack lab: one for each row of ATTACKS that has none of its own, all with the same options."""

import copy
import sys
from inspect import cleandoc
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from expunge.cli.application import Command
from expunge.cli.options import (
    AsJson,
    Cluster,
    Seed,
    Suite,
    Workers,
    exit_code,
    load,
    place_of_work,
    put_once,
    settings_of,
)
from expunge.cli.printing import print_lab
from expunge.errors import BadSetting
from expunge.terminal import ProgressLine, say

if TYPE_CHECKING:  # a command imports what it needs: torch takes a second, which --help need not wait for
    from expunge.attacks.attack import Attack
    from expunge.attacks.removal import Attacked

Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="A setting of the attack, as KEY=VALUE, or of a method, as METHOD.KEY=VALUE; repeat."),
]
Methods = Annotated[
    list[str] | None, typer.Option(help="A method that serves the requests, or file.py:function; repeat.")
]
Models = Annotated[int | None, typer.Option(help="Number of victims, each attacked separately; default: 10.")]
Defences = Annotated[list[str] | None, typer.Option(help="A defence to evaluate; repeat; or all.")]
Honest = Annotated[int | None, typer.Option(help="Honest requests that defences should let pass; default: 200.")]
Out = Annotated[Path | None, typer.Option("--out", help="Folder for records and page; default: out/ATTACK.")]
_OPTIONS = "lab"  # the command whose options all attacks have


class Attacks(typer.core.TyperGroup):
    """Commands that are written, and one for each other row of ATTACKS, made when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        from expunge.attacks import ATTACKS

        written = [name for name in super().list_commands(ctx) if name != _OPTIONS]
        return [*written, *(name for name in ATTACKS if name not in written)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        found = super().get_command(ctx, cmd_name) if cmd_name != _OPTIONS else None
        if found is not None:
            return found
        from expunge.attacks import ATTACKS
        from expunge.errors import lookup

        return _named(super().get_command(ctx, _OPTIONS), cmd_name, lookup("attack", cmd_name, ATTACKS))


def _named(options: Any, name: str, row: "Attack") -> Any:
    """The command of one attack: the options that all have, and what it says of itself."""
    command = copy.copy(options)
    command.name, command.hidden = name, False
    command.short_help = f"{row.summary[:1].upper()}{row.summary[1:]}"
    command.help = f"{row.summary[:1].upper()}{row.summary[1:]}.\n\n{_told(row)}"
    command.epilog = f"Example: expunge attack {name} {row.example}"
    return command


def _told(row: "Attack") -> str:
    """The attack's own settings with their defaults, one a line, and what they mean."""
    lines = [f"  {key}={value}" for key, value in row.config().own.items()]
    return "\n\n".join(["\b\n" + "\n".join(["Settings, and their defaults:", *lines]), *_meanings(row.config)])


def _meanings(config: type) -> list[str]:
    """What the settings of an attack are, as its class and those that it extends say it, a paragraph each."""
    from expunge.attacks.lab.settings import Lab

    said = [cleandoc(each.__doc__ or "") for each in reversed(config.__mro__) if issubclass(each, Lab) and each != Lab]
    return [part for text in said for part in text.removeprefix("Settings: ").replace("``", "`").split("\n\n")]


def lab(
    ctx: typer.Context,
    suite: Suite = "digits",
    set_: Settings = None,
    method: Methods = None,
    models: Models = None,
    defence: Defences = None,
    honest: Honest = None,
    seed: Seed = 0,
    out_: Out = None,
    workers: Workers = None,
    cluster: Cluster = None,
    as_json: AsJson = False,
) -> int:
    """Play an attack beside four controls."""
    from expunge.attacks import ATTACKS
    from expunge.attacks.lab.frame import run_attack
    from expunge.attacks.lab.settings import configured
    from expunge.reports.attacks import report_attack

    name = str(ctx.info_name)
    row, loaded = ATTACKS[name], load(suite, None)
    own, of_methods = _divided(set_ or [])
    config = configured(
        name,
        row.config,
        own,
        models=models,
        methods=_attacked(method or [], of_methods, row),
        defences=_defences(defence or []),
        honest=honest,
        seed=seed,
    )
    folder = out_ or Path("out") / name
    with ProgressLine("attack") as watch:
        scores = run_attack(name, row, loaded, config, folder, workers=place_of_work(workers, cluster), watch=watch)
    page = report_attack(folder, command=" ".join(["expunge", *sys.argv[1:]]))
    print_lab(scores, as_json)
    say(f"records: {folder / 'scores.jsonl'}, report: {page}")
    return exit_code(scores)


def _divided(pairs: list[str]) -> tuple[dict[str, str], list[str]]:
    """Settings of the attack, and those of methods as they were given."""
    own: dict[str, str] = {}
    others = []
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise BadSetting(f"--set {pair!r}: expected KEY=VALUE of the attack, or METHOD.KEY=VALUE")
        if "." in key:
            others.append(pair)
        else:
            put_once(own, key, value, key)
    return own, others


def _attacked(names: list[str], pairs: list[str], row: "Attack") -> "tuple[Attacked, ...]":
    """The methods that serve, those of the attack where none is named, with their settings."""
    from expunge.attacks.removal import Attacked

    settings = settings_of(pairs)
    chosen = [Attacked(name) for name in dict.fromkeys(names)] or list(row.config().methods)
    unused = settings.keys() - {each.method for each in chosen}
    if unused:
        raise BadSetting(f"a setting is given for {min(unused)!r}, which is not attacked; name it with --method")
    found = [Attacked(each.method, {**each.settings, **settings.get(each.method, {})}) for each in chosen]
    return tuple({each.label: each for each in found}.values())


def _defences(names: list[str]) -> tuple[str, ...]:
    from expunge.attacks.defences import DEFENCES

    return tuple(dict.fromkeys(each for name in names for each in (DEFENCES if name == "all" else [name])))


def add_to(group: typer.Typer) -> None:
    """Give a group of commands the options that attacks of the lab have."""
    group.command(_OPTIONS, cls=Command, hidden=True)(lab)
