"""Commands that attack: what malice can do with data and with requests for removal."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from expunge.cli import attack_lab, attack_matrix
from expunge.cli.application import Command, app
from expunge.cli.options import AsJson, Cluster, Suite, Workers, exit_code, load, place_of_work, settings_of
from expunge.cli.printing import print_usability
from expunge.errors import BadSetting
from expunge.terminal import ProgressLine, say

if TYPE_CHECKING:  # a command imports what it needs: torch takes a second, which --help need not wait for
    from expunge.attacks.condensing.condensed import Condensing
    from expunge.attacks.injection import Batching
    from expunge.attacks.removal import Attacked
    from expunge.records import Score
    from expunge.suites import Suite as LoadedSuite

attack = typer.Typer(
    name="attack", cls=attack_lab.Attacks, no_args_is_help=True, help="Attack a suite through requests for removal."
)
app.add_typer(attack, rich_help_panel=None)
attack_lab.add_to(attack)
attack_matrix.add_to(attack)


Images = Annotated[
    int | None, typer.Option(help="Condensed images per class; default: 1 % of the training data in all.")
]
Generator = Annotated[
    str | None, typer.Option(help="dm, distribution matching, the default, or gm, gradient matching.")
]
Pixels = Annotated[
    str | None, typer.Option(help="kept, within the range of the data, or free; default: kept, for pictures.")
]
Start = Annotated[str | None, typer.Option(help="Start condensing from real records (the default) or from noise.")]
Iterations = Annotated[int | None, typer.Option(help="Iterations of condensing; 0 uses the records themselves.")]
Augment = Annotated[
    str | None,
    typer.Option(
        help="Augmentation of real and condensed batches: auto (what fits the data), none, or names, as 'crop cutout'."
    ),
]
RealBatch = Annotated[int | None, typer.Option(help="Most real records of a class per iteration; default: 256.")]
Embedding = Annotated[str | None, typer.Option(help="Network to condense on: convnet, lenet, perceptron, or suite.")]
Surrogate = Annotated[str, typer.Option(help="Condense the records of this suite in place of the victim's.")]
Load = Annotated[Path | None, typer.Option("--load", help="Use a file of condensed data, condensed-SEED.npz.")]

Methods = Annotated[
    list[str] | None,
    typer.Option(
        help="A method that serves the requests, or file.py:function; repeat. Default: amnesiac with and without "
        "repair, first-order, gradient-ascent, fine-tune; all: these and neg-grad-plus, scrub, salun, sisa, "
        "second-order, unrolling-sgd, influence, ssd."
    ),
]
Settings = Annotated[list[str] | None, typer.Option("--set", help="A setting, as METHOD.KEY=VALUE; repeat.")]
Models = Annotated[int, typer.Option(help="Number of victims; each request gets twice as many oracles.")]
Batches = Annotated[
    str,
    typer.Option(
        help="shuffled; dedicated, in batches of the attacker's own; isolated, so and without momentum; both, the "
        "first two; or all."
    ),
]
Network = Annotated[str, typer.Option(help="Network of the victims: suite, convnet, lenet or perceptron.")]
Draws = Annotated[int, typer.Option(help="Number of random sets to compare with, which differ among themselves, too.")]
Rounds = Annotated[int, typer.Option(help="Also ask for removal in this many parts, one after the other.")]
Subsets = Annotated[
    int | None,
    typer.Option(help="Number of models on random halves that measure influence; default: all of the suite's."),
]

OwnersWho = Annotated[int, typer.Option(help="Number of owners who share the images.")]
Apart = Annotated[bool, typer.Option("--apart", help="Each owner condenses separately.")]
Asking = Annotated[int | None, typer.Option(help="Number of owners who ask for removal; default: all.")]

Defences = Annotated[
    list[str] | None, typer.Option(help="A defence to evaluate beside the attack, or none; repeat; default: all.")
]
Gate = Annotated[str, typer.Option(help="Method with which the validation gate tries a removal.")]
Honest = Annotated[int, typer.Option(help="Honest requests that defences should let pass.")]

Seed = Annotated[int, typer.Option(help="Seed of condensing and of the methods' randomness.")]
Out = Annotated[Path, typer.Option("--out", help="Folder for records, condensed data and report.")]


@attack.command(
    cls=Command,
    short_help="Train on benign, condensed records, remove them, and see what accuracy is left",
    epilog="Example: expunge attack usability digits --images 1 --method amnesiac --set amnesiac.epochs=0",
)
def usability(
    suite: Suite = "digits",
    images: Images = None,
    generator: Generator = None,
    method: Methods = None,
    set_: Settings = None,
    models: Models = 10,
    batches: Batches = "both",
    pixels: Pixels = None,
    start: Start = None,
    iterations: Iterations = None,
    augment: Augment = None,
    real_batch: RealBatch = None,
    embedding: Embedding = None,
    network: Network = "suite",
    surrogate: Surrogate = "",
    load_: Load = None,
    draws: Draws = 5,
    rounds: Rounds = 1,
    owners: OwnersWho = 1,
    apart: Apart = False,
    asking: Asking = None,
    defence: Defences = None,
    gate: Gate = "first-order",
    honest: Honest = 200,
    subsets: Subsets = None,
    seed: Seed = 0,
    out_: Out = Path("out/usability"),
    workers: Workers = None,
    cluster: Cluster = None,
    as_json: AsJson = False,
) -> int:
    """Play the usability attack: train on condensed, harmless records, remove them, and measure the accuracy left.

    Every number stands beside those of ordinary records and of exact retraining.
    """
    from expunge.attacks.contributions import Owners
    from expunge.attacks.usability import Usability, run

    loaded = load(suite, None)
    given = {"images": images, "generator": generator, "iterations": iterations, "start": start, "augment": augment}
    given |= {"real_batch": real_batch, "pixels": pixels, "embedding": embedding}
    config = Usability(
        condensing=_condensing(loaded, given, load_),
        owners=Owners(count=owners, collude=not apart, asking=asking, surrogate=surrogate, load=str(load_ or "")),
        models=models,
        methods=_attacked(method or [], set_ or []),
        batchings=_batchings(batches),
        draws=draws,
        rounds=rounds,
        network=network,
        subsets=subsets,
        defences=_defences(defence or ["all"]),
        gate=_attacked([gate], [])[0],
        honest=honest,
        seed=seed,
    )
    with ProgressLine("attack") as watch:
        scores = run(loaded, config, out_, workers=place_of_work(workers, cluster), watch=watch)
    return _tell(scores, out_, as_json)


def _tell(scores: "list[Score]", out: Path, as_json: bool) -> int:
    """Write the report, print what was found, and say where it lies; the exit code."""
    from expunge.reports.usability import report_usability

    page = report_usability(out, command=" ".join(["expunge", *sys.argv[1:]]))
    print_usability(scores, as_json)
    say(f"records: {out / 'scores.jsonl'}, condensed data: {out}/condensed-*.npz, report: {page}")
    return exit_code([score for score in scores if score.metric == "accuracy-drop"])


def _condensing(suite: "LoadedSuite", given: "dict[str, Any]", file: Path | None) -> "Condensing":
    """The settings that are given, not None, and else what fits the suite; with a file its own, and no others."""
    from expunge.attacks.condensing.condense import Condensing, load_condensed
    from expunge.attacks.condensing.shared_augmentation import has_pictures
    from expunge.attacks.usability import images_within_budget

    given = {key: each for key, each in given.items() if each is not None}
    if file is not None:
        if given:
            option = next(iter(given)).replace("_", "-")
            raise BadSetting(f"--{option} says how to condense, and {file} was condensed already; leave it out")
        return load_condensed(file, suite, surrogate=True).config
    pictures = suite.data.train.x.ndim == 4
    fitting = {
        "images": images_within_budget(suite),
        "pixels": "kept" if has_pictures(suite) else "free",
        "embedding": "convnet" if pictures else "perceptron",
    }
    return Condensing(**{**fitting, **given})


def _defences(names: Sequence[str]) -> tuple[str, ...]:
    """All of them, none, or those that are named."""
    from expunge.attacks.usability import SCREENING

    if "none" in names and len(names) > 1:
        raise BadSetting("--defence none: expected no other defence beside it")
    chosen = [each for name in names for each in (SCREENING if name == "all" else [name])]
    return tuple(dict.fromkeys(name for name in chosen if name != "none"))


def _attacked(names: Sequence[str], pairs: list[str]) -> "tuple[Attacked, ...]":
    """The methods of these names with their settings; those of a quick look where none is named."""
    from expunge.attacks.removal import Attacked
    from expunge.attacks.usability import EVERY, QUICK

    settings = settings_of(pairs)
    if not names:
        chosen = list(QUICK)
    else:
        chosen = [each for name in names for each in (EVERY if name == "all" else [Attacked(name)])]
    unused = settings.keys() - {each.method for each in chosen}
    if unused:
        raise BadSetting(f"a setting is given for {min(unused)!r}, which is not attacked; name it with --method")
    found = [
        Attacked(each.method, {**each.settings, **settings.get(each.method, {})}) if each.method in settings else each
        for each in chosen
    ]
    return tuple({each.label: each for each in found}.values())


def _batchings(wanted: str) -> "tuple[Batching, ...]":
    from expunge.attacks.injection import BATCHINGS

    chosen = {"both": BATCHINGS[:2], "all": BATCHINGS}.get(wanted) or tuple(
        each for each in BATCHINGS if each == wanted
    )
    if not chosen:
        raise BadSetting(f"--batches {wanted!r}: expected {', '.join(BATCHINGS)}, both or all")
    return chosen
