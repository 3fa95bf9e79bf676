"""Arrays, labels and forget sets as people have them: the right value, or one line that says what to do."""

import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris
from torch import nn

import expunge as xp
from expunge.errors import BadData, BadSetting, UnknownName
from expunge.methods import METHODS, configure
from expunge.suites import (
    Data,
    Examples,
    ForgetSet,
    ForgetSets,
    Recipe,
    Suite,
    by_metadata,
    data_from_arrays,
    from_file,
    neighbours,
    random_examples,
    subclass,
    whole_class,
)
from tests.suites.lines import one_line

X, Y = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])
MASK = np.isin(np.arange(75), [3, 5, 40])


class Column:
    """What pandas gives: no array, but what numpy makes one of."""

    def __init__(self, values: Any) -> None:
        self.values = values

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.asarray(self.values, dtype)

    def __len__(self) -> int:
        return len(self.values)


def iris(x: Any = X, y: Any = Y, **more: Any) -> Data:
    return data_from_arrays(x[::2], y[::2], x[1::2], y[1::2], **more)


def flowers(sets: Any, **more: Any) -> Suite:
    recipe = Recipe(epochs=1, batch_size=16, lr=0.1)
    given = {"name": "u", "version": 1, "recipe": recipe, "models": 4, "chunk": 2, **more}
    return Suite(data=iris(), network=lambda: nn.Linear(4, 3), forget_sets=sets, **given)


@pytest.mark.parametrize(
    "labels",
    [
        NAMES.astype(object)[Y],
        Column(NAMES.astype(object)[Y]),
        NAMES[Y].tolist(),
        NAMES[Y].astype("S"),
        NAMES[Y][:, None],
    ],
)
def test_names_of_any_type_are_classes_and_are_kept(labels: Any) -> None:
    halves = np.asarray(labels)[::2], np.asarray(labels)[1::2]
    data = data_from_arrays(X[::2], halves[0], X[1::2], halves[1])
    assert (data.classes, data.names) == (3, ("setosa", "versicolor", "virginica"))
    assert data.train.y.tolist() == Y[::2].tolist()
    assert whole_class(data, "setosa").tolist() == list(range(25))


