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

"""What all decoders share: their row in the table, their arguments and return types."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
import math
from pathlib import Path
from typing import Any, Literal, Union

import cv2
import numpy as np
from numpy.typing import NDArray

from ros2_classify.errors import OutputError
from ros2_classify.keys import Key, read
from ros2_classify.paths import locate
from ros2_classify.yaml_config import Fields, Where

Outputs = Mapping[str, NDArray[Any]]
# Rounding: that of 8 bits may lift a score above 1.
_LEAST_SCORE, _GREATEST_SCORE = -1e-3, 1.01

OUTPUT = Key('the output tensor', unset='the first output')
CLASS_OFFSET = Key("added to the model's class to get the label's id", low=-1000, high=1000)


@dataclass(frozen=True)
class DecodeContext:
    """
    The context of one call.

    Parameters
    ----------
    input_size : tuple of int
        Width and height of the image the model was fed, in model pixels.
    score_threshold : float
        Results below it are dropped; one that equals it stays.
    top_k : int
        For classification: the maximum number of classes.
    multi_label : bool
        For classification: every class over the threshold, regardless of ``top_k``.
    label_count : int or None
        The number of labels if they have no gaps, which is then the number of classes.

    """

    input_size: tuple[int, int]
    score_threshold: float
    top_k: int = 5
    multi_label: bool = False
    label_count: int | None = None


@dataclass(frozen=True)
class ClassScores:
    """
    Result of a classification decoder: best first; for equal scores, the lower id first.

    Parameters
    ----------
    class_ids : ndarray of int64, shape (N,)
        Indices into the model's classes.
    scores : ndarray of float32, shape (N,)
        Their scores, all finite.

    """

    class_ids: NDArray[np.int64]
    scores: NDArray[np.float32]


@dataclass(frozen=True)
class Points:
    """
    The key points of candidates.

    Parameters
    ----------
    values : ndarray of float32, shape (N, K, 3)
        ``x, y`` in the pixels of the boxes, and a score from 0 to 1; all finite.
    names, skeleton : tuple
        As in `ros2_classify.results.keypoints.Keypoints`.

    """

    values: NDArray[np.float32]
    names: tuple[str, ...] = ()
    skeleton: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Candidates:
    """
    Result of a detection decoder: boxes over the threshold, in any order.

    Parameters
    ----------
    boxes : ndarray of float32, shape (N, 4)
        ``x1, y1, x2, y2`` in model pixels, all finite; they may leave the image.
    scores : ndarray of float32, shape (N,)
        Their scores, all finite.
    class_ids : ndarray of int64, shape (N,)
        Ids as the label file counts them.
    in_source_pixels : bool
        The model gets the size of the image and returns boxes in pixels of the image, so they
        are only clipped, not mapped.
    masks : ndarray of float32, shape (N, h, w), or None
        A mask for each box, from 0 to 1, all finite; None if the model has no masks.
    masks_fill_input : bool
        The masks are of the whole input, not of the box.
    prototypes : ndarray of float32, shape (M, h, w), or None
        Maps of the whole input; ``masks`` has then the shape (N, M): the coefficients with which
        their sum, after a sigmoid and inside of the box, is the mask.
    points : Points or None
        The key points of each box.
    oriented : ndarray of float32, shape (N, 5), or None
        ``center x, center y, width, height, angle`` in the pixels of the boxes, which are then
        the upright ones around them.

    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int64]
    in_source_pixels: bool = False
    masks: NDArray[np.float32] | None = None
    masks_fill_input: bool = False
    prototypes: NDArray[np.float32] | None = None
    points: Points | None = None
    oriented: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        """Return the number of boxes."""
        return len(self.scores)

    def select(self, rows: NDArray[Any]) -> Candidates:
        """Return some rows, with all that belongs to them."""
        points = self.points
        return replace(
            self, boxes=self.boxes[rows], scores=self.scores[rows],
            class_ids=self.class_ids[rows],
            masks=None if self.masks is None else self.masks[rows],
            points=points and replace(points, values=points.values[rows]),
            oriented=None if self.oriented is None else self.oriented[rows])


