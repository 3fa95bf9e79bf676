from pathlib import Path

import pytest

from tests.reports.synthetic import write_bench


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    """A folder of results, as the bench leaves it."""
    return write_bench(tmp_path / "out")
