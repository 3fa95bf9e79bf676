"""The folder in which an attack leaves its files: made before any work, and never one that another run has filled."""

from pathlib import Path
from tempfile import TemporaryFile

from expunge.bench.folder import SCORES
from expunge.bench.run_info import ATTACK, BENCH, RUN, read_run
from expunge.errors import BadSetting, StoreError, UserError
from expunge.records import read_scores

MATRIX, USABILITY = "matrix", "usability"  # what a folder is of, beside the attacks of the lab by their names
NAME = "attack.name"  # in the config of the records of an attack of the lab


def prepare(out: Path, attack: str) -> None:
    """Make the folder; one of a bench or of another attack, or that cannot be written to, is refused.

    ``attack`` is what its records are to be of; those of the same are replaced.
    """
    if (held := held_by(out)) not in ("", attack):
        what = "a bench" if held == BENCH else f"`expunge attack {held}`"
        raise BadSetting(f"{out} holds the records of {what}, which these would replace; choose another --out")
    try:
        out.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=out) as probe:
            probe.write(b"is there room for a byte?")
    except OSError as error:
        raise StoreError(f"cannot write to {out}: {error.strerror}; choose an --out that can be written") from None


def held_by(out: Path) -> str:
    """Of which attack a folder has records; ``bench`` where they are of none, "" where it has none."""
    if not (out / RUN).exists():
        return ""
    try:
        run = read_run(out / RUN)
    except StoreError:  # damaged: what is left of an attack may be replaced by the same
        return USABILITY if any(out.glob("condensed-*.npz")) else BENCH
    if run.kind != ATTACK:
        return BENCH
    return run.attack or _by_records(out)


def _by_records(out: Path) -> str:
    """The attack whose records lie there, of a folder that does not say it; "" where they cannot be read."""
    try:
        names = {score.subject.config.get(NAME, USABILITY) for score in read_scores(out / SCORES)}
    except UserError:
        return ""
    return MATRIX if len(names) > 1 else str(next(iter(names), ""))
