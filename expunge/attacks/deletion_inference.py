"""Deletion inference: of two records that a model was trained on, one was removed. Which?

The attacker knows both records, one of them removed and one that stays, and sees what the models before and after the
removal say of them. It names the one whose label loses more of its lead over the likeliest other class, in nats; or,
where it knows no labels, the one about which the logarithms of the answers differ more. Guessing is right half of the
time. Logarithms, for the loss of a record that is fitted well hardly moves: an attacker who compares losses does better
when a provider flattens its answers. A temperature scales lead and logarithms alike for all records: no guess changes.

Gao et al. 2022, arXiv:2202.03460, whose game this is. Of its text only the abstract was at hand: that losses are
compared is recollected. As there, one record is removed; a larger ``budget`` removes several at once, each beside one
that stays, and hides them among each other.

On digits, 40 models (100 to 139): after the first-order update 0.97 +- 0.05 by leads, 1.00 by answers and 0.78 +- 0.14
by losses, where others were removed 0.46 +- 0.16; after retraining 0.50 +- 0.16, which is no effect: what another seed
changes is more than what one record does. Of 50 removed at once, 10 models: 0.54 +- 0.06, others 0.54 +- 0.04,
retraining 0.55 +- 0.07.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from expunge.attacks.attack import Attack, Success
from expunge.attacks.lab.arms import Arm, Played
from expunge.attacks.lab.owners import of_each
from expunge.attacks.lab.provider import Provider, correct_on_test
from expunge.attacks.lab.request_play import Measured, arm, play_requests
from expunge.attacks.practice import USUAL, Practice
from expunge.attacks.suspects import ARMS, OTHERS, Privacy, answers, requests_about, require_suspects, two_groups
from expunge.ensembles.ensemble import Ensemble
from expunge.suites.request import Request
from expunge.suites.suite import Suite

SIGNALS = LEAD, LOSS, ANSWERS = "lead", "loss", "answers"


@dataclass(frozen=True, kw_only=True)
class DeletionInference(Privacy):
    """Settings: ``budget`` pairs of records; ``by`` lead or loss, where labels are known, or by answers alone."""

    models: int = 40  # of yes and no, ten tell little
    budget: int = 1
    by: str = LEAD

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.by not in SIGNALS:
            raise ValueError(f"by must be one of {', '.join(SIGNALS)}, got {self.by!r}")


def check(suite: Suite, config: DeletionInference) -> None:
    """Refuse what cannot be, before any work."""
    require_suspects(suite, config.budget, unseen=False)


def play(provider: Provider, config: DeletionInference) -> Played:
    """Remove one record of each pair, and have the attacker name it."""
    started = time.perf_counter()
    suspects, staying = two_groups(provider, config.budget, config.seed)
    attack, honest = requests_about(provider, suspects, config.removed, config.seed, staying)
    effort = np.full(len(provider.models), (time.perf_counter() - started) / len(provider.models))
    look = partial(measure, provider.suite, config.by, suspects, staying, practice=provider.practice)
    return play_requests(provider, attack, honest, look, effort)


def partly(provider: Provider, config: DeletionInference, requests: Sequence[Request | None]) -> Arm:
    """What the attack comes to where a defence let a part of each request through: of all pairs, those too of which
    both records stay."""
    suspects, staying = two_groups(provider, config.budget, config.seed)
    look = partial(measure, provider.suite, config.by, suspects, staying)
    return arm(provider.victims, lambda: provider.serve(requests), look)


def measure(
    suite: Suite,
    by: str,
    suspects: Int[ndarray, "victims n"],
    staying: Int[ndarray, "victims n"],
    before: Ensemble,
    after: Ensemble,
    *,
    practice: Practice = USUAL,
) -> Measured:
    """The share of pairs of which the suspect is named, by each signal; success is the one that is asked for."""
    train = suite.data.train
    changes = [
        changes_of(before, after, of_each(train.x, rows), of_each(train.y, rows), practice)
        for rows in (suspects, staying)
    ]
    shares = {signal: named(changes[0][signal], changes[1][signal]) for signal in SIGNALS}
    more = {share_by(signal): share for signal, share in shares.items()}
    return Measured(shares[by], correct_on_test(after, suite, practice).mean(1), more)


def share_by(signal: str) -> str:
    """The name of the share of pairs of which this signal names the suspect."""
    return f"share-by-{signal}"


def changes_of(
    before: Ensemble, after: Ensemble, x: Tensor, y: Tensor, practice: Practice = USUAL
) -> dict[str, ndarray]:
    """The changes of what both models are heard to say of these records, see :func:`changed`."""
    return changed(answers(before, x, practice), answers(after, x, practice), y)


def changed(
    before: Float[Tensor, "victims n c"], after: Float[Tensor, "victims n c"], labels: Int[Tensor, "victims n"]
) -> dict[str, Float[ndarray, "victims n"]]:
    """By how much each record has changed from one model to the other, by each of SIGNALS, nats.

    ``lead`` is by how much ``log p_y - max_c log p_c`` over the other classes has fallen, ``loss`` by how much
    ``-log p_y`` has risen. ``answers`` is the distance between both answers as Aitchison has it, the L2 norm of the
    change of ``log p - mean log p``. Lead and answers of softmax(z / T) are 1 / T of those of softmax(z), for every
    record; the loss is not. Source: Aitchison 1982, doi:10.1111/j.2517-6161.1982.tb01195.x.
    """
    leads, losses, centred = zip(*(_read(each, labels) for each in (before, after)), strict=True)
    found = {LEAD: leads[0] - leads[1], LOSS: losses[1] - losses[0], ANSWERS: (centred[0] - centred[1]).norm(dim=-1)}
    return {signal: each.numpy() for signal, each in found.items()}


def _read(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The lead of each label over the other classes, its loss, and the logits less their mean."""
    own = labels.unsqueeze(-1)
    lead = logits.gather(-1, own).squeeze(-1) - logits.scatter(-1, own, -torch.inf).amax(-1)
    loss = F.cross_entropy(logits.transpose(1, 2), labels, reduction="none")
    return lead, loss, logits - logits.mean(-1, keepdim=True)


def named(suspects: Float[ndarray, "victims n"], staying: Float[ndarray, "victims n"]) -> Float[ndarray, " victims"]:
    """The share of pairs whose suspect has changed more, ties counting half; 0.5 is guessing.

    >>> named(np.array([[1.0, 0.0, 2.0, 2.0]]), np.array([[0.0, 0.0, 1.0, 3.0]]))
    array([0.625])
    """
    found: ndarray = ((suspects > staying) + 0.5 * (suspects == staying)).mean(1)
    return found


ATTACK = Attack(
    play=play,
    check=check,
    config=DeletionInference,
    success=Success("share of pairs of records of which the removed one is named; guessing gets half"),
    reads="answers",
    idle={"removed": OTHERS},
    arms=ARMS,
    partly=partly,
    example="digits",
    summary="of two records one was removed: the change of answers tells which",
    roles=("model user",),
    goal="privacy",
    knowledge="black box",
    phases=("after unlearning",),
    cite=("gao2022",),
)
