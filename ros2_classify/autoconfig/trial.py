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

"""
Try a hypothesis on a few images: what its own outputs contradict is out.

The images are drawn, with the statistics of photographs: a dead-leaves model, discs of random
sizes that hide each other (A. B. Lee, D. Mumford, J. Huang, "Occlusion Models for Natural
Images", 2001), has their spectrum and their edges. A detector finds little in them, but all its
boxes, however low their score, say in which units, order and range its numbers are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from ros2_classify.autoconfig.evidence import Evidence, Hypothesis, Strength
from ros2_classify.convert.compare import sample_image
from ros2_classify.decoders import Candidates, DecodeContext, DECODERS
from ros2_classify.decoders.base import find_name
from ros2_classify.decoders.boxes import cells
from ros2_classify.engines import Engine, Tensors
from ros2_classify.errors import OutputError
from ros2_classify.model.descriptor import OutputSpec
from ros2_classify.model.input_spec import InputSpec
from ros2_classify.postprocess.postprocessor import Dequantizer
from ros2_classify.preprocess.batch import Batch
from ros2_classify.preprocess.extra_inputs import ExtraInputs
from ros2_classify.preprocess.geometry import Geometry

_SIZE = (640, 480)
_LEAVES = 400
_TOLERANCE = 0.01
# Of the best boxes of an image, this many are looked at.
_BEST = 50
# Boxes may leave the image by this part of its side.
_MARGIN = 0.25
# The share of boxes that must be in order and inside; a few of any detector are not.
_SHARE = 0.8
_FEW = 8
# Boxes follow their cells with at least this correlation, if there are enough of them.
_FOLLOWS, _FEWEST = 0.5, 32
# Of real models, the median box is within a tenth of a cell of its cell's centre.
_BESIDE = 0.4


@dataclass(frozen=True)
class Run:
    """A model's outputs by name for one image, and how the image became the input."""

    outputs: Tensors
    geometry: Geometry


@lru_cache(maxsize=1)
def sample_images() -> tuple[NDArray[np.uint8], ...]:
    """Return RGB images: two like photographs, and drawn shapes; the same on every machine."""
    images = (dead_leaves(1), dead_leaves(2), sample_image(*_SIZE))
    for image in images:
        image.flags.writeable = False
    return images


def dead_leaves(seed: int) -> NDArray[np.uint8]:
    """Draw discs that hide each other, their sizes as things in photographs have them."""
    random = np.random.default_rng(seed)
    width, height = _SIZE
    image = np.full((height, width, 3), 120, np.uint8)
    # Areas fall with the square of the radius: the density of radii with its cube.
    radii = 4.0 / np.sqrt(1.0 - random.uniform(0.0, 0.999, _LEAVES))
    for radius, x, y, *color in zip(
            np.sort(radii)[::-1], random.uniform(0, width, _LEAVES),
            random.uniform(0, height, _LEAVES),
            *np.clip(random.normal(120, 60, (3, _LEAVES)), 0, 255)):
        cv2.circle(image, (int(x), int(y)), max(2, int(radius)), [int(each) for each in color], -1)
    grain = random.normal(0.0, 6.0, image.shape)
    return np.asarray(np.clip(cv2.GaussianBlur(image, (0, 0), 0.8) + grain, 0, 255), np.uint8)


