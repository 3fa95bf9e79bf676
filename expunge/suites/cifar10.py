"""``cifar10-resnet9``, ``cifar10-resnet18``, ``cifar10-allcnn``: the public benchmark's data and forget sets.

Indices refer to the order of ``data_batch_1`` to ``data_batch_5``, which is torchvision's and that of all published
forget sets and margins. The hub's file holds the batches in another order; it is put into this one.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from jaxtyping import Int
from numpy import ndarray
from torch import nn

from expunge.errors import BadData, BadSetting
from expunge.suites.data import Data, Examples
from expunge.suites.derived import with_derived
from expunge.suites.formats import Raw, read_cifar_batches, read_parquet
from expunge.suites.networks import allcnn, resnet9, resnet18
from expunge.suites.pictures import derived_forget_sets, examples, shipped_indices
from expunge.suites.recipe import Recipe
from expunge.suites.sources import FileSet, Source, read_source
from expunge.suites.suite import ForgetSet, ForgetSets, Suite

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
INDICES = "cifar10_forget_sets.npz"

# The first 20 labels of each batch and how many examples of each class it has: what tells the batches apart.
BATCHES = (
    ("69941127834772999326", (1005, 974, 1032, 1016, 999, 937, 1030, 1001, 1025, 981)),
    ("16688346060366548326", (984, 1007, 1010, 995, 1010, 988, 1008, 1026, 987, 985)),
    ("85069283627469007372", (994, 1042, 965, 997, 990, 1029, 978, 1015, 961, 1029)),
    ("06027212415663135581", (1003, 963, 1041, 976, 1004, 1021, 1004, 981, 1024, 983)),
    ("18515743827201596208", (1014, 1014, 952, 1016, 997, 1025, 980, 977, 1003, 1022)),
)

MADE = {
    1: "10 examples drawn uniformly (numpy's legacy seed 0)",
    2: "100 examples drawn uniformly (numpy's legacy seed 1)",
    3: "1,000 examples drawn uniformly (numpy's legacy seed 2)",
    4: "top 10 of the first principal component of the influence matrix",
    5: "top 100 of the first principal component of the influence matrix",
    6: "top 250 and bottom 250 of the first principal component of the influence matrix",
    7: "top 10 of the second principal component of the influence matrix",
    8: "top 100 of the second principal component of the influence matrix",
    9: "top 250 and bottom 250 of the second principal component of the influence matrix",
    10: "training example 6, a cassowary, and the 99 nearest to it in the image space of CLIP ViT-B/32",
}
KIND_OF = {**dict.fromkeys((1, 2, 3), "random"), **dict.fromkeys(range(4, 10), "influential"), 10: "neighbours"}


def in_order(raw: Raw, batches: Sequence[tuple[str, tuple[int, ...]]]) -> Raw:
    """``raw`` with its training examples, whole batches in some order, in the order of ``batches``."""
    size = sum(batches[0][1])
    blocks = {}
    for first in range(0, len(raw.train_y), size):
        labels = raw.train_y[first : first + size]
        told = "".join(map(str, labels[: len(batches[0][0])])), tuple(np.bincount(labels, minlength=10).tolist())
        blocks[told] = slice(first, first + size)
    if set(blocks) != set(batches):
        raise BadData(
            "the training examples of cifar10 are not in blocks that equal data_batch_1 to data_batch_5, so published "
            "indices cannot be placed; put the files of cifar-10-python.tar.gz into $EXPUNGE_DATA/cifar10"
        )
    x, y = (np.concatenate([array[blocks[batch]] for batch in batches]) for array in (raw.train_x, raw.train_y))
    return Raw(x, y, raw.test_x, raw.test_y)


def read_hub(files: Sequence[Path], batches: Sequence[tuple[str, tuple[int, ...]]] = BATCHES) -> Raw:
    """The hub's two parquet files, in the order of the batches."""
    return in_order(read_parquet(files, image="img", label="label"), batches)