@dataclass(frozen=True)
class PixelClasses:
    """
    Result of a segmentation decoder: a class for each cell of a grid over the model input.

    Parameters
    ----------
    classes : ndarray of uint8 or uint16, shape (h, w)
        Ids as the label file counts them. With ``scores`` only its type and shape count.
    unlabeled : int
        The id of no class: for cells that the model does not classify or does not see.
    background : int or None
        The class that means "nothing of these".
    scores : ndarray of float32, shape (C, h, w), or None
        The scores, if these are interpolated instead of the classes repeated.
    below : tuple of int, or None
        The row of ``scores`` that is no class but a threshold, and the id where it is greatest.

    """

    classes: NDArray[np.uint8] | NDArray[np.uint16]
    unlabeled: int
    background: int | None = None
    scores: NDArray[np.float32] | None = None
    below: tuple[int, int] | None = None

    @property
    def grid(self) -> tuple[int, int]:
        """The grid's height and width."""
        return self.classes.shape[0], self.classes.shape[1]


@dataclass(frozen=True)
class Vector:
    """Result of an embedding decoder: the vector ``(N,)`` as the model gives it."""

    values: NDArray[np.float32]


class ScoreError(OutputError):
    """A score is not from 0 to 1, so that it can be no probability."""

    def __init__(self, score: float) -> None:
        super().__init__(
            f'a score is {score:.4g}, but scores are from 0 to 1: if the model returns logits, '
            'set output.activation to softmax, or to sigmoid for independent classes; else check '
            'output.decoder and its options')
        self.score = score


def check_score(score: float | np.floating[Any]) -> None:
    """Raise ScoreError for a score that is no probability."""
    if not _LEAST_SCORE <= score <= _GREATEST_SCORE:
        raise ScoreError(float(score))


Decoded = Union[ClassScores, Candidates, PixelClasses, Vector]


@dataclass(frozen=True)
class Decoder:
    """
    One row of the table of decoders.

    Parameters
    ----------
    task : 'classification', 'detection', 'segmentation' or 'embedding'
        What it returns: `ClassScores`, `Candidates`, `PixelClasses` or `Vector`.
    options : type
        A dataclass of keys, each made by `ros2_classify.keys.key`: the options of the decoder in
        a descriptor. A method ``checked(fields)`` refuses what does not fit together.
    decode : callable
        ``(outputs, options, context) -> Decoded``; keeps no state.
    class_count : callable
        ``(outputs, options) -> int or None``: the number of classes, if the outputs tell.
    needs_nms : bool
        Whether the candidates overlap and need non-maximum suppression.
    multi_label : callable
        ``(options) -> bool``: whether an image has several classes by nature.
    file_key : str or None
        The option that names a file, searched like a label file.
    attach_file : callable
        ``(options, path) -> options``: reads that file.

    """

    task: Literal['classification', 'detection', 'segmentation', 'embedding']
    options: type[Any]
    decode: Callable[[Outputs, Any, DecodeContext], Decoded]
    class_count: Callable[[Outputs, Any], Union[int, None]]
    needs_nms: bool = False
    multi_label: Callable[[Any], bool] = lambda options: False
    file_key: str | None = None
    attach_file: Callable[[Any, Path], Any] = lambda options, path: options

    def parse_options(
        self, options: Mapping[str, Any], where: Where | str = 'the descriptor',
    ) -> Any:
        """Read the options of the decoder; DescriptorError for an unknown key or a wrong value."""
        return read(Fields(options, where), self.options)

    def load_options(
        self, options: Mapping[str, Any], origin: str, directory: Path | None,
    ) -> Any:
        """Read the options, and the file they name if there is one."""
        parsed = self.parse_options(options, origin)
        name = self.file_of(parsed)
        if name is None:
            return parsed
        return self.attach_file(
            parsed, locate(name, directory, what=f'{self.file_key} file', origin=origin))

    def file_of(self, parsed: Any) -> str | None:
        """Return the file that the options name, or None."""
        name: str | None = getattr(parsed, self.file_key) if self.file_key else None
        return name


class Watched(dict[str, NDArray[Any]]):
    """Outputs that remember which of them a decoder read, and what of these it ignored."""

    def __init__(self, outputs: Outputs) -> None:
        super().__init__(outputs)
        self.read: set[str] = set()
        self.ignored: list[str] = []


def pick(outputs: Outputs, name: str) -> NDArray[Any]:
    """Return an output by its name, with or without the suffix ``:0`` of TensorFlow."""
    found = find_name(outputs, name)
    if found is None:
        raise OutputError(f'the model has no output {name!r}; it has {describe(outputs)}')
    if isinstance(outputs, Watched):
        outputs.read.add(found)
    return outputs[found]


def ignore(outputs: Outputs, what: str) -> None:
    """Remember what of the outputs read is ignored, and why, if anybody wants to know."""
    if isinstance(outputs, Watched) and what not in outputs.ignored:
        outputs.ignored.append(what)


