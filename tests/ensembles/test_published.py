import pickle
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy import ndarray

from expunge.ensembles import Plan, read_margins
from expunge.ensembles.published import Publication, write_easydub
from expunge.ensembles.published.files import read_indices, read_matrix
from expunge.ensembles.published.porting import Ported, export_easydub, find_publication, import_published, open_layout
from expunge.errors import BadMargins, BadSetting, StoreError, UnknownName
from expunge.metrics.klom import klom
from expunge.store import at_store, user_store
from expunge.suites import ForgetSet, ForgetSets
from tests.publications import MODELS, ORDERS, TRAIN, small_margins, small_publication, write_by_hand, write_klom_models


@pytest.fixture(scope="module")
def publication() -> Publication:
    return small_publication()


@pytest.fixture(scope="module")
def margins(publication: Publication) -> dict[int, ndarray]:
    return small_margins(publication)


@pytest.fixture
def folder(tmp_path: Path, margins: dict[int, ndarray]) -> Path:
    return write_by_hand(tmp_path / "published", margins)


def stored(publication: Publication, number: int, models: int = MODELS) -> ndarray:
    kind = (
        Plan(publication.suite, "oracle", publication.forget(number))
        if number
        else Plan(publication.suite, "pretrained")
    )
    return read_margins(kind, 0, models).values


def test_easydub_is_read_into_the_columns_of_the_suite(
    publication: Publication, margins: dict[int, ndarray], folder: Path
) -> None:
    done = import_published(publication, folder)
    assert done == [Ported("pretrained", 8), *(Ported(f"oracle set-{number}", 8) for number in (1, 2, 10))]
    for number, values in margins.items():
        np.testing.assert_array_equal(stored(publication, number), values)


@pytest.mark.parametrize(
    "place", ["oracle_models/CIFAR10/only_margins", "oracles/CIFAR10/only_margins", "oracles/CIFAR10"]
)
def test_klom_models_is_read_from_all_its_addresses(
    publication: Publication, margins: dict[int, ndarray], tmp_path: Path, place: str
) -> None:
    import_published(publication, write_klom_models(tmp_path / "published", margins, place))
    for number, values in margins.items():
        np.testing.assert_array_equal(stored(publication, number), values)


def test_klom_models_is_read_model_by_model_where_nothing_is_stacked(
    publication: Publication, margins: dict[int, ndarray], tmp_path: Path
) -> None:
    place = tmp_path / "full_models" / "CIFAR10"
    place.mkdir(parents=True)
    for model, row in enumerate(margins[0]):
        np.save(place / f"{model}__train_margins_23.npy", row[:TRAIN])
        torch.save(torch.from_numpy(row[TRAIN:].copy()), place / f"{model}__val_margins_23.pt")
        np.save(place / f"{model}__train_margins_10.npy", row[:TRAIN] - 1)  # an earlier epoch
    import_published(publication, tmp_path)
    np.testing.assert_array_equal(stored(publication, 0), margins[0])


def test_both_layouts_give_the_same_klom(
    publication: Publication, margins: dict[int, ndarray], folder: Path, tmp_path: Path
) -> None:
    import_published(publication, folder)
    values = klom(stored(publication, 0), stored(publication, 2))
    np.testing.assert_array_equal(values, klom(margins[0], margins[2]))
    with at_store(tmp_path / "other"):
        import_published(publication, write_klom_models(tmp_path / "stacked", margins))
        np.testing.assert_array_equal(klom(stored(publication, 0), stored(publication, 2)), values)


