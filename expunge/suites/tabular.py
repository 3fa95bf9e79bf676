"""``tabular`` and ``tabular-mlp``: breast tumours, benign or malignant, by 30 measurements of their cells."""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import nn

from expunge.suites.data import Data, Examples, flat_features
from expunge.suites.derived import with_derived
from expunge.suites.forget_sets import neighbours, subclass
from expunge.suites.networks import logistic, mlp
from expunge.suites.pictures import derived_forget_sets, random_sets
from expunge.suites.recipe import Recipe
from expunge.suites.suite import ForgetSet, ForgetSets, Suite

MALIGNANT = 0


def load_data() -> Data:
    """455 training and 114 test tumours, stratified by class, standardised with the mean and spread of training."""
    from sklearn.datasets import load_breast_cancer  # workers get the data from their jobs and need no scikit-learn
    from sklearn.model_selection import train_test_split

    features, labels = load_breast_cancer(return_X_y=True)
    train, test = train_test_split(np.arange(len(labels)), test_size=114, stratify=labels, random_state=0)
    parts = [np.sort(train), np.sort(test)]
    mean, std = features[parts[0]].mean(axis=0), features[parts[0]].std(axis=0)
    train_set, test_set = (
        Examples(torch.tensor((features[rows] - mean) / std, dtype=torch.float32), torch.tensor(labels[rows]).long())
        for rows in parts
    )
    return Data(train_set, test_set, classes=2)


def known_forget_sets(data: Data) -> ForgetSets:
    """The forget sets that follow from the data alone."""
    labels, features = data.train.y.numpy(), flat_features(data.train.x)
    return ForgetSets.of(
        *random_sets(len(labels), 10, 45),
        ForgetSet(
            "subclass-20",
            subclass(features, labels, label=MALIGNANT, size=20, seed=0),
            "one kind of malignant tumour: the heart of one of two k-means clusters of its measurements, seed 0",
        ),
        ForgetSet(
            "neighbours-20",
            neighbours(features, labels, size=20, every=2),
            "the tumour least like the mean of its class, and every other one of the 38 nearest to it in measurements",
        ),
    )


def tabular() -> Suite:
    """Logistic regression with weight decay: convex, so that what a method should reach has a closed form."""
    recipe = Recipe(epochs=30, batch_size=32, lr=0.1, weight_decay=1e-2)
    return _suite("tabular", logistic, "linear, 30 to 2", recipe)


def tabular_mlp() -> Suite:
    """The same task with a hidden layer."""
    recipe = Recipe(epochs=30, batch_size=32, lr=0.1)
    return _suite("tabular-mlp", mlp, "linear, 30 to 16, ReLU, linear, 16 to 2", recipe)


def _suite(name: str, network: Callable[[], nn.Module], architecture: str, recipe: Recipe) -> Suite:
    data = load_data()
    return with_derived(
        Suite(
            name=name,
            version=1,
            data=data,
            network=network,
            architecture=architecture,
            recipe=recipe,
            forget_sets=known_forget_sets(data),
            derive=partial(derived_forget_sets, size=20),
            models=200,
            subsets=1000,
            chunk=100,
        )
    )
