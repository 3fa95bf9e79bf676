"""``living17-resnet18``: 17 kinds of animals out of ImageNet, and a ResNet-18. The pictures must be brought.

Source: data-unlearning-bench. Its published margins of this suite look broken (pretrained models and oracles disagree
on what neither forgot), so they are no reference.
"""

from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from torch import Tensor

from expunge.errors import BadData, MissingData
from expunge.suites.data import Data, Examples
from expunge.suites.derived import with_derived
from expunge.suites.networks import resnet18_large
from expunge.suites.pictures import derived_forget_sets, shipped_indices
from expunge.suites.recipe import Recipe
from expunge.suites.sources import folders_of
from expunge.suites.suite import ForgetSet, ForgetSets, Suite
from expunge.torch_files import read_tensors

TRAIN, TEST, CLASSES = 44_200, 3_400, 17
LARGEST = 3 * 1024 * 1024  # numbers of a picture
FILES = ("raw_tensors_tr_new.pt", "raw_tensors_val_new.pt")
INDICES = "living17_forget_sets.npz"
MADE = {  # what the published files are: their numbers differ from those in the README beside them
    1: "500 examples drawn uniformly",
    2: "all 647 training examples of one of the ImageNet classes that make up a class",
    3: "all 663 training examples of another of the ImageNet classes that make up a class",
    4: "the first 200 of set 2",
    5: "the first 200 of set 3",
}


def published_sets() -> ForgetSets:
    """``set-1`` to ``set-5``, sorted."""
    read = shipped_indices(INDICES)
    return ForgetSets.of(
        *(
            ForgetSet(f"set-{k}", np.sort(read(f"set-{k}")), made, "random" if k == 1 else "subclass")
            for k, made in MADE.items()
        )
    )


@lru_cache(maxsize=1)  # the jobs of one process share the examples
def load_all() -> tuple[Examples, Examples]:
    """44,200 training and 3,400 test examples, as published: normalised, in 16 bits."""
    return load_folder((TRAIN, TEST))


def load_folder(sizes: tuple[int, int]) -> tuple[Examples, Examples]:
    """Train and test out of the folder of EXPUNGE_DATA; of a longer training file the first examples are meant."""
    for folder in folders_of("living17"):
        if all((folder / name).is_file() for name in FILES):
            train, test = (_tensors(folder / name, size) for name, size in zip(FILES, sizes, strict=True))
            return train, test
    raise MissingData(
        f"the examples of living17 are in no folder; put {' and '.join(FILES)} of data-unlearning-bench into "
        "$EXPUNGE_DATA/living17 (they are at no hub)"
    )


def _tensors(file: Path, size: int) -> Examples:
    content = read_tensors(file, checksums=False)  # of 13 GB, which are mapped and read when they are needed
    if not (isinstance(content, tuple | list) and len(content) == 2 and all(isinstance(x, Tensor) for x in content)):
        raise BadData(f"{file}: expected two tensors, pictures and labels, got {type(content).__name__}")
    x, y = content
    if not x.is_contiguous() or x.shape[1:].numel() > LARGEST:
        raise BadData(f"{file}: expected pictures one after the other, at most {LARGEST:,} numbers each")
    if x.ndim != 4 or x.shape[1] != 3 or len(x) not in (size, 2 * size) or y.shape != x.shape[:1]:
        raise BadData(
            f"{file}: expected {size:,} pictures (n, 3, height, width) and as many labels, got {tuple(x.shape)} "
            f"and {tuple(y.shape)}"
        )
    return Examples(x[:size], y[:size].long())


def living17_resnet18() -> Suite:
    """The recipe of data-unlearning-bench."""
    recipe = Recipe(
        epochs=25,
        batch_size=1024,
        lr=0.6,
        warmup=12 / 25,
        from_zero=True,
        label_smoothing=0.1,
        decay_norm=False,
        precision="bfloat16",
    )
    return with_derived(
        Suite(
            name="living17-resnet18",
            version=1,
            data=Data.deferred(load_all, (TRAIN, TEST), CLASSES, "living17: " + ", ".join(FILES)),
            network=resnet18_large,
            architecture="torchvision's ResNet-18 with 17 classes, 11,185,233 parameters",
            recipe=recipe,
            forget_sets=published_sets(),
            derive=partial(derived_forget_sets, size=100),
            models=200,
            subsets=1000,
            chunk=10,
        )
    )
