"""Every suite of the table: its digest, networks, recipe and forget sets, all known without its examples."""

import pickle
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from expunge.ensembles import Ensemble, Origin
from expunge.errors import BadData, BadSetting, MissingData
from expunge.suites import SUITES, Data, Examples, ForgetSets, Recipe, Suite, load_suite, networks
from expunge.suites.cifar10 import MEAN, STD, load_all, published_indices
from expunge.suites.cifar100 import network as network_of_a_hundred
from expunge.suites.fashion_mnist import INDICES, built_forget_sets
from expunge.suites.living17 import load_folder
from expunge.suites.pictures import examples, picture_sets, scaled, shipped_indices
from tests.suites.sources import small_raw

GOLDEN = Path(__file__).parents[1] / "golden"
CLOTHES = Path("/usr/share/datasets/fashion-mnist")
ABSENT = [
    "mnist",
    "svhn",
    "cifar10-resnet9",
    "cifar10-resnet18",
    "cifar10-allcnn",
    "cifar100-resnet18",
    "living17-resnet18",
]

DIGESTS = {  # should one change, what was built for the suite no longer belongs to it
    "digits": "990e6b7af336da19",
    "tabular": "dc2ba1c4e21f2ff8",
    "tabular-mlp": "8fbd0fe180055177",
    "mnist": "084706b85f8d64aa",
    "fashion-mnist": "448d7c73576f5a2f",
    "fashion-mnist-10k": "7f9dc2c633d88e84",
    "svhn": "748fb7bcd910ea58",
    "cifar10-resnet9": "1e2e92bb62e94c28",
    "cifar10-resnet18": "8b12aa66a943af8e",
    "cifar10-allcnn": "75b54836296a30b0",
    "cifar100-resnet18": "c2518d74c459a167",
    "living17-resnet18": "352527489990cf32",
}


