from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy import ndarray

from expunge.bench.soundness import check
from expunge.ensembles import Plan
from expunge.ensembles.published import Publication
from expunge.ensembles.published.porting import import_published
from expunge.errors import StoreError, UnknownName
from expunge.store import user_store
from expunge.suites import Suite
from tests.publications import ORDERS, TRAIN, small_margins, small_publication, write_by_hand, write_klom_models

MODELS = 24

Margins = dict[int, ndarray]


@pytest.fixture(scope="module")
def publication() -> Publication:
    return small_publication(MODELS)


@pytest.fixture
def margins(publication: Publication) -> Margins:
    return small_margins(publication, MODELS)


def failed(publication: Publication, folder: Path | None) -> dict[str, str]:
    found = check(publication.suite, folder, publication=publication)
    assert all("\n" not in each.found for each in found)
    return {each.name: each.found for each in found if not each.ok}


@pytest.mark.parametrize("write", [write_by_hand, write_klom_models])
def test_sound_folders_pass(
    publication: Publication, margins: Margins, tmp_path: Path, write: Callable[..., Path]
) -> None:
    findings = check(publication.suite, write(tmp_path / "published", margins), publication=publication)
    assert [each.name for each in findings if not each.ok] == []
    assert sum(each.name.startswith("oracle set-2 ") for each in findings) == 13
    copies = [each for each in findings if each.name.endswith("copies")]
    assert len(copies) == (3 if write is write_by_hand else 0)


def test_what_was_imported_passes(publication: Publication, margins: Margins, tmp_path: Path) -> None:
    import_published(publication, write_by_hand(tmp_path, margins))
    assert failed(publication, None) == {}


def test_the_shipped_ensembles_pass(suite: Suite) -> None:
    findings = check(suite)
    assert [each for each in findings if not each.ok] == []
    told = {each.name: each.found for each in findings}
    assert "cannot be told" in told["oracle class-3 forget order"]
    assert "r = 0.98, p = 0.001" in told["oracle random-50 forget order"]


def nan(values: ndarray) -> None:
    values[[3, 5], 7] = np.nan


def twin(values: ndarray) -> None:
    values[9] = values[2]


def exploded(values: ndarray) -> None:
    values[4] *= 80