@settings(max_examples=20, deadline=None)
@given(
    st.permutations(range(TRAIN)),
    st.integers(1, TRAIN - 1),
    st.integers(2, 5),
    st.integers(2, 5),
    st.integers(0, 2**31),
)
def test_what_is_exported_comes_back(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], size: int, pretrained: int, oracles: int, seed: int
) -> None:
    """Any forget set in any order, any numbers of models: arrays and KLoM are those before, and files those again."""
    place = tmp_path_factory.mktemp("round")
    full = small_publication()
    indices = np.array(order[:size])
    forget = ForgetSet("set-1", np.sort(indices), "any")
    publication = Publication(replace(full.suite, forget_sets=ForgetSets.of(forget)), {1: indices})
    rng = np.random.default_rng(seed)
    before, oracle = (rng.normal(size=(n, 60)).astype(np.float32) for n in (pretrained, oracles))
    with at_store(place / "first"):
        for plan, values in (
            (Plan(publication.suite, "pretrained"), before),
            (Plan(publication.suite, "oracle", publication.forget(1)), oracle),
        ):
            user_store().write(plan.key, {"margins": values}, {"models": len(values)})
        told = export_easydub(publication, place / "out")
        assert [each.models for each in told] == [pretrained, oracles]
    with at_store(place / "second"):
        import_published(publication, place / "out")
        np.testing.assert_array_equal(stored(publication, 0, pretrained), before)
        np.testing.assert_array_equal(stored(publication, 1, oracles), oracle)
        np.testing.assert_array_equal(
            klom(stored(publication, 0, pretrained), stored(publication, 1, oracles)), klom(before, oracle)
        )
        export_easydub(publication, place / "again")
    assert contents(place / "again") == contents(place / "out")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_the_export_is_what_the_publishers_loader_expects(
    publication: Publication, margins: dict[int, ndarray], folder: Path, tmp_path: Path
) -> None:
    """Array by array what was written by hand, set 10 in its unsorted order."""
    import_published(publication, folder)
    export_easydub(publication, tmp_path / "out")
    by_hand = {name: file for name, file in contents(folder).items() if name.startswith("margins")}
    written = {name: file for name, file in contents(tmp_path / "out").items() if name.startswith("margins")}
    assert written == by_hand
    listed = np.load(tmp_path / "out/forget_sets/cifar10/forget_set_10.npy")
    assert listed.tolist() == ORDERS[10].tolist() == [25, 4, 39, 11]


def test_only_what_is_asked_for_is_imported_and_exported(
    publication: Publication, margins: dict[int, ndarray], folder: Path, tmp_path: Path
) -> None:
    assert import_published(publication, folder, ["set-10"], models=3) == [
        Ported("pretrained", 3),
        Ported("oracle set-10", 3),
    ]
    np.testing.assert_array_equal(stored(publication, 10, 3), margins[10][:3])
    assert export_easydub(publication, tmp_path / "out", ["set-10"], models=2)[1] == Ported("oracle set-10", 2)
    assert len(list((tmp_path / "out").rglob("id_*.npy"))) == 2 * (3 + 3)


def test_another_order_of_the_index_file_is_seen_by_what_is_held_twice(
    publication: Publication, margins: dict[int, ndarray], folder: Path
) -> None:
    np.save(folder / "forget_sets/cifar10/forget_set_10.npy", np.sort(ORDERS[10]))
    with pytest.raises(StoreError, match=r"set-10 disagree.*\(4 of 4 examples differ\).*nothing was imported"):
        import_published(publication, folder)
    assert not list(user_store().root.rglob("margins.npy"))


def test_a_permuted_index_file_gives_another_klom_where_nothing_is_held_twice(
    publication: Publication, margins: dict[int, ndarray], folder: Path
) -> None:
    import_published(publication, folder, ["set-2"])
    right = klom(stored(publication, 0), stored(publication, 2))
    for number in ORDERS:
        for file in (folder / f"margins/cifar10/pretrain/forget_{number}/resnet9").iterdir():
            file.unlink()
        (folder / f"margins/cifar10/pretrain/forget_{number}/resnet9").rmdir()
    np.save(folder / "forget_sets/cifar10/forget_set_2.npy", np.sort(ORDERS[2]))
    import_published(publication, folder, ["set-2"])
    wrong = klom(stored(publication, 0), stored(publication, 2))
    forget = publication.forget(2).indices
    assert (wrong[forget] != right[forget]).any()
    np.testing.assert_array_equal(np.delete(wrong, forget), np.delete(right, forget))


def test_the_published_order_is_used_where_a_folder_lists_none(
    publication: Publication, margins: dict[int, ndarray], folder: Path
) -> None:
    for number in ORDERS:
        (folder / f"forget_sets/cifar10/forget_set_{number}.npy").unlink()
    import_published(publication, folder)
    np.testing.assert_array_equal(stored(publication, 10), margins[10])


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_floats_become_float32(
    publication: Publication, margins: dict[int, ndarray], tmp_path: Path, dtype: type[np.floating]
) -> None:
    import_published(publication, write_by_hand(tmp_path / "published", margins, dtype=dtype))
    found = stored(publication, 2)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, margins[2].astype(dtype).astype(np.float32))


