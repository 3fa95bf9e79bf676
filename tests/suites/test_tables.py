"""Tables of text: separators, headers, labels by name or number, row numbers of pandas, and what is missing."""

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from expunge.errors import UserError
from expunge.suites import Data, data_from_csv, whole_class

BODY = [f"{row * 0.5},{row % 3 + 7},{'ab'[row % 2]}" for row in range(10)]
PLAIN = "\n".join(["p,q,y", *BODY]) + "\n"
NUMBERED = [f"{row},{line}" for row, line in enumerate(BODY)]
TEXT = "\n".join(["p,city,q,z,y", *(f"{row * 2},rome,{row * row},x{row},{'ab'[row % 2]}" for row in range(10))])

pytestmark = pytest.mark.filterwarnings("ignore:rows of .* to train on and:UserWarning")


def read(folder: Path, text: str | bytes, **how: Any) -> Data:
    file = folder / "mine.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return data_from_csv(file, **{"label": "y", **how})


@pytest.mark.parametrize(
    ("text", "label"),
    [
        (PLAIN, "y"),
        (PLAIN, 2),
        (PLAIN, np.int64(-1)),
        ("\ufeff" + PLAIN, "y"),
        (PLAIN.replace(",", ";"), "y"),
        (PLAIN.replace(",", "\t").replace("\n", "\r\n"), "y"),
        (PLAIN.replace("p,q", "2019,2020"), "y"),
        ("\n".join(BODY), 2),
        ("\n".join(["0,1,2", *BODY]), 2),
        ("\n\n".join(BODY) + "\n\n", -1),
    ],
)
def test_a_table_is_read_however_it_is_written(text: str, label: Any, tmp_path: Path) -> None:
    data = read(tmp_path, text, label=label)
    assert (data.sizes, data.names) == ((8, 2), ("a", "b"))
    both = sorted(map(tuple, [*data.train.x.tolist(), *data.test.x.tolist()]))
    assert both == sorted((row * 0.5, row % 3 + 7.0) for row in range(10))
    assert whole_class(data, "a").tolist() == np.flatnonzero(data.train.y.numpy() == 0).tolist()


@pytest.mark.parametrize(
    ("lines", "label"),
    [([",p,q,y", *NUMBERED], "y"), ([",0,1,2", *NUMBERED], 2), (NUMBERED, 3), (["Unnamed: 0,p,q,y", *NUMBERED], "y")],
)
def test_row_numbers_of_pandas_are_no_input(lines: list[str], label: Any, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="left out"):
        data = read(tmp_path, "\n".join(lines), label=label)
    assert data.sha256 == read(tmp_path, PLAIN).sha256


def test_a_named_column_that_counts_the_rows_is_spoken_of(tmp_path: Path) -> None:
    text = "\n".join(["Id,p,q,y", *(f"{row + 1},{line}" for row, line in enumerate(BODY))])
    with pytest.warns(UserWarning, match="column 'Id' counts the rows.*drop='Id'"):
        assert read(tmp_path, text).train.x.shape == (8, 3)
    assert read(tmp_path, text, drop="Id").sha256 == read(tmp_path, PLAIN).sha256


def test_the_split_is_stratified_repeated_and_said(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="8 examples to train on and 2 to test, 20% of each class, seed 0"):
        data = read(tmp_path, PLAIN)
    assert data.made.endswith("label 'y': 8 examples to train on and 2 to test, 20% of each class, seed 0")
    assert sorted(data.test.y.tolist()) == [0, 1]
    assert data.sha256 == read(tmp_path, PLAIN).sha256
    assert read(tmp_path, PLAIN, test=0.4).sizes == (6, 4)


