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

"""What all results share: timing, checks of arrays, JSON, tables for notebooks and terminals."""

from __future__ import annotations

from dataclasses import dataclass
import math
import operator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ros2_classify.errors import OutputError
from ros2_classify.results.html import result_html

# So few numbers are checked as lists, which takes a fraction of the time of arrays.
FEW = 32


@dataclass(frozen=True)
class Timing:
    """
    How long the steps took for one result.

    Parameters
    ----------
    preprocess, inference, postprocess : float
        Seconds spent turning pixels into a tensor, running the model, and decoding its outputs.

    Examples
    --------
    >>> from ros2_classify import Timing
    >>> Timing(preprocess=0.001, inference=0.02, postprocess=0.002).to_dict()
    {'preprocess': 1.0, 'inference': 20.0, 'postprocess': 2.0}

    """

    preprocess: float
    inference: float
    postprocess: float

    @property
    def total(self) -> float:
        """Seconds from the image to the result."""
        return self.preprocess + self.inference + self.postprocess

    def to_dict(self) -> dict[str, float]:
        """Return the three times in milliseconds, rounded to the microsecond."""
        return {
            'preprocess': round(self.preprocess * 1e3, 3),
            'inference': round(self.inference * 1e3, 3),
            'postprocess': round(self.postprocess * 1e3, 3),
        }


def frozen(values: NDArray[Any], dtype: Any) -> NDArray[Any]:
    """Return a read-only view (a copy where the type must change); the caller's stays writable."""
    view: NDArray[Any] = np.asarray(values, dtype=dtype).view()
    view.flags.writeable = False
    return view


def check_size(image_size: tuple[int, int]) -> None:
    width, height = image_size
    if width < 1 or height < 1:
        raise OutputError(f'image_size is {width}x{height} but both must be at least 1 pixel')


def check_common(result: Any) -> None:
    """Convert ids, scores and labels to their types and check what all tasks share."""
    for name, dtype in (('scores', np.float32), ('class_ids', np.int64), ('labels', np.object_)):
        object.__setattr__(result, name, frozen(getattr(result, name), dtype))
    scores = result.scores
    if scores.ndim != 1:
        raise OutputError(f'scores has shape {scores.shape} but must have one dimension')
    for name in ('class_ids', 'labels'):
        shape = getattr(result, name).shape
        if shape != scores.shape:
            raise OutputError(
                f'{name} has shape {shape} but there are {len(scores)} scores: one is needed for '
                'each score')
    check_size(result.image_size)
    if len(scores) <= FEW:
        values = scores.tolist()
        finite, rise = all(map(math.isfinite, values)), any(map(operator.gt, values[1:], values))
    else:
        finite, rise = np.isfinite(scores).all(), (scores[1:] > scores[:-1]).any()
    if not finite:
        raise OutputError(
            f'a score is {scores[~np.isfinite(scores)][0]}: the model gave no usable number '
            '(usual causes: a float16 overflow, wrong preprocessing)')
    if rise:
        raise OutputError('scores rise along the rows but must be best first')


def class_rows(result: Any) -> list[dict[str, Any]]:
    return [
        {'class_id': class_id, 'label': label, 'score': round(score, 6)}
        for class_id, label, score in zip(
            result.class_ids.tolist(), result.labels.tolist(), result.scores.tolist())
    ]


class Common:
    """What all results can do."""

    def to_dict(self: Any) -> dict[str, Any]:
        """Return the result in JSON types: task, image, results, timing_ms."""
        width, height = self.image_size
        others = {name: other.to_dict() for name, other in self.others.items()}
        return {
            'task': self.task,
            'image': {'width': int(width), 'height': int(height)},
            'results': self.rows(),
            'timing_ms': self.timing.to_dict(),
            **({'others': others} if others else {}),
        }

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return result_html(self)


def table(header: tuple[str, ...], alignment: str, rows: list[tuple[str, ...]]) -> str:
    """Lay rows out in columns; ``alignment`` has one of ``l`` and ``r`` for each column."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = []
    for row in [header, *rows]:
        cells = [cell.ljust(width) if side == 'l' else cell.rjust(width)
                 for cell, width, side in zip(row, widths, alignment)]
        lines.append('  '.join(cells).rstrip())
    return '\n'.join(lines)
