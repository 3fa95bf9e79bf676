"""Data of one's own, from arrays, files, folders and the hub; what cannot be used is refused in one line."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from numpy import ndarray
from PIL import Image

from expunge.errors import BadData, HubError, MissingData, UserError
from expunge.suites import data_from_arrays, data_from_folder, data_from_hub, data_from_npz
from tests.hub_server import HubServer
from tests.suites.sources import png, small_raw, write_parquet

RAW = small_raw(3, 6)
NAMES = np.array(["cat", "ant", "bee"])


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))


def one_line(message: str, function: Callable[..., object], *arguments: Any, **settings: Any) -> None:
    with pytest.raises((UserError, HubError), match=message) as caught:
        function(*arguments, **settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", [np.asarray, torch.tensor])
def test_numbers_come_as_they_are(kind: Callable[[ndarray], object]) -> None:
    x, y = np.linspace(-2, 2, 12).reshape(4, 3), np.array([0, 2, 1, 0])
    data = data_from_arrays(kind(x), kind(y), kind(x[:2]), kind(y[:2]))
    assert data.train.x.dtype == torch.float32
    np.testing.assert_allclose(data.train.x, x, rtol=1e-6)
    assert (data.sizes, data.classes, data.train.y.tolist()) == ((4, 2), 3, [0, 2, 1, 0])


@pytest.mark.parametrize("layout", ["first", "last", "grey"])
def test_bytes_are_pictures(layout: str) -> None:
    x = {"first": RAW.train_x, "last": RAW.train_x.transpose(0, 2, 3, 1), "grey": RAW.train_x[:, 0]}[layout]
    data = data_from_arrays(x, RAW.train_y, x[:2], RAW.train_y[:2])
    expected = RAW.train_x[:, :1] if layout == "grey" else RAW.train_x
    np.testing.assert_allclose(data.train.x, expected / 255, atol=1e-7)


def test_names_are_numbered_by_the_alphabet_and_more_classes_can_be_told() -> None:
    x = np.zeros((3, 2))
    assert data_from_arrays(x, NAMES, x, NAMES[[1, 1, 2]]).test.y.tolist() == [0, 0, 1]
    assert data_from_arrays(x, np.arange(3), x, np.arange(3), classes=5).classes == 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y_test": np.array([0, 1])}, "expected one label for each of 3 inputs, got labels"),
        ({"y_train": np.array([0, -1, 1])}, "y_test: 2 is no class of y_train, whose classes are -1 to 1"),
        ({"y_test": np.array([0, -1, 1])}, "y_test: -1 is no class of y_train, whose classes are 0 to 2"),
        ({"y_test": np.array([0, 1, 7])}, "y_test: expected labels 0 to 2, got 7"),
        ({"classes": 2}, "y_train: expected labels 0 to 1, got 2"),
        (
            {"y_train": np.array([0.0, 0.5, 2.0])},
            "y_train: expected whole numbers or names as labels, got 0.5 in row 1",
        ),
        ({"y_test": np.array([0, 1, np.nan])}, "y_test: expected whole numbers or names as labels, got nan in row 2"),
        ({"y_train": np.eye(3, dtype=int)}, r"one label for each example, got shape \(3, 3\)"),
        ({"y_train": NAMES}, "y_test: expected names as in y_train, got whole numbers"),
        ({"y_test": NAMES}, "y_test: expected whole numbers as in y_train, got names"),
        ({"x_train": np.full((3, 2), np.nan)}, "x_train: expected finite numbers, got NaN or infinity in example 0"),
        ({"x_train": np.array(["a", "b", "c"])}, r"x_train: expected numbers of shape \(examples, ...\), got <U1"),
        ({"x_train": np.zeros(3)}, r"got float64 of shape \(3,\)"),
        ({"x_train": np.zeros((3, 5, 6, 7), np.uint8)}, r"of 1, 3 or 4 channels, got \(3, 5, 6, 7\)"),
        ({"x_train": np.array([[{}]] * 3)}, "x_train: expected an array of numbers or names, got Python objects"),
        ({"x_train": np.zeros((0, 2)), "y_train": np.zeros(0, int)}, "one label for each example, got shape"),
    ],
)
def test_arrays_that_are_no_examples_are_refused(change: dict[str, Any], message: str) -> None:
    good = {"x_train": np.zeros((3, 2)), "y_train": np.arange(3), "x_test": np.zeros((3, 2)), "y_test": np.arange(3)}
    one_line(message, data_from_arrays, **{**good, **change})


def test_a_name_that_was_never_trained_is_refused() -> None:
    x = np.zeros((3, 2))
    strange = np.array(["dog"] * 3)
    one_line("'dog' is no class of y_train, whose classes are ant, bee, cat", data_from_arrays, x, NAMES, x, strange)
    one_line("expected 2 classes, got 3: ant, bee, cat", data_from_arrays, x, NAMES, x, NAMES, classes=2)


def test_an_npz_is_read_and_its_faults_are_named(tmp_path: Path) -> None:
    file = tmp_path / "mine.npz"
    arrays: dict[str, Any] = {
        "x_train": RAW.train_x,
        "y_train": RAW.train_y,
        "x_test": RAW.test_x,
        "y_test": RAW.test_y,
    }
    np.savez(file, **arrays)
    assert data_from_npz(file).sizes == (10, 4)
    one_line("there is no file nowhere.npz", data_from_npz, "nowhere.npz")
    np.savez(file, x_train=RAW.train_x, labels=RAW.train_y)
    one_line("lacks y_train, x_test, y_test; it has x_train, labels", data_from_npz, file)
    np.savez(file, **{**arrays, "y_train": np.array([{}] * 10)})
    one_line("is no .npz of plain arrays", data_from_npz, file)
    file.write_bytes(b"PK nothing")
    one_line("is no .npz of plain arrays", data_from_npz, file)
    np.save(tmp_path / "one.npy", np.zeros(3))
    one_line("is no .npz of plain arrays", data_from_npz, tmp_path / "one.npy")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two pictures of cats and one of an ant to train on, one cat to test, and things that are no pictures."""
    for number, place in enumerate(("train/cat/a.png", "train/cat/b.png", "train/ant/c.png", "test/cat/d.png")):
        file = tmp_path / "pictures" / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(png(RAW.train_x[number]))
    (tmp_path / "pictures/train/cat/notes.txt").write_text("no picture")
    (tmp_path / "pictures/train/cat/.hidden.png").write_text("no picture")
    return tmp_path / "pictures"