def test_another_table_is_to_test_its_columns_found_by_name(tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_text("y;q;p\nb;7;1.5\na;8;2\n")
    data = read(tmp_path, PLAIN, test=tmp_path / "test.csv")
    assert (data.sizes, data.test.x.tolist(), data.test.y.tolist()) == ((10, 2), [[1.5, 7.0], [2.0, 8.0]], [1, 0])


def test_columns_are_dropped_by_name_and_number(tmp_path: Path) -> None:
    assert read(tmp_path, TEXT, drop=["city", 3]).train.x.shape == (8, 2)


def test_truths_are_numbers_and_whole_floats_are_classes(tmp_path: Path) -> None:
    text = "p,y\n" + "".join(f"{row % 4 > 1},{row % 2}.0\n" for row in range(8))
    data = read(tmp_path, text)
    assert set(data.train.x.flatten().tolist()) == {0.0, 1.0}
    assert data.names == ("0", "1")


@pytest.mark.parametrize(
    ("text", "how", "message"),
    [
        (TEXT, {}, r"text in 'city' \('rome'\), 'z' \('x0'\); leave such columns out"),
        (PLAIN.replace("1.0,", ","), {}, "line 4: nothing in column 'p'"),
        (PLAIN.replace("1.0,", "NA,"), {}, r"line 4: nothing in column 'p' \('NA'\)"),
        (PLAIN.replace("1.0,", "nan,"), {}, "line 4, row 3, column 'p': expected a finite number"),
        (PLAIN.replace("1.0,", "inf,"), {}, "row 3, column 'p': expected a finite number"),
        (PLAIN.replace("1.0,", "1e300,"), {}, "row 3, column 'p': expected a finite number that float32 holds"),
        (PLAIN.replace("1.0,", "1_0,"), {}, "text in 'p' .'1_0'"),
        (PLAIN.replace(",", ";").replace(".", ","), {}, "decimals have a point, not a comma"),
        (PLAIN.replace(",a\n", ",\n", 1), {}, "line 2: no label in column 'y'"),
        (PLAIN + "1,2\n", {}, "line 12: expected 3 columns, got 2"),
        (PLAIN + "1,2,rare\n", {}, "class 'rare' has 1 example, expected at least 2"),
        (
            PLAIN.replace(",a\n", ",0.5\n").replace(",b\n", ",1\n"),
            {},
            "mine.csv, line 2: expected classes as labels, names or whole numbers, got 0.5, a measure",
        ),
        (PLAIN, {"label": "Y"}, "no single column 'Y'; did you mean 'y'"),
        (PLAIN, {"label": 9}, "columns 0 to 2, or names; got 9"),
        (PLAIN, {"label": True}, "columns 0 to 2, or names; got True"),
        (PLAIN, {"drop": "y"}, "column 'y' is the label, and cannot be dropped"),
        (PLAIN, {"drop": ["p", "q"]}, "no column beside the label"),
        (PLAIN, {"test": 1.0}, r"a share to test in \(0, 1\), got 1"),
        (PLAIN, {"test": None}, "a table to test on, or a share such as 0.2, got None"),
        (PLAIN, {"test": "nowhere.csv"}, "there is no file nowhere.csv"),
        ("\n".join(BODY), {}, "has no header to find column 'y' by; give its number"),
        ("", {}, "is empty"),
        ("p,q,y\n", {}, "holds no rows"),
        ("y\na\nb\n", {}, "separated by commas, semicolons or tabs, got 'y'"),
        (PLAIN.replace("p", "é").encode("latin-1"), {}, "expected UTF-8, got byte 0xe9"),
        (PLAIN.encode("utf-16"), {}, "expected UTF-8, got byte 0xff"),
        ('p,y\n"' + "1\n" * 200_000, {}, "is no table of text: field larger"),
        ("p,y\n" + "1" * (1 << 21), {}, "has a line of more than"),
    ],
)
def test_a_table_that_cannot_be_used_is_one_line(
    text: str | bytes, how: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        read(tmp_path, text, **how)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*counts the rows:UserWarning")
def test_a_table_takes_little_more_memory_than_its_numbers(tmp_path: Path) -> None:
    text = "p,y\n" + "0,a\n0,b\n" * 200_000 + "0," + "c" * 1000 + "\n" * 2
    tracemalloc.start()
    with pytest.raises(UserError, match="has 1 example"):
        read(tmp_path, text)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6  # one array of names as long as the longest would be 1.6 GB


@pytest.mark.parametrize(
    ("name", "advice"),
    [("t.csv.gz", "unpack it"), ("t.npz", "data_from_npz"), ("t.npy", "data_from_arrays"), ("t.xlsx", "to_csv")],
)
def test_files_that_are_no_text_say_what_reads_them(name: str, advice: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"PK\x03\x04")
    with pytest.raises(UserError, match=f"is no table of text, by its name; .*{advice}"):
        data_from_csv(tmp_path / name, label="y")
