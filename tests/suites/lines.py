"""What a user's mistake must end in."""

from collections.abc import Callable

import pytest

from expunge.errors import UserError


def one_line(error: type[UserError], message: str, function: Callable[[], object]) -> None:
    with pytest.raises(error, match=message) as caught:
        function()
    assert "\n" not in str(caught.value)
