"""What the owners of the usability attack contribute: condensed records of their own, or of a surrogate's."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from jaxtyping import Int
from numpy import ndarray

from expunge.attacks.condensing.condense import check_condensing, condense
from expunge.attacks.condensing.condensed import Condensed, Condensing, load_condensed
from expunge.attacks.injection import Contribution
from expunge.attacks.kept import kept
from expunge.engine import Watch, silent
from expunge.errors import BadSetting
from expunge.suites import load_suite
from expunge.suites.suite import Examples, Suite

CODE = condense.__module__


@dataclass(frozen=True, kw_only=True)
class Owners:
    """Who contributes: ``count`` owners, each with an equal part of the images of a class.

    Each condenses its own part or, where they ``collude``, all is condensed at once and dealt. Of them ``asking`` ask
    for removal, by default all. With ``surrogate``, the address of a suite, they condense its records and not the
    victim's. ``load`` is a file of condensed data, to be used again.
    """

    count: int = 1
    collude: bool = True
    asking: int | None = None
    surrogate: str = ""
    load: str = ""

    @property
    def who_ask(self) -> int:
        return self.count if self.asking is None else self.asking

    @property
    def facts(self) -> dict[str, bool | int | str]:
        """What records of the attack say of them."""
        return {
            "owners": self.count,
            "collude": self.collude,
            "asking": self.who_ask,
            "surrogate": self.surrogate,
            "loaded": bool(self.load),
        }


def check_owners(suite: Suite, owners: Owners, config: Condensing) -> None:
    """Refuse, before any work, owners who cannot share what is condensed, or data that cannot be condensed."""
    images = config.images
    if owners.count < 1 or images % owners.count:
        raise BadSetting(f"expected a number of owners that divides the {images} images a class, got {owners.count}")
    if not 1 <= owners.who_ask <= owners.count:
        raise BadSetting(f"expected 1 to {owners.count} owners to ask for removal, got {owners.who_ask}")
    if owners.load:
        _loaded(suite, owners, config)
        return
    source, own = _source(suite, owners)
    check_condensing(source, config, own)


def contributions_of(
    suite: Suite, owners: Owners, config: Condensing, seed: int, watch: Watch = silent
) -> tuple[list[Contribution], list[Condensed]]:
    """What each owner contributes, and the condensed sets that it was dealt from: one, or one of each owner."""
    names = [f"owner-{number + 1}" for number in range(owners.count)]
    source, own = _source(suite, owners)
    if owners.count > 1 and not owners.collude and not owners.load:
        part = replace(config, images=config.images // owners.count)
        sets = condensed_once(source, part, [seed + number for number in range(owners.count)], own, watch)
        return [Contribution(name, each.examples) for name, each in zip(names, sets, strict=True)], sets
    whole = _loaded(suite, owners, config) if owners.load else condensed_once(source, config, [seed], own, watch)[0]
    instead = whole.origin if whole.suite_digest == suite.digest else None
    dealt = [np.arange(number, len(whole.examples), owners.count) for number in range(owners.count)]
    contributions = [
        Contribution(name, whole.examples.take(rows), None if instead is None else instead[rows])
        for name, rows in zip(names, dealt, strict=True)
    ]
    return contributions, [whole]


def condensed_once(
    suite: Suite, config: Condensing, seeds: Sequence[int], own: Int[ndarray, " own"] | None, watch: Watch = silent
) -> list[Condensed]:
    """Condensed data of these seeds out of the user's store, or made at once and kept there."""
    config = config.settled
    facts = [asdict(config), list(seeds), None if own is None else hashlib.sha256(own.tobytes()).hexdigest()]

    def make() -> dict[str, ndarray]:
        made = condense(suite, config, seeds, watch=watch, own=own)
        return {
            "x": np.stack([each.examples.x.numpy() for each in made]),
            "y": np.stack([each.examples.y.numpy() for each in made]),
            "origin": np.stack([each.origin for each in made]),
            "objective": np.array([each.objective for each in made]),
        }

    found = kept(suite, "condensed", facts, [CODE], make)
    sets = zip(seeds, found["x"], found["y"], found["origin"], found["objective"], strict=True)
    return [
        Condensed(
            Examples(torch.tensor(x), torch.tensor(y)),
            origin,
            config,
            seed,
            suite.name,
            suite.digest,
            tuple(objective.tolist()),
        )
        for seed, x, y, origin, objective in sets
    ]


def _source(suite: Suite, owners: Owners) -> tuple[Suite, Int[ndarray, " own"] | None]:
    """The suite whose records are condensed, and which of them the attacker has; None for all."""
    if not owners.surrogate:
        return suite, None
    source = load_suite(owners.surrogate)
    mine, theirs = source.data.train.x, suite.data.train.x
    if mine.shape[1:] != theirs.shape[1:] or source.data.classes != suite.data.classes:
        raise BadSetting(
            f"surrogate {source.name!r}: expected inputs of {tuple(theirs.shape[1:])} in {suite.data.classes} classes "
            f"as {suite.name!r} has them, got {tuple(mine.shape[1:])} in {source.data.classes}; choose another suite"
        )
    known = {row.tobytes() for row in theirs.numpy()}
    own = np.array([number for number, row in enumerate(mine.numpy()) if row.tobytes() not in known], dtype=np.int64)
    if not len(own):
        raise BadSetting(
            f"surrogate {source.name!r} has no training record that {suite.name!r} lacks, and so is none; leave "
            "--surrogate out"
        )
    return source, own


def _loaded(suite: Suite, owners: Owners, config: Condensing) -> Condensed:
    found = load_condensed(owners.load, suite, surrogate=bool(owners.surrogate))
    if found.config.images != config.images:
        raise BadSetting(
            f"{owners.load} has {found.config.images} images a class, expected {config.images}; give "
            f"--images {found.config.images}"
        )
    return found