def test_a_folder_of_pictures_is_read_class_by_class(folder: Path) -> None:
    data = data_from_folder(folder)
    assert (data.train.y.tolist(), data.test.y.tolist(), data.classes) == ([0, 1, 1], [1], 2)
    np.testing.assert_allclose(data.train.x, RAW.train_x[[2, 0, 1]] / 255, atol=1e-7)


def test_a_folder_of_grey_pictures_stays_grey(tmp_path: Path) -> None:
    for place in ("train/a", "train/b", "test/a"):
        (tmp_path / place).mkdir(parents=True)
        Image.new("L", (4, 5), 255).save(tmp_path / place / "1.bmp")
    data = data_from_folder(tmp_path)
    assert data.train.x.shape == (2, 1, 5, 4)
    assert (data.train.x == 1).all()


def test_a_folder_that_cannot_be_used_says_why(folder: Path) -> None:
    one_line("there is no folder nowhere/train; expected train/CLASS", data_from_folder, "nowhere")
    (folder / "train/cat/a.png").write_bytes(b"\x89PNG and no more")
    one_line("cat/a.png is no picture that can be read", data_from_folder, folder)
    (folder / "train/cat/a.png").write_bytes(png(RAW.train_x[0][:, :5]))
    one_line(r"of one size .* and \(3, 5, 6\) in .*cat/a.png", data_from_folder, folder)
    (folder / "train/cat/a.png").unlink()
    (folder / "test/cat").rename(folder / "test/dog")
    one_line("'dog' is no class of y_train, whose classes are ant, cat", data_from_folder, folder)
    (folder / "test/dog/d.png").unlink()
    one_line("test holds no pictures", data_from_folder, folder)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A hub with a data set of pictures, and one of numbers."""
    with HubServer(tmp_path / "hub") as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        beasts = server.repo("me/beasts")
        write_parquet(beasts / "data/train-00000-of-00002.parquet", RAW.train_x[:6], RAW.train_y[:6], "img", "kind")
        write_parquet(beasts / "data/train-00001-of-00002.parquet", RAW.train_x[6:], RAW.train_y[6:], "img", "kind")
        write_parquet(beasts / "data/test-00000-of-00001.parquet", RAW.test_x, RAW.test_y, "img", "kind")
        for split in ("train", "validation"):
            table = pa.table({"a": [1.0, 2.0], "b": [3, 4], "both": [[1, 2], [3, 4]], "kind": ["x", "y"]})
            (server.repo("me/sizes") / split).mkdir(parents=True)
            pq.write_table(table, server.repo("me/sizes") / split / "0000.parquet")
        yield server


def test_pictures_come_from_the_hub_in_the_order_of_its_files(hub: HubServer) -> None:
    data = data_from_hub("me/beasts", revision="main", inputs="img", label="kind")
    np.testing.assert_allclose(data.train.x, RAW.train_x / 255, atol=1e-7)
    assert data.train.y.tolist() == RAW.train_y.tolist()
    assert (data.sizes, data.classes) == ((10, 4), 10)
    assert data_from_hub(
        "me/beasts", revision=hub.commit(hub.repo("me/beasts")), inputs="img", label="kind"
    ).sha256 == data.sha256  # fmt: skip


@pytest.mark.parametrize(("inputs", "first"), [(["a", "b"], [1.0, 3.0]), ("both", [1.0, 2.0]), ("b", [3.0])])
def test_numbers_come_from_the_hub(inputs: str | list[str], first: list[float], hub: HubServer) -> None:
    data = data_from_hub("me/sizes", revision="main", inputs=inputs, label="kind", test="validation")
    assert data.train.x[0].tolist() == first
    assert data.train.y.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "me/nothing"}, "there is none of this name, or it is private"),
        ({"name": "nothing"}, "expected a repository as OWNER/NAME, got 'nothing'"),
        ({"revision": "v9"}, "no such revision"),
        ({"test": "validation"}, "no parquet file of split 'validation'; its parquet files: data/test-00000"),
        ({"folder": "elsewhere"}, "no parquet file of split 'train'"),
        ({"inputs": "image"}, "has no column 'image'; its columns are img, kind"),
        ({"label": "label"}, "has no column 'label'; its columns are img, kind"),
        ({"inputs": ["img", "kind"]}, "expected pictures or numbers in img, kind, got other values"),
    ],
)
def test_a_data_set_of_the_hub_that_does_not_fit_is_one_line(
    change: dict[str, Any], message: str, hub: HubServer
) -> None:
    good = {"name": "me/beasts", "revision": "main", "inputs": "img", "label": "kind"}
    one_line(message, data_from_hub, **{**good, **change})


def test_a_path_that_climbs_out_of_the_data_set_is_refused(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    import tests.hub_server as server

    entry = server._entry

    def climbing(place: Path, repo: Path) -> dict[str, Any]:
        told = entry(place, repo)
        return {**told, "path": re.sub(r"^data/", "../../data/", told["path"])}

    monkeypatch.setattr(server, "_entry", climbing)
    one_line("climbs out of its folder", data_from_hub, "me/beasts", revision="main", inputs="img", label="kind")


@pytest.mark.parametrize("path", ["../a", "a/../../b", "/etc/passwd", "..\\a", "C:\\a", ""])
def test_paths_that_lead_out_of_a_folder_are_refused(path: str) -> None:
    from expunge.suites.downloads import inside

    with pytest.raises(BadData, match="leads out of its folder"):
        inside(path, "list")
    assert inside("a/b..c/d", "list") == "a/b..c/d"


def test_missing_data_is_the_users_to_mend() -> None:
    assert issubclass(MissingData, UserError)
    assert issubclass(BadData, UserError)


def test_pictures_and_numbers_are_not_mixed() -> None:
    numbers, pictures = np.zeros((3, 5, 6)), np.zeros((3, 5, 6), np.uint8)
    one_line("of one kind, for uint8", data_from_arrays, pictures, np.arange(3), numbers, np.arange(3))
