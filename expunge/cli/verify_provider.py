"""Commands of a provider who proves a retraining, and of the verifier who draws the order of its batches."""

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from expunge.cli.application import OK, Command
from expunge.cli.options import load
from expunge.cli.verify import verify
from expunge.errors import BadSetting
from expunge.terminal import print_line, print_text

OfSuite = Annotated[str, typer.Argument(metavar="SUITE", help="The suite that is trained on.")]
Removed = Annotated[str, typer.Option("--forget-set", help="What is removed; '' for an original training.")]
Seed = Annotated[int, typer.Option(help="Seed of the first weights; the same for promise and record.")]


@verify.command(cls=Command, epilog="Example: expunge verify promise digits --forget-set random-10")
def promise(
    suite: OfSuite,
    forget_set: Removed = "random-10",
    seed: Seed = 0,
    out: Annotated[Path, typer.Option(help="File for the promise: hand it to the verifier.")] = Path("promise.json"),
) -> int:
    """As a provider, commit to data, first weights and code."""
    from expunge.audits.proofs.manifest import write_promise
    from expunge.audits.proofs.provider import promise as promised

    loaded = load(suite, None)
    made = promised(loaded, loaded.forget_set(forget_set) if forget_set else None, seed).promise
    write_promise(out, made)
    print_line(f"promise {made.digest[:16]}: hand {out} to the verifier, and wait for the nonce")
    return OK


@verify.command(cls=Command, epilog="Example: expunge verify nonce promise.json --out nonce.json")
def nonce(
    promise: Annotated[Path, typer.Argument(help="The provider's promise.")],
    out: Annotated[Path, typer.Option(help="File for the nonce: hand over a copy.")] = Path("nonce.json"),
    book: Annotated[
        Path, typer.Option(help="Your book of all nonces for this provider: keep it, and always use the same one.")
    ] = Path("nonces.jsonl"),
) -> int:
    """As a verifier, issue a nonce for a promise.

    The same promise gets the same nonce again. Another promise for the same removal gets none: a provider that may ask
    again can try seeds until one suits.
    """
    from expunge.audits.proofs.beacon import write_beacon
    from expunge.audits.proofs.book import issued
    from expunge.audits.proofs.manifest import read_promise

    given = read_promise(promise)
    beacon, line = issued(book, given)  # of what it refuses, the reason comes first; asked again, it gives the same
    _require_free(out, given.digest)
    write_beacon(out, beacon)
    print_text(f"nonce: {out}, line {line} of {book.resolve()}; hand a copy of {out} to the provider", 2)
    print_text(f"verify with --book {quote(str(book))}", 2)
    return OK


def _require_free(file: Path, promised: str) -> None:
    """Refuse to write over the nonce of another promise."""
    from expunge.audits.proofs.beacon import read_beacon

    if file.exists() and read_beacon(file).promised != promised:
        raise BadSetting(f"{file} has the nonce of another promise; give another --out")


@verify.command(cls=Command, epilog="Example: expunge verify record digits --forget-set random-10 --beacon nonce.json")
def record(
    suite: OfSuite,
    forget_set: Removed = "random-10",
    seed: Seed = 0,
    beacon: Annotated[
        Path | None, typer.Option(help="The verifier's nonce; without it the provider chooses the order of the data.")
    ] = None,
    every: Annotated[int, typer.Option(help="Number of steps between two recorded states.")] = 1,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="Train in torch's deterministic mode, and say so in the bundle.")
    ] = False,
    out: Annotated[Path, typer.Option(help="Folder for the bundle; it must be new or empty.")] = Path("out/bundle"),
    model: Annotated[Path | None, typer.Option(help="Also write the model, as .safetensors.")] = None,
) -> int:
    """As a provider, train one model with the recorder on."""
    from expunge.audits.proofs.beacon import read_beacon
    from expunge.audits.proofs.deployed import write_model
    from expunge.audits.proofs.provider import promise as promised
    from expunge.audits.proofs.provider import prove, prove_promised

    loaded = load(suite, None)
    forget = loaded.forget_set(forget_set) if forget_set else None
    if beacon:
        given, made = read_beacon(beacon), promised(loaded, forget, seed)
        if given.promised != made.promise.digest:
            raise BadSetting(
                f"{beacon} is for another promise than that of suite {suite}, forget set {forget_set or 'none'} and "
                f"seed {seed} with this code; give what was promised"
            )
        proven = prove_promised(loaded, made, out, given.nonce, every=every, deterministic=deterministic)
    else:
        proven = prove(loaded, forget, out, seed=seed, every=every, deterministic=deterministic)
    if model:
        write_model(model, proven.ensemble[0])
    said = [str(proven.bundle), "--suite", suite, "--forget-set", forget_set]
    said += ["--beacon", str(beacon)] if beacon else []
    print_line(f"bundle: {proven.bundle}; check it by `expunge verify proof {' '.join(map(quote, said))}`")
    return OK
