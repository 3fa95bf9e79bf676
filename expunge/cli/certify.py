"""Certified unlearning: run a method, and try its claim. Its other commands lie beside it, a file each."""

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from expunge.cli.application import FAILED_ROWS, OK, Command, app
from expunge.cli.certificate_lines import HANG, differences, print_certificate
from expunge.cli.options import AsJson, Seed, Settings, Suite, Workers, load, place_of_work, settings_of
from expunge.errors import BadSetting, UnknownName, suggestion
from expunge.terminal import ProgressLine, print_json, print_line, print_text, say, say_text

if TYPE_CHECKING:  # a command imports what it needs: torch takes a second, which --help need not wait for
    from expunge.audits.certification import Certification

METHOD = "method"  # the command that the name of a method stands for
LISTED = """\
certified-newton, certified-removal, descent-to-delete,
langevin-unlearning, rewind-to-delete, noisy-fine-tuning-clipped,
model-clipping, output-perturbation, dp-sgd"""
METHODS = tuple(LISTED.replace(",", "").split())  # as expunge.methods.certified has them, which imports torch
CERTIFICATES, MEASURED = "certificates.jsonl", "certification.json"
MODELS = 200  # of each arm
EXAMPLE = "expunge certify dp-sgd tabular random-10"


class Certify(typer.core.TyperGroup):
    """A group whose first word may be the name of a method: where no command is called so, ``method`` is meant."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        word = args[0]
        if METHOD in self.commands and not word.startswith("-") and not get_close_matches(word, self.commands):
            if word not in METHODS:  # told before what else is lacking
                raise UnknownName(f"unknown certified method {word!r}; {suggestion(word, METHODS)}")
            args = [METHOD, *args]  # else it is a command, or one that was mistyped
        return super().resolve_command(ctx, args)


certify = typer.Typer(
    name="certify",
    cls=Certify,
    no_args_is_help=True,
    help=f"""Certified unlearning: run a method on a forget set, and test what its certificate claims.

