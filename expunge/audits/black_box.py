"""A model that is asked from outside, and of which nothing else is known: a Python function, or an address."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from expunge.errors import BadSetting, NoAnswer
from expunge.user_files import without_folder

BlackBox = Callable[[ndarray], ndarray]  # inputs (n, ...) to labels (n,)
SECONDS = 30.0  # for an answer
MOST_ANSWER = 32 << 20  # bytes of one


@contextlib.contextmanager
def black_box(address: str, classes: int, seconds: float = SECONDS) -> Iterator[BlackBox]:
    """The model at ``http://...``, or the function ``file.py:function``; a NoAnswer where it gives none in time.

    A function gets an array of inputs and returns labels, whole numbers, or scores, a row for each input. An address
    gets ``{"inputs": [...]}`` by POST and returns ``{"labels": [...]}`` or ``{"scores": [[...], ...]}``.
    """
    from expunge.audits.endpoint import Endpoint  # which both know what an answer is
    from expunge.audits.own_model import own_model

    if not 0 < seconds < float("inf"):
        raise BadSetting(f"expected a number of seconds above 0 to wait for an answer, got {seconds}")
    if "://" in address:
        yield Endpoint.at(address, classes, seconds)
    elif ".py:" in address:
        with own_model(address, classes, seconds) as model:
            yield model
    else:
        raise BadSetting(f"--model {address!r}: expected http://HOST:PORT/PATH, or file.py:function")


def name_of(address: str) -> str:
    """What a model is called in files: neither what follows a question mark nor the folders of a file are told.

    >>> name_of("http://h:1/predict?key=1"), name_of("/home/me/model.py:predict")
    ('http://h:1/predict', 'model.py:predict')
    """
    return address.partition("?")[0] if "://" in address else without_folder(address)


def labels_of(found: Any, count: int, classes: int, who: str) -> Int[ndarray, " n"]:
    """The labels in an answer to ``count`` inputs: given as such, or the largest of finite scores.

    >>> labels_of([[0.1, 0.9], [2.0, 1.0]], 2, 2, "it").tolist()
    [1, 0]
    """
    try:
        values = np.asarray(found)
    except (ValueError, TypeError, RuntimeError, OverflowError):  # rows of several lengths, or nothing of numbers
        raise NoAnswer(f"{who} gave what is no array of numbers") from None
    if values.dtype.kind not in "iuf":
        raise NoAnswer(f"{who} gave {values.dtype} of shape {values.shape}; expected labels, or scores")
    if values.shape not in ((count,), (count, classes)):
        raise NoAnswer(
            f"{who} gave numbers of shape {values.shape}; expected {count} labels, or scores {(count, classes)}"
        )
    if not np.isfinite(values).all():
        raise NoAnswer(f"{who} gave NaN or infinity; expected labels, or finite scores")
    if values.ndim == 2:
        values = values.argmax(1)
    bad = values[(values != np.floor(values)) | (values < 0) | (values >= classes)]
    if len(bad):
        raise NoAnswer(f"{who} gave the label {bad[0]}; expected whole numbers from 0 to {classes - 1}")
    labels: ndarray = values.astype(np.int64)
    return labels