@pytest.mark.parametrize("kind", ["u1", "u2", "u4", "u8", "i1", ">i8", "f2", "f8", object])
def test_labels_of_any_type_of_number_are_the_same_data(kind: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert iris(y=Y.astype(kind)).sha256 == iris().sha256


@pytest.mark.parametrize(
    ("given", "names"),
    [(Y + 1, ("1", "2", "3")), (Y * 10, ("0", "10", "20")), (np.where(Y > 0, 1, -1), ("-1", "1"))],
)
def test_labels_that_do_not_count_from_zero_are_numbered_with_a_word(given: Any, names: tuple[str, ...]) -> None:
    with pytest.warns(UserWarning, match=f"numbered 0 to {len(names) - 1} in this order"):
        data = iris(y=given)
    assert (data.classes, data.names) == (len(names), names)
    assert whole_class(data, int(names[-1])).tolist() == whole_class(given[::2], int(names[-1])).tolist()


def test_labels_from_1_are_named_and_their_network_fits() -> None:
    with pytest.warns(UserWarning, match="labels 1 to 3 do not count from 0"):
        data = iris(y=Y + 1)
    suite = flowers(ForgetSets({"f": np.arange(5)}))
    Suite(**{**suite.__dict__, "data": data}).check()


def test_truths_are_two_classes() -> None:
    assert (iris(y=Y > 0).names, iris(y=Y > 0).classes) == (("False", "True"), 2)


@pytest.mark.parametrize(
    "x",
    [X.tolist(), Column(X), torch.tensor(X), X.astype(">f8"), X.astype(object), torch.tensor(X, requires_grad=True)],
)
def test_inputs_of_any_kind_are_the_same_data(x: Any) -> None:
    parts = (x[::2], x[1::2]) if not isinstance(x, Column) else (Column(X[::2]), Column(X[1::2]))
    assert data_from_arrays(parts[0], Y[::2], parts[1], Y[1::2]).sha256 == iris().sha256


def test_a_view_of_numbers_backwards_is_taken() -> None:
    assert iris(x=X.astype(np.float32)[::-1]).train.x[0].tolist() == pytest.approx(X[-1].tolist())


def test_pictures_of_16_bits_keep_their_levels() -> None:
    levels = np.arange(36, dtype=np.uint16).reshape(1, 6, 6) * 1800
    for kind in ("<u2", ">u2"):
        data = data_from_arrays(levels.repeat(2, 0).astype(kind), [0, 1], levels.repeat(2, 0).astype(kind), [0, 1])
        np.testing.assert_allclose(data.train.x[0, 0], levels[0] / 65535, rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": X * 1e300}, "x_train: example 0 has a number that is too large for float32"),
        ({"x": np.full((150, 1), 2**70, object)}, "x_train: expected numbers that a computer's own can hold"),
        ({"x": X + 1j}, "x_train: expected numbers of shape .*, got complex128"),
        ({"x": np.where(np.arange(150)[:, None] == 8, np.inf, X)}, "x_train: .* infinity in example 4"),
        ({"x": np.ma.masked_greater(X, 5)}, "x_train: .* masked"),
        ({"x": np.array([[1.0, None]] * 150, object)}, r"x_train: nothing is in row 0 \(None\)"),
        ({"x": np.array([[1.0, 2]] * 149 + [[1.0, None]], object)}, "x_test: nothing is in row 74 .None.; fill"),
        ({"y": np.array(["b"] * 75 + [" "] * 75)}, "y_train: expected a name for each example, got nothing in row 38"),
        ({"x": np.array([[1.0, "red"]] * 150, object)}, "x_train: .*numbers beside names: 'red' in row 0; leave"),
        ({"y": np.eye(3)[Y]}, "y_train: .* of one-hot rows take the argmax"),
        ({"y": Y + 0.5}, "y_train: .* got 0.5 in row 0"),
        ({"y": np.where(np.arange(150) == 4, np.nan, Y)}, "y_train: .* got nan in row 2"),
        ({"names": ("a", "b")}, "expected 3 different names of classes, got 2"),
        ({"y": NAMES[Y], "names": ("a", "b", "c")}, "names: expected none"),
    ],
)
def test_what_cannot_be_used_is_one_line(change: dict[str, Any], message: str) -> None:
    one_line(BadData, message, lambda: iris(**change))


def test_tables_of_other_widths_and_strange_things_are_one_line() -> None:
    one_line(BadData, "as many columns in x_test as in x_train, 4, got 3", lambda: data_from_arrays(X, Y, X[:, :3], Y))
    strange: list[Any] = [None, {}, (each for each in X), [[1, 2], [3]], torch.tensor(X).to_sparse()]
    for given in strange:
        with pytest.raises(BadData, match="x_train: expected a") as caught:
            data_from_arrays(given, Y, X, Y)
        assert "\n" not in str(caught.value)


def test_whole_numbers_that_lose_digits_are_said() -> None:
    with (
        pytest.warns(UserWarning, match="x_test: whole numbers beyond"),
        pytest.warns(UserWarning, match="x_train: whole numbers beyond 16,777,216 .* in example 0"),
    ):
        iris(x=np.full((150, 1), 2**24 + 1))


GIVEN: dict[str, Any] = {
    "unsigned": np.array([3, 5, 40], "u2"),
    "wide": np.array([3, 5, 40], "u8"),
    "big-endian": np.array([3, 5, 40], ">i8"),
    "objects": np.array([3, 5, 40], object),
    "floats": np.array([3.0, 5.0, 40.0]),
    "list": [3, 5, 40],
    "numpy's numbers": [np.int8(3), np.uint16(5), np.int64(40)],
    "set": {40, 3, 5},
    "keys": {40: 0, 3: 0, 5: 0}.keys(),
    "column": Column([3, 5, 40]),
    "tensor": torch.tensor([3, 5, 40]),
    "mask": MASK,
    "list of truths": MASK.tolist(),
    "tensor of truths": torch.tensor(MASK),
    "column of truths": Column(MASK.astype(object)),
    "nonzero": np.nonzero(MASK),
    "argwhere": np.argwhere(MASK),
}


