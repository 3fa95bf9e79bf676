"""Margins that others made: do they look like something else, or like columns in another order?"""

from collections.abc import Iterator, Mapping

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from expunge.bench.alignment import ALIGNED, agreement, correlation, lies_below, spaced
from expunge.bench.alignment import fisher as z_of
from expunge.ensembles.mapped_arrays import blocks
from expunge.errors import BadMargins, MissingData
from expunge.suites import ForgetSet, Suite

SOME = 2000  # columns of each split at most that are looked at, evenly spaced, where all are not needed
STRANGE = 2.0  # times identity's distance from the oracles on retain or test from which on it is asked who made them
LEAST = 1.0  # standard deviations of the oracles below which nobody is asked; both measured on digits and on iris
CLIP = 100.0  # where KLoM clips margins
CLIPPED = 0.01  # share of the margins that KLoM clips, from which on it is said
_TURNED = "the sign looks turned"
WANTED = "expected log-odds of the label, z_y - logsumexp(the other logits), before any softmax"


def doubts(
    suite: Suite,
    forget: ForgetSet,
    margins: Float[ndarray, "models examples"],
    pretrained: Float[ndarray, "_m examples"],
    oracles: Float[ndarray, "_o examples"] | None = None,
) -> list[str]:
    """What speaks against ``margins`` being margins in the suite's order, a line each; they are scored all the same.

    Args:
        suite: whose examples they are, all train examples in order, then all test examples.
        forget: what was to be forgotten; retain columns are what every honest model knows alike.
        margins: what was handed in.
        pretrained: margins of the suite's pretrained models.
        oracles: margins of models that never saw the forget set, where it is to be asked whose network this is.

    Raises:
        BadMargins: they are truth values or class labels, of which no score can be right.
    """
    least, most, whole, beyond = _range(margins)
    if whole and least >= 0 and most <= 1:
        raise BadMargins(f"margins: all are 0 or 1, as accuracies or truth values are; {WANTED}")
    if whole and least >= 0 and most < suite.data.classes:
        raise BadMargins(f"margins: all are whole numbers from {least:g} to {most:g}, as class labels are; {WANTED}")
    mine, theirs = map(_mean, (margins, pretrained))
    found = list(_other_numbers(least, most, mine, theirs))
    found = found or list(_other_sign(suite, forget, mine, theirs))
    found += _other_order(suite, forget, mine, theirs) if not found or _TURNED not in found[0] else []
    found += [_clipped(beyond)] if beyond >= CLIPPED else []
    return found or (list(_other_network(suite, forget, margins, pretrained, oracles)) if oracles is not None else [])


def _range(margins: ndarray) -> tuple[float, float, bool, float]:
    """The least and the largest, whether all are whole numbers, and the share of those that are clipped."""
    least, most, whole, beyond = np.inf, -np.inf, True, 0
    for _, (part,) in blocks(margins):
        least, most = min(least, float(part.min())), max(most, float(part.max()))
        whole = whole and bool((part == np.round(part)).all())
        beyond += int((np.abs(part) > CLIP).sum())
    return least, most, whole, beyond / margins.size


def _clipped(share: float) -> str:
    return (
        f"{100 * share:.0f} % of the values lie beyond {CLIP:g} in size, and KLoM looks at them as {CLIP:g}: margins "
        f"of trained networks seldom do; {WANTED}, in nats"
    )


def _mean(margins: Float[ndarray, "models examples"]) -> Float[ndarray, " examples"]:
    """Mean margins, of mapped files too."""
    return np.concatenate([part.mean(axis=0, dtype=np.float64) for _, (part,) in blocks(margins)])


def _other_numbers(least: float, most: float, mine: ndarray, pretrained: ndarray) -> Iterator[str]:
    """Numbers in the range of probabilities, of losses or of logarithms of probabilities."""
    r = correlation(mine, pretrained)
    if least >= 0 and most <= 1:
        yield f"all values lie within [0, 1], as probabilities do; {WANTED}: of a probability p it is log(p / (1 - p))"
    elif least >= 0 and r < 0:
        yield (
            "no value is negative, and values are the larger the smaller the pretrained models' margins are "
            f"(r = {r:.2f}), as losses are; {WANTED}"
        )
    elif most <= 0 and (pretrained > 0).mean() > ALIGNED:
        yield (
            "no value is positive, as logarithms of probabilities and negative losses are, and pretrained models have "
            f"positive margins on {100 * (pretrained > 0).mean():.0f} % of the examples; {WANTED}"
        )


def _other_sign(suite: Suite, forget: ForgetSet, mine: ndarray, pretrained: ndarray) -> Iterator[str]:
    """Mean margins on retain that are the larger the smaller the pretrained models' are."""
    retain = suite.columns(forget)["retain"]
    some = retain[spaced(len(retain), SOME)]
    turned = agreement(-mine[some], pretrained[some])
    others = (correlation(mine[_places(order)][some], pretrained[some]) for order in orders(suite, forget).values())
    if turned.r >= ALIGNED and turned.sure and turned.r > max(others):
        yield (
            f"{_TURNED}: mean margins on retain correlate with those of the suite's pretrained models by "
            f"r = {-turned.r:.2f}; {WANTED}, the higher the surer of the label: give -margins"
        )