@pytest.fixture
def nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder of data, and no hub."""
    monkeypatch.setenv("EXPUNGE_DATA", str(tmp_path))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")


def test_the_table_is_complete() -> None:
    assert DIGESTS.keys() == SUITES.keys()


@pytest.mark.parametrize("name", sorted(SUITES))
@pytest.mark.usefixtures("nothing")
def test_a_suite_has_its_digest_without_its_examples(name: str) -> None:
    suite = load_suite(name)
    assert suite.name == name
    assert suite.digest == DIGESTS[name]
    assert pickle.loads(pickle.dumps(suite)).digest == DIGESTS[name]
    deferred = name not in ("digits", "tabular", "tabular-mlp")
    assert deferred == ("_pair" not in vars(suite.data))


@pytest.mark.parametrize("name", ABSENT)
@pytest.mark.usefixtures("nothing")
def test_examples_that_are_nowhere_are_one_line(name: str) -> None:
    with pytest.raises(MissingData, match=r"put .* into \$EXPUNGE_DATA/") as caught:
        load_suite(name).check()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("network", "parameters", "shape", "classes"),
    [
        (networks.resnet9, 2_274_880, (3, 32, 32), 10),  # EasyDUB
        (networks.resnet18, 11_173_962, (3, 32, 32), 10),
        (network_of_a_hundred, 11_220_132, (3, 32, 32), 100),
        (networks.resnet18_large, 11_176_512 + 513 * 17, (3, 64, 64), 17),  # torchvision's without its last layer
        (networks.allcnn, 1_370_986, (3, 32, 32), 10),
        (networks.small_vgg, 113_962, (3, 32, 32), 10),
        (networks.lenet, 37_890, (1, 28, 28), 10),
        (networks.mlp, 530, (30,), 2),
        (networks.logistic, 62, (30,), 2),
    ],
)
def test_networks_have_their_parameters_and_run_stacked(
    network: Callable[[], nn.Module], parameters: int, shape: tuple[int, ...], classes: int
) -> None:
    torch.manual_seed(0)
    models = [network() for _ in range(2)]
    assert sum(each.numel() for each in models[0].parameters()) == parameters
    stacked = Ensemble.stack(models, Origin("test", "0", "pretrained", None, (0, 1)), shape).eval()
    x = torch.randn(2, *shape)
    with torch.no_grad():
        together = stacked(x)
        assert together.shape == (2, 2, classes)
        for index, model in enumerate(models):
            torch.testing.assert_close(together[index], model.eval()(x), rtol=1e-4, atol=1e-5)


def test_resnet9_has_the_recipe_of_the_public_benchmark() -> None:
    suite = load_suite("cifar10-resnet9")
    assert suite.recipe == Recipe(
        epochs=24, batch_size=256, lr=0.4, momentum=0.9, weight_decay=5e-4, warmup=5 / 24, from_zero=True,
        precision="bfloat16",
    )  # fmt: skip
    steps = 24 * 196
    rates = [suite.recipe.lr_at(step, steps) for step in (0, 5 * 196, steps)]
    assert rates == pytest.approx([0.0, 0.4, 0.0])
    assert (suite.models, suite.subsets, suite.chunk, suite.data.sizes) == (200, 1000, 10, (50_000, 10_000))


def test_the_ten_published_forget_sets_are_those_of_the_benchmark() -> None:
    suite = load_suite("cifar10-resnet9")
    with np.load(GOLDEN / "forget_sets.npz") as published:
        for k in range(1, 11):
            assert np.array_equal(published_indices(k), published[f"cifar10.{k}"])  # set 10 is not sorted
            assert np.array_equal(suite.forget_sets[f"set-{k}"].indices, np.sort(published[f"cifar10.{k}"]))
        for k in range(1, 6):
            found = load_suite("living17-resnet18").forget_sets[f"set-{k}"].indices
            assert np.array_equal(found, np.sort(published[f"living17.{k}"]))
    assert len(suite.forget_sets) == 10


@pytest.mark.parametrize(("k", "size"), [(1, 10), (2, 100), (3, 1000)])
def test_the_random_published_sets_follow_from_their_seeds(k: int, size: int) -> None:
    drawn = np.random.RandomState(k - 1).choice(50_000, size, replace=False)
    assert np.array_equal(published_indices(k), np.sort(drawn))


@pytest.mark.parametrize("k", [0, 11])
def test_an_unpublished_number_is_refused(k: int) -> None:
    with pytest.raises(BadSetting, match=f"1 to 10, got {k}"):
        published_indices(k)


def test_pixels_are_scaled_and_normalised_channel_by_channel() -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16).repeat(3, axis=1)
    assert torch.equal(scaled(pixels[:, :1]), torch.tensor(pixels[:, :1] / 255.0, dtype=torch.float32))
    expected = (torch.tensor(pixels / 255.0) - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    torch.testing.assert_close(scaled(pixels, MEAN, STD), expected.float())


@pytest.mark.skipif(not CLOTHES.is_dir(), reason="needs Debian's dataset-fashion-mnist")
@pytest.mark.parametrize(("name", "size"), [("fashion-mnist", 60_000), ("fashion-mnist-10k", 10_000)])
def test_clothes_have_their_hash_and_the_builders_give_the_shipped_sets(name: str, size: int) -> None:
    suite = load_suite(name)
    data = Data(suite.data.train, suite.data.test, 10)
    assert len(data.train) == size
    assert data.sha256 == suite.data.sha256
    built = [unmade() for unmade in built_forget_sets(data)]
    assert len(built) == 3
    for each in built:
        assert np.array_equal(each.indices, shipped_indices(INDICES)(f"{name}.{each.name}"))
        assert np.array_equal(each.indices, suite.forget_sets[each.name].indices)
    if name == "fashion-mnist-10k":
        assert (np.bincount(data.train.y) == 1000).all()


def test_sets_of_pictures_are_made_when_they_are_asked_for() -> None:
    raw = small_raw(1, 4)
    data = Data.deferred(partial(examples, raw), (10, 4), 10, "small")
    sets = ForgetSets.of(*picture_sets(data, whole=(3, "threes"), part=(1, "one"), size=1))
    copy = pickle.loads(pickle.dumps(sets))
    assert list(sets) == ["class-3", "subclass-1", "neighbours-1"]
    assert "_pair" not in vars(data)
    assert copy["class-3"].indices.tolist() == [3]
    assert sets["neighbours-1"].made == (
        "the picture least like the mean of its class, and every other one of the 0 nearest to it in pixels"
    )
    assert "_pair" in vars(data)


def test_cifar10_is_not_read_twice_by_one_process() -> None:
    assert load_all.cache_parameters()["maxsize"] == 1  # the jobs of a worker share 700 MB


def tensors(train: int, classes: int = 17) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.rand(train, 3, 8, 8).half(), torch.arange(train) % classes


@pytest.fixture
def animals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Living-17's two files in small: a training file twice as long as what is meant."""
    monkeypatch.setenv("EXPUNGE_DATA", str(tmp_path))
    (tmp_path / "living17").mkdir()
    torch.save(tensors(40), tmp_path / "living17/raw_tensors_tr_new.pt")
    torch.save(tensors(6), tmp_path / "living17/raw_tensors_val_new.pt")
    return tmp_path / "living17"


