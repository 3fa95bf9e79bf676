"""Builders of forget sets: pure, seeded functions of arrays that return sorted, unique training indices."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from torch import Tensor

from expunge.errors import BadSetting
from expunge.suites.arrays import as_array, plain
from expunge.suites.data import Data, flat_features
from expunge.suites.indices import Indices, checked, chosen, from_file, require_size, require_whole, trained_on

__all__ = [
    "by_metadata",
    "checked",
    "from_file",
    "influence_on_others",
    "influential",
    "memorisation",
    "memorised",
    "neighbours",
    "random_examples",
    "subclass",
    "whole_class",
]

SHOWN = 5  # so many values are told in a line


def random_examples(examples: Data | int, size: int, seed: int) -> Indices:
    """``size`` of so many training ``examples``, or of those of data, drawn uniformly without replacement.

    >>> random_examples(10, 3, seed=0)
    array([5, 6, 9])
    """
    examples = trained_on(examples, "random_examples")
    size, seed = require_whole(size, "size"), require_whole(seed, "seed")
    require_size(size, examples - 1)  # something must remain
    drawn = np.sort(np.random.default_rng(seed).choice(examples, size, replace=False))
    return chosen(drawn, f"{size} examples drawn uniformly, seed {seed}", "random")


def whole_class(labels: Data | Sequence[object] | ndarray | Tensor, label: object) -> Indices:
    """All training examples of one class: by their labels, or of data by the name of the class, as it was given.

    >>> whole_class(["cat", "dog", "cat"], "cat")
    array([0, 2])
    """
    number, known = label, labels
    if isinstance(labels, Data):
        number, known = labels.label(label), labels.train.y
    known = as_array(known, "labels", BadSetting)
    members = np.flatnonzero(known == number)
    if not 0 < len(members) < len(known):
        raise BadSetting(f"expected a class that some of the examples have, got {label!r}, that of {len(members)}")
    return chosen(members, f"all {len(members)} examples of class {plain(label)}", "class")


def subclass(features: object, labels: object = None, label: object = None, size: int = 0, seed: int = 0) -> Indices:
    """The ``size`` members of one cluster of a class that lie nearest to its centre.

    k-means with k = 2 on the features of the class; the smaller cluster that has ``size`` members is the subclass.
    ``subclass(data, label="cat", size=20)`` takes the inputs and labels of data, and the name of the class.
    """
    from sklearn.cluster import KMeans  # 60 MB that only this function needs

    named = plain(labels if label is None else label)
    features, labels, label = _features_of(features, labels, label, "subclass")
    size, seed = require_whole(size, "size"), require_whole(seed, "seed")
    members = whole_class(labels, label)
    require_size(size, len(members))
    own = np.asarray(features)[members].astype(np.float64).reshape(len(members), -1)
    clusters = KMeans(n_clusters=2, n_init=10, random_state=seed).fit(own)
    counts = np.bincount(clusters.labels_)
    large_enough = [cluster for cluster in np.argsort(counts) if counts[cluster] >= size]
    if not large_enough:
        raise BadSetting(f"class {label} has no cluster of {size} examples; its clusters have {counts.tolist()}")
    distance = np.linalg.norm(own - clusters.cluster_centers_[large_enough[0]], axis=1)
    distance[clusters.labels_ != large_enough[0]] = np.inf
    near = np.asarray(np.sort(members[np.argsort(distance, kind="stable")[:size]]))
    made = f"{size} examples of class {named}, nearest to the heart of one of two clusters, seed {seed}"
    return chosen(near, made, "subclass")


def neighbours(features: object, labels: object = None, size: int = 0, *, every: int = 1) -> Indices:
    """One odd example, the farthest from the mean of its own class, and those nearest to it, ``size`` in all.

    ``neighbours(data, size=20)`` takes the inputs and labels of data; ``every`` is that of :func:`memorised`.
    """
    features, labels, _ = _features_of(features, labels, None, "neighbours")
    size, every = require_whole(size, "size"), require_whole(every, "every")
    require_size(1 + (size - 1) * every, len(features) - 1)
    near = np.sort(neighbours_of(features, odd_one(features, labels))[: size * every : every])
    which = f"{size - 1}{_of_so_many(size, every)} nearest to it"
    return chosen(near, f"the example least like its class, and the {which}", "neighbours")


def odd_one(features: ndarray, labels: ndarray) -> int:
    """The example that is farthest from the mean of its own class; features are rows of numbers."""
    classes, labels = np.unique(labels, return_inverse=True)
    means = np.stack([features[labels == each].mean(axis=0, dtype=np.float64) for each in range(len(classes))])
    return int(_distances(features, means, labels).argmax())


def neighbours_of(features: ndarray, example: int) -> Indices:
    """All examples, that one first, then the nearest to it."""
    centre, all_of_them = features[example : example + 1].astype(np.float64), np.zeros(len(features), np.int64)
    return np.argsort(_distances(features, centre, all_of_them), kind="stable")


def _features_of(features: object, labels: object, label: object, what: str) -> tuple[ndarray, ndarray, Any]:
    """Features as rows of numbers, the label of each, and the class that is meant; both first are those of data."""
    if isinstance(features, Data):
        if labels is not None and label is None:  # given by place, in place of labels, which data have themselves
            label = labels
        label = None if label is None else features.label(label)
        return flat_features(features.train.x), features.train.y.numpy(), label
    known, rows = as_array(labels, f"{what}, labels", BadSetting), as_array(features, f"{what}, features", BadSetting)
    if known.ndim != 1 or rows.ndim < 2 or len(rows) != len(known) or rows.dtype.kind not in "biuf":
        raise BadSetting(
            f"{what}: expected numbers of shape (examples, ...) and a label for each, or data alone, got {rows.dtype} "
            f"of shape {rows.shape} and labels of shape {known.shape}"
        )
    return rows.reshape(len(rows), -1), known, label


def by_metadata(values: object, wanted: object) -> Indices:
    """The training examples whose entry of ``values``, one for each, is ``wanted`` or one of the list ``wanted``.

    >>> by_metadata(np.array(["Rome", "Oslo", "Rome", "Bern"]), "Rome")
    array([0, 2])
    """
    values = as_array(values, "by_metadata", BadSetting)
    if values.ndim != 1:
        raise BadSetting(f"expected one value for each training example, got an array of shape {values.shape}")
    if isinstance(wanted, Iterable) and not isinstance(wanted, str | bytes) and getattr(wanted, "ndim", 1) > 0:
        choices = list(wanted)
    else:
        choices = [wanted]
    absent = [choice for choice in choices if not (values == choice).any()]
    if absent or not choices:
        known = list(dict.fromkeys(values.tolist()))
        more = f" and {len(known) - SHOWN} more" if len(known) > SHOWN else ""
        some = ", ".join(map(repr, known[:SHOWN])) + more
        raise BadSetting(f"no training example has the value {absent[0] if absent else None!r}; there are {some}")
    has = np.logical_or.reduce([values == choice for choice in choices])
    told = ", ".join(f"{plain(choice)}" for choice in choices[:SHOWN]) + (", ..." if len(choices) > SHOWN else "")
    return chosen(checked(np.flatnonzero(has), len(values), "by_metadata"), f"those whose value is {told}")


def influential(
    margins: Float[ndarray, "models train"], masks: Bool[ndarray, "masks train"], size: int, *, every: int = 1
) -> Indices:
    """The ``size`` training examples with the largest entries in the top principal direction of their influence.

    Entry ``(i, j)`` of the influence matrix: mean margin on ``j`` of models trained on ``i``, less that of models not
    trained on ``i``, in nats (Feldman and Zhang 2020, arXiv:2008.03703, with margins in place of correctness). The
    direction is its first left singular vector, with the sign of its largest entry; forget sets 4 to 9 of Georgiev et
    al. 2024, arXiv:2410.23232, are made of such directions. ``masks`` says which model was trained on which example;
    ``every`` is that of :func:`memorised`.
    """
    require_size(size * every, masks.shape[1])
    leaders = np.sort(_leaders(influence_direction(margins, masks), size, every))
    made = f"the {size}{_of_so_many(size, every)} leaders of the top direction of influence"
    return chosen(leaders, made, "influential")


def influence_direction(
    margins: Float[ndarray, "models train"], masks: Bool[ndarray, "masks train"]
) -> Float[ndarray, " train"]:
    """The top principal direction of the influence matrix, see :func:`influential`: an entry for each example."""
    direction = _first_left_direction(*_contrast(margins, masks))
    signed: ndarray = direction * np.sign(direction[np.abs(direction).argmax()])
    return signed


def memorised(
    margins: Float[ndarray, "models train"], masks: Bool[ndarray, "masks train"], size: int, *, every: int = 1
) -> Indices:
    """The ``size`` examples that are memorised most, see :func:`memorisation`.

    With ``every`` = 2 they are those of rank 0, 2, 4, ...: the others, as hard, are left to tune on.
    """
    own = memorisation(margins, masks)
    require_size(size * every, masks.shape[1])
    return chosen(
        np.sort(_leaders(own, size, every)),
        f"the {size}{_of_so_many(size, every)} most memorised examples",
        "memorised",
    )


def _leaders(values: Float[ndarray, " train"], size: int, every: int) -> Indices:
    """The places of ``size`` of the largest values, largest first: of the first, of the ``every``-th after it, ..."""
    if every < 1:
        raise BadSetting(f"expected every to be at least 1, got {every}")
    return np.argsort(-values, kind="stable")[: size * every : every]


def _of_so_many(size: int, every: int) -> str:
    return f" of even rank of the {2 * size}" if every == 2 else f" of {size * every}" if every > 1 else ""


def memorisation(
    margins: Float[ndarray, "models train"], masks: Bool[ndarray, "masks train"]
) -> Float[ndarray, " train"]:
    """How much the own margin of each example gains, on average over models, from having been trained on, in nats.

    Source: memorisation of Feldman and Zhang 2020, arXiv:2008.03703, with margins in place of correctness.
    """
    weights, values = _contrast(margins, masks)
    own: ndarray = np.einsum("mi,mi->i", weights, values)
    return own


def influence_on_others(
    margins: Float[ndarray, "models others"], masks: Bool[ndarray, "models train"]
) -> Float[ndarray, " train"]:
    """How much the mean margin on other examples, such as those of test, gains from each training example, in nats.

    ``mean margin of the models trained on it - mean margin of the others``, the more the more it helps; as
    :func:`influential`, whose matrix has one such number for each pair, averaged over the examples that are looked at.
    """
    weights, values = _contrast(np.broadcast_to(margins.mean(axis=1, keepdims=True), masks.shape), masks)
    helped: ndarray = np.einsum("mi,mi->i", weights, values)
    return helped


def _contrast(margins: ndarray, masks: ndarray) -> tuple[ndarray, ndarray]:
    """``weights`` and ``values``, both (models, train), whose product ``weights.T @ values`` is the influence matrix.

    The matrix itself, train x train, is never made: with 50,000 examples it has 20 GB.
    """
    if margins.shape != masks.shape:
        raise BadSetting(f"expected one mask for each model and margin, got {masks.shape} for {margins.shape}")
    inside = masks.sum(axis=0)
    if (inside == 0).any() or (inside == len(masks)).any():
        raise BadSetting("every example must be in the training set of some of the models and outside that of others")
    weights = np.where(masks, 1 / inside, -1 / (len(masks) - inside))
    return weights, margins.astype(np.float64)


def _first_left_direction(weights: ndarray, values: ndarray) -> ndarray:
    """The first left singular vector of ``weights.T @ values``, by Lanczos from a fixed start."""
    from scipy.sparse.linalg import LinearOperator, svds  # 0.2 s to import, for forget sets that are made once

    n = weights.shape[1]
    if n < 3:  # too small for Lanczos
        first: ndarray = np.linalg.svd(weights.T @ values)[0][:, 0]
        return first
    matrix = LinearOperator(
        (n, n),
        matvec=lambda v: weights.T @ (values @ v),
        rmatvec=lambda v: values.T @ (weights @ v),
        dtype=np.float64,
    )
    start = np.random.default_rng(0).normal(size=n)
    direction: ndarray = svds(matrix, k=1, v0=start)[0][:, 0]
    return direction


def _distances(features: ndarray, centres: ndarray, which: ndarray) -> ndarray:
    """Distance of every row to its own centre, in blocks: there are data sets of 100,000 pictures."""
    blocks = [slice(first, first + 4096) for first in range(0, len(features), 4096)]
    return np.concatenate([np.linalg.norm(features[rows] - centres[which[rows]], axis=1) for rows in blocks])