def drifted(values: ndarray) -> None:
    values[MODELS // 2 :] += 2


def other_recipe(values: ndarray) -> None:
    values += np.where(np.arange(60) < TRAIN, 4, 0)


@pytest.mark.parametrize(
    ("spoil", "name", "said"),
    [
        (nan, "oracle set-2 finite", "models 3, 5"),
        (twin, "oracle set-2 duplicates", "models 2, 9"),
        (exploded, "oracle set-2 outliers", "models 4"),
        (drifted, "oracle set-2 halves", "p = 0.001"),
        (other_recipe, "oracle set-2 retain floor", "mean KLoM of untouched models"),
    ],
)
def test_a_spoilt_ensemble_is_found(
    publication: Publication, margins: Margins, tmp_path: Path, spoil: Callable[[ndarray], None], name: str, said: str
) -> None:
    spoil(margins[2])
    found = failed(publication, write_by_hand(tmp_path, margins))
    assert said in found[name]
    assert not [other for other in found if "set-2" not in other]


def test_oracles_that_saw_the_forget_set_are_found(publication: Publication, margins: Margins, tmp_path: Path) -> None:
    margins[2] = small_margins(publication, MODELS, seed=0)[0] + np.random.default_rng(5).normal(0, 0.3, (MODELS, 60))
    assert list(failed(publication, write_by_hand(tmp_path, margins))) == ["oracle set-2 forgot"]


def test_forget_margins_in_another_order_are_found(publication: Publication, margins: Margins, tmp_path: Path) -> None:
    forget = ORDERS[2]
    margins[2][:, forget] = margins[2][:, np.roll(forget, 2)]
    assert list(failed(publication, write_by_hand(tmp_path, margins))) == ["oracle set-2 forget order"]


def test_a_sorted_index_file_is_found_three_ways(publication: Publication, margins: Margins, tmp_path: Path) -> None:
    folder = write_by_hand(tmp_path, margins)
    np.save(folder / "forget_sets/cifar10/forget_set_2.npy", np.sort(ORDERS[2]))
    found = failed(publication, folder)
    assert found["set-2 indices"] == "6 of 6 agree, in another order than the published one"
    assert found["set-2 copies"].endswith("of 6 examples differ")
    assert "oracle set-2 forget order" in found


@pytest.mark.parametrize("split", [slice(0, TRAIN), slice(20, TRAIN), slice(TRAIN, 60)])
def test_columns_that_are_off_by_one_are_found(
    publication: Publication, margins: Margins, tmp_path: Path, split: slice
) -> None:
    margins[1][:, split] = np.roll(margins[1][:, split], 1, axis=1)
    found = failed(publication, write_by_hand(tmp_path, margins))
    assert f"oracle set-1 {'test' if split.start == TRAIN else 'retain'} order" in found


def test_files_that_cannot_be_read_are_findings_and_the_rest_is_checked(
    publication: Publication, margins: Margins, tmp_path: Path
) -> None:
    folder = write_by_hand(tmp_path, margins)
    (folder / "margins/cifar10/oracle/forget_1/val/resnet9/id_7_epoch_23.npy").unlink()
    np.save(folder / "forget_sets/cifar10/forget_set_10.npy", np.array([1, 2]))
    found = failed(publication, folder)
    assert "models 7 of 0 to 23 are missing" in found["oracle set-1 files"]
    assert "lists other indices than set-10" in found["set-10 indices"]
    assert "oracle set-10 files" in found
    assert not [name for name in found if "set-2" in name]


def test_too_few_models_are_told(publication: Publication, margins: Margins, tmp_path: Path) -> None:
    folder = write_by_hand(tmp_path, {number: values[:4] for number, values in margins.items()})
    findings = check(publication.suite, folder, publication=publication)
    told = {each.name: (each.ok, each.found) for each in findings}
    assert told["pretrained models"] == (False, "4 of 24")
    assert told["pretrained halves"] == (True, "4 models are too few to tell")
    assert told["oracle set-2 retain floor"] == (True, "4 and 4 models are too few to tell")


def test_a_store_of_other_columns_is_a_finding(publication: Publication) -> None:
    plan = Plan(publication.suite, "pretrained")
    user_store().write(plan.key, {"margins": np.ones((5, 7), np.float32)}, {"models": 5})
    assert "expected shape (5, 60), got (5, 7)" in failed(publication, None)["pretrained files"]


def test_nothing_to_check_is_told(publication: Publication, suite: Suite, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no margins of suite 'small' to check"):
        check(publication.suite)
    with pytest.raises(UnknownName, match="suite with published ensembles 'digits'"):
        check(suite, tmp_path)


def disguised(values: ndarray) -> None:
    values[1] = 1.01 * values[0] + 0.1


def shifted_alone(values: ndarray) -> None:
    values[5] = np.roll(values[5], 1)


@pytest.mark.parametrize(
    ("harm", "finding"), [(disguised, "oracle set-2 duplicates"), (shifted_alone, "oracle set-2 each in order")]
)
def test_one_wrong_oracle_among_many_is_named(
    publication: Publication, margins: Margins, tmp_path: Path, harm: Callable[[ndarray], None], finding: str
) -> None:
    harm(margins[2])
    told = failed(publication, write_klom_models(tmp_path, margins))
    assert finding in told


def test_oracles_that_are_pretrained_models_are_named(
    publication: Publication, margins: Margins, tmp_path: Path
) -> None:
    margins[2][::4] = margins[0][: len(margins[2][::4])]
    told = failed(publication, write_klom_models(tmp_path, margins))
    assert "are pretrained models" in told["oracle set-2 its own"]
