"""``fashion-mnist`` and ``fashion-mnist-10k``: real photographs of clothes, 28 x 28 pixels, and a LeNet."""

from functools import lru_cache, partial

import numpy as np
from jaxtyping import Int, UInt8
from numpy import ndarray

from expunge.suites.data import Data, Examples
from expunge.suites.derived import with_derived
from expunge.suites.formats import read_parquet
from expunge.suites.networks import lenet
from expunge.suites.pictures import derived_forget_sets, examples, picture_sets, random_sets, shipped_sets
from expunge.suites.recipe import Recipe
from expunge.suites.sources import IDX, FileSet, Source, read_source
from expunge.suites.suite import ForgetSets, Suite, Unmade

ARCHITECTURE = "LeNet: 2 x (5x5 convolution, 2x2 max-pool, BatchNorm, ReLU), linear, BatchNorm, ReLU, linear"
INDICES = "fashion_mnist_forget_sets.npz"
SHIRT, BAG = (6, "shirts"), (8, "bag")

SOURCE = Source(
    name="fashion-mnist",
    sizes=(60_000, 10_000),
    shape=(1, 28, 28),
    classes=10,
    layouts=(IDX,),
    repo="zalando-datasets/fashion_mnist",
    revision="531be5e2ccc9dba0c201ad3ae567a4f3d16ecdd2",
    hub=FileSet(
        (
            ("fashion_mnist/train-00000-of-00001.parquet", ""),
            ("fashion_mnist/test-00000-of-00001.parquet", ""),
        ),
        partial(read_parquet, image="image", label="label"),
    ),
    advice="train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz and "
    "t10k-labels-idx1-ubyte.gz into $EXPUNGE_DATA/fashion-mnist, or install Debian's dataset-fashion-mnist, or let the "
    "hub be reached",
    folders=("/usr/share/datasets/fashion-mnist",),
    idx=(
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
)


@lru_cache(maxsize=1)  # the jobs of one process share the examples
def load_all() -> tuple[Examples, Examples]:
    """60,000 training and 10,000 test examples."""
    return examples(read_source(SOURCE))


@lru_cache(maxsize=1)
def load_10k() -> tuple[Examples, Examples]:
    """10,000 of the training examples, as many of each class, drawn with seed 0; all test examples."""
    raw = read_source(SOURCE)
    rows = balanced_rows(raw.train_y, 10_000, SOURCE.classes)
    return examples(raw._replace(train_x=raw.train_x[rows], train_y=raw.train_y[rows]))


def balanced_rows(labels: UInt8[ndarray, " examples"], size: int, classes: int) -> Int[ndarray, " size"]:
    """``size`` of the examples, as many of each class, drawn with seed 0."""
    rng = np.random.default_rng(0)
    chosen = [rng.permutation(np.flatnonzero(labels == label))[: size // classes] for label in range(classes)]
    return np.sort(np.concatenate(chosen))


def built_forget_sets(data: Data) -> list[Unmade]:
    """The forget sets that need the pictures, as their builders give them: what is shipped in ``INDICES``."""
    return picture_sets(data, whole=SHIRT, part=BAG)


def fashion_mnist() -> Suite:
    """All 60,000 training examples."""
    sha256 = "a44673580a976fe4bef5502537d7bd351043fe3357e0219efdf9c063b8f01bc7"
    data = Data.deferred(load_all, SOURCE.sizes, SOURCE.classes, sha256)
    return _suite("fashion-mnist", data, Recipe(epochs=8, batch_size=256, lr=0.2))


def fashion_mnist_10k() -> Suite:
    """A sixth of the training examples, for machines without a GPU."""
    sha256 = "2f57ba1f1b20cec761d5b95d9131ba45d5113605306e09bd646f3271f6dbe405"
    data = Data.deferred(load_10k, (10_000, 10_000), SOURCE.classes, sha256)
    return _suite("fashion-mnist-10k", data, Recipe(epochs=8, batch_size=64, lr=0.1))


def _suite(name: str, data: Data, recipe: Recipe) -> Suite:
    train, _ = data.sizes
    return with_derived(
        Suite(
            name=name,
            version=1,
            data=data,
            network=lenet,
            architecture=ARCHITECTURE,
            recipe=recipe,
            forget_sets=ForgetSets.of(
                *random_sets(train, 100, 1000), *shipped_sets(built_forget_sets(data), INDICES, name)
            ),
            derive=partial(derived_forget_sets, size=100),
            models=200,
            subsets=1000,
            chunk=10,
            images=(28, 28),
        )
    )
