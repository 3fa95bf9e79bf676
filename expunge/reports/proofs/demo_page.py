"""The page of ``expunge verify demo``: what was proven, what was not, and why, in one file."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from expunge.audits.proofs.book import BOOK
from expunge.audits.proofs.demo import NONCE, PROMISE, Act, Play
from expunge.reports.page.html import template, write_page

MEANINGS = {
    "honest": "The proof is sound: every step was done again, and came out the same. That the records are gone follows "
    "only if the provider chose no batch with a purpose; the proof cannot show that.",
    "careless": "A record that was to be removed is in a batch. This is what such a proof is good at finding.",
    "nearest neighbours": "This pass is no comfort. No removed record is in a batch and every step is true, yet the "
    "batches were chosen by looking at the removed records, each of which has a stand-in. No check of the steps can "
    "see why a batch is what it is. How much of the removed records is left that way only the model can tell: with one "
    "model the margins of so few need not show it.",
    "forged": "Each step nearly follows from the one before, but not as nearly as this machine's rounding allows. A "
    "verifier that is content with a larger error would be fooled.",
    "honest, order drawn by the auditor": "The provider promised its data, first weights and code before it knew the "
    "order. It had no choice of batches, and so no way to choose them by the removed records.",
    "nearest neighbours, order drawn by the auditor": "The same trick as above is seen at once: its batches are not "
    "the ones that the auditor's nonce gives.",
}
WORDS = {
    "proof": "The provider hands over a bundle: the state of the model after every step, which records were in which "
    "batch, and hashes that hold it all together.",
    "replay": "The auditor does every step again and compares. Two computers never agree to the last digit, so the "
    "auditor first measures how much its own results vary (the noise), and accepts no more than that.",
    "margin": "How surely a model knows a record: the logarithm of the odds of its true label. Models that were "
    "trained on records are usually surer of them than models that never saw them.",
}


@dataclass(frozen=True)
class Row:
    """An act as it is shown."""

    name: str
    provider: str
    outcome: str
    reasons: tuple[str, ...]
    meaning: str
    margin: str
    accuracy: str
    truth: str
    error: str
    noise: str
    worst: tuple[str, ...]
    command: str


def write_demo(play: Play, target: Path) -> Path:
    """Write the page; its path."""
    rows = [_row(act, play) for act in play.acts]
    low, high = play.oracles
    text = template("verify_demo.html.j2").render(
        suite=play.suite.name,
        forget=play.forget,
        records=play.suite.data.sizes[0],
        rows=rows,
        words=WORDS,
        original=f"{play.original:.2f}",
        oracles=f"{low:.2f} to {high:.2f}",
        nonce=NONCE,
        promise=PROMISE,
        book=BOOK.name,
        shows=play.acts[0].found.verdict.shows,
        shows_not=play.acts[0].found.verdict.shows_not,
    )
    write_page(target, text)
    return target


def _command(act: Act, play: Play) -> str:
    """What the auditor types in the folder of the page."""
    words = ["expunge", "verify", "proof", act.bundle, "--suite", play.suite.name, "--forget-set", play.forget.name]
    return shlex.join([*words, *(["--book", BOOK.name] if act.bound else [])])


def _row(act: Act, play: Play) -> Row:
    found = act.found
    reasons = tuple(each.reason for each in found.findings if each.outcome != "PASS")
    return Row(
        name=act.name,
        provider=act.provider,
        outcome=found.verdict.outcome,
        reasons=reasons or tuple(each.reason for each in found.findings)[-1:],
        meaning=MEANINGS[act.name],
        margin=f"{act.margin:.2f}",
        accuracy=f"{100 * act.accuracy:.1f}",
        truth="yes" if act.forgot else "no",
        error=f"{found.errors.parameters.max():.1e}",
        noise=f"{found.noise.floor['parameters']:.1e}",
        worst=tuple(
            f"step {end}: {errors['parameters']:.1e} in weights, {errors['buffers']:.1e} in buffers, "
            f"{errors['momenta']:.1e} in momenta"
            for _, end, errors in found.worst_steps(3)
        ),
        command=_command(act, play),
    )
