"""A model that is asked from outside, and of which nothing else is known: a Python function, or an address."""

import contextlib
from collections.abc import Iterator

from expunge.audits.answers import BlackBox
from expunge.audits.endpoint import Endpoint
from expunge.audits.own_model import own_model
from expunge.errors import BadSetting

SECONDS = 30.0  # for an answer


@contextlib.contextmanager
def black_box(address: str, classes: int, seconds: float = SECONDS) -> Iterator[BlackBox]:
    """The model at ``http://...``, or the function ``file.py:function``; a NoAnswer where it gives none in time.

    A function gets an array of inputs and returns labels, whole numbers, or scores, a row for each input. An address
    gets ``{"inputs": [...]}`` by POST and returns ``{"labels": [...]}`` or ``{"scores": [[...], ...]}``.
    """
    if not 0 < seconds < float("inf"):
        raise BadSetting(f"expected a number of seconds above 0 to wait for an answer, got {seconds}")
    if "://" in address:
        yield Endpoint.at(address, classes, seconds)
    elif ".py:" in address:
        with own_model(address, classes, seconds) as model:
            yield model
    else:
        raise BadSetting(f"--model {address!r}: expected http://HOST:PORT/PATH, or file.py:function")