@pytest.mark.parametrize("kind", GIVEN)
def test_a_forget_set_is_taken_as_whatever_says_it(kind: str) -> None:
    suite = flowers({"f": GIVEN[kind]})
    held = suite.forget_sets["f"]
    assert (held.indices.tolist(), str(held.indices.dtype)) == ([3, 5, 40], "int64")
    assert held.digest == ForgetSet("f", np.array([3, 5, 40]), "").digest
    assert len(suite.split(held).forget) == 3
    assert suite.forget_set(GIVEN[kind]).indices.tolist() == [3, 5, 40]


def test_a_range_is_a_forget_set() -> None:
    assert flowers({"f": range(2, 5)}).forget_sets["f"].indices.tolist() == [2, 3, 4]


@pytest.mark.parametrize("kind", ["u1", "u2", "u4", "u8", "i1", ">i8", object])
def test_unsorted_indices_are_refused_whatever_their_type(kind: Any) -> None:
    one_line(BadSetting, "rising order", lambda: flowers({"f": np.array([40, 5, 3], kind)}).forget_sets["f"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (MASK[:70], "expected a mask of 75 training examples, got one of 70"),
        ([3, 3], "each index once, got 3 2 times"),
        ([-1, 3], "-1"),
        ([], "got none|got 0"),
        (np.zeros(75, bool), "got none|got 0"),
        (range(75), "got all of them|1 to 74 examples, got 75"),
        (np.ones(75, bool), "got all of them|1 to 74 examples, got 75"),
        ([75], "expected indices 0 to 74, got 75"),
        ([3.5], "3.5 is none"),
        ([np.nan, 3.0], "nan is none"),
        (np.array([2**63], "u8"), "is none"),
        (MASK.astype(int), "make truth values first|1 to 74 examples"),
        ([[1, 2], [3, 4]], r"of shape \(2, 2\)"),
        ({3: 1}, "expected indices or a boolean mask"),
        (None, "expected an array, got NoneType"),
        ({True, False}, "a set of truth values, which have no order"),
    ],
)
def test_what_is_no_forget_set_is_one_line(given: Any, message: str) -> None:
    suite = flowers({"f": given})
    one_line(BadSetting, message, lambda: suite.split(suite.forget_sets["f"]))
    one_line(BadSetting, message, lambda: suite.forget_set(given))


def test_names_of_forget_sets_are_words() -> None:
    assert MASK.tolist() not in flowers({"f": [1]}).forget_sets
    one_line(UnknownName, "unknown forget set 'f'; there is none", lambda: flowers({}).forget_sets["f"])


def test_a_suite_without_forget_sets_is_not_benched_in_one_line() -> None:
    one_line(BadSetting, "suite 'u' has no forget set", lambda: xp.plan_bench(flowers({}), ["fine-tune"], models=2))


def test_oracles_and_methods_take_indices_and_masks() -> None:
    suite = flowers({}, models=2)
    before = xp.pretrain(suite, 2)
    oracles = xp.retrain(suite, MASK, 2)
    assert oracles.origin.forget_set == xp.retrain(suite, [40, 5, 3], 2).origin.forget_set
    after = xp.unlearn(before, {3, 5, 40}, "gradient-ascent", suite=suite, epochs=np.int64(1), lr=np.float32(0.01))
    assert after.origin.forget_set == oracles.origin.forget_set
    one_line(BadSetting, "got one of 70", lambda: xp.retrain(suite, MASK[:70], 2))


@pytest.mark.parametrize("epochs", [np.int64(1), np.uint8(1), torch.tensor(1), np.array(1)])
def test_numbers_of_numpy_are_settings(epochs: Any) -> None:
    config = configure("gradient-ascent", METHODS["gradient-ascent"], {"epochs": epochs, "lr": np.float32(0.5)})
    assert (type(config.epochs), config.epochs, type(config.lr), config.lr) == (int, 1, float, 0.5)


def test_numpy_words_are_still_refused_where_a_number_is_wanted() -> None:
    for value in (np.str_("1"), np.bool_(True), np.float64(1.5), np.float64("nan")):
        with pytest.raises(BadSetting, match="expected a whole number"):
            configure("gradient-ascent", METHODS["gradient-ascent"], {"epochs": value})


