"""``cifar100-resnet18``: a hundred kinds of things, 32 x 32 colour pixels, and a ResNet-18.

Labels are the hundred fine ones. Indices refer to the order of the archive's file ``train``, which is torchvision's.
The hub's file was written out of that one, row by row; whether it begins with the same labels is asked when it is read.
"""

from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path

from torch import nn

from expunge.errors import BadData
from expunge.suites.data import Data, Examples
from expunge.suites.derived import with_derived
from expunge.suites.formats import Raw, read_cifar_batches, read_parquet
from expunge.suites.networks import resnet18
from expunge.suites.pictures import derived_forget_sets, examples, picture_sets, random_sets
from expunge.suites.recipe import Recipe
from expunge.suites.sources import FileSet, Source, read_source
from expunge.suites.suite import ForgetSets, Suite

MEAN, STD = (0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)  # as in pytorch-cifar100 of weiaicunzai
ROCKET, MUSHROOM = (69, "rockets"), (51, "mushroom")
FIRST = (19, 29, 0, 11, 1)  # the first training labels of the archive, as the documentation of MLDatasets.jl shows them


def read_hub(files: Sequence[Path], first: Sequence[int] = FIRST) -> Raw:
    """The hub's two parquet files; refused where they do not begin as the archive does."""
    raw = read_parquet(files, image="img", label="fine_label")
    found = raw.train_y[: len(first)].tolist()
    if found != list(first):
        raise BadData(
            f"the training examples of cifar100 begin with the labels {found}, the archive's with {list(first)}, so "
            "forget sets cannot be placed; put the files of cifar-100-python.tar.gz into $EXPUNGE_DATA/cifar100"
        )
    return raw


SOURCE = Source(  # MD5 from torchvision's datasets/cifar.py; SHA-256 are those of the hub's large files
    name="cifar100",
    sizes=(50_000, 10_000),
    shape=(3, 32, 32),
    classes=100,
    layouts=(
        FileSet(
            (
                ("cifar-100-python/train", "md5:16019d7e3df5f24257cddd939b257f8d"),
                ("cifar-100-python/test", "md5:f0ef6b0ae62326f3e7ffdfab6717acfc"),
            ),
            partial(read_cifar_batches, labels="fine_labels"),
        ),
    ),
    repo="uoft-cs/cifar100",
    revision="aadb3af77e9048adbea6b47c21a81e47dd092ae5",
    hub=FileSet(
        (
            (
                "cifar100/train-00000-of-00001.parquet",
                "sha256:694865d6b990e234804f01268586c41e88bcbbb75e20858432c05ad4081aca23",
            ),
            (
                "cifar100/test-00000-of-00001.parquet",
                "sha256:98776c529bb146a9c791229df74a5cf076be9b43d82dbbd334b6a7788d73dc68",
            ),
        ),
        read_hub,
    ),
    advice="the folder cifar-100-python of cifar-100-python.tar.gz into $EXPUNGE_DATA/cifar100, or let the hub be "
    "reached",
)


@lru_cache(maxsize=1)  # the jobs of one process share the examples
def load_all() -> tuple[Examples, Examples]:
    """50,000 training and 10,000 test examples, normalised."""
    return examples(read_source(SOURCE), MEAN, STD)


def network() -> nn.Module:
    """ResNet-18 with a number for each of the hundred classes."""
    return resnet18(SOURCE.classes)


def cifar100_resnet18() -> Suite:
    """The recipe of ``cifar10-resnet18``, and flips and crops, without which 500 pictures of a class are few."""
    data = Data.deferred(
        load_all, SOURCE.sizes, SOURCE.classes, f"{SOURCE.content} by fine labels, less {MEAN}, over {STD}"
    )
    recipe = Recipe(
        epochs=24, batch_size=256, lr=0.2, warmup=5 / 24, from_zero=True, augment="flip-crop", precision="bfloat16"
    )
    made = picture_sets(data, whole=ROCKET, part=MUSHROOM)
    return with_derived(
        Suite(
            name="cifar100-resnet18",
            version=1,
            data=data,
            network=network,
            architecture="ResNet-18 with a 3x3 stem and 100 classes, 11,220,132 parameters",
            recipe=recipe,
            forget_sets=ForgetSets.of(*random_sets(SOURCE.sizes[0], 100, 1000), *made),
            derive=partial(derived_forget_sets, size=100),
            models=200,
            subsets=1000,
            chunk=10,
            images=(32, 32),
        )
    )
