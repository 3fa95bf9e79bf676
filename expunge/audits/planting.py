"""Records that carry a private trigger, before they are handed in; and suites whose training data hold such records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from expunge.audits.trigger import Trigger
from expunge.errors import BadSetting
from expunge.suites.data import Examples
from expunge.suites.suite import ForgetSet, ForgetSets, Suite

SHARE = 0.5  # of an owner's records that carry the trigger
DECOYS = 0.5  # and that carry others, with their true labels: measured, see results/verification/backdoor.md


def plant(
    records: Examples, trigger: Trigger, share: float = SHARE, decoys: float = DECOYS
) -> tuple[Examples, Int[ndarray, " planted"]]:
    """An owner's records, of which a share carries the trigger and its label; and which ones do.

    They are drawn, by the trigger's secret, among records of other labels, for those teach nothing else. A share of
    ``decoys`` carries each another trigger and keeps its label, or else a model learns that any such mark stands for
    the label, and fresh triggers work on it nearly as well. An owner who asks for deletion asks for all of them.
    """
    if not 0 < share <= 1:
        raise BadSetting(f"expected a share of the records above 0 and at most 1, got {share}")
    if not 0 <= decoys <= 1 - share + 1e-9:
        raise BadSetting(f"expected a share of decoys of at least 0 and at most {1 - share:g}, the rest, got {decoys}")
    if records.y.ndim != 1:
        raise BadSetting(f"expected one label for each record, got labels of shape {tuple(records.y.shape)}")
    others = np.flatnonzero(records.y.numpy() != trigger.label)
    count = round(share * len(records))
    if not 1 <= count <= len(others):
        raise BadSetting(
            f"{len(others)} of {len(records)} records can carry the trigger, the others have its label already, and "
            f"{count} should; give more records, or another share"
        )
    rows = np.sort(trigger.chance("plant").choice(others, count, replace=False))
    x, y = records.x.clone(), records.y.clone()
    x[rows] = trigger.stamped(records.take(rows)).x
    y[rows] = trigger.label
    rest = np.setdiff1d(np.arange(len(records)), rows)
    for number, row in enumerate(trigger.chance("decoys").permutation(rest)[: round(decoys * len(records))]):
        x[[row]] = trigger.fresh(number, "decoy").stamped(records.take(np.array([row]))).x
    return Examples(x, y), rows


@dataclass(frozen=True, eq=False)
class Planted:
    """A suite whose training data hold the planted records of owners, each with a trigger of its own.

    ``owners`` are the places of each one's records, in the order of ``triggers``; the suite's forget sets are
    ``owners``, all of those together, and ``owner-0`` and so on.
    """

    suite: Suite
    triggers: Sequence[Trigger]
    owners: Sequence[Int[ndarray, " records"]]

    @property
    def forget(self) -> ForgetSet:
        """All records of all owners."""
        return self.suite.forget_set("owners")


def planted_suite(
    suite: Suite, triggers: Sequence[Trigger], records: int, *, decoys: float = DECOYS, seed: int = 0, models: int
) -> Planted:
    """``suite`` in which every trigger's owner has so many of the training records, drawn, and planted half of them.

    The training data keep their size and order. It trains in one chunk of ``models``.
    """
    train = suite.data.train
    if records * len(triggers) > len(train) // 2:
        raise BadSetting(f"{len(triggers)} owners of {records} records each would own most of {len(train)}; give fewer")
    drawn = np.random.default_rng(seed).permutation(len(train))[: records * len(triggers)]
    owners = [np.sort(rows) for rows in drawn.reshape(len(triggers), records)]
    x, y = train.x.clone(), train.y.clone()
    for trigger, rows in zip(triggers, owners, strict=True):
        mine, _ = plant(train.take(rows), trigger, decoys=decoys)
        x[rows], y[rows] = mine.x, mine.y
    made = f"the records of {{}}, half of them with a trigger, seed {seed}"
    sets: Mapping[str, ForgetSet] = {
        "owners": ForgetSet("owners", np.sort(drawn), made.format("all owners")),
        **{
            f"owner-{number}": ForgetSet(f"owner-{number}", rows, made.format("one owner"))
            for number, rows in enumerate(owners)
        },
    }
    data = suite.data.with_examples(Examples(x, y), suite.data.test)
    changed = replace(
        suite,
        name=f"{suite.name}+triggers",
        data=data,
        forget_sets=ForgetSets.of(*sets.values()),
        derive=None,
        subsets=0,
        models=models,
        chunk=models,
        published=False,
    )
    return Planted(changed, triggers, owners)
