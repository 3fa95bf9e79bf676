"""Activation clustering: records in a small cluster of their class that stands apart from the rest."""

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

from expunge.attacks.defence import Defence, Scene
from expunge.attacks.defences.by_class import in_double, labels_of, of_each_class, of_each_model
from expunge.ensembles.seeds import seed_of

DIMENSIONS = 10


def activation_clustering(
    features: Float[Tensor, "train d"], labels: Int[ndarray, " train"], seed: int
) -> Float[ndarray, " train"]:
    """``max(silhouette, 0) (1 - 2 small / n)`` for records in the smaller of two clusters of their class, else 0.

    Between 0 and 1; higher is more suspicious. Clusters are those of k-means with k = 2 on the features of the class,
    reduced to 10 dimensions. The paper looks at two things: how well two clusters fit, by the mean silhouette, and
    how much smaller one is; the grade is their product. Halves of equal size are not suspicious. Classes of fewer than
    3 records: 0.

    The paper reduces by independent components. Those are a rotation of the whitened principal components, and neither
    k-means nor silhouettes see a rotation: so the latter are taken, which need no iteration that may not converge.

    Args:
        features: of one model.
        labels: the class of each record.
        seed: of the first centres of k-means.

    Source: Chen et al. 2018, arXiv:1811.03728.
    """
    return of_each_class(labels, lambda members: _grades(whitened(in_double(features, members)), seed))


def whitened(centred: Float[ndarray, "n d"], dimensions: int = DIMENSIONS) -> Float[ndarray, "n reduced"]:
    """The first principal components of centred rows, each of variance 1; as many as there are, 0 where all agree."""
    u, spread, _ = np.linalg.svd(centred, full_matrices=False)
    kept = int((spread > 1e-6 * spread[0]).sum())  # what is less is rounding: features are computed in float32
    result: ndarray = u[:, : min(kept, dimensions)] * np.sqrt(len(centred) - 1)
    return result


def _grades(reduced: Float[ndarray, "n reduced"], seed: int) -> Float[ndarray, " n"]:
    if not reduced.shape[1]:
        return np.zeros(len(reduced))
    from sklearn.cluster import KMeans  # half a second, which what clusters nothing is spared
    from sklearn.metrics import silhouette_score

    clusters = KMeans(n_clusters=2, n_init=10, random_state=seed % 2**32).fit(reduced).labels_
    small = _smaller(clusters)
    apart = silhouette_score(reduced, clusters)
    grades: ndarray = small * max(float(apart), 0.0) * (1 - 2 * small.mean())
    return grades


def _smaller(clusters: Int[ndarray, " n"]) -> Bool[ndarray, " n"]:
    smaller: ndarray = clusters == int(np.bincount(clusters, minlength=2).argmin())
    return smaller


def records(scene: Scene) -> Float[ndarray, "models train"]:
    """The grade of each training record in the features of each model, from each model's own stream."""
    labels, digest = labels_of(scene), scene.victims.origin.digest

    def score(features: Tensor, model: int) -> Float[ndarray, " train"]:
        return activation_clustering(features, labels, seed_of("activation-clustering", digest, model))

    return of_each_model(scene, score)


DEFENCE = Defence(
    summary="membership in a small cluster of the features of a class that stands apart",
    when="training",
    price="a first training, one forward pass over the data, k-means and all distances within each class; an honest "
    "kind of a class that is rare is held back whole",
    source="Chen et al. 2018, arXiv:1811.03728",
    records=records,
)
