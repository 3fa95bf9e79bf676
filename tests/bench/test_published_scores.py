"""Published margins are scored without the data: nobody needs the pictures to compare margins."""

from pathlib import Path

import numpy as np
import pytest
from numpy import ndarray

from expunge.bench.external_margins import score_margins
from expunge.bench.plan import plan_bench
from expunge.bench.run import run_bench
from expunge.ensembles.published import Publication
from expunge.ensembles.published.porting import import_published
from expunge.errors import MissingData
from expunge.metrics.klom import klom
from expunge.records import Score
from expunge.reports import report
from tests.publications import small_margins, small_publication, write_by_hand
from tests.records import has

MODELS = 24


@pytest.fixture(scope="module")
def publication() -> Publication:
    return small_publication(MODELS)


@pytest.fixture
def margins(publication: Publication, tmp_path: Path) -> dict[int, ndarray]:
    """The arrays that were published, and imported; the data are not there."""
    margins = small_margins(publication, MODELS)
    import_published(publication, write_by_hand(tmp_path / "published", margins))
    with pytest.raises(MissingData):
        _ = publication.suite.data.labels
    return margins


def value(scores: list[Score], method: str, split: str = "forget", metric: str = "klom") -> float:
    [found] = [
        each.value
        for each in scores
        if has(each, method=method, split=split, metric=metric) and each.aggregate in ("p95", "share")
    ]
    assert found is not None
    return found


def test_my_margins_are_scored_against_published_oracles(
    publication: Publication, margins: dict[int, ndarray], tmp_path: Path
) -> None:
    """Fewer models than oracles; the numbers are those of the source arrays."""
    forget = publication.forget(2).indices
    mine = small_margins(publication, 9, seed=1)[2]
    file = tmp_path / "mine.npy"
    np.save(file, mine)
    with pytest.warns(UserWarning, match="may be in another order"):  # their examples are others'
        scores = score_margins(publication.suite, "set-2", file, out=tmp_path / "out")
    oracle = margins[2][:12]
    assert value(scores, "yours") == np.percentile(klom(mine, oracle)[forget], 95)
    assert value(scores, "identity") == np.percentile(klom(margins[0][:9], oracle)[forget], 95)
    assert value(scores, "oracle") == np.percentile(klom(margins[2][12:21], oracle)[forget], 95)
    assert not [each for each in scores if each.metric == "accuracy"]
    page = report(tmp_path / "out").read_text()
    assert "Example " in page
    assert "</b>, label" not in page


def test_bench_runs_its_anchors_on_published_ensembles(
    publication: Publication, margins: dict[int, ndarray], tmp_path: Path
) -> None:
    scores = run_bench(plan_bench(publication.suite, [], ["set-2", "set-10"], models=12), tmp_path / "out")
    assert {each.subject.method for each in scores} == {"identity", "oracle"}
    for number in (2, 10):
        forget, oracle = publication.forget(number), margins[number][:12]
        mine = [each for each in scores if each.subject.forget_set == forget.name]
        assert value(mine, "identity") == np.percentile(klom(margins[0][:12], oracle)[forget.indices], 95)
    assert report(tmp_path / "out").exists()
