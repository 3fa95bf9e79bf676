"""Geometry of what is drawn."""

import base64
import struct
import zlib

import numpy as np
import pytest

from expunge.reports.page.drawing import Axis, looks, png, spread
from expunge.reports.page.examples import Example, histograms


def test_the_axis_goes_there_and_back() -> None:
    axis = Axis(0.5, 12.0)
    assert axis.at(0.5) == 0
    assert axis.at(12.0) == 1
    assert axis.at(0.0) == 0  # on the edge, not beyond
    assert axis.back(axis.at(3.3)) == pytest.approx(3.3)


def test_labels_keep_their_order_their_distance_and_the_frame() -> None:
    wanted = {"a": 5.0, "b": 5.0, "c": 6.0, "d": 99.0, "e": 100.0}
    placed = spread(wanted, gap=10, low=0, high=100)
    values = list(placed.values())
    assert list(placed) == list(wanted)
    assert min(np.diff(values)) >= 10 - 1e-9
    assert min(values) >= 0
    assert max(values) <= 100


def test_too_many_labels_share_the_room() -> None:
    placed = spread({str(i): 50.0 for i in range(30)}, gap=14, low=0, high=100)
    assert min(placed.values()) >= 0
    assert max(placed.values()) <= 100 + 1e-9


def test_twenty_four_methods_look_different() -> None:
    assert len(set(looks([str(i) for i in range(24)]).values())) == 24


def test_a_picture_survives() -> None:
    picture = np.linspace(0, 1, 6).reshape(2, 3)
    kind, text = png(picture).split(",")
    assert kind == "data:image/png;base64"
    body = base64.b64decode(text)
    start = body.index(b"IDAT")
    (length,) = struct.unpack(">I", body[start - 4 : start])
    lines = np.frombuffer(zlib.decompress(body[start + 4 : start + 4 + length]), np.uint8).reshape(2, 4)
    assert lines[:, 1:].tolist() == (picture * 255).round().astype(int).tolist()
    assert struct.unpack(">II", body[16:24]) == (3, 2)  # width, height


def test_a_histogram_of_equal_margins_is_one_bar() -> None:
    same = np.full(5, 2.0)
    example = Example(0, 0, 0.0, None, same, same, {"x": same})
    counts = histograms(example, "x")["counts"]
    assert [sum(part) for part in counts] == [5, 5, 5]
    assert [max(part) for part in counts] == [5, 5, 5]
