"""Defences at training time that look at features: each sees what it is made for, and nothing where nothing is."""

import numpy as np
import pytest
import torch
from numpy import ndarray
from sklearn.cluster import KMeans
from sklearn.decomposition import FastICA
from sklearn.neighbors import NearestNeighbors

from expunge.attacks.defences import DEFENCES
from expunge.attacks.defences.activation_clustering import activation_clustering, whitened
from expunge.attacks.defences.deep_knn import deep_knn
from expunge.attacks.defences.spectral_signatures import spectral_signatures
from expunge.attacks.detection import record_detection
from expunge.errors import BadSetting
from expunge.suites import Examples
from tests.attacks.defences.scenes import CLASSES, MODELS, WIDTH, blobs, hidden, scene_of, with_rows
from tests.toy_target import two_labels

CLUSTER = np.arange(0, 45, CLASSES)  # fifteen records of class 0


def planted() -> Examples:
    """Fifteen records of class 0 lie close together, far from the others of their class."""
    train = blobs()
    near = torch.full((WIDTH,), 5.0) + 0.1 * train.x[torch.as_tensor(CLUSTER)]
    return with_rows(train, CLUSTER, near)


def suspicions(name: str, train: Examples) -> ndarray:
    records = DEFENCES[name].records
    assert records is not None
    return records(scene_of(train))


@pytest.mark.parametrize("name", ["spectral-signatures", "activation-clustering"])
def test_a_planted_cluster_is_seen(name: str) -> None:
    found = record_detection(suspicions(name, planted()), CLUSTER)
    assert found.auroc.value > 0.95
    assert found.tpr.value > 0.9


def test_a_record_among_others_of_another_label_is_seen() -> None:
    train = blobs()
    odd = with_rows(train, [0, 3], train.x[[1, 4]] + 0.01)
    assert record_detection(suspicions("deep-knn", odd), np.array([0, 3])).auroc.value > 0.95


@pytest.mark.parametrize("name", ["spectral-signatures", "activation-clustering", "deep-knn", "loss-outliers"])
def test_of_records_that_could_be_any_other_none_is_seen(name: str) -> None:
    drawn = np.random.default_rng(0).choice(900, 300, replace=False)
    found = record_detection(suspicions(name, blobs(900)), drawn)
    assert abs(found.auroc.value - 0.5) < 0.08
    assert found.tpr.value < 0.05


def test_a_signature_is_the_squared_projection_on_the_top_direction() -> None:
    train = blobs(60)
    members = train.y.numpy() == 1
    own = train.x.double().numpy()[members]
    direction = np.linalg.eigh(np.cov(own.T))[1][:, -1]
    found = spectral_signatures(train.x, train.y.numpy())
    np.testing.assert_allclose(found[members], ((own - own.mean(axis=0)) @ direction) ** 2, rtol=1e-6)


def test_whitened_principal_components_cluster_as_independent_ones_do() -> None:
    rng = np.random.default_rng(0)
    sources = rng.laplace(size=(120, 4))  # of which independent components can be told
    sources[:20] += 8
    own = sources @ rng.normal(size=(4, 7))
    centred = own - own.mean(axis=0)
    independent = FastICA(4, whiten="unit-variance", random_state=0, max_iter=2000).fit_transform(centred)
    np.testing.assert_allclose(np.cov(whitened(centred, 4).T), np.eye(4), atol=1e-12)
    first, second = (
        KMeans(2, n_init=10, random_state=0).fit(rows).labels_ for rows in (whitened(centred, 4), independent)
    )
    assert np.array_equal(first, second) or np.array_equal(first, 1 - second)


def test_clusters_of_one_seed_are_the_same_each_time_and_only_the_smaller_is_suspected() -> None:
    train, labels = planted(), planted().y.numpy()
    found = activation_clustering(train.x, labels, seed=3)
    assert np.array_equal(found, activation_clustering(train.x, labels, seed=3))
    for label in range(CLASSES):
        assert (found[labels == label] > 0).mean() <= 0.5


def test_the_share_of_neighbours_is_that_of_another_implementation() -> None:
    train = blobs(90)
    labels = train.y.numpy()
    neighbours = NearestNeighbors(n_neighbors=6).fit(train.x.numpy()).kneighbors(return_distance=False)
    wanted = (labels[neighbours] != labels[:, None]).mean(axis=1)
    np.testing.assert_allclose(deep_knn(train.x, labels, share=0.2), wanted)  # 6 is a fifth of 30


@pytest.mark.parametrize("members", [1, 2])
def test_of_a_class_with_few_records_nothing_is_told(members: int) -> None:
    train = blobs(60)
    labels = torch.where(train.y == 2, 0, train.y)
    labels[:members] = 2
    few = Examples(train.x, labels)
    for name, defence in DEFENCES.items():
        if defence.when == "training" and name not in ("pixel-range", "pixel-grid"):
            assert (suspicions(name, few)[:, :members] == 0).all(), name


def test_records_that_are_all_the_same_are_no_odd_ones() -> None:
    train = blobs(30)
    same = Examples(torch.zeros_like(train.x), train.y)
    for name in DEFENCES:
        if DEFENCES[name].when == "training" and name != "deep-knn":
            assert not suspicions(name, same).any(), name


def test_each_model_has_a_row_of_its_own() -> None:
    found = DEFENCES["spectral-signatures"].records
    assert found is not None
    rows = found(scene_of(blobs(60), hidden))
    assert rows.shape == (MODELS, 60)
    assert not np.allclose(rows[0], rows[1])


def test_records_with_several_labels_have_no_class_mates() -> None:
    suite = two_labels()
    scene = scene_of(blobs(60))
    records = DEFENCES["deep-knn"].records
    assert records is not None
    with pytest.raises(BadSetting, match="one label an example"):
        records(type(scene)(suite, scene.victims, (), scene.remove))
