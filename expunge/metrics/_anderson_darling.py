"""The inner loops of the Anderson-Darling statistic; as those of ``_kernels`` they are checked by their callers."""

import numpy as np
from numpy import ndarray

from expunge.metrics._compiled import compiled


@compiled
def _tied_block(
    rows: ndarray,
    first: int,
    labels: ndarray,
    weight: ndarray,
    share: float,
    step: ndarray,
    count: ndarray,
    total: ndarray,
) -> None:
    """Over models of equal margins, ``rows`` in number from ``first`` on, the count rises in a straight line."""
    step[:] = 0
    for k in range(rows.size):
        row = labels[rows[k]]
        for c in range(step.size):
            step[c] += row[c]
    part = np.float32(1 / rows.size)
    for k in range(first, first + rows.size):
        expected, w = np.float32((k + 1) * share), weight[k]
        for c in range(step.size):
            count[c] += step[c] * part
            total[c] += w * (count[c] - expected) ** 2


@compiled
def anderson_darling_block(
    order: ndarray,  # (examples, models): the models of both ensembles by rising margin
    margins: ndarray,  # (examples, models): their margins in that order
    labels: ndarray,  # (models, columns) float32: 1 where a column calls the model unlearned
    weight: ndarray,  # (models,) float32: weight[k] = weight of the gap after k + 1 models, 0 after the last
    share: float,  # of the models that are unlearned
    out: ndarray,  # (examples, columns) float32
) -> None:
    """The two-sample Anderson-Darling statistic of each example under each column of labels."""
    models, columns = labels.shape
    count, step = np.empty(columns, np.float32), np.empty(columns, np.float32)
    for example in range(order.shape[0]):
        total, ranked = out[example], order[example]
        total[:], count[:] = 0, 0
        first = 0
        while first < models:
            tied = 1
            while first + tied < models and margins[example, first + tied] == margins[example, first]:
                tied += 1
            if tied == 1:  # nearly always: the same sums, in one pass over the columns
                row, expected, w = labels[ranked[first]], np.float32((first + 1) * share), weight[first]
                for c in range(columns):
                    count[c] += row[c]
                    total[c] += w * (count[c] - expected) ** 2
            else:
                _tied_block(ranked[first : first + tied], first, labels, weight, share, step, count, total)
            first += tied


@compiled
def _left_out_with_ties(
    order: ndarray, margins: ndarray, place: ndarray, unlearned: int, weight: ndarray, expected: ndarray
) -> np.float32:
    """The statistic of one example of which some margins are equal, of the models at these places."""
    total, count, first = np.float32(0), np.float32(0), 0
    while first < place.size:
        tied, step = 1, np.float32(order[place[first]] < unlearned)
        while first + tied < place.size and margins[place[first + tied]] == margins[place[first]]:
            step += np.float32(order[place[first + tied]] < unlearned)
            tied += 1
        part = np.float32(1 / tied)
        for k in range(first, first + tied):
            count = np.float32(count + step * part)
            total = np.float32(total + weight[k] * (count - expected[k]) ** 2)
        first += tied
    return total


@compiled
def left_out_block(
    order: ndarray,  # (examples, models): as above, of all models, the unlearned numbered first
    margins: ndarray,  # (examples, models): their margins in that order
    stays: ndarray,  # (models,) bool: which models are not left out
    unlearned: int,  # how many of all models are unlearned
    weight: ndarray,  # (models that stay,) float32: as above
    share: float,
    out: ndarray,  # (examples,) float32
) -> None:
    """The same statistic of the models that stay, under their true labels: bit for bit as if no others were there."""
    models = order.shape[1]
    place = np.empty(models, np.int64)  # of the models that stay, in order
    expected = np.empty(weight.size, np.float32)
    for k in range(weight.size):
        expected[k] = np.float32((k + 1) * share)
    for example in range(order.shape[0]):
        kept, ties = 0, False
        for k in range(models):
            place[kept] = k
            kept += int(stays[order[example, k]])
            ties |= k > 0 and margins[example, k] == margins[example, k - 1]
        total, count = np.float32(0), np.float32(0)
        for k in range(0 if ties else kept):  # nearly always: no two margins are equal
            count = np.float32(count + np.float32(order[example, place[k]] < unlearned))
            total = np.float32(total + weight[k] * (count - expected[k]) ** 2)
        out[example] = total
        if ties:
            out[example] = _left_out_with_ties(
                order[example], margins[example], place[:kept], unlearned, weight, expected
            )
