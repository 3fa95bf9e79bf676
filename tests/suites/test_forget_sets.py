"""Builders of forget sets on arrays small enough to know the answer."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy import ndarray

from expunge.errors import BadSetting, UnknownName
from expunge.suites import ForgetSet, ForgetSets, Suite, load_suite
from expunge.suites.forget_sets import (
    by_metadata,
    from_file,
    influential,
    memorised,
    neighbours,
    random_examples,
    subclass,
    whole_class,
)

LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 1])
FEATURES = np.array([[0.0], [0.1], [5.0], [5.1], [9.0], [9.1], [9.2], [30.0]])


def test_a_random_set_is_sorted_unique_and_repeatable() -> None:
    chosen = random_examples(1000, 100, seed=3)
    assert (np.diff(chosen) > 0).all()
    assert np.array_equal(chosen, random_examples(1000, 100, seed=3))
    assert not np.array_equal(chosen, random_examples(1000, 100, seed=4))


def test_a_whole_class_is_every_one_of_it() -> None:
    assert whole_class(LABELS, 1).tolist() == [4, 5, 6, 7]


def test_a_subclass_is_the_heart_of_one_cluster() -> None:
    assert subclass(FEATURES, LABELS, label=0, size=2, seed=0).tolist() in ([0, 1], [2, 3])
    assert subclass(FEATURES, LABELS, label=1, size=2, seed=0).tolist() in ([4, 5], [5, 6])


def test_a_subclass_larger_than_any_cluster_is_refused() -> None:
    with pytest.raises(BadSetting, match="no cluster of 4"):
        subclass(FEATURES, LABELS, label=0, size=4, seed=0)


def test_neighbours_gather_round_the_odd_one() -> None:
    assert neighbours(FEATURES, LABELS, size=2).tolist() == [6, 7]


def influence(margins: ndarray, masks: ndarray) -> ndarray:
    """Entry (i, j) by its definition: mean margin on j of models with i, less that of models without."""
    pairs = [(margins[masks[:, i]].mean(axis=0), margins[~masks[:, i]].mean(axis=0)) for i in range(masks.shape[1])]
    return np.stack([inside - outside for inside, outside in pairs])


@pytest.fixture
def subsets() -> tuple[ndarray, ndarray]:
    """Margins and masks of 40 models on 30 examples, of which 3, 8 and 20 help each other and themselves."""
    rng = np.random.default_rng(0)
    masks = rng.random((40, 30)) < 0.5
    margins = rng.normal(scale=0.1, size=(40, 30))
    for group in (3, 8, 20):
        margins[:, [3, 8, 20]] += masks[:, [group]] * [[1.0, 2.0, 3.0]]
    return margins, masks


def test_influential_examples_lead_the_first_direction_of_influence(
    subsets: tuple[ndarray, ndarray],
) -> None:
    direction = np.linalg.svd(influence(*subsets))[0][:, 0]
    direction *= np.sign(direction[np.abs(direction).argmax()])
    assert influential(*subsets, size=3).tolist() == [3, 8, 20]
    for size in (1, 7, 30):
        assert influential(*subsets, size=size).tolist() == np.sort(np.argsort(-direction)[:size]).tolist()


def test_influential_examples_do_not_depend_on_the_sign_of_the_margins(subsets: tuple[ndarray, ndarray]) -> None:
    margins, masks = subsets
    assert influential(-margins, masks, size=3).tolist() == [3, 8, 20]


def test_two_examples_are_enough_for_a_direction() -> None:
    masks = np.array([[True, False], [False, True], [True, False]])
    assert influential(np.array([[3.0, 1.0], [0.0, 1.0], [3.0, 1.0]]), masks, size=1).size == 1


def test_memorised_examples_have_the_largest_own_effect(subsets: tuple[ndarray, ndarray]) -> None:
    own = np.diag(influence(*subsets))
    for size in (1, 5):
        assert memorised(*subsets, size=size).tolist() == np.sort(np.argsort(-own)[:size]).tolist()


@pytest.mark.parametrize("build", [influential, memorised])
def test_effects_need_models_with_and_without_every_example(build: Callable[..., ndarray]) -> None:
    with pytest.raises(BadSetting, match="some of the models and outside"):
        build(np.zeros((2, 2)), np.array([[True, True], [True, False]]), size=1)


@pytest.mark.parametrize("build", [influential, memorised])
def test_effects_need_a_mask_for_every_model(build: Callable[..., ndarray]) -> None:
    with pytest.raises(BadSetting, match=r"expected one mask for each model and margin, got \(2, 2\) for \(3, 2\)"):
        build(np.zeros((3, 2)), np.eye(2, dtype=bool), size=1)


CITIES = np.array(["Rome", "Oslo", "Rome", "Bern"])


def test_metadata_choose_all_that_have_a_value_or_one_of_several() -> None:
    assert by_metadata(CITIES, "Rome").tolist() == [0, 2]
    assert by_metadata(CITIES, ["Oslo", "Bern"]).tolist() == [1, 3]
    assert by_metadata(np.array([2020, 2021, 2020]), 2021).tolist() == [1]


@pytest.mark.parametrize(
    ("values", "wanted", "message"),
    [
        (CITIES, "Paris", "no training example has the value 'Paris'; there are 'Rome', 'Oslo', 'Bern'"),
        (CITIES, ["Rome", 3], "no training example has the value 3"),
        (CITIES, [], "no training example has the value None"),
        (CITIES, ["Rome", "Oslo", "Bern"], "a forget set of 1 to 3 examples, got 4"),
        (np.zeros((2, 2)), 0, r"an array of shape \(2, 2\)"),
    ],
)
def test_metadata_that_choose_none_or_all_are_refused(values: ndarray, wanted: object, message: str) -> None:
    with pytest.raises(BadSetting, match=message):
        by_metadata(values, wanted)


@pytest.mark.parametrize(
    ("name", "text"), [("a.txt", "7\n2\n5\n"), ("b.csv", "7, 2,5\n"), ("c.txt", "7 2 5"), ("d.npy", "")]
)
def test_indices_are_read_from_a_file_and_sorted(name: str, text: str, tmp_path: Path) -> None:
    if text:
        (tmp_path / name).write_text(text)
    else:
        np.save(tmp_path / name, np.array([7, 2, 5]))
    assert from_file(tmp_path / name, 10).tolist() == [2, 5, 7]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "1 to 9 examples, got 0"),
        ("1\n1\n", "each index once, got 1 2 times"),
        ("-1", "indices 0 to 9, got -1"),
        ("10", "indices 0 to 9, got 10"),
        ("0 1 2 3 4 5 6 7 8 9", "1 to 9 examples, got 10"),
        ("index\n3", "expected whole numbers, separated by commas, spaces or lines, got 'index'"),
        ("3.5", "got '3.5'"),
        ("9" * 30, "got '9999"),
        (b"\xff\xfe", "is no text"),
        (np.array([0.5]), "expected a list of whole numbers, got float64"),
        (np.array([[1, 2]]), r"of shape \(1, 2\)"),
        (np.array([{}], dtype=object), "is no .npy of numbers"),
    ],
)
def test_a_file_that_holds_no_forget_set_is_refused(content: object, message: str, tmp_path: Path) -> None:
    file = tmp_path / ("a.npy" if isinstance(content, ndarray) else "a.txt")
    if isinstance(content, ndarray):
        np.save(file, content)
    else:
        file.write_bytes(content if isinstance(content, bytes) else str(content).encode())
    with pytest.raises(BadSetting, match=message) as caught:
        from_file(file, 10)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_absent_is_named() -> None:
    with pytest.raises(BadSetting, match=r"there is no file nowhere.npy"):
        from_file("nowhere.npy", 10)


@pytest.mark.parametrize("size", [0, 9])
def test_sizes_that_do_not_fit_are_refused(size: int) -> None:
    with pytest.raises(BadSetting, match=rf"1 to [78] examples, got {size}"):
        random_examples(8, size, seed=0)


@pytest.mark.parametrize("indices", [[], [3, 3], [4, 2], [-1, 2]])
def test_indices_that_are_no_set_are_refused(indices: list[int]) -> None:
    with pytest.raises(BadSetting, match="forget set 'mine'"):
        ForgetSet("mine", np.array(indices, dtype=int), "by hand")


@pytest.mark.parametrize("indices", [[1437], list(range(1437))])
def test_indices_beyond_the_training_set_or_all_of_it_are_refused(indices: list[int], suite: Suite) -> None:
    with pytest.raises(BadSetting, match="does not fit the 1437"):
        suite.columns(ForgetSet("mine", np.array(indices), "by hand"))


def test_an_unknown_forget_set_is_answered_with_the_nearest(suite: Suite) -> None:
    with pytest.raises(UnknownName, match="did you mean 'random-50'"):
        suite.forget_sets["random-5O"]


def test_columns_of_the_splits_are_sorted_and_cover_everything(suite: Suite, forget: ForgetSet) -> None:
    columns = suite.columns(forget)
    assert all((np.diff(each) > 0).all() for each in columns.values())
    assert np.array_equal(np.sort(np.concatenate(list(columns.values()))), np.arange(1797))
    assert np.array_equal(columns["forget"], forget.indices)


@pytest.mark.parametrize("name", ["", "../out", "a/b", "a b", "-x", "x" * 101])
def test_a_name_that_is_no_folder_is_refused(name: str) -> None:
    with pytest.raises(BadSetting, match="expected a name of letters"):
        ForgetSet(name, np.array([1]), "")


def test_indices_alone_make_a_set_of_their_name() -> None:
    sets = ForgetSets({"mine": np.array([1, 2]), "again": np.array([1, 2], np.int32)})
    assert sets["mine"].name == "mine"
    assert sets["mine"].digest == sets["again"].digest


def test_a_class_that_nobody_or_everybody_has_is_refused() -> None:
    for label in (7, 0):
        with pytest.raises(BadSetting, match="expected a class that some of the examples have"):
            whole_class(np.zeros(4, int), label)


def test_a_forget_set_that_only_a_build_can_make_is_answered_with_the_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPUNGE_STORE", str(tmp_path))
    with pytest.raises(UnknownName, match=r"random-100, .* \(`expunge build fashion-mnist` makes more\)$"):
        load_suite("fashion-mnist").forget_sets["memorised-100"]


def test_memorised_clothes_are_the_same_everywhere_and_need_no_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPUNGE_STORE", str(tmp_path))
    sets = load_suite("fashion-mnist-10k").forget_sets
    assert {name: (sets[name].kind, len(sets[name])) for name in ("memorised-100", "influential-100")} == {
        "memorised-100": ("memorised", 100),
        "influential-100": ("influential", 100),
    }
