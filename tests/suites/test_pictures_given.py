"""Folders of pictures as people have them: levels, colours, transparency, systems' own files, with a split or none."""

import io
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from expunge.errors import UserError
from expunge.suites import Data, data_from_arrays, data_from_folder, whole_class

RAMP = (np.arange(36).reshape(6, 6) * 1800).astype(np.uint16)
GREY, RED = Image.new("L", (6, 6), 255), Image.new("RGB", (6, 6), (255, 0, 0))


def written(root: Path, files: dict[str, Any]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content) if isinstance(content, bytes) else content.save(root / name)
    return root


def four(first: Any, second: Any = None, ending: str = "png") -> dict[str, Any]:
    second = first if second is None else second
    names = (f"train/a/1.{ending}", f"train/b/1.{ending}", f"test/a/1.{ending}", f"test/b/1.{ending}")
    return dict(zip(names, (first, second, first, second), strict=True))


def read(root: Path, files: dict[str, Any]) -> Data:
    return data_from_folder(written(root, files))


def colours_of_16_bits() -> bytes:
    """A PNG with 16 bits a channel, of which Pillow would keep 8."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = b"".join(b"\0" + np.full((6, 3), 1000, ">u2").tobytes() for _ in range(6))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 6, 6, 16, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def animated() -> bytes:
    stream = io.BytesIO()
    GREY.save(stream, "GIF", save_all=True, append_images=[Image.new("L", (6, 6), 3)])
    return stream.getvalue()


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_pictures_of_16_bits_keep_their_levels(ending: str, tmp_path: Path) -> None:
    data = read(tmp_path, four(Image.fromarray(RAMP), ending=ending))
    assert data.train.x.shape == (2, 1, 6, 6)
    np.testing.assert_allclose(data.train.x[0, 0], RAMP / 65535, rtol=1e-6)


def test_white_that_is_written_as_zero_is_white(tmp_path: Path) -> None:
    data = read(tmp_path, four(dark_on_white(), ending="tif"))
    np.testing.assert_allclose(data.train.x[0, 0], 1 - RAMP / 65535, rtol=1e-5, atol=1e-6)


def dark_on_white() -> bytes:
    """A TIFF of 16 bits whose photometric interpretation is 0, as X-ray pictures have it."""
    stream = io.BytesIO()
    Image.fromarray(RAMP).save(stream, "TIFF")
    content = bytearray(stream.getvalue())
    at = content.index(struct.pack("<HHIH", 262, 3, 1, 1))
    content[at + 8] = 0
    return bytes(content)


def test_pictures_of_8_and_16_bits_are_each_scaled_by_their_own(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="2 of 4 pictures have 16 bits a pixel, the others 8"):
        data = read(tmp_path, four(Image.fromarray(RAMP), GREY))
    assert (data.train.x[1] == 1).all()
    assert len(data.train.x[0].unique()) == 36


@pytest.mark.parametrize(("first", "second"), [(GREY, RED), (RED, GREY)])
def test_grey_and_colour_become_colour_with_a_word(first: Any, second: Any, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="2 of 4 pictures are grey, the others in colour: all are read as colour"):
        data = read(tmp_path, four(first, second))
    assert data.train.x[:, :, 0, 0].tolist() == [[1, 0, 0], [1, 1, 1]][:: 1 if first is RED else -1]


def test_what_is_transparent_lies_on_white_with_a_word_and_what_is_not_stays(tmp_path: Path) -> None:
    clear, full = Image.new("RGBA", (6, 6), (255, 0, 0, 0)), Image.new("RGBA", (6, 6), (255, 0, 0, 255))
    with pytest.warns(UserWarning, match="1 of 2 pictures has transparent parts"):
        data = read(tmp_path, four(clear, full))
    assert data.train.x[:, :, 0, 0].tolist() == [[1, 1, 1], [1, 0, 0]]


def test_palettes_are_looked_up_and_grey_with_alpha_is_grey(tmp_path: Path) -> None:
    indexed = Image.new("P", (6, 6))
    indexed.putpalette([51, 102, 255] * 256)
    np.testing.assert_allclose(read(tmp_path / "p", four(indexed)).train.x[0, :, 0, 0], [0.2, 0.4, 1.0], atol=1e-6)
    assert read(tmp_path / "la", four(Image.new("LA", (6, 6), (51, 255)))).train.x.shape == (2, 1, 6, 6)


def test_pictures_stand_as_the_camera_was_held(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    for name in four(GREY, ending="jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 4), 9).save(tmp_path / name, exif=exif)
    assert data_from_folder(tmp_path).train.x.shape == (2, 1, 8, 4)


JUNK = ("cat/._1.png", "cat/.DS_Store", "cat/Thumbs.db", ".DS_Store", "__MACOSX/cat/._1.png", "Thumbs.db", "notes.txt")
FLAT = {f"{name}/{number}.png": Image.new("L", (6, 6), number) for name in ("cat", "dog") for number in range(10)}


def test_a_folder_without_train_and_test_is_divided_with_a_word(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="no train and test: 16 examples to train on and 4 to test, 20% of each class"):
        data = read(tmp_path, {**FLAT, **dict.fromkeys(JUNK, b"junk")})
    assert (data.sizes, data.names, data.test.y.tolist()) == ((16, 4), ("cat", "dog"), [0, 0, 1, 1])
    assert "20% of each class, seed 0" in data.made
    assert whole_class(data, "dog").tolist() == list(range(8, 16))
    with pytest.warns(UserWarning, match="16 examples"):
        assert data_from_folder(tmp_path).sha256 == data.sha256


def test_a_class_may_be_called_train_and_have_folders_below(tmp_path: Path) -> None:
    files = {**FLAT, "train/1.png": GREY, "train/2.png": GREY, "dog/more/a.png": GREY}
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        data = read(tmp_path, files)
    assert (data.names, data.examples) == (("cat", "dog", "train"), 23)
    assert "1 of 23 pictures lie in folders below a class, and are of that class; the first: " in str(said[0].message)
    assert "no train and test" in str(said[1].message)


@pytest.mark.parametrize("names", [("Train", "Test"), ("TRAIN", "test")])
def test_train_and_test_are_found_however_they_are_written(names: tuple[str, str], tmp_path: Path) -> None:
    plain = read(tmp_path / "plain", four(GREY))
    renamed = {f"{names[key.startswith('test')]}/{key.partition('/')[2]}": each for key, each in four(GREY).items()}
    assert read(tmp_path / "other", renamed).sha256 == plain.sha256


def test_what_lies_beside_train_and_test_or_is_not_read_is_said(tmp_path: Path) -> None:
    more = {"valid/a/1.png": GREY, "x.png": GREY, "README.md": b"x", "train/a/2.heic": b"x", "train/a/notes.txt": b"x"}
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        data = read(tmp_path, {**four(GREY), **more})
    assert data.sizes == (2, 2)
    lines = [str(each.message) for each in said]
    assert lines[0].endswith("left out, for it lies beside train and test: valid, x.png")
    assert "1 files of formats that are not read are left out; the first: " in lines[1]
    assert lines[1].endswith("2.heic")
    assert len(lines) == 2


def renamed(**names: str) -> dict[str, Any]:
    return {f"{names[key.partition('/')[0]]}/{key.partition('/')[2]}": each for key, each in four(GREY).items()}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (renamed(train="training", test="testing"), r"testing has folders in it.*did you mean test/\?"),
        (renamed(train="train", test="val"), r"val has folders in it.*did you mean test/\?"),
        (renamed(train="Training", test="test"), r"Training has folders in it.*did you mean train/\?"),
        (renamed(train="cat/train", test="cat/test"), r"cat has test and train in it.*did you mean train/cat/"),
        (renamed(train="train", test="test") | renamed(train="Train", test="test"), "the folders Train and train"),
        (four(b""), "1.png is no picture that can be read: it is empty"),
        (four(b"\x89PNG and no more"), "1.png is no picture that can be read: its 16 bytes are none of BMP,"),
    ],
)
def test_folders_of_other_names_are_no_classes(files: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message) as caught:
        read(tmp_path, files)
    assert "\n" not in str(caught.value)
    assert "BytesIO" not in str(caught.value)


@pytest.mark.parametrize(("name", "advice"), [("a.png", "give the folder that it lies in"), ("a.zip", "unpack it")])
def test_a_file_in_place_of_a_folder_is_said(name: str, advice: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(UserError, match=f"is a file, expected a folder .*; {advice}"):
        data_from_folder(tmp_path / name)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            four(GREY, Image.new("L", (5, 6))),
            r"of one size .* got \(1, 6, 6\) in .*a/1.png and \(1, 6, 5\) in .*b/1.png",
        ),
        (four(colours_of_16_bits()), "has colours of 16 bits, of which 8 would be lost"),
        (four(Image.fromarray(np.ones((6, 6), np.float32)), ending="tif"), "pixels of 32 bits or with a sign"),
        (four(animated(), ending="gif"), "holds 2 pictures; save the one that is meant"),
        ({**FLAT, "emu/1.png": GREY}, "class 'emu' has 1 example, expected at least 2"),
        ({**FLAT, "emu/1.heic": b"x"}, "emu holds no pictures"),
        ({**FLAT, "x.png": GREY}, "x.png lies in no folder of a class"),
        (
            {f"train/{name}": each for name, each in FLAT.items()},
            "there is no folder .*test with pictures beside train",
        ),
        ({"cat/._1.png": b"x", "cat/Thumbs.db": b"x"}, "holds no pictures"),
    ],
)
def test_a_folder_that_cannot_be_used_is_one_line(files: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message) as caught:
        read(tmp_path, files)
    assert "\n" not in str(caught.value)


def test_pictures_of_other_channels_are_not_mixed_as_arrays() -> None:
    grey, colour = np.zeros((2, 1, 6, 6), np.uint8), np.zeros((2, 3, 6, 6), np.uint8)
    with pytest.raises(UserError, match="as many channels in x_test as in x_train, 1, got 3"):
        data_from_arrays(grey, [0, 1], colour, [0, 1])
    with pytest.raises(UserError, match="of one kind, for uint8 and uint16 stand for pictures"):
        data_from_arrays(grey, [0, 1], grey.astype(np.uint16), [0, 1])
