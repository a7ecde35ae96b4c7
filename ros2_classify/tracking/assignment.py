# Copyright 2026 the ros2_classify authors
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""Which track belongs to which box: the pairs with the largest sum of gains."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Pairs = tuple[NDArray[np.intp], NDArray[np.intp]]


def assign(gains: NDArray[np.float64]) -> Pairs:
    """
    Return rows and columns of the pairs with the largest sum; a gain of 0 or less is no pair.

    Most pairs have no rival, which is seen at once; the rest takes the Hungarian method.
    """
    allowed = gains > 0
    rows, columns = allowed.nonzero()
    if len(set(rows.tolist())) == len(set(columns.tolist())) == len(rows):
        return rows, columns
    alone = (allowed.sum(axis=1)[rows] == 1) & (allowed.sum(axis=0)[columns] == 1)
    left, right = np.unique(rows[~alone]), np.unique(columns[~alone])
    found, chosen = _hungarian(np.maximum(gains[np.ix_(left, right)], 0.0))
    return (np.concatenate((rows[alone], left[found])),
            np.concatenate((columns[alone], right[chosen])))


def _hungarian(gains: NDArray[np.float64]) -> Pairs:
    """
    Solve a dense problem by shortest augmenting paths; pairs without a gain don't count.

    Jonker and Volgenant, "A shortest augmenting path algorithm for dense and sparse linear
    assignment problems", Computing 38 (1987), without its column reduction.
    """
    if gains.shape[0] > gains.shape[1]:
        columns, rows = _hungarian(np.ascontiguousarray(gains.T))
        return rows, columns
    costs = gains.max() - gains
    count, width = costs.shape
    # Prices of rows and columns: no pair costs less than its two, those that are chosen cost
    # just these.
    row_price, column_price = costs.min(axis=1), np.zeros(width)
    row_of = np.full(width, -1, np.intp)
    late = []
    for row, column in enumerate(costs.argmin(axis=1).tolist()):
        if row_of[column] < 0:
            row_of[column] = row
        else:
            late.append(row)
    for row in late:
        _augment(row, costs, row_price, column_price, row_of)
    columns = np.flatnonzero(row_of >= 0)
    rows = row_of[columns]
    good = gains[rows, columns] > 0
    return rows[good], columns[good]


def _augment(
        start: int, costs: NDArray[np.float64], row_price: NDArray[np.float64],
        column_price: NDArray[np.float64], row_of: NDArray[np.intp]) -> None:
    """Give a row its column by the shortest way, on which others change theirs."""
    width = costs.shape[1]
    distance = np.full(width, np.inf)
    before = np.full(width, -1, np.intp)  # the row from which a column is reached
    done = np.zeros(width, bool)
    row, length = start, 0.0
    while True:
        through = length + costs[row] - row_price[row] - column_price
        shorter = (through < distance) & ~done
        distance[shorter], before[shorter] = through[shorter], row
        column = int(np.where(done, np.inf, distance).argmin())
        length = float(distance[column])
        if row_of[column] < 0:
            break
        done[column] = True
        row = int(row_of[column])
    row_price[start] += length
    row_price[row_of[done]] += length - distance[done]
    column_price[done] -= length - distance[done]
    while True:
        row = int(before[column])
        previous = np.flatnonzero(row_of == row)
        row_of[column] = row
        if row == start:
            return
        # The row gives its former column away.
        column = int(previous[0])
