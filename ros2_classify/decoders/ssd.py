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
SSD with priors outside the graph: boxes are offsets to fixed boxes that the file doesn't hold.

Format (https://arxiv.org/abs/1512.02325): offsets ``[1, N, 4]``, or more columns, of which the
first four count, and scores ``[1, N, C]``, a row for each prior. With a prior's center and size
``(px, py, pw, ph)`` and the variances ``v``:

* the center is ``(px + x * v0 * pw, py + y * v1 * ph)``;
* the size is ``(pw * exp(w * v2), ph * exp(h * v3))``, or without the exponential
  (``size_rule: linear``), as in BlazeFace (https://arxiv.org/abs/1907.05047).

TensorFlow writes the offsets as ``y, x, h, w``. Where priors come from: see
`ros2_classify.decoders.priors`.

Key points ``[1, N, 2 * K]``, of RetinaFace in an output of their own and of BlazeFace in the rows
behind the offsets of the box, are offsets as those of the centre: ``(px + x * v0 * pw, py + y * v1
* ph)``. They have no scores, so each gets that of its box.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePath
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ros2_classify.decoders.base import (
    Candidates, DecodeContext, Decoder, describe, ignore, misfit, OUTPUT, Outputs, pick,
    read_table, unbatch)
from ros2_classify.decoders.boxes import (
    finite_candidates, NAMES, read_sizes, scores_over, Sizes, SIZES_SCHEMA, STRIDES, to_xyxy)
from ros2_classify.decoders.classification import Activation, BACKGROUND
from ros2_classify.decoders.keypoints import (
    check_points, family, KEYPOINT_NAMES, Limbs, points_of, SKELETON)
from ros2_classify.decoders.priors import (
    make_priors, PriorFormat, PriorGrid, PriorSet, PriorTable, read_priors, SETS, SUFFIXES,
    table_priors)
from ros2_classify.errors import OutputError
from ros2_classify.keys import key, Kind, Section
from ros2_classify.yaml_config import Fields

_BOXES = '[1, N, 4], four offsets a row, or more columns'
_WORDS = {'boxes': ('box', 'loc', 'regress'), 'scores': ('score', 'class', 'conf', 'prob')}
_POINT_WORDS = ('landm', 'kps', 'keypoint', 'points')
_NEEDED = (
    f'set output.priors to one of {", ".join(SETS)}, or to a file ({", ".join(SUFFIXES)}), or '
    'give output.strides and output.sizes')


_OUTPUTS = Section(
    'outputs', 'the output tensors', 'by name, else by shape',
    value='mapping with `boxes`, `scores` and perhaps `points`: a name, or a list of names that '
    'are joined')
_SET = 'that of the set'
_GRID_KEYS = ('strides', 'sizes', 'scales', 'ratios', 'spacing', 'offset', 'clip')


@dataclass(frozen=True)
class SsdOptions:
    """Options of the decoder ``ssd``."""

    boxes: tuple[str, ...] = key((), OUTPUT, kind=NAMES, under=_OUTPUTS)
    scores: tuple[str, ...] = key((), OUTPUT, kind=NAMES, under=_OUTPUTS)
    points: tuple[str, ...] = key((), OUTPUT, kind=NAMES, under=_OUTPUTS)
    priors: str | None = key(
        None, 'a published set, which also sets the defaults of the keys below; or a `.npy`, '
        '`.csv` or `.txt` file with four numbers for each prior, searched like `source.path`',
        value=f'{", ".join(f"`{name}`" for name in SETS)}, or a file',
        unset='needed without `strides`')
    priors_format: PriorFormat = key('cxcywh', 'the four numbers in the file')
    priors_normalized: bool = key(
        True, "the file's numbers are from 0 to 1 of the input, otherwise input pixels")
    strides: tuple[int, ...] = key((), STRIDES, unset='those of the set')
    sizes: Sizes = key(
        (), 'the priors of a cell, in input pixels', unset='those of the set', kind=Kind(
            partial(read_sizes, flat_pairs=False), SIZES_SCHEMA,
            'a list for each grid, of sides or of pairs `[w, h]`'))
    scales: tuple[float, ...] = key(
        (), "TensorFlow's rule instead of `sizes`: parts of the input's short side, for the first "
        'and the last grid', low=0, high=2, above=True, value='two numbers', unset=_SET)
    ratios: tuple[float, ...] = key(
        (), 'width divided by height; each size gets each ratio', low=0, high=100, above=True,
        value='list of numbers', unset='those of the set, else 1')
    spacing: Literal['stride', 'even'] | None = key(
        None, "the distance of a grid's points: `even` divides the input by the number of cells",
        unset=f'{_SET}, else `stride`')
    offset: float = key(0.5, 'the point in its cell', low=0, high=1)
    clip: bool | None = key(
        None, 'centre and size of a prior are cut to the input', unset=f'{_SET}, else `false`')
    variances: tuple[float, ...] = key(
        (), 'factors of the offsets', low=0, high=1e4, above=True,
        value='two numbers, for centre and size, or four', unset=f'{_SET}, else `[0.1, 0.2]`')
    box_format: Literal['cxcywh', 'cycxhw'] | None = key(
        None, "the order of the four offsets; TensorFlow's is `cycxhw`",
        unset=f'{_SET}, else `cxcywh`')
    size_rule: Literal['exp', 'linear'] | None = key(
        None, '`linear`: width and height are factors without the exponential',
        unset=f'{_SET}, else `exp`')
    activation: Activation = key('none', 'what turns the outputs into scores')
    background: int | None = key(
        None, BACKGROUND, unset='with a set `0`, but `none` for BlazeFace; else `none`')
    keypoint_names: str | tuple[str, ...] = key(
        (), KEYPOINT_NAMES, unset='those of a face for 5 and 6 points, else numbers')
    skeleton: Limbs = key((), SKELETON)
    grid: PriorGrid = PriorGrid()
    table: PriorTable | None = None

    def checked(self, fields: Fields) -> SsdOptions:
        """Take from a set what is not said; refuse what does not fit together."""
        file = self.priors if self.priors not in SETS else None
        if file is not None and PurePath(file).suffix.lower() not in SUFFIXES:
            raise fields.error(
                'priors', f'{file!r} is neither a published set ({", ".join(SETS)}) nor a file '
                f'({", ".join(SUFFIXES)}); correct it')
        for name in _GRID_KEYS if file is not None else ():
            if name in fields:
                raise fields.error(
                    name, f'does not apply to the priors of a file; remove it or {file}')
        check_points(2, self.keypoint_names, self.skeleton, fields, counted=False)
        if self.points and len(self.points) != len(self.boxes):
            raise fields.error('outputs', f'names {len(self.points)} outputs for points, but '
                               f'{len(self.boxes)} for boxes; give as many for both')
        if self.boxes and self.scores and len(self.boxes) != len(self.scores):
            raise fields.error(
                'outputs', f'names {len(self.boxes)} outputs for boxes, but {len(self.scores)} '
                'for scores; give as many for both')
        variances = self.variances
        if len(variances) not in (0, 2, 4):
            raise fields.error('variances', f'has {len(variances)} numbers; give two, for center '
                               'and size, or four')
        if len(variances) == 2:
            variances = (variances[0],) * 2 + (variances[1],) * 2
        chosen = SETS.get(self.priors or '', PriorSet(PriorGrid(), background=None))
        return replace(
            self, priors=file, grid=self._grid(fields, chosen.grid),
            variances=variances or chosen.variances,
            box_format=self.box_format or chosen.box_format,
            size_rule=self.size_rule or chosen.size_rule,
            background=self.background if 'background' in fields else chosen.background)

    def _grid(self, fields: Fields, default: PriorGrid) -> PriorGrid:
        """Return the set's grid with the keys that are given."""
        sizes, ratios, scales = default.sizes, default.ratios, default.scales
        if self.scales:
            if len(self.scales) != 2 or self.sizes:
                raise fields.error(
                    'scales', 'must be two numbers, those of the first and the last grid, without '
                    'output.sizes')
            sizes, scales = (), (self.scales[0], self.scales[1])
        elif self.sizes:
            sizes, ratios, scales = self.sizes, (), None
        strides = self.strides or default.strides
        if sizes and len(sizes) != len(strides):
            raise fields.error(
                'sizes', f'has {len(sizes)} lists, but there are {len(strides)} strides; give '
                'one for each')
        return PriorGrid(
            strides, sizes, scales, self.ratios or ratios, self.spacing or default.spacing,
            self.offset, default.clip if self.clip is None else self.clip)


def attach_file(options: SsdOptions, path: Path) -> SsdOptions:
    """Return the options with the priors of the file they name."""
    return replace(options, table=read_priors(path))


def class_count(outputs: Outputs, options: SsdOptions) -> int:
    """Return the number of classes, the background counted."""
    return int(_tables(outputs, options)[1].shape[1])


def decode(outputs: Outputs, options: SsdOptions, context: DecodeContext) -> Candidates:
    """Return every class of every box over the threshold."""
    offsets, scores = _tables(outputs, options)
    priors = _priors(options, context.input_size, len(offsets), outputs)
    rows, class_ids, found = scores_over(
        scores, options.activation, options.background, context.score_threshold)
    points = _points(outputs, options, offsets)
    moves, priors = offsets[rows, :4], priors[rows]
    if options.box_format == 'cycxhw':
        moves = moves[:, [1, 0, 3, 2]]
    # An overflow gives inf, and the box is dropped.
    with np.errstate(over='ignore', invalid='ignore'):
        moves = moves * np.array(options.variances, np.float32)
        center = priors[:, :2] + moves[:, :2] * priors[:, 2:]
        size = priors[:, 2:] * (np.exp(moves[:, 2:]) if options.size_rule == 'exp'
                                else moves[:, 2:])
        boxes = to_xyxy(np.concatenate((center, size), axis=1), 'cxcywh')
        if points is None:
            return finite_candidates(boxes, found, class_ids)
        count = points.shape[1] // 2
        factors = np.array(options.variances[:2], np.float32) * priors[:, 2:]
        places = np.tile(priors[:, :2], count) + points[rows] * np.tile(factors, count)
    names = options.keypoint_names or {5: 'face', 6: 'face6'}.get(count, ())
    return finite_candidates(boxes, found, class_ids, points=points_of(
        places, (count, 2), found, family(names, options.skeleton)))


def _points(
    outputs: Outputs, options: SsdOptions, offsets: NDArray[np.float32],
) -> NDArray[np.float32] | None:
    """Return the offsets of key points ``[N, 2 * K]``, if there are any."""
    names = options.points
    if not names and len(options.boxes or '.') == 1:
        named = [name for name, array in outputs.items() if array.shape[-2:-1] == (len(offsets),)
                 and array.shape[-1] % 2 == 0 and any(
                     word in name.lower() for word in _POINT_WORDS)]
        ten = [name for name, array in outputs.items()
               if array.shape[-2:] == (len(offsets), 10) and name not in options.scores]
        names = tuple(named) if len(named) == 1 else tuple(ten) if (
            len(ten) == 1 and len(outputs) == 3) else ()
    if names:
        parts = [read_table(outputs, name, '[1, N, 2 * K], x and y of each key point',
                            (None, None)) for name in names]
        if len({part.shape[1] for part in parts}) == 1 and parts[0].shape[1] % 2 == 0 and sum(
                map(len, parts)) == len(offsets) and parts[0].shape[1]:
            return np.concatenate(parts)
        raise misfit(names[0], f'[1, {len(offsets)}, 2 * K], a row for each box', outputs)
    beyond = offsets.shape[1] - 4
    if beyond == 12 or (options.keypoint_names and beyond > 0 and beyond % 2 == 0):
        return offsets[:, 4:]
    if beyond > 0:
        ignore(outputs, f'{beyond} numbers after the four of each box: output.keypoint_names says '
               'that such numbers are key points')
    return None


def _priors(
    options: SsdOptions, size: tuple[int, int], count: int, outputs: Outputs,
) -> NDArray[np.float32]:
    """Return the priors in pixels, as many as there are rows."""
    if options.table is not None:
        priors = table_priors(
            options.table, options.priors_format, options.priors_normalized, size)
    elif options.grid.sizes or (options.grid.scales and options.grid.strides):
        priors = make_priors(options.grid, size)
    else:
        raise OutputError(
            f'the boxes are offsets to priors, which are unknown; {_NEEDED}; the model has '
            f'{describe(outputs)}')
    if len(priors) != count:
        source = f'the file {options.priors}' if options.table is not None else (
            f'the strides {list(options.grid.strides)} for an input of {size[0]}x{size[1]}')
        raise OutputError(
            f'the outputs have {count} rows, but {source} gives {len(priors)} priors; {_NEEDED}; '
            f'the model has {describe(outputs)}')
    return priors


def _tables(
    outputs: Outputs, options: SsdOptions,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return offsets ``[N, 4 or more]`` and scores ``[N, C]``; several outputs are joined."""
    boxes, scores = options.boxes or _names(outputs, 'boxes', options.scores), options.scores
    scores = scores or _names(outputs, 'scores', boxes)
    if not boxes or len(boxes) != len(scores):
        raise OutputError(
            'the outputs for boxes and scores cannot be told apart; name them under '
            f'output.outputs (boxes, scores); the model has {describe(outputs)}')
    levels: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []
    for box_name, score_name in zip(boxes, scores):
        array = pick(outputs, box_name)
        if array.ndim == 4 and array.shape[2] == 1:
            # One box for all classes, written as [1, N, 1, 4].
            array = array[:, :, 0]
        table = unbatch(box_name, array, _BOXES, (None, None), outputs)
        expected = f'[1, {len(table)}, classes], a row for each box'
        level = read_table(outputs, score_name, expected, (len(table), None))
        if table.shape[1] < 4:
            raise misfit(box_name, _BOXES, outputs)
        if level.shape[1] == 0 or (levels and (level.shape[1] != levels[0][1].shape[1] or
                                               table.shape[1] != levels[0][0].shape[1])):
            raise misfit(
                score_name, f'{expected}, as many classes as in the other outputs', outputs)
        levels.append((table, level))
    if len(levels) == 1:
        return levels[0]
    first, second = (np.concatenate(parts) for parts in zip(*levels))
    return first, second


def _names(outputs: Outputs, role: str, taken: tuple[str, ...]) -> tuple[str, ...]:
    """Return the one output whose name tells its role, or whose shape can be nothing else."""
    free = [name for name in outputs if name not in taken]
    named = [name for name in free if any(word in name.lower() for word in _WORDS[role])]
    if len(named) == 1 or len(free) == 1:
        return tuple(named or free)
    shaped = [name for name in free if (outputs[name].shape[-1:] == (4,)) == (role == 'boxes')]
    return tuple(shaped) if len(shaped) == 1 else ()


SSD = Decoder(
    task='detection', options=SsdOptions, decode=decode, class_count=class_count,
    needs_nms=True, file_key='priors', attach_file=attach_file)
