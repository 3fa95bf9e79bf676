"""Laws of condensing: what it starts from, what it keeps, what depends on what."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from expunge.attacks.condensing.condense import MATCHES, Condensed, Condensing, check_condensing, condense
from expunge.attacks.condensing.condensed import GENERATORS
from expunge.attacks.condensing.material import Material
from expunge.errors import BadSetting, UnknownName
from expunge.suites import Data, Examples, Suite
from tests.attacks.condensing.small import CLASSES, RECORDS, config, material, pictures, table
from tests.toy_target import two_labels

BOTH = sorted(MATCHES)


@pytest.fixture(scope="module")
def small() -> Suite:
    return pictures()


def same(one: Condensed, other: Condensed) -> bool:
    return torch.equal(one.examples.x, other.examples.x) and one.objective == other.objective


def test_without_iterations_the_pictures_are_the_records_they_began_as(small: Suite) -> None:
    [found] = condense(small, config(iterations=0))
    records = small.data.train.take(found.origin)
    assert torch.equal(found.examples.x, records.x)
    assert torch.equal(found.examples.y, records.y)
    assert found.objective == ()


@pytest.mark.parametrize("start", ["real", "noise"])
def test_every_class_has_as_many_and_classes_are_sorted(small: Suite, start: str) -> None:
    [found] = condense(small, config(start=start, iterations=1))
    assert found.examples.y.tolist() == [0, 0, 1, 1, 2, 2]
    assert small.data.train.y[found.origin].tolist() == found.examples.y.tolist()
    assert len(set(found.origin)) == 6


def test_noise_has_the_origin_that_a_real_start_has_and_is_none_of_the_records(small: Suite) -> None:
    [noise], [real] = (condense(small, config(start=start, iterations=0)) for start in ("noise", "real"))
    assert noise.origin.tolist() == real.origin.tolist()
    assert (noise.examples.x - real.examples.x).abs().mean() > 0.1


def test_noise_has_the_mean_and_the_spread_of_the_training_data(small: Suite) -> None:
    [noise] = condense(small, config(start="noise", iterations=0, images=RECORDS, pixels="free"))
    x = small.data.train.x
    assert noise.examples.x.mean() == pytest.approx(x.mean().item(), abs=0.02)
    assert noise.examples.x.std() == pytest.approx(x.std().item(), rel=0.05)


@pytest.mark.parametrize("generator", BOTH)
@pytest.mark.parametrize("start", ["real", "noise"])
def test_kept_pixels_stay_in_range_and_free_ones_leave_it(small: Suite, generator: str, start: str) -> None:
    wild = config(generator=generator, start=start, lr=100.0)
    x = small.data.train.x
    for pixels, inside in (("kept", True), ("free", False)):
        [found] = condense(small, replace(wild, pixels=pixels))
        assert (bool((found.examples.x >= x.min()).all()) and bool((found.examples.x <= x.max()).all())) is inside


@pytest.mark.parametrize("generator", BOTH)
def test_pixels_move_and_the_objective_is_told_of_every_iteration(small: Suite, generator: str) -> None:
    [found] = condense(small, config(generator=generator))
    assert not torch.equal(found.examples.x, small.data.train.x[found.origin])
    assert found.examples.x.dtype == torch.float32
    assert len(found.objective) == 3


@pytest.mark.parametrize("generator", BOTH)
def test_the_same_seed_gives_the_same_bytes_and_another_others(small: Suite, generator: str) -> None:
    [one], [again], [other] = (condense(small, config(generator=generator), [seed]) for seed in (3, 3, 4))
    assert same(one, again)
    assert not torch.equal(one.examples.x, other.examples.x)


@pytest.mark.parametrize("generator", BOTH)
@pytest.mark.parametrize("embedding", ["suite", "convnet"])
@pytest.mark.parametrize(("dtype", "close"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_stacked_seeds_give_what_each_gives_alone(
    generator: str, embedding: str, dtype: torch.dtype, close: float
) -> None:
    suite = pictures(dtype)
    settings = {"generator": generator, "embedding": embedding, "real_batch": 10}

    def run(*seeds: int) -> tuple[torch.Tensor, torch.Tensor]:
        start = suite.data.train.x[torch.tensor([[seed, 8 + seed, 30 + seed, 35, 50, 60 + seed] for seed in seeds])]
        return MATCHES[generator](material(suite, seeds, **settings), start, lambda *told: None)

    together, objective = run(0, 5, 7)
    for row, seed in enumerate((0, 5, 7)):
        alone, own = run(seed)
        torch.testing.assert_close(together[row], alone[0], rtol=close, atol=close)
        torch.testing.assert_close(objective[row], own[0], rtol=close, atol=close)


@pytest.mark.parametrize("generator", BOTH)
def test_every_iteration_has_a_network_of_its_own(small: Suite, generator: str) -> None:
    """Pixels that hardly move have another objective each time."""
    [found] = condense(small, config(generator=generator, augment="none", lr=1e-12, images=1))
    assert len({round(each, 6) for each in found.objective}) == 3


def test_networks_differ_between_iterations_and_between_seeds(small: Suite) -> None:
    task = material(small, (0, 1))
    weights = [part for iteration in (0, 1) for part in next(iter(task.networks(iteration).parameters()))]
    assert all(not torch.equal(one, other) for row, one in enumerate(weights) for other in weights[:row])
    assert torch.equal(weights[0], next(iter(task.networks(0).parameters()))[0])


@pytest.mark.parametrize("generator", BOTH)
def test_tables_are_condensed_with_a_perceptron(generator: str) -> None:
    suite = table()
    for embedding in ("perceptron", "suite"):
        [found] = condense(suite, config(generator=generator, pixels="free", embedding=embedding))
        assert found.examples.x.shape == (4, 5)
        assert not torch.equal(found.examples.x, suite.data.train.x[found.origin])


def test_the_attacker_sees_its_own_records_alone(small: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    own = np.flatnonzero(np.arange(CLASSES * RECORDS) % 3 == 0)
    seen: list[int] = []
    rows = Material._rows

    def watched(self: Material, rng: np.random.Generator) -> np.ndarray:
        found = rows(self, rng)
        seen.extend(found.flat)
        return found

    monkeypatch.setattr(Material, "_rows", watched)
    [found] = condense(small, config(), own=own)
    assert set(seen) <= set(own)
    assert set(found.origin) <= set(own)


def test_the_watch_is_told_of_every_iteration(small: Suite) -> None:
    told = []
    condense(small, config(), watch=lambda done, total, label: told.append((done, total, label)))
    assert told == [(done, 3, "distribution matching") for done in (1, 2, 3)]


def tokens() -> Suite:
    suite = pictures()
    train, test = (Examples(part.x.long(), part.y) for part in (suite.data.train, suite.data.test))
    return replace(suite, data=Data(train, test, CLASSES))


REFUSED: list[tuple[str, Callable[[], Suite], dict[str, object], Sequence[int] | None, str]] = [
    ("no range", table, {}, None, "take pixels='free'"),
    ("few records", pictures, {"images": RECORDS + 1}, None, f"class 0 for the {RECORDS} .* lower images to {RECORDS}"),
    ("few own", pictures, {}, [0, 1, 30, 50, 51], "class 1 for the 1 records that the attacker has .* to 1"),
    ("a class missing", pictures, {}, [0, 1], "give records of every class"),
    ("no records", pictures, {}, [], "in own"),
    ("other numbers", pictures, {}, [0, 500], "0 to 71, in own"),
    ("convnet on a table", table, {"pixels": "free"}, None, "choose suite or perceptron"),
    ("pictures' changes", table, {"pixels": "free", "augment": "crop", "embedding": "suite"}, None, "augment='none'"),
    ("whole numbers", tokens, {"embedding": "suite"}, None, "inputs of floating point"),
    ("other target", two_labels, {"pixels": "free"}, None, "one label an example"),
]


@pytest.mark.parametrize(("case", "make", "settings", "own", "says"), REFUSED, ids=[row[0] for row in REFUSED])
def test_what_cannot_be_is_refused_before_any_work(
    case: str, make: Callable[[], Suite], settings: dict[str, object], own: Sequence[int] | None, says: str
) -> None:
    numbers = None if own is None else np.array(own, dtype=int)
    with pytest.raises(BadSetting, match=says):
        check_condensing(make(), config(**settings), numbers)


def test_an_unknown_embedding_is_answered_with_the_nearest(small: Suite) -> None:
    with pytest.raises(UnknownName, match="did you mean 'convnet'"):
        check_condensing(small, config(embedding="convent"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"generator": "mtt"},
        {"images": 0},
        {"images": True},
        {"iterations": -1},
        {"lr": 0.0},
        {"lr": float("inf")},
        {"momentum": 1.0},
        {"real_batch": 0},
        {"start": "records"},
        {"pixels": "clamped"},
        {"augment": "crop twirl"},
        {"augment": ""},
        {"width": 0},
    ],
)
def test_a_setting_out_of_its_range_is_named_with_its_value(wrong: dict[str, object]) -> None:
    [(name, value)] = wrong.items()
    with pytest.raises(BadSetting, match=f"expected {name} to be .*, got {value!r}"):
        Condensing(**wrong)  # type: ignore[arg-type]


def test_what_is_not_said_is_settled_by_the_generator() -> None:
    settled = Condensing(generator="gm", images=20).settled
    own = GENERATORS["gm"]
    assert settled.iterations == -(-own.steps // 20)  # of 20 steps each
    assert settled.lr == 20 * own.lr_by_images
    assert Condensing(generator="dm", images=20).settled.iterations == GENERATORS["dm"].steps
    assert Condensing(iterations=0, lr=5.0).settled == Condensing(iterations=0, lr=5.0)
