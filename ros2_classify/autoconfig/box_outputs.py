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

"""What outputs with boxes have in common: their numbers, formats, units and grids."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ros2_classify.autoconfig.evidence import Evidence, Hypothesis, InputSettings, Strength
from ros2_classify.decoders.boxes import cell_count
from ros2_classify.engines.base import TensorSpec

STRIDES = ((8, 16, 32), (8, 16, 32, 64), (16, 32))
ANCHORS = 3
# Of fewer boxes, their order says nothing.
FEW = 8
# More rows than this are not a list of final boxes.
MAX_FINAL = 1000
# More cells than any image that a model takes has.
_MAX_CELLS = 10**6


def detection(
    decoder: str, options: Mapping[str, Any], why: str, strength: Strength,
    settings: InputSettings, *details: str, **more: Any,
) -> Hypothesis:
    """Return a hypothesis for the task detection."""
    return Hypothesis('detection', decoder, options, why, strength, settings, details, **more)


def main_output(evidence: Evidence) -> tuple[TensorSpec, list[TensorSpec]]:
    """Return the output with the boxes, whatever its place, and the others."""
    tables = [tensor for tensor in evidence.outputs if len(tensor.shape) < 4]
    main = tables[0] if len(tables) == 1 else evidence.outputs[0]
    return main, [tensor for tensor in evidence.outputs if tensor is not main]


def array_of(evidence: Evidence, tensor: TensorSpec) -> NDArray[np.float64] | None:
    """Return an output's numbers if they are all finite."""
    found = evidence.arrays.get(tensor.name)
    if found is None or found.dtype.kind not in 'fiu':
        return None
    array = found.astype(np.float64)
    return array if np.isfinite(array).all() else None


def names_agree(evidence: Evidence, classes: int) -> bool:
    """Tell whether a number of classes is that of the names that are stated, if any are."""
    return evidence.names in (None, classes)


def box_formats(values: NDArray[np.float64] | None, first: int = 0) -> tuple[str, ...]:
    """Return the formats that four columns can have: corners in order, or centre and size."""
    if values is None:
        return ('xyxy', 'cxcywh')
    rows = values.reshape(-1, values.shape[-1])[:, first:first + 4]
    rows = rows[rows.any(axis=1)]
    if len(rows) < FEW:
        return ('xyxy', 'cxcywh')
    ordered = float(((rows[:, 2] > rows[:, 0]) & (rows[:, 3] > rows[:, 1])).mean())
    # A box is wider than its centre is far from the edge only if it touches the edge.
    return ('xyxy',) if ordered > 0.97 else ('cxcywh',) if ordered < 0.8 else ('xyxy', 'cxcywh')


def are_sides_from_a_corner(
    values: NDArray[np.float64], size: tuple[int, int] | None,
) -> bool:
    """Tell whether boxes are inside only if they are read as left, top, width and height."""
    rows = values.reshape(-1, values.shape[-1])
    rows = rows[rows.any(axis=1)]
    if size is None or len(rows) < FEW or box_formats(values) != ('cxcywh',):
        return False
    limits = np.array(size, np.float64) if float(np.abs(rows).max()) > 4.0 else np.ones(2)
    margin = 0.02 * limits
    whole = ((rows[:, :2] >= -margin) & (rows[:, :2] + rows[:, 2:] <= limits + margin)).all(axis=1)
    outside = (rows[:, :2] - rows[:, 2:] / 2 < -margin).any(axis=1)
    return float(whole.mean()) > 0.97 and float(outside.mean()) > 0.05


def fits_units(evidence: Evidence, boxes: TensorSpec, units: str) -> bool:
    """Tell whether numbers can be fractions of the image, or pixels; both if all are zero."""
    values = array_of(evidence, boxes)
    if values is None or not values.size or float(np.abs(values).max()) == 0.0:
        return units != 'normalized'
    return (float(np.abs(values).max()) <= 4.0) == (units == 'normalized')


def grids_of(size: tuple[int, int]) -> dict[int, int]:
    """Return how many boxes the usual strides give: one for each cell (1), or three (3)."""
    small = bounded(size)
    if small is None:
        return {}
    counts = [cell_count(small, strides) for strides in STRIDES]
    return {**dict.fromkeys([count * ANCHORS for count in counts], ANCHORS),
            **dict.fromkeys(counts, 1)}


def grid_of(evidence: Evidence, boxes: TensorSpec) -> dict[str, Any]:
    """Return the strides and anchors whose cells are as many as an output has boxes."""
    size = bounded(evidence.size)
    for strides in STRIDES if size else ():
        count = cell_count(size, strides) if size else 0
        for anchors in (1, ANCHORS):
            if count and count * anchors in boxes.shape[1:]:
                return {'strides': strides, 'anchors': anchors}
    return {}


def bounded(size: tuple[int, int] | None) -> tuple[int, int] | None:
    """Return a size that is small enough to count its cells."""
    return size if size and size[0] * size[1] <= _MAX_CELLS * 64 else None