AS_IN_LIFE = """
import numpy as np
from sklearn.datasets import load_iris
from torch import Tensor, nn
from expunge.errors import UserError
from expunge.suites import Examples, ForgetSets, Recipe, Suite, data_from_arrays

X, Y = load_iris(return_X_y=True)

def network():
    return nn.Linear(4, 3)

def flowers(one, lr, models, sets):
    recipe = Recipe(epochs=one, batch_size=models, lr=lr)
    return Suite(name="u", version=one, data=data_from_arrays(X, Y, X, Y), network=network, recipe=recipe,
                 forget_sets=sets, models=models, chunk=one)

assert flowers(np.int64(1), np.float64(0.1), np.int16(4), {}).digest == flowers(1, 0.1, 4, {}).digest
for wrong in (lambda: Recipe(epochs=1, batch_size=1, lr="0.1"), lambda: flowers(1, 0.1, 4, [1]),
              lambda: Examples(X, Y), lambda: flowers(1, 0.1, 4, {"f": [1]}).forget_sets[np.array([1])]):
    try:
        wrong()
    except UserError as error:
        print(error)
"""


TRIED = """
import warnings
import numpy as np, expunge as xp
from expunge.errors import UserError
from expunge.suites import Data, by_metadata, data_from_arrays, from_file, neighbours, random_examples, subclass
from expunge.suites import whole_class
from sklearn.datasets import load_iris

X, Y = load_iris(return_X_y=True)
data = data_from_arrays(X[::2], np.array(["a", "b", "c"])[Y[::2]], X[1::2], np.array(["a", "b", "c"])[Y[1::2]])
numbered = data_from_arrays(X[::2], Y[::2], X[1::2], Y[1::2])
np.savetxt("three.txt", [3, 5])
assert random_examples(data, 5, seed=0).tolist() == random_examples(75, np.int64(5), seed=0.0).tolist()
assert from_file("three.txt", data).tolist() == [3, 5]
assert subclass(data, label="b", size=5, seed=0).tolist() == subclass(X[::2], Y[::2], 1, 5, 0).tolist()
assert subclass(data, "b", size=5).tolist() == subclass(X[::2].tolist(), Y[::2].tolist(), 1, 5, 0).tolist()
assert neighbours(data, size=5).tolist() == neighbours(X[::2].astype("f4"), Y[::2], 5).tolist()
assert whole_class(numbered, 2.0).tolist() == whole_class(numbered, "2").tolist() == whole_class(numbered, 2).tolist()
assert len(xp.pretrain("digits", models=2.0)) == len(xp.retrain("tabular", "random-10", models=np.int64(2))) == 2
for wrong in (lambda: random_examples(X, 5, seed=0), lambda: random_examples(75, "5", seed=0),
              lambda: from_file("three.txt", "75"), lambda: subclass(data, label="d", size=5),
              lambda: subclass(Y[::2], X[::2], 1, 5, 0), lambda: xp.load_suite(len), lambda: xp.load_suite(3),
              lambda: xp.pretrain(len), lambda: xp.pretrain("digits", models=1.5), lambda: xp.pretrain("digitz"),
              lambda: xp.retrain(None, "a"), lambda: xp.plan_bench(data), lambda: xp.plan_bench("digits", models="4"),
              lambda: Data((1, 2), X, 3), lambda: by_metadata(["a", "b"], "c"), lambda: whole_class(numbered, 2.5)):
    try:
        wrong()
    except UserError as error:
        print(error)
"""


def test_builders_and_ensembles_take_what_newcomers_try_or_say_what_they_take(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", TRIED], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert [line.partition("; one of")[0] for line in done.stdout.splitlines()] == [
        "expected a whole number as random_examples: the number of training examples, or data, got ndarray",
        "expected a whole number as size, got '5'",
        "expected a whole number as from_file: the number of training examples, or data, got '75'",
        "unknown class 'd'; choose from a, b, c",
        "subclass: expected numbers of shape (examples, ...) and a label for each, or data alone, got int64 of shape "
        "(75,) and labels of shape (75, 4)",
        "expected the name of a suite, or 'file.py:function', got a function; call it, for what it returns is the "
        "suite",
        "expected the name of a suite, or 'file.py:function', got int; a suite itself needs no loading",
        "expected a suite or its name, got builtin_function_or_method; call the function, for what it returns is the "
        "suite",
        "expected a whole number as the number of models, got 1.5",
        "unknown suite 'digitz'; did you mean 'digits'?",
        "expected a suite or its name, got NoneType",
        "expected a suite or its name, got Data",
        "expected a whole number as the number of models, got '4'",
        "train: expected Examples(x, y), got tuple; data_from_arrays takes other arrays",
        "no training example has the value 'c'; there are 'a', 'b'",
        "unknown class 2.5; choose from 0, 1, 2",
    ]