def test_the_first_half_of_living17_is_its_training_set(animals: Path) -> None:
    train, test = load_folder((20, 6))
    x, y = torch.load(animals / "raw_tensors_tr_new.pt", weights_only=True)
    assert torch.equal(train.x, x[:20])
    assert torch.equal(train.y, y[:20])
    assert len(test) == 6


class Boom:
    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, ...]:
        return open, (str(self.file), "w")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"garbage", "is no .pt, by its first bytes"),
        ("boom", "holds more than numbers: reading it would run code"),
        ([torch.zeros(2)], "expected two tensors, pictures and labels, got list"),
        (tensors(7), r"expected 20 pictures .* got \(7, 3, 8, 8\) and \(7,\)"),
    ],
)
def test_a_file_of_living17_that_is_none_is_named(content: object, message: str, animals: Path) -> None:
    file = animals / "raw_tensors_tr_new.pt"
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        torch.save(Boom(animals / "boom") if content == "boom" else content, file)
    with pytest.raises(BadData, match=message) as caught:
        load_folder((20, 6))
    assert "\n" not in str(caught.value)
    assert not (animals / "boom").exists()


def small(network: Callable[[], nn.Module], test_side: int = 4) -> Suite:
    part, other = (Examples(torch.zeros(3, 1, side, side), torch.tensor([0, 1, 2])) for side in (4, test_side))
    data = Data(part, other, classes=3)
    sets = ForgetSets({"one": np.array([0])})
    recipe = Recipe(epochs=1, batch_size=2, lr=0.1)
    return Suite(name="mine", version=1, data=data, network=network, recipe=recipe, forget_sets=sets, models=2)


def flat(outputs: int) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(nn.Flatten(), nn.Linear(16, outputs))


class Names(nn.Linear):
    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:  # type: ignore[override]
        return {"logits": super().forward(x.flatten(1))}


SHARED = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (flat(4), r"an input of \(2, 1, 4, 4\) into logits of \(2, 3\), \(batch, classes\), got \(2, 4\)"),
        (lambda: nn.Conv2d(1, 3, 1), r"got \(2, 3, 4, 4\)"),
        (lambda: Names(16, 3), "got dict"),
        (lambda: nn.Linear(5, 3), r"the network raised RuntimeError on an input of \(2, 1, 4, 4\): mat1 and mat2"),
        (lambda: nn.Flatten(), "a torch.nn.Module with parameters, got Flatten"),
        (lambda: None, "a torch.nn.Module with parameters, got NoneType"),
        (lambda: SHARED, "make a new module at each call, got the same"),
    ],
)
def test_a_network_that_does_not_fit_is_refused_in_one_line(network: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises(BadSetting, match=message) as caught:
        small(network).check()
    assert str(caught.value).startswith("suite 'mine': ")
    assert "\n" not in str(caught.value)


def test_test_examples_of_another_size_are_tried_too() -> None:
    with pytest.raises(BadSetting, match=r"on an input of \(2, 1, 6, 6\)"):
        small(flat(3), test_side=6).check()


def test_a_sound_network_passes_and_chance_is_left_alone() -> None:
    before = torch.get_rng_state()
    small(flat(3)).check()
    replace(small(flat(3)), name="other").check()
    assert torch.equal(torch.get_rng_state(), before)


def test_labels_outside_the_classes_are_refused() -> None:
    part = Examples(torch.zeros(2, 1), torch.tensor([0, 3]))
    with pytest.raises(BadData, match=r"expected int64 labels 0 to 2, got torch.int64 from 0 to 3"):
        Data(part, part, classes=3)


def test_one_class_is_refused_since_it_has_no_margin() -> None:
    part = Examples(torch.zeros(2, 1), torch.tensor([0, 0]))
    with pytest.raises(BadData, match="expected 2 classes or more, since a margin is against the others, got 1"):
        Data(part, part, classes=1)
