"""What a model that is asked from outside may answer, and what it is called."""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from expunge.errors import NoAnswer
from expunge.user_files import without_folder

BlackBox = Callable[[ndarray], ndarray]  # inputs (n, ...) to labels (n,)
MOST_ANSWER = 32 << 20  # bytes of one


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