class Trial:
    """
    Runs a model on the sample images, once for each way to feed it.

    If ``fixed``, the descriptor declares the input, and the settings of families do not count.
    """

    def __init__(self, engine: Engine, extra: ExtraInputs, *, fixed: bool = False) -> None:
        self._engine, self._extra, self._fixed = engine, extra, fixed
        self._dequantize = Dequantizer((OutputSpec(),), engine.outputs, 'the model')
        self._runs: dict[InputSpec, tuple[Run, ...]] = {}

    def runs(self, spec: InputSpec) -> tuple[Run, ...]:
        """Return the outputs for the sample images, fed as ``spec`` says."""
        if spec not in self._runs:
            self._runs[spec] = tuple(self._run(spec, image) for image in sample_images())
        return self._runs[spec]

    def contradiction(self, hypothesis: Hypothesis, evidence: Evidence) -> str:
        """Return what the model's numbers say against a hypothesis; '' if nothing does."""
        spec = evidence.spec if self._fixed else replace(
            evidence.spec, **hypothesis.settings.fields)
        runs = self.runs(spec)
        try:
            if hypothesis.task == 'classification':
                return _against_classes(hypothesis, runs)
            if hypothesis.task == 'detection':
                return _against_boxes(hypothesis, runs)
        except OutputError as error:
            return str(error)
        return ''

    def _run(self, spec: InputSpec, image: NDArray[np.uint8]) -> Run:
        name = spec.name or self._engine.inputs[0].name
        unbatched = any(tensor.name == name and len(tensor.shape) == 3
                        for tensor in self._engine.inputs)
        # A batch for each image, since outputs may use its memory.
        batch = Batch(spec, name, self._extra, 1, unbatched=unbatched)
        batch.add(image, 'rgb')
        outputs = self._dequantize(batch.run(self._engine))
        return Run({name: np.array(array) for name, array in outputs.items()},
                   batch.geometries[0])


def numbers(runs: Sequence[Run], name: str) -> list[NDArray[np.float64]]:
    """Return one output of all runs; OutputError if a number is not finite."""
    found = []
    for run in runs:
        key = find_name(run.outputs, name)
        array = np.asarray(run.outputs[key or name], np.float64)
        if not np.isfinite(array).all():
            raise OutputError(f'the output {name!r} has numbers that are not finite')
        found.append(array)
    return found