@pytest.mark.parametrize(
    ("place", "values", "said"),
    [
        (
            "oracle/forget_2/retain/resnet9/id_5",
            None,
            "models 5 of 0 to 7 are missing; bring them, or take the first 5",
        ),
        ("oracle/forget_2/val/resnet9/id_0", None, r"models 0 of 0 to 7 are missing; bring them$"),
        ("oracle/forget_2/val/resnet9/id_7", None, "as many models in every split, got 8 of retain, 8 of forget, 7 of"),
        ("pretrain/retain/resnet9/id_3", np.zeros(37, np.float32), r"40 floating-point margins, got float32 \(37,\)"),
        ("pretrain/val/resnet9/id_3", np.zeros(20, np.int64), "expected 20 floating-point margins, got int64"),
        ("pretrain/val/resnet9/id_3", b"<html>", "is no .npy, but text"),
        ("pretrain/val/resnet9/id_3", np.array([{}]), "is no .npy of numbers"),
    ],
)
def test_a_wrong_file_is_named_and_nothing_is_imported(
    publication: Publication, folder: Path, place: str, values: ndarray | bytes | None, said: str
) -> None:
    file = folder / "margins" / "cifar10" / f"{place}_epoch_23.npy"
    file.unlink()
    if isinstance(values, bytes):
        file.write_bytes(values)
    elif values is not None:
        np.save(file, values, allow_pickle=True)
    with pytest.raises(StoreError, match=said) as caught:
        import_published(publication, folder)
    assert "\n" not in str(caught.value)
    assert not list(user_store().root.rglob("margins.npy"))


@pytest.mark.parametrize(
    ("number", "said"),
    [(9_999_999, "expected models 0 to 9999 at most, got id_9999999"), ("9" * 20, "expected one file a model")],
)
def test_an_empty_file_of_a_number_beyond_all_is_one_line(
    publication: Publication, tmp_path: Path, number: int | str, said: str
) -> None:
    """It took gigabytes to list every number that was missing before it."""
    file = tmp_path / f"margins/cifar10/pretrain/retain/resnet9/id_{number}_epoch_23.npy"
    file.parent.mkdir(parents=True)
    file.touch()
    with pytest.raises(StoreError, match=said):
        import_published(publication, tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda values: values * np.where(np.arange(8) == 4, np.nan, 1)[:, None], "NaN or infinity in model 4"),
        (lambda values: values[[0, 1, 2, 3, 4, 5, 2, 7]], r"models \[2, 6\] are bit-identical"),
        (lambda values: values * 1e300, "NaN or infinity"),
    ],
)
def test_margins_that_no_ensemble_has_are_refused(
    publication: Publication,
    margins: dict[int, ndarray],
    tmp_path: Path,
    change: Callable[[ndarray], ndarray],
    said: str,
) -> None:
    bad = {**margins, 2: change(margins[2].astype(np.float64))}
    folder = write_by_hand(tmp_path / "published", bad, dtype=np.float64)
    with pytest.raises(BadMargins, match=f"oracle set-2.*{said}"):
        import_published(publication, folder)
    assert not list(user_store().root.rglob("margins.npy"))


@pytest.mark.parametrize(
    ("listed", "said"),
    [
        ([25, 4, 39, 12], "4 of which 3 are among its 4; these margins belong to another forget set"),
        ([25, 4, 39, 11, 11], "5 of which 4 are among its 4"),
        ([25, 4], "2 of which 2"),
        ([0.5], "expected a list of indices, 40 at most, got float64"),
    ],
)
def test_an_index_file_of_another_set_is_refused(
    publication: Publication, folder: Path, listed: list[float], said: str
) -> None:
    np.save(folder / "forget_sets/cifar10/forget_set_10.npy", np.array(listed))
    with pytest.raises(StoreError, match=said):
        import_published(publication, folder)


def test_stacks_of_different_heights_are_refused(
    publication: Publication, margins: dict[int, ndarray], tmp_path: Path
) -> None:
    folder = write_klom_models(tmp_path, margins)
    torch.save(torch.zeros(3, 20), folder / "full_models/CIFAR10/val_margins_all.pt")
    with pytest.raises(StoreError, match="as many models of train as of val, got 8 and 3"):
        import_published(publication, folder)