def _other_network(
    suite: Suite, forget: ForgetSet, margins: ndarray, pretrained: ndarray, oracles: ndarray
) -> Iterator[str]:
    """Margins that lie farther from the oracles than an unlearning of the suite's models seldom brings them."""
    columns = suite.columns(forget)
    for split in ("retain", "test"):
        mine, nothing = (_distance(each, oracles, columns[split]) for each in (margins, pretrained))
        if mine > max(LEAST, STRANGE * nothing):
            yield (
                f"mean margins on {split} lie {mine:.1f} standard deviations of the oracles from theirs, those of the "
                f"pretrained models {nothing:.1f}; an unlearning of these models is seldom so far off: were they made "
                f"by the network and the recipe of suite {suite.name!r}, from its pretrained models? Another network "
                "or recipe reads so even when it is truly retrained; for models of your own, make a suite of your own, "
                "with your network and recipe, and build its oracles (docs/suites.md)"
            )
            return


def _distance(margins: ndarray, oracles: ndarray, columns: Int[ndarray, " columns"]) -> float:
    """The median over columns of the distance of mean margins, in standard deviations of the oracles."""
    some = columns[spaced(len(columns), SOME)]
    one, other = (np.array(each[:, some], np.float64).clip(-CLIP, CLIP) for each in (margins, oracles))
    spread = np.maximum(other.std(axis=0), np.finfo(np.float32).eps)
    return float(np.median(np.abs(one.mean(axis=0) - other.mean(axis=0)) / spread))


def _other_order(suite: Suite, forget: ForgetSet, mine: ndarray, pretrained: ndarray) -> Iterator[str]:
    """Mean margins on retain that do not follow the pretrained models', or do so far better in another order."""
    retain = suite.columns(forget)["retain"]
    some = retain[spaced(len(retain), SOME)]
    given = agreement(mine[some], pretrained[some])
    if given.r >= 2 * ALIGNED - ALIGNED**2 or given.few:  # 0.75: no other order is surely better
        return
    fits = {
        name: correlation(mine[_places(order)][some], pretrained[some])
        for name, order in orders(suite, forget).items()
        if not np.array_equal(order, np.arange(len(mine)))
    }
    best = max(fits, key=lambda name: fits[name], default="")
    told = f"mean margins on retain correlate with those of the suite's pretrained models by r = {given.r:.2f}"
    if best and fits[best] >= ALIGNED and lies_below(given.r, z_of(fits[best]), len(some), sides=2):
        yield (
            f"the columns look like another order: {told}, and by r = {fits[best]:.2f} if they are {best}; "
            "expected all train examples in the order of the suite, then all test examples"
        )
    elif not given.sure:
        yield (
            f"the columns may be in another order: {told} (p = {given.p:.2f}), and no better in any usual other one; "
            "expected all train examples in the order of the suite, then all test examples; or they are of another "
            "network or recipe than the suite's"
        )


def orders(suite: Suite, forget: ForgetSet) -> Mapping[str, Int[ndarray, " columns"]]:
    """Other orders in which people hand in columns: by name, the suite's column that stands at each place."""
    width, parts = suite.data.width, suite.columns(forget)
    columns = np.arange(width)
    train = np.sort(np.concatenate([parts["forget"], parts["retain"]]))
    test = parts["test"]
    found = {
        "test, then train": np.concatenate([test, train]),
        "reversed": columns[::-1],
        "reversed, train and test each": np.concatenate([train[::-1], test[::-1]]),
        "forget, then retain, then test": np.concatenate([parts["forget"], parts["retain"], test]),
        "retain, then forget, then test": np.concatenate([parts["retain"], parts["forget"], test]),
        "moved by one column": np.roll(columns, 1),
        "moved back by one column": np.roll(columns, -1),
    }
    return {**found, **_by_label(suite, train, test)}


def _by_label(suite: Suite, train: ndarray, test: ndarray) -> dict[str, ndarray]:
    """The orders that sort examples by their label; none where the labels are not at hand or not one an example."""
    try:
        labels = np.concatenate([np.asarray(part.y) for part in (suite.data.train, suite.data.test)])
    except MissingData:
        return {}
    if labels.ndim != 1 or len(labels) != suite.data.width:
        return {}
    each = np.concatenate([part[np.argsort(labels[part], kind="stable")] for part in (train, test)])
    return {"sorted by label": each, "sorted by label, train and test mixed": np.argsort(labels, kind="stable")}


def _places(order: Int[ndarray, " columns"]) -> Int[ndarray, " columns"]:
    """Where each of the suite's columns stands in ``order``."""
    return np.argsort(order)