def test_numbers_of_numpy_and_wrong_types_where_nobody_checks_types() -> None:
    """In a process of its own, for in this one annotations are checked before any line of expunge is reached."""
    done = subprocess.run([sys.executable, "-c", AS_IN_LIFE], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "recipe: expected lr to be a number, got '0.1'",
        "expected forget sets by name, as {'mine': indices}, got list",
        "expected tensors of inputs and labels, got ndarray and ndarray; data_from_arrays takes other arrays",
        "expected the name of a forget set, got ndarray; the names: f",
    ]


@pytest.mark.parametrize(
    ("text", "indices"),
    [
        ("0,30\n1,51\n2,72\n", [30, 51, 72]),
        (",0\n0,30\n1,51\n2,72\n", [30, 51, 72]),
        (",chosen\n7,30\n9,51\n", [30, 51]),
        ("\ufeff3\n5\n", [3, 5]),
        ("3.000000000000000000e+00\n5.000000000000000000e+00\n", [3, 5]),
        ("# indices\n3\n5\n", [3, 5]),
        ("3;5;7", [3, 5, 7]),
        ("3\t5\r\n", [3, 5]),
        ("3,\n5,\n", [3, 5]),
        ("1,2,3\n4,5\n", [1, 2, 3, 4, 5]),
        ("".join(f"{each}\n" for each in MASK), [3, 5, 40]),
        (",0\n" + "".join(f"{row},{each}\n" for row, each in enumerate(MASK)), [3, 5, 40]),
    ],
)
def test_indices_come_out_of_text_as_programs_write_it(text: str, indices: list[int], tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text(text, encoding="utf-8")
    assert from_file(tmp_path / "f.csv", 75).tolist() == indices


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("5,30\n9,51\n", "two columns of which the first does not count the rows"),
        ("0,30", "may be a row number and its index"),
        ("1,2,3\n4,5,6\n", "got 3 a line"),
        ("True\nFalse\n", "expected a mask of 75 training examples, got one of 2"),
        ("1_0", "got '1_0'"),
        ("nan\n3", "got 'nan'"),
        ("1e300", "got '1e300'"),
    ],
)
def test_text_that_may_mean_something_else_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text(text)
    one_line(BadSetting, message, lambda: from_file(tmp_path / "f.csv", 75))


