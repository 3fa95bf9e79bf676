"""A suite that trains in a second."""

import pytest

from expunge.suites import Suite
from tests.tiny_suite import tiny


@pytest.fixture
def small() -> Suite:
    return tiny()
