"""Builders of forget sets: pure, seeded functions of arrays that return sorted, unique training indices."""

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from expunge.errors import BadSetting

Indices = Int[ndarray, " forget"]


def random_examples(examples: int, size: int, seed: int) -> Indices:
    """``size`` of ``examples``, drawn uniformly without replacement.

    >>> random_examples(10, 3, seed=0)
    array([5, 6, 9])
    """
    _require(size, examples)
    return np.sort(np.random.default_rng(seed).choice(examples, size, replace=False))


def whole_class(labels: Int[ndarray, " examples"], label: int) -> Indices:
    """All examples of one class."""
    chosen = np.flatnonzero(labels == label)
    _require(1, len(chosen))
    return chosen


def subclass(
    features: Float[ndarray, "examples features"], labels: Int[ndarray, " examples"], label: int, size: int, seed: int
) -> Indices:
    """The ``size`` members of one cluster of a class that lie nearest to its centre.

    k-means with k = 2 on the features of the class; the smaller cluster that has ``size`` members is the subclass.
    """
    from sklearn.cluster import KMeans  # 60 MB that only this function needs

    members = whole_class(labels, label)
    clusters = KMeans(n_clusters=2, n_init=10, random_state=seed).fit(features[members])
    counts = np.bincount(clusters.labels_)
    large_enough = [cluster for cluster in np.argsort(counts) if counts[cluster] >= size]
    if not large_enough:
        raise BadSetting(f"class {label} has no cluster of {size} examples; its clusters have {counts.tolist()}")
    distance = np.linalg.norm(features[members] - clusters.cluster_centers_[large_enough[0]], axis=1)
    distance[clusters.labels_ != large_enough[0]] = np.inf
    return np.sort(members[np.argsort(distance, kind="stable")[:size]])


def neighbours(features: Float[ndarray, "examples features"], labels: Int[ndarray, " examples"], size: int) -> Indices:
    """One odd example, the farthest from the mean of its own class, and those nearest to it, ``size`` in all."""
    _require(size, len(features))
    means = np.stack([features[labels == label].mean(axis=0) for label in range(labels.max() + 1)])
    odd = np.linalg.norm(features - means[labels], axis=1).argmax()
    distance = np.linalg.norm(features - features[odd], axis=1)
    return np.sort(np.argsort(distance, kind="stable")[:size])


def influence(
    margins: Float[ndarray, "models examples"], masks: Bool[ndarray, "models train"]
) -> Float[ndarray, "train examples"]:
    """Entry ``(i, j)``: mean margin on ``j`` of models trained on ``i``, less that of models not trained on ``i``.

    Unit: nats of margin. Each model was trained on a random half of the training set, its row of ``masks``.
    Source: Feldman and Zhang 2020, arXiv:2008.03703, with margins in place of correctness.
    """
    if margins.shape[0] != masks.shape[0]:
        raise BadSetting(f"expected one mask for each of {len(margins)} models, got {len(masks)}")
    with_i = masks.sum(axis=0)[:, None].astype(float)
    if (with_i == 0).any() or (with_i == len(masks)).any():
        raise BadSetting("every example must be in the training set of some of the models and outside that of others")
    values = margins.astype(float)
    inside = masks.T.astype(float) @ values
    effect: ndarray = inside / with_i - (values.sum(axis=0) - inside) / (len(masks) - with_i)
    return effect


def influential(effect: Float[ndarray, "train train"], size: int) -> Indices:
    """The ``size`` training examples with the largest entries in the top principal direction of ``effect``.

    The first left singular vector; its sign is that of its largest entry. Source: forget sets 4 to 9 of Georgiev et
    al. 2024, arXiv:2410.23232, are made of the principal components of such a matrix.
    """
    _require(size, len(effect))
    direction = np.linalg.svd(effect)[0][:, 0]
    direction = direction * np.sign(direction[np.abs(direction).argmax()])
    return np.sort(np.argsort(-direction, kind="stable")[:size])


def memorised(effect: Float[ndarray, "train train"], size: int) -> Indices:
    """The ``size`` examples whose own margin gains most from having been trained on: the largest ``effect[i, i]``.

    Source: memorisation of Feldman and Zhang 2020, arXiv:2008.03703.
    """
    _require(size, len(effect))
    return np.sort(np.argsort(-np.diag(effect), kind="stable")[:size])


def _require(size: int, available: int) -> None:
    if not 1 <= size <= available:
        raise BadSetting(f"expected a forget set of 1 to {available} examples, got {size}")
