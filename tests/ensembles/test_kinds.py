"""How an ensemble of each kind is trained, named, stored and read stands in one row of KINDS."""

from dataclasses import replace
from pathlib import Path

import pytest

from expunge.ensembles import Plan, build, read_margins
from expunge.ensembles.kinds import KINDS
from expunge.errors import BadSetting
from expunge.store import user_store
from expunge.suites import Suite
from tests.tiny_suite import hidden, tiny

SETTINGS = {"sharded": (("shards", 2), ("slices", 1))}


def a_plan(suite: Suite, kind: str) -> Plan:
    forget = suite.forget_sets["first"] if KINDS[kind].of_a_forget_set else None  # type: ignore[index]
    return Plan(suite, kind, forget, settings=SETTINGS.get(kind, ()))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_built_stored_as_its_row_says_and_read(kind: str, own_store: Path) -> None:
    plan, row = a_plan(tiny(), kind), KINDS[kind]  # type: ignore[index]
    made = build(plan, 3)
    assert made.folder.relative_to(own_store).parts[1] == row.folder
    chunk = user_store().read(plan.chunk_key(0))
    assert chunk is not None
    assert ("weights" in chunk) == row.keeps_weights == plan.keeps_weights
    assert ("correct" in made) == row.exact
    assert chunk.array("margins").dtype == ("float32" if row.exact else "float16")
    found = read_margins(plan, 0, 3)
    assert found.values.shape == (3, 260)
    assert found.device == "cpu"
    assert found.origin.kind == kind


def test_no_two_kinds_lie_in_one_folder() -> None:
    assert len({row.folder for row in KINDS.values()}) == len(KINDS)
    suite = tiny()
    keys = {a_plan(suite, kind).key for kind in KINDS}
    assert len(keys) == len(KINDS)


def test_weights_of_a_kind_that_keeps_none_lie_apart() -> None:
    plan = a_plan(tiny(), "oracle")
    assert replace(plan, weights=True).key != plan.key
    assert replace(a_plan(tiny(), "pretrained"), weights=True).key == a_plan(tiny(), "pretrained").key


@pytest.mark.parametrize("kind", [kind for kind, row in KINDS.items() if row.dense_only])
def test_a_kind_that_cannot_be_sparse_says_so(kind: str) -> None:
    with pytest.raises(BadSetting, match="trained dense only"):
        build(a_plan(hidden().pruned("omp:0.5"), kind), 3)
