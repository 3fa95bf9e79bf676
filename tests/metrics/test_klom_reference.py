"""The public codes, repeated: golden cases where there are some, cases worked out by hand where there are none."""

from pathlib import Path

import numpy as np
import pytest

from expunge.errors import UnknownName
from expunge.metrics.klom import klom
from expunge.metrics.klom_reference import klom_reference

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "klom_cases.npz")
CASES = sorted({name.split(".")[0] for name in GOLDEN.files})


def column(*values: float) -> np.ndarray:
    return np.array(values, float)[:, None]


@pytest.mark.parametrize("variant", ["easydub", "data-unlearning-bench"])
@pytest.mark.parametrize("case", CASES)
def test_returns_what_the_public_code_returns(case: str, variant: str) -> None:
    values = klom_reference(GOLDEN[f"{case}.unlearned"], GOLDEN[f"{case}.oracle"], variant=variant)
    expected = GOLDEN[f"{case}.{variant.replace('-', '_')}"]
    np.testing.assert_allclose(values, expected, rtol=1e-9, atol=1e-9, equal_nan=True)


def test_there_are_eleven_golden_cases() -> None:
    assert len(CASES) == 11


# dmm: 20 edges, so 19 bins; the code also keeps the count left of the first edge, so q has 20 entries. In the first
# two cases 18 of them are empty and get 1e-5, which makes the sum of q 1.00018.
def test_dmm_has_19_bins_floors_each_and_renormalises() -> None:
    # edges 0, 1, ..., 19; both 19s are dropped; p = 1 in the first bin; q = 1/3 there and 2/3 in the second
    value = klom_reference(column(0, 0, 19), column(0, 1, 1, 19), variant="dmm")
    np.testing.assert_allclose(value, np.log(3 * 1.00018), rtol=1e-12)


def test_dmm_clips_the_unlearned_margins_only() -> None:
    # 150 becomes 100; the oracles' 190 stays and sets edges 0, 10, ..., 190; p = 1/3 at 0, 2/3 at 100; q = 1/2, 1/2
    value = klom_reference(column(0, 150, 150), column(0, 100, 190, 190), variant="dmm")
    np.testing.assert_allclose(value, np.log(2 / 3) / 3 + np.log(4 / 3) * 2 / 3 + np.log(1.00018), rtol=1e-12)


def test_dmm_floors_a_bin_without_oracles() -> None:
    # p = 1/2 at 0 and at 5; q = 1 at 0, and 19 entries of 1e-5, so the sum of q is 1.00019
    value = klom_reference(column(0, 5), column(0, 0, 19), variant="dmm")
    np.testing.assert_allclose(value, np.log(0.5 * 1.00019) / 2 + np.log(0.5 * 1.00019 / 1e-5) / 2, rtol=1e-12)


def test_dmm_says_nan_where_nothing_is_counted() -> None:
    unlearned, oracle = np.array([[1.0, 9.0, 0.0], [1.0, 9.0, 1.0]]), np.array([[1.0, 0.0, 5.0], [1.0, 5.0, 5.0]])
    assert np.isnan(
        klom_reference(unlearned, oracle, variant="dmm")
    ).all()  # all equal; p all at the top; q all at the top


def test_the_codes_and_klom_differ_in_the_largest_margin_only() -> None:
    rng = np.random.default_rng(0)
    unlearned, oracle = rng.normal(size=(100, 500)), rng.normal(size=(100, 500))
    ours, theirs = klom(unlearned, oracle), klom_reference(unlearned, oracle)
    assert 0 < (ours - theirs).mean() < 0.03
    assert theirs.mean() == pytest.approx(0.333, abs=0.02)


def test_an_unknown_variant_is_named() -> None:
    with pytest.raises(UnknownName, match="unknown variant of KLoM 'easydubb'; did you mean 'easydub'"):
        klom_reference(np.zeros((2, 1)), np.zeros((2, 1)), variant="easydubb")