class _Runs:
    """Unpickled, it makes a file: what code in a pickle can do, it can do too."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return open, (str(self.mark), "w")


@pytest.mark.parametrize("zipped", [True, False])
def test_a_stack_that_wants_to_run_code_does_not_run_it(
    publication: Publication, margins: dict[int, ndarray], tmp_path: Path, zipped: bool
) -> None:
    folder, mark = write_klom_models(tmp_path / "published", margins), tmp_path / "it-ran"
    stack = folder / "full_models/CIFAR10/train_margins_all.pt"
    torch.save(_Runs(mark), stack, _use_new_zipfile_serialization=zipped)
    assert zipfile.is_zipfile(stack) == zipped
    with pytest.raises(StoreError, match=r"train_margins_all.pt holds more than numbers.*nothing of it was run$"):
        import_published(publication, folder)
    assert not mark.exists()
    torch.load(stack, weights_only=False).close()  # it would have
    assert mark.exists()


@pytest.mark.parametrize("held", [[1, 2], torch.zeros(8, 40, dtype=torch.int64), {"a": torch.zeros(2)}])
def test_a_stack_of_anything_but_margins_is_refused(
    publication: Publication, margins: dict[int, ndarray], tmp_path: Path, held: object
) -> None:
    folder = write_klom_models(tmp_path, margins)
    torch.save(held, folder / "full_models/CIFAR10/train_margins_all.pt")
    with pytest.raises(StoreError, match="expected a tensor of floating-point margins, got"):
        import_published(publication, folder)


def test_a_half_downloaded_stack_is_refused(
    publication: Publication, margins: dict[int, ndarray], tmp_path: Path
) -> None:
    folder = write_klom_models(tmp_path, margins)
    stack = folder / "full_models/CIFAR10/train_margins_all.pt"
    stack.write_bytes(stack.read_bytes()[:700])
    with pytest.raises(StoreError, match=r"is no \.pt that can be read") as caught:
        import_published(publication, folder)
    assert "\n" not in str(caught.value)


def test_a_plain_pickle_is_refused(publication: Publication, margins: dict[int, ndarray], tmp_path: Path) -> None:
    folder, mark = write_klom_models(tmp_path / "published", margins), tmp_path / "it-ran"
    (folder / "full_models/CIFAR10/val_margins_all.pt").write_bytes(pickle.dumps(_Runs(mark)))
    with pytest.raises(StoreError, match=r"val_margins_all.pt"):
        import_published(publication, folder)
    assert not mark.exists()


def test_ensembles_trained_here_are_not_replaced(publication: Publication, folder: Path) -> None:
    plan = Plan(publication.suite, "oracle", publication.forget(2))
    mine = np.ones((2, 60), np.float32)
    user_store().write(plan.key, {"margins": mine}, {"models": 2})
    with pytest.raises(StoreError, match="holds an ensemble that was trained here"):
        import_published(publication, folder)
    assert stored(publication, 2, 2).tolist() == mine.tolist()
    assert user_store().read(Plan(publication.suite, "pretrained").key) is None


def test_importing_again_changes_nothing_and_more_sets_can_follow(
    publication: Publication, margins: dict[int, ndarray], folder: Path
) -> None:
    import_published(publication, folder, ["set-1"])
    before = contents(user_store().root)
    import_published(publication, folder, ["set-1"])
    assert contents(user_store().root) == before
    import_published(publication, folder, ["set-2"])
    np.testing.assert_array_equal(stored(publication, 2), margins[2])


@pytest.mark.parametrize(
    ("act", "error", "said"),
    [
        (lambda p, f: open_layout(p, f / "nowhere"), StoreError, "is no folder"),
        (lambda p, f: open_layout(p, f / "margins"), StoreError, "has no layout that is known: expected margins/cif"),
        (lambda p, f: import_published(p, f, ["set-3"]), BadSetting, "not published; choose from set-1"),
        (lambda p, f: import_published(p, f, models=9), StoreError, "models 8 of 0 to 8 are missing; .* first 8"),
        (lambda p, f: export_easydub(p, f), BadSetting, "is not empty"),
    ],
)
def test_mistakes_end_in_one_line(
    publication: Publication,
    folder: Path,
    act: Callable[[Publication, Path], object],
    error: type[Exception],
    said: str,
) -> None:
    import_published(publication, folder)
    with pytest.raises(error, match=said) as caught:
        act(publication, folder)
    assert "\n" not in str(caught.value)


def test_a_set_whose_oracles_are_not_in_the_folder_is_named(
    publication: Publication, margins: dict[int, ndarray], tmp_path: Path
) -> None:
    folder = write_by_hand(tmp_path, {0: margins[0], 1: margins[1]})
    with pytest.raises(StoreError, match="has no oracles of set-2; bring them, or leave these sets out"):
        import_published(publication, folder, ["set-1", "set-2"])


def test_exporting_what_was_never_imported_says_so(publication: Publication, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="pretrained: no margins"):
        export_easydub(publication, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_an_export_without_room_leaves_nothing(publication: Publication, folder: Path, tmp_path: Path) -> None:
    import_published(publication, folder)
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(StoreError, match="choose a folder that can be written"):
        export_easydub(publication, tmp_path / "file" / "out")


def test_a_publication_has_the_indices_of_its_suite(publication: Publication) -> None:
    with pytest.raises(BadSetting, match="published forget set 1 has other indices"):
        Publication(publication.suite, {1: np.array([3, 9, 31])})
    with pytest.raises(UnknownName):
        Publication(publication.suite, {4: np.array([3])})


def test_the_published_benchmark_goes_in_and_out_with_set_10_in_its_own_order(tmp_path: Path) -> None:
    """The real suite, two models of 60,000 margins; its data are not needed."""
    publication = find_publication("cifar10-resnet9")
    order = publication.orders[10]
    assert (np.diff(order) < 0).any()
    assert [len(publication.orders[number]) for number in range(1, 11)] == [
        10,
        100,
        1000,
        10,
        100,
        500,
        10,
        100,
        500,
        100,
    ]
    pretrained, oracles = np.random.default_rng(0).normal(size=(2, 2, 60_000)).astype(np.float32)
    write_easydub(publication, tmp_path / "out", pretrained, {10: oracles})
    base = tmp_path / "out/margins/cifar10/oracle/forget_10"
    np.testing.assert_array_equal(np.load(base / "forget/resnet9/id_1_epoch_23.npy"), oracles[1, order])
    kept = np.delete(oracles[1, :50_000], order)
    np.testing.assert_array_equal(np.load(base / "retain/resnet9/id_1_epoch_23.npy"), kept)
    import_published(publication, tmp_path / "out")
    np.testing.assert_array_equal(stored(publication, 0, 2), pretrained)
    np.testing.assert_array_equal(stored(publication, 10, 2), oracles)


def test_only_published_suites_have_publications() -> None:
    with pytest.raises(UnknownName, match="suite with published ensembles 'digits'; choose from cifar10-resnet9"):
        find_publication("digits")


def test_export_touches_nothing_beside_its_folder(
    publication: Publication, margins: dict[int, ndarray], tmp_path: Path
) -> None:
    import_published(publication, write_by_hand(tmp_path / "in", margins))
    beside = tmp_path / "out.part" / "thesis.txt"
    beside.parent.mkdir()
    beside.write_text("three years of work")
    export_easydub(publication, tmp_path / "out")
    assert beside.read_text() == "three years of work"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out", "out.part"]


@pytest.mark.parametrize("models", [0, -1])
def test_no_models_are_refused(
    publication: Publication, margins: dict[int, ndarray], tmp_path: Path, models: int
) -> None:
    folder = write_by_hand(tmp_path / "in", margins)
    with pytest.raises(BadSetting, match=f"expected at least 1 model, got {models}"):
        import_published(publication, folder, models=models)


@pytest.mark.parametrize("content", [b"version https://git-lfs.github.com/spec/v1", b"<html>", b"PK\x03\x04"])
@pytest.mark.parametrize("name", ["train_margins_all.pt", "x.npy"])
def test_a_file_that_is_something_else_is_told_so(tmp_path: Path, content: bytes, name: str) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(StoreError, match="is no ") as caught:
        read_indices(file, 40) if name.endswith(".npy") else read_matrix(file, 40, 8)
    assert "\n" not in str(caught.value)
    assert "pickle" not in str(caught.value)