\b
Methods, each with at least 8 models in either of two arms:
{LISTED}""",
    epilog=f"Example: {EXAMPLE}",
)
app.add_typer(certify, rich_help_panel=None)


@certify.command(
    METHOD,
    cls=Command,
    short_help="Certify a method, and try to refute its claim.",
    epilog=f"Example: {EXAMPLE} --planted",
)
def try_method(
    name: Annotated[
        str,
        typer.Argument(help="A certified method; `expunge certify --help` lists them.", metavar="METHOD"),
    ],
    suite: Suite,
    forget_set: Annotated[str, typer.Argument(help="Name of one of its forget sets.")],
    epsilon: Annotated[float | None, typer.Option(help="Epsilon to certify; default: the method's own, 1.")] = None,
    delta: Annotated[float | None, typer.Option(help="Delta to certify; default: the method's own, 1e-5.")] = None,
    set_: Settings = None,
    models: Annotated[
        int, typer.Option(help="Models in each arm, 8 or more: half choose the test, half are tested.")
    ] = MODELS,
    planted: Annotated[
        bool, typer.Option("--planted", help="Also plant faults, to see that the checks find them.")
    ] = False,
    seed: Seed = 0,
    out_: Annotated[Path, typer.Option("--out", help="Folder for certificates.jsonl and certification.json.")] = Path(
        "out/certify"
    ),
    workers: Workers = None,
    as_json: AsJson = False,
) -> int:
    """Certify a method on a forget set, and try to refute what it claims.

    It trains models as the theorem asks, on all data and on what is kept, unlearns, adds the noise and writes a
    certificate for each model. Beside the epsilon that is claimed it measures a lower bound. The exit code is 0 if
    all models are CERTIFIED and every test could have refuted the claim but did not; else it is 3, also if a claim
    is NOT TESTABLE. A certificate does not say that a model is of use; models at chance are named.
    """
    from expunge.audits.certification import measure
    from expunge.audits.refutation.judging import tests_in_words
    from expunge.methods.certified import guarantee_of

    guarantee_of(name)  # a wrong name is told before a suite is loaded
    settings = settings_for([name], set_ or []).get(name, {}) | _target(epsilon, delta)
    with ProgressLine(f"certify {name}") as watch:
        found = measure(
            name,
            load(suite, None),
            forget_set,
            models=models,
            settings=settings,
            seed=seed,
            planted=planted,
            workers=place_of_work(workers, None),
            watch=watch,
        )
    _keep(found, out_)
    if as_json:
        print_json(found.as_json())
    else:
        _tell_tried(found, out_)
        say(f"certificates: {out_ / CERTIFICATES}, what was measured: {out_ / MEASURED}")
    (say_text if as_json else print_text)(tests_in_words([each.word for each in found.tried.values()]))
    return OK if found.stands else FAILED_ROWS


def settings_for(methods: Sequence[str], pairs: list[str]) -> dict[str, dict[str, object]]:
    """Settings of ``methods`` by name; those of another are refused, for nobody would look at them."""
    from expunge.methods import find_method

    config = find_method(methods[0]).config
    own = [key for key in config.__annotations__ if key not in ("epsilon", "delta")]
    example = f"{methods[0]}.{own[0]}={getattr(config(), own[0])}"
    found = settings_of(pairs, example=example)
    if other := next((each for each in found if each not in methods), ""):
        raise BadSetting(f"--set {other}....: expected a setting of {' or '.join(methods)}, for example {example}")
    return found


def _target(epsilon: float | None, delta: float | None) -> dict[str, object]:
    """What is given of both; refused, by the names of the options, where no certificate can have it."""
    if epsilon is not None and not 0 < epsilon < float("inf"):
        raise BadSetting(f"--epsilon {epsilon:g}: expected a finite number above 0, for example 1")
    if delta is not None and not 0 < delta < 1:
        raise BadSetting(f"--delta {delta:g}: expected a number above 0 and below 1, for example 1e-5")
    return {key: value for key, value in (("epsilon", epsilon), ("delta", delta)) if value is not None}


def _keep(found: "Certification", folder: Path) -> None:
    """The certificates, one a line, and the whole record beside them."""
    import json

    from expunge.certificates.record import write_certificates
    from expunge.files import write_file

    folder.mkdir(parents=True, exist_ok=True)
    write_certificates(folder / CERTIFICATES, found.certificates)
    write_file(folder / MEASURED, json.dumps(found.as_json(), indent=1) + "\n")


def _tell_tried(found: "Certification", folder: Path) -> None:
    """The certificate, what was measured beside its epsilon, utility, checks and planted faults."""
    useful, many = found.guessing, found.certificates
    poor = useful is not None and useful.place != "above chance"
    print_certificate(
        found.certificate,
        beside=f", models {useful.place}" if useful and poor else "",
        first=[
            *([useful.told()] if useful and poor else []),
            f"this certificate is that of model {found.certificate.model}, and none of the {len(many)} is worse; "
            f"all are in {folder / CERTIFICATES}: {differences(many)}",
        ],
    )
    for name, tried in found.tried.items():
        print_text(f"measured, in {name}: {tried.word}. {tried.reason}", HANG)
    for name, fault in found.checks.items():
        print_text(f"check of {name}: {fault or 'passes'}", HANG)
    for kept in found.utility:
        far = "" if kept.distance is None else f", distance {kept.distance:.2f}"
        print_text(
            f"{kept.stage}, {kept.split}: accuracy {100 * kept.accuracy.value:.1f} % "
            f"[{100 * kept.accuracy.low:.1f}, {100 * kept.accuracy.high:.1f}]{far}",
            HANG,
        )
    if useful and not poor:
        print_text(useful.told(), HANG)
    print_line(f"cost: {100 * found.cost:.3g} % of a retraining, {found.seconds:.3g} s a model")
    for each in found.planted:
        print_text(f"planted, {each.fault}: {each.outcome} by {each.check}; {each.reason}", HANG)
    for note in found.notes:
        print_text(f"note: {note}", HANG)