SOURCE = Source(
    name="cifar10",
    sizes=(50_000, 10_000),
    shape=(3, 32, 32),
    classes=10,
    layouts=(
        FileSet(
            (
                ("cifar-10-batches-py/data_batch_1", "md5:c99cafc152244af753f735de768cd75f"),
                ("cifar-10-batches-py/data_batch_2", "md5:d4bba439e000b95fd0a9bffe97cbabec"),
                ("cifar-10-batches-py/data_batch_3", "md5:54ebc095f3ab1f0389bbae665268c751"),
                ("cifar-10-batches-py/data_batch_4", "md5:634d18415352ddfa80567beed471001a"),
                ("cifar-10-batches-py/data_batch_5", "md5:482c414d41f54cd18b22e5b47cb7c3cb"),
                ("cifar-10-batches-py/test_batch", "md5:40351d587109b95175f43aff81a1287e"),
            ),
            read_cifar_batches,
        ),
    ),
    repo="uoft-cs/cifar10",
    revision="0b2714987fa478483af9968de7c934580d0bb9a2",
    hub=FileSet(
        (
            (
                "plain_text/train-00000-of-00001.parquet",
                "sha256:8428b53a88a11ac374111006708df51469e315a22ac6d66470afd9c78d2ae883",
            ),
            (
                "plain_text/test-00000-of-00001.parquet",
                "sha256:841389e6f2d64f28bf17310e430aebac20ec3ba611a3c5e231dc93c645ce84de",
            ),
        ),
        read_hub,
    ),
    advice="the folder cifar-10-batches-py of cifar-10-python.tar.gz into $EXPUNGE_DATA/cifar10, or let the hub be "
    "reached",
)


def published_indices(k: int) -> Int[ndarray, " forget"]:
    """Published forget set ``k``, 1 to 10, in its published order: set 10 is not sorted, and its margins follow it.

    Source: history of data-unlearning-bench (MIT).
    """
    if k not in MADE:
        raise BadSetting(f"expected the number of a published forget set, 1 to 10, got {k}")
    return shipped_indices(INDICES)(f"set-{k}")


def published_sets() -> ForgetSets:
    """``set-1`` to ``set-10``, sorted."""
    return ForgetSets.of(
        *(ForgetSet(f"set-{k}", np.sort(published_indices(k)), made, KIND_OF[k]) for k, made in MADE.items())
    )


@lru_cache(maxsize=1)  # the jobs of one process share the examples
def load_all() -> tuple[Examples, Examples]:
    """50,000 training and 10,000 test examples, normalised."""
    return examples(read_source(SOURCE), MEAN, STD)


def cifar10_resnet9() -> Suite:
    """The recipe of EasyDUB and data-unlearning-bench."""
    recipe = Recipe(
        epochs=24, batch_size=256, lr=0.4, weight_decay=5e-4, warmup=5 / 24, from_zero=True, precision="bfloat16"
    )
    return _suite("cifar10-resnet9", resnet9, "ResNet-9, 2,274,880 parameters, logits times 0.2", recipe)


def cifar10_resnet18() -> Suite:
    """A larger network on the same task."""
    recipe = Recipe(epochs=24, batch_size=256, lr=0.2, warmup=5 / 24, from_zero=True, precision="bfloat16")
    return _suite("cifar10-resnet18", resnet18, "ResNet-18 with a 3x3 stem, 11,173,962 parameters", recipe)


def cifar10_allcnn() -> Suite:
    """A network without pooling or residual connections on the same task."""
    recipe = Recipe(epochs=24, batch_size=256, lr=0.1, warmup=5 / 24, from_zero=True, precision="bfloat16")
    return _suite("cifar10-allcnn", allcnn, "All-CNN-C with BatchNorm, 1,370,986 parameters", recipe)


def _suite(name: str, network: Callable[[], nn.Module], architecture: str, recipe: Recipe) -> Suite:
    content = f"{SOURCE.content} in the order of its batches, less {MEAN}, over {STD}"
    return with_derived(
        Suite(
            name=name,
            version=1,
            data=Data.deferred(load_all, SOURCE.sizes, SOURCE.classes, content),
            network=network,
            architecture=architecture,
            recipe=recipe,
            forget_sets=published_sets(),
            derive=partial(derived_forget_sets, size=100),
            models=200,
            subsets=1000,
            chunk=10,
            images=(32, 32),
            published=name == "cifar10-resnet9",
        )
    )