def correlation(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Return the correlation of two arrays of one shape; 0 if one is constant."""
    first, second = (each.astype(np.float64).ravel() for each in (first, second))
    first, second = first - first.mean(), second - second.mean()
    size = float(np.sqrt((first ** 2).sum() * (second ** 2).sum()))
    return float((first * second).sum()) / size if size > 0 else 0.0


def _against_classes(hypothesis: Hypothesis, runs: Sequence[Run]) -> str:
    rows = [array.ravel() for array in numbers(runs, hypothesis.options['output'])]
    low, high = min(row.min() for row in rows), max(row.max() for row in rows)
    sums = [float(row.sum()) for row in rows]
    unit = low >= -1e-3 and high <= 1 + _TOLERANCE
    # Small probabilities that are rounded to whole steps may be lost.
    lost = len(rows[0]) * hypothesis.step / 2
    one = all(-0.05 - lost < each - 1 < 0.05 + lost for each in sums)
    activation = hypothesis.options['activation']
    if hypothesis.options.get('binary'):
        return '' if unit or activation != 'none' else (
            f'its number is from {low:.3g} to {high:.3g}, not from 0 to 1')
    if activation == 'none' and not unit:
        return f'its numbers are from {low:.3g} to {high:.3g}, not from 0 to 1'
    if activation == 'none' and not hypothesis.options.get('multi_label') and not one:
        return f'its numbers have sums of {min(sums):.3g} to {max(sums):.3g}, not of 1'
    if activation != 'none' and unit and one and len(rows[0]) > 1:
        return f'its numbers are probabilities already: {low:.3g} to {high:.3g}, with sums of 1'
    return ''


def _against_boxes(hypothesis: Hypothesis, runs: Sequence[Run]) -> str:
    decoder = DECODERS[hypothesis.decoder]
    options = decoder.parse_options(hypothesis.options)
    if hypothesis.class_column is not None:
        output, column = hypothesis.class_column
        classes = np.concatenate([array.reshape(-1, array.shape[-1])[:, column]
                                  for array in numbers(runs, output)])
        if (classes != np.rint(classes)).any():
            return f'column {column} would be classes but holds {classes[classes % 1 != 0][0]:.4g}'
    if hypothesis.probabilities is not None:
        output, first, end = hypothesis.probabilities
        scores = [array.reshape(-1, array.shape[-1])[:, first:end]
                  for array in numbers(runs, output)]
        if outside := _outside(scores):
            return f'columns {first} to {end - 1} would be probabilities but hold {outside}'
    for run in runs:
        found = decoder.decode(run.outputs, options, DecodeContext(
            input_size=run.geometry.model_size, score_threshold=-np.inf))
        assert isinstance(found, Candidates)
        if len(found) < hypothesis.boxes:
            return f'{hypothesis.boxes - len(found)} of {hypothesis.boxes} boxes are not finite'
        against = (_against_candidates(found, run, hypothesis.strength)
                   or _against_grid(hypothesis, found, run))
        if against:
            return against
    return ''


def _outside(scores: Sequence[NDArray[np.float64]]) -> str:
    """Return the range of numbers that are not from 0 to 1; '' if all are."""
    sized = [array for array in scores if array.size]
    low, high = (min((float(array.min()) for array in sized), default=0.0),
                 max((float(array.max()) for array in sized), default=1.0))
    return f'{low:.3g} to {high:.3g}' if low < -1e-3 or high > 1 + _TOLERANCE else ''


def _against_candidates(found: Candidates, run: Run, strength: Strength) -> str:
    """Look at the boxes of one image: scores from 0 to 1, sides in order, inside the image."""
    if not len(found):
        return ''
    low, high = float(found.scores.min()), float(found.scores.max())
    if low < -1e-3 or high > 1 + _TOLERANCE:
        return f'scores would be from {low:.3g} to {high:.3g}'
    # Rows of zeros are padding.
    used = (found.scores > 0) & found.boxes.any(axis=1)
    best = np.argsort(np.where(used, -found.scores, np.inf), kind='stable')[
        :min(_BEST, int(used.sum()))]
    # A few odd boxes say little against what the exporter states.
    if len(best) < (_FEW if strength == Strength.STATED else 1):
        return ''
    boxes = found.boxes[best].astype(np.float64)
    width, height = (run.geometry.source_size if found.in_source_pixels
                     else run.geometry.model_size)
    widths, heights = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    ordered = float(((widths > 0) & (heights > 0)).mean())
    if ordered < _SHARE:
        return f'{1 - ordered:.0%} of the boxes would have no area'
    inside = ((boxes[:, 0] >= -_MARGIN * width) & (boxes[:, 1] >= -_MARGIN * height)
              & (boxes[:, 2] <= (1 + _MARGIN) * width) & (boxes[:, 3] <= (1 + _MARGIN) * height))
    if float(inside.mean()) < _SHARE:
        return f'{1 - inside.mean():.0%} of the boxes would be outside of the image'
    if float(np.abs(boxes).max()) <= 2.0 and min(width, height) > 16:
        return 'all boxes would be within 2 pixels of the corner'
    return ''


def _against_grid(hypothesis: Hypothesis, found: Candidates, run: Run) -> str:
    """Look whether boxes follow the cells they belong to; those of another format don't."""
    if not hypothesis.strides or found.in_source_pixels:
        return ''
    order = hypothesis.strides
    grids = [_centers(run.geometry.model_size, strides, hypothesis.anchors)
             for strides in (order, order[::-1])]
    if len(found) != len(grids[0]):
        return ''
    kept = found.scores > 0
    boxes = found.boxes[kept].astype(np.float64)
    # Filler that is the same everywhere says nothing.
    if len(np.unique(boxes, axis=0)) < _FEWEST:
        return ''
    follow, grid = max(
        ((min(correlation(boxes[:, axis] + boxes[:, axis + 2], grid[kept][:, axis])
              for axis in (0, 1)), grid) for grid in grids), key=lambda each: each[0])
    if follow < _FOLLOWS:
        return f'its boxes do not follow the cells of the grids (correlation {follow:.2f})'
    offsets = ((boxes[:, :2] + boxes[:, 2:]) / 2 - grid[kept][:, :2]) / grid[kept][:, 2:]
    if float(np.median(offsets, axis=0).max()) < -_BESIDE:
        return ('its boxes are left and above of their cells, as if left, top, width and height '
                'were read as centre and size')
    return ''


def _centers(
    size: tuple[int, int], strides: tuple[int, ...], anchors: int,
) -> NDArray[np.float64]:
    """Return the centre of the cell of each box, and its stride."""
    tables = [cells(size, (stride,)) for stride in strides]
    table = np.concatenate([np.tile(each, (anchors, 1)) for each in tables]).astype(np.float64)
    return np.concatenate([(table[:, :2] + 0.5) * table[:, 2:], table[:, 2:]], axis=1)