def test_a_header_that_pandas_made_of_a_number_is_spoken_of(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text("0\n30\n51\n72\n")
    with pytest.warns(UserWarning, match="the first line, 0, is taken for an index"):
        from_file(tmp_path / "f.csv", 75)


@pytest.mark.parametrize("kind", [bool, np.uint8, np.float64, ">i4"])
def test_arrays_in_files_are_masks_and_numbers_of_any_type(kind: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "f.npy", MASK if kind is bool else np.array([40, 5, 3], kind))
    assert from_file(tmp_path / "f.npy", 75).tolist() == [3, 5, 40]
    np.save(tmp_path / "f.npy", MASK[:70])
    one_line(BadSetting, "a mask of 75 training examples, got one of 70", lambda: from_file(tmp_path / "f.npy", 75))


def test_nothing_of_the_tensors_is_printed() -> None:
    suite = flowers({"f": [1, 2], "later": lambda: ForgetSet("later", np.array([3]), "")})
    assert repr(suite.data) == (
        f"Data(75 train and 75 test examples of float32 (4,), 3 classes: 0, 1, 2, sha256 {suite.data.sha256[:12]})"
    )
    assert repr(suite.data.train).startswith("Examples(float32 (75, 4), 3 different labels of int64 (75,), sha256 ")
    assert repr(suite.forget_sets) == "ForgetSets(f: 2, later: not made yet)"
    held = suite.forget_sets["f"]
    assert (
        repr(held) == f"ForgetSet('f', 2 of training examples 1 to 2, digest {held.digest}: indices given by the user)"
    )
    assert repr(suite.forget_sets) == "ForgetSets(f: 2, later: not made yet)"
    deferred = Data.deferred(lambda: pytest.fail("was read"), (2, 1), 2, "0" * 64)
    assert "2 train and 1 test examples, not read yet, 2 classes: 0 to 1" in repr(deferred)


def test_nan_in_examples_of_ones_own_is_found_by_the_check() -> None:
    suite = flowers({})
    x = suite.data.train.x.clone()
    x[7, 1] = torch.nan
    data = Data(Examples(x, suite.data.train.y), suite.data.test, 3)
    one_line(BadData, "inputs to train: .* example 7", lambda: Suite(**{**suite.__dict__, "data": data}).check())


def test_forget_sets_of_builders_know_what_they_are(tmp_path: Path) -> None:
    data = data_from_arrays(X[::2], NAMES[Y[::2]], X[1::2], NAMES[Y[1::2]])
    (tmp_path / "some.txt").write_text("3\n4\n")
    builders = {
        "class": whole_class(data, "setosa"),
        "some": random_examples(data, 3, seed=2),
        "those": by_metadata(NAMES[Y[::2]], ["setosa", "virginica"]),
        "heart": subclass(data, label="setosa", size=3),
        "near": neighbours(data, size=4),
        "file": from_file(tmp_path / "some.txt", data),
    }
    told = {name: ForgetSets(builders)[name].made for name in builders}
    assert told == {
        "class": "all 25 examples of class setosa",
        "some": "3 examples drawn uniformly, seed 2",
        "those": "those whose value is setosa, virginica",
        "heart": "3 examples of class setosa, nearest to the heart of one of two clusters, seed 0",
        "near": "the example least like its class, and the 3 nearest to it",
        "file": f"the indices in {tmp_path / 'some.txt'}",
    }
    suite = flowers(builders)
    assert suite.forget_set(builders["class"]).made == told["class"]
    assert ForgetSet("mine", builders["class"], "my own words").made == "my own words"
    assert ForgetSet("part", builders["class"][:5]).made == "indices given by the user"
    assert repr(builders["some"]).startswith("array([")


def test_other_examples_of_a_task_keep_the_names_of_its_classes() -> None:
    data = data_from_arrays(X[::2], NAMES[Y[::2]], X[1::2], NAMES[Y[1::2]])
    assert data.names == tuple(NAMES)
    assert data.with_examples(data.test, data.train).names == tuple(NAMES)


NUMBERS_OF_A_MASK = "of a mask make truth values first: mask.astype"


@pytest.mark.parametrize("kind", ["u1", "i8", "f4"])
def test_a_mask_of_numbers_is_told_wherever_it_is_taken(kind: str, tmp_path: Path) -> None:
    mask = MASK.astype(kind)
    np.save(tmp_path / "mask.npy", mask)
    np.savetxt(tmp_path / "mask.txt", mask)
    (tmp_path / "line.txt").write_text(" ".join(map(str, MASK.astype(int))))
    suite = flowers({"f": mask})
    one_line(BadSetting, NUMBERS_OF_A_MASK, lambda: suite.forget_set(mask))
    one_line(BadSetting, NUMBERS_OF_A_MASK, lambda: suite.forget_set("f"))
    one_line(BadSetting, NUMBERS_OF_A_MASK, lambda: ForgetSet("f", mask))
    for name in ("mask.npy", "mask.txt", "line.txt"):
        one_line(BadSetting, NUMBERS_OF_A_MASK, partial(from_file, tmp_path / name, 75))


def describe_sizes(suite: Suite) -> list[Any]:
    return [ForgetSets(suite.forget_sets).held(name) for name in suite.forget_sets]


@pytest.mark.parametrize("given", [[95], range(75), np.ones(75, bool), np.ones(80, bool), ForgetSet("f", [75])])
def test_a_forget_set_that_does_not_fit_is_refused_as_soon_as_the_data_are_known(given: Any) -> None:
    for suite in (flowers({"f": given}), flowers({"f": lambda: given}), replace(flowers({"f": given}), version=2)):
        one_line(BadSetting, "f'?: expected|does not fit the 75 training examples", partial(suite.forget_set, "f"))
    one_line(BadSetting, "f'?: expected|does not fit the 75", lambda: describe_sizes(flowers({"f": given})))
    if isinstance(given, ForgetSet):
        one_line(BadSetting, "does not fit the 75 training examples", lambda: flowers({}).forget_set(given))


def test_forget_sets_tell_their_sizes_and_names_may_be_too_long() -> None:
    assert repr(ForgetSets({"a": [1, 2], "b": MASK, "c": lambda: [1]})) == "ForgetSets(a: 2, b: 3, c: not made yet)"
    assert "1 of training example 3, digest" in repr(ForgetSet("f", [3]))
    one_line(BadSetting, "and '-', at most 100 of them, got 101", lambda: ForgetSet("a" * 101, [1]))


class Table(Column):
    """A table of pandas: columns have names, and are taken by a list of these."""

    def __init__(self, values: Any, columns: str) -> None:
        super().__init__(values)
        self.columns = list(columns)

    def __getitem__(self, names: list[str]) -> "Table":
        return Table(self.values[:, [self.columns.index(name) for name in names]], "".join(names))


def test_columns_of_tables_are_matched_by_their_names() -> None:
    train, test = Table(X[::2], "abcd"), Table(X[1::2][:, [2, 0, 3, 1]], "cadb")
    assert data_from_arrays(train, Y[::2], test, Y[1::2]).sha256 == iris().sha256
    other = Table(X[1::2], "abce")
    one_line(BadData, "x_test has no column 'd', which x_train has", lambda: data_from_arrays(train, Y, other, Y))


@pytest.mark.parametrize("labels", [[1, "a", 2], (1, "a", 2), ["a", 1.5, "b"], [True, "x", False], [b"a", "b", "c"]])
def test_numbers_beside_names_are_no_labels_as_lists_either(labels: Any) -> None:
    one_line(BadData, "y_train: .*(in row [01]|Python objects)", lambda: data_from_arrays(X[:3], labels, X[:3], labels))


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (X[:, 0], Y, r"x_train: expected numbers of shape \(examples, ...\), .*; one number each: give x\[:, None\]"),
        (X[:0], Y[:0], "y_train: .* there is none, and at least one example is needed"),
    ],
)
def test_inputs_of_one_axis_or_none_say_what_to_do(x: Any, y: Any, message: str) -> None:
    one_line(BadData, message, lambda: data_from_arrays(x, y, x, y))
    one_line(BadData, "y_test: .* at least one example is needed", lambda: data_from_arrays(X, Y, X[:0], Y[:0]))


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("f.txt", lambda file: file.write_text("3  # a bad one\n5 # another\n40\n")),
        ("f.csv", lambda file: file.write_text('"3"\n"5"\n"40"\n')),
        ("f.csv", lambda file: file.write_text("'3','5','40'\n")),
        ("f.txt", lambda file: file.write_text("[3, 5, 40]\n")),
        ("f.npz", lambda file: np.savez(file, indices=np.array([40, 5, 3]))),
        ("f.pt", lambda file: torch.save(torch.tensor([3, 40, 5]), file)),
        ("f.pt", lambda file: torch.save(torch.tensor(MASK), file)),
        ("f.npz", lambda file: np.savez(file, MASK)),
    ],
)
def test_forget_sets_come_out_of_files_of_every_kind(
    name: str, write: Callable[[Path], object], tmp_path: Path
) -> None:
    write(tmp_path / name)
    assert from_file(tmp_path / name, 75).tolist() == [3, 5, 40]


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        ("f.npz", lambda file: np.savez(file, a=[1], b=[2]), "expected an .npz of one array of indices, got a, b"),
        ("f.pt", lambda file: torch.save({"a": torch.tensor([1])}, file), "expected a tensor of indices, got dict"),
        ("f.npy", lambda file: np.save(file, np.array([1], object)), "but holds Python objects"),
        ("f.json", lambda file: file.write_text('{"forget": [1, 2]}'), "expected whole numbers, .*leave headers out"),
    ],
)
def test_files_of_forget_sets_that_cannot_be_used_are_one_line(
    name: str, write: Callable[[Path], object], message: str, tmp_path: Path
) -> None:
    write(tmp_path / name)
    one_line(BadSetting, message, lambda: from_file(tmp_path / name, 75))