def first_name(outputs: Outputs) -> str:
    """Return the name of the first output; OutputError if there is none."""
    for name in outputs:
        return name
    raise OutputError('the model has no output')


def find_name(outputs: Mapping[str, Any], name: str) -> str | None:
    """Return the name of an output, ``:0`` added or removed; None if it does not exist."""
    if name in outputs:
        return name
    other = name[:-2] if name.endswith(':0') else f'{name}:0'
    return other if other in outputs else None


def describe(outputs: Outputs) -> str:
    """Return all outputs with type and shape, for errors."""
    return ', '.join(
        f"'{name}' {array.dtype} {list(array.shape)}" for name, array in outputs.items())


def misfit(name: str, expected: str, outputs: Outputs) -> OutputError:
    """Return (not raise) the error for an output of the wrong shape."""
    return OutputError(
        f'the output {name!r} has the shape {list(pick(outputs, name).shape)} but the decoder '
        f'expects {expected}; the model has {describe(outputs)}')


def read_table(
    outputs: Outputs, name: str, expected: str, shape: Sequence[int | None],
) -> NDArray[np.float32]:
    """Return an output by its name, as `unbatch` does."""
    return unbatch(name, pick(outputs, name), expected, shape, outputs)


def unbatch(
    name: str, array: NDArray[Any], expected: str, shape: Sequence[int | None], outputs: Outputs,
) -> NDArray[np.float32]:
    """Drop the batch axis, check the shape (None: any size) and return float32."""
    if array.ndim == len(shape) + 1 and array.shape[0] == 1:
        array = array[0]
    if array.ndim != len(shape) or any(
            want is not None and want != have for want, have in zip(shape, array.shape)):
        raise misfit(name, expected, outputs)
    if len(shape) > 1:
        refuse_quantized(name, array)
    return as_float32(name, array)


def refuse_quantized(name: str, array: NDArray[Any]) -> None:
    """Refuse bytes where real numbers are needed: their meaning is unknown."""
    if array.dtype.kind in 'iu' and array.dtype.itemsize == 1:
        raise OutputError(
            f'the output {name!r} is quantized ({array.dtype} {list(array.shape)}), but the model '
            'file does not say how; set output.scale and output.zero_point')


def as_float32(name: str, array: NDArray[Any]) -> NDArray[np.float32]:
    """Return numbers as float32; refuse text and complex numbers."""
    if array.dtype.kind not in 'fiub':
        raise OutputError(
            f'the output {name!r} holds {array.dtype}, but must hold numbers')
    # A float64 beyond the range of float32 becomes inf, and is dropped later.
    with np.errstate(over='ignore'):
        return array.astype(np.float32, copy=False)


def sigmoid(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return ``1 / (1 + exp(-x))``; beyond 88, where exp overflows, it is 0 or 1 anyway."""
    one, limit = np.float32(1.0), np.float32(88.0)
    result: NDArray[np.float32] = one / (one + np.exp(-np.clip(values, -limit, limit)))
    return result


def softmax(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the softmax over the last axis; a logit that is not finite has probability 0."""
    finite = np.isfinite(values)
    safe = values if finite.all() else np.where(finite, values, np.float32(-np.inf))
    top = safe.max(axis=-1, keepdims=True)
    # exp(-inf - -inf) is NaN, so a row without a finite logit is not shifted.
    # A difference beyond float32's range becomes -inf, and its power 0, as it should.
    with np.errstate(over='ignore'):
        powers = np.exp(safe - np.where(np.isfinite(top), top, np.float32(0.0)))
    total = powers.sum(axis=-1, keepdims=True)
    result: NDArray[np.float32] = powers / np.where(total > 0, total, np.float32(1.0))
    return result


def row_maxima(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the maximum of each row, ten times as fast as ``max(axis=1)``; wrong with NaN."""
    if not rows.size:
        return np.zeros(len(rows), np.float32)
    maxima: NDArray[np.float32] = cv2.reduce(rows, 1, cv2.REDUCE_MAX)  # type: ignore[assignment]
    return maxima[:, 0]


def least_logit(threshold: float) -> float:
    """
    Return a logit below which `sigmoid` is under a threshold, a little less for rounding.

    Only the few logits above it need the sigmoid; their scores are compared again.
    """
    if threshold <= 0.0:
        return -math.inf
    # log1p, for the smallest thresholds and for those near to 1.
    exact = math.log(threshold) - math.log1p(-threshold) if threshold < 1.0 else math.inf
    return min(exact, 15.0) - 0.01
