"""The attack on pictures that lie as CIFAR-10's and CIFAR-100's do: colour, normalised, flipped, 100 classes."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from expunge.attacks.condensing.condensed import Condensing
from expunge.attacks.removal import Attacked
from expunge.attacks.usability import Usability, run
from expunge.suites import Data, Suite, load_suite
from expunge.suites.cifar10 import MEAN as TEN_MEAN
from expunge.suites.cifar10 import SOURCE as TEN
from expunge.suites.cifar10 import STD as TEN_STD
from expunge.suites.cifar100 import MEAN as HUNDRED_MEAN
from expunge.suites.cifar100 import SOURCE as HUNDRED
from expunge.suites.cifar100 import STD as HUNDRED_STD
from expunge.suites.formats import Raw
from expunge.suites.networks import convnet
from expunge.suites.pictures import examples
from expunge.suites.sources import FileSet, Source, read_source
from tests.suites.sources import write_batches, write_fine_batches

LAYOUTS: dict[str, tuple[Source, Callable[[Path, Raw], None], tuple[float, ...], tuple[float, ...]]] = {
    "cifar10-resnet18": (TEN, write_batches, TEN_MEAN, TEN_STD),
    "cifar100-resnet18": (HUNDRED, write_fine_batches, HUNDRED_MEAN, HUNDRED_STD),
}


def small(name: str, folder: Path, of_each: int = 5) -> Suite:
    """The suite on few pictures that were read in its layout, with a small network and a short recipe."""
    source, write, mean, std = LAYOUTS[name]
    rng, sizes = np.random.default_rng(0), (of_each * source.classes, source.classes)
    parts = []
    for size in sizes:
        parts.append(rng.integers(0, 256, (size, 3, 32, 32), dtype=np.uint8))
        parts.append((np.arange(size) % source.classes).astype(np.uint8))
    raw = Raw(*parts)
    write(folder, raw)
    names = [file for file, _ in source.layouts[0].files]
    hashed = tuple((file, f"md5:{hashlib.md5((folder / file).read_bytes()).hexdigest()}") for file in names)
    found = read_source(replace(source, sizes=sizes, layouts=(FileSet(hashed, source.layouts[0].read),)))
    train, test = examples(found, mean, std)
    suite = load_suite(name)
    return replace(
        suite,
        data=Data(train, test, source.classes),
        network=partial(convnet, 3, 32, 32, source.classes, filters=4),
        architecture="",
        recipe=replace(suite.recipe, epochs=2, batch_size=64, precision="float32"),
        forget_sets={},
        derive=None,
        subsets=0,
    )


@pytest.mark.parametrize("name", ["cifar10-resnet18", pytest.param("cifar100-resnet18", marks=pytest.mark.slow)])
def test_the_whole_attack_runs_and_pixels_stay_within_those_of_each_channel(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPUNGE_DATA", str(tmp_path))
    monkeypatch.setattr("expunge.attacks.evidence.MOST", 2)  # noise is not soon forgotten
    monkeypatch.setattr("expunge.attacks.condensing.informativeness.STEPS", 2)  # and teaches nothing
    suite = small(name, tmp_path / suite_folder(name))
    config = Usability(
        condensing=Condensing(images=1, iterations=1, width=4),
        models=2,
        methods=(Attacked("gradient-ascent", {"epochs": 1}),),
        batchings=("shuffled",),
        defences=("pixel-range", "membership"),
        honest=100,
        draws=1,
    )
    scores = run(suite, config, tmp_path / "out")
    with np.load(tmp_path / "out/condensed-0.npz") as made, np.load(tmp_path / "out/pictures.npz") as shown:
        x = made["x"]
        assert x.shape == (suite.data.classes, 3, 32, 32)
        assert shown["condensed"].shape == (suite.data.classes, 32, 32, 3)
    real = suite.data.train.x.numpy()
    for channel in range(3):
        assert real[:, channel].min() <= x[:, channel].min()
        assert x[:, channel].max() <= real[:, channel].max()
    auroc = [score.value for score in scores if (score.metric, score.subject.method) == ("auroc", "pixel-range")]
    assert set(auroc) == {0.5}  # nothing is out of range


def suite_folder(name: str) -> str:
    return name.partition("-")[0]
