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

"""Results: frozen, checked arrays in pixels of the source image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Union

import numpy as np
from numpy.typing import NDArray

from ros2_classify.errors import OutputError
from ros2_classify.results.masks import InstanceMasks


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


@dataclass(frozen=True, eq=False)
class Classification:
    """
    The classes of one image, best first.

    Parameters
    ----------
    class_ids : ndarray of int64, shape (N,)
        Ids as the label file counts them.
    scores : ndarray of float32, shape (N,)
        One score for each class, never rising.
    labels : ndarray of object, shape (N,)
        One ``str`` for each class.
    image_size : tuple of int
        Width and height of the image in pixels.
    timing : Timing
        How long the steps took.

    Raises
    ------
    OutputError
        If a shape is wrong, a score is not a finite number, or the order is not best first.

    Examples
    --------
    >>> import numpy as np
    >>> from ros2_classify import Classification, Timing
    >>> found = Classification(
    ...     np.array([1, 0]), np.array([0.75, 0.25]), np.array(['dog', 'cat'], object),
    ...     image_size=(640, 480), timing=Timing(0.0, 0.0, 0.0))
    >>> found.labels[0], len(found)
    ('dog', 2)
    >>> print(found)
    label  score  class id
    dog    0.750         1
    cat    0.250         0

    """

    task: ClassVar[str] = 'classification'

    class_ids: NDArray[np.int64]
    scores: NDArray[np.float32]
    labels: NDArray[np.object_]
    image_size: tuple[int, int]
    timing: Timing

    def __post_init__(self) -> None:
        """Check the shapes and make the arrays read-only."""
        _check_common(self)

    def __len__(self) -> int:
        """Return the number of classes."""
        return len(self.scores)

    def rows(self) -> list[dict[str, Any]]:
        """Return one dictionary for each class: ``class_id``, ``label``, ``score``."""
        return _class_rows(self)

    def to_dict(self) -> dict[str, Any]:
        """Return the result in JSON types: task, image, results, timing_ms."""
        return _to_dict(self)

    def __str__(self) -> str:
        """Return the result as a table."""
        if not len(self):
            return 'no class above the threshold'
        return _table(
            ('label', 'score', 'class id'), 'lrr',
            [(row['label'], f'{row["score"]:.3f}', str(row['class_id'])) for row in self.rows()])


@dataclass(frozen=True, eq=False)
class Detections:
    """
    The objects found in one image, best first.

    Parameters
    ----------
    boxes : ndarray of float32, shape (N, 4)
        ``x1, y1, x2, y2`` in pixels of the source image, clipped to it: ``x`` runs from 0 to
        the width, ``y`` from 0 to the height, and ``x1 <= x2``, ``y1 <= y2``.
    class_ids : ndarray of int64, shape (N,)
        Ids as the label file counts them.
    scores : ndarray of float32, shape (N,)
        One score for each box, never rising.
    labels : ndarray of object, shape (N,)
        One ``str`` for each box.
    image_size : tuple of int
        Width and height of the image in pixels.
    timing : Timing
        How long the steps took.
    masks : InstanceMasks, optional
        The objects' masks, one for each box, from models that give them.

    Raises
    ------
    OutputError
        If a shape is wrong, a number is not finite, a box leaves the image or has negative
        size, or the order is not best first.

    Examples
    --------
    >>> import numpy as np
    >>> from ros2_classify import Detections, Timing
    >>> found = Detections(
    ...     np.array([[10, 20, 110, 220]]), np.array([1]), np.array([0.75]),
    ...     np.array(['dog'], object), image_size=(640, 480), timing=Timing(0.0, 0.0, 0.0))
    >>> for box, label in zip(found.boxes, found.labels):
    ...     print(label, box)
    dog [ 10.  20. 110. 220.]
    >>> found.rows()
    [{'class_id': 1, 'label': 'dog', 'score': 0.75, 'box': [10.0, 20.0, 110.0, 220.0]}]

    """

    task: ClassVar[str] = 'detection'

    boxes: NDArray[np.float32]
    class_ids: NDArray[np.int64]
    scores: NDArray[np.float32]
    labels: NDArray[np.object_]
    image_size: tuple[int, int]
    timing: Timing
    masks: InstanceMasks | None = None

    def __post_init__(self) -> None:
        """Check the shapes and make the arrays read-only."""
        _check_common(self)
        boxes = _frozen(self.boxes, np.float32)
        object.__setattr__(self, 'boxes', boxes)
        if boxes.shape != (len(self), 4):
            raise OutputError(
                f'boxes has shape {boxes.shape} but must be ({len(self)}, 4): one row of x1, y1, '
                'x2, y2 for each score')
        if len(self):
            _check_boxes(boxes, self.image_size)
        if self.masks is not None and len(self.masks) != len(self):
            raise OutputError(
                f'there are {len(self.masks)} masks but {len(self)} boxes: one is needed for each')

    def instances(self) -> NDArray[np.uint8] | NDArray[np.uint16] | None:
        """
        Return one image with the pixels of all objects.

        Returns
        -------
        ndarray of uint8 (uint16 for more than 255 objects), shape (height, width), or None
            0 where there is no object, else 1 + the object's row, the best one in front; None
            where the model gives no masks.

        """
        return None if self.masks is None else self.masks.instances(self.image_size)

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self.scores)

    def rows(self) -> list[dict[str, Any]]:
        """Return one dictionary for each object: ``class_id``, ``label``, ``score``, ``box``."""
        return [
            {'class_id': class_id, 'label': label, 'score': round(score, 6),
             'box': [round(edge, 2) for edge in box]}
            for class_id, label, score, box in zip(
                self.class_ids.tolist(), self.labels.tolist(), self.scores.tolist(),
                self.boxes.tolist())
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return the result in JSON types: task, image, results, timing_ms."""
        return _to_dict(self)

    def __str__(self) -> str:
        """Return the result as a table."""
        if not len(self):
            return 'nothing found above the threshold'
        return _table(
            ('label', 'score', 'x1', 'y1', 'x2', 'y2', 'class id'), 'lrrrrrr',
            [(row['label'], f'{row["score"]:.3f}', *(f'{edge:.0f}' for edge in row['box']),
              str(row['class_id'])) for row in self.rows()])


@dataclass(frozen=True, eq=False)
class Segmentation:
    """
    A class for each pixel, and the classes that are there, the largest first.

    Parameters
    ----------
    label_image : ndarray of uint8 or uint16, shape (height, width)
        Ids as the label file counts them, in the pixels of the source image. The greatest
        number of the type (255, or 65535) stands for no class.
    class_ids : ndarray of int64, shape (N,)
        The classes on the image, without a background class.
    scores : ndarray of float32, shape (N,)
        The part of the image's pixels that each class covers, never rising.
    labels : ndarray of object, shape (N,)
        One ``str`` for each class.
    image_size : tuple of int
        Width and height of the image in pixels.
    timing : Timing
        How long the steps took.
    background : int or None
        The class that means "nothing of these", if there is one.

    Raises
    ------
    OutputError
        If a shape or type is wrong, a score is not a finite number, or the order is not largest
        first.

    Examples
    --------
    >>> import numpy as np
    >>> from ros2_classify import Segmentation, Timing
    >>> found = Segmentation(
    ...     np.array([[0, 1], [1, 1]], np.uint8), np.array([1]), np.array([0.75]),
    ...     np.array(['road'], object), image_size=(2, 2), timing=Timing(0.0, 0.0, 0.0),
    ...     background=0)
    >>> int((found.label_image == 1).sum())
    3

    """

    task: ClassVar[str] = 'segmentation'

    label_image: NDArray[np.uint8] | NDArray[np.uint16]
    class_ids: NDArray[np.int64]
    scores: NDArray[np.float32]
    labels: NDArray[np.object_]
    image_size: tuple[int, int]
    timing: Timing
    background: int | None = None

    def __post_init__(self) -> None:
        """Check the shapes and make the arrays read-only."""
        _check_common(self)
        image, (width, height) = np.asarray(self.label_image), self.image_size
        if image.dtype not in (np.uint8, np.uint16) or image.shape != (height, width):
            raise OutputError(
                f'label_image is {image.dtype} {image.shape} but must be uint8 or uint16 with the '
                f'shape ({height}, {width})')
        object.__setattr__(self, 'label_image', _frozen(image, image.dtype))

    @property
    def unlabeled(self) -> int:
        """The number in the label image that stands for no class."""
        return int(np.iinfo(self.label_image.dtype).max)

    def __len__(self) -> int:
        """Return the number of classes."""
        return len(self.scores)

    def rows(self) -> list[dict[str, Any]]:
        """Return one dictionary for each class: ``class_id``, ``label``, ``score`` (its part)."""
        return _class_rows(self)

    def to_dict(self) -> dict[str, Any]:
        """Return the result in JSON types: task, image, results, timing_ms."""
        return _to_dict(self)

    def __str__(self) -> str:
        """Return the result as a table."""
        if not len(self):
            return 'no class on the image'
        return _table(
            ('label', 'pixels', 'class id'), 'lrr',
            [(row['label'], f'{row["score"]:.1%}', str(row['class_id'])) for row in self.rows()])


@dataclass(frozen=True, eq=False)
class Embedding:
    """
    A vector that stands for the whole image: similar images have similar vectors.

    Parameters
    ----------
    vector : ndarray of float32, shape (N,)
        The numbers as the model gives them, of any length in the geometric sense.
    image_size : tuple of int
        Width and height of the image in pixels.
    timing : Timing
        How long the steps took.

    Raises
    ------
    OutputError
        If the vector has another shape, a number that is not finite, or only zeros.

    Examples
    --------
    >>> import numpy as np
    >>> from ros2_classify import Embedding, Timing
    >>> one, other = (Embedding(np.array(vector), (640, 480), Timing(0.0, 0.0, 0.0))
    ...               for vector in ([3.0, 4.0], [4.0, 3.0]))
    >>> round(one.cosine_similarity(other), 3)
    0.96

    """

    task: ClassVar[str] = 'embedding'

    vector: NDArray[np.float32]
    image_size: tuple[int, int]
    timing: Timing

    def __post_init__(self) -> None:
        """Check the numbers and make the array read-only."""
        _check_size(self.image_size)
        vector = _frozen(self.vector, np.float32)
        object.__setattr__(self, 'vector', vector)
        if vector.ndim != 1 or not vector.size:
            raise OutputError(f'vector has shape {vector.shape} but must have one dimension')
        if not np.isfinite(vector).all():
            raise OutputError(
                f'a number of the embedding is {vector[~np.isfinite(vector)][0]} (usual causes: '
                'a float16 overflow, wrong preprocessing)')
        if not vector.any():
            raise OutputError('all numbers of the embedding are 0, so it has no direction')

    def cosine_similarity(self, other: Embedding) -> float:
        """
        Return the cosine of the angle between this vector and another one.

        Parameters
        ----------
        other : Embedding
            Of the same model.

        Returns
        -------
        float
            From -1 (opposite) to 1 (the same direction). The cosine distance is 1 minus it.

        Raises
        ------
        OutputError
            If the vectors have different numbers of elements.

        """
        if len(self) != len(other):
            raise OutputError(
                f'embeddings of {len(self)} and {len(other)} numbers cannot be compared: they are '
                'of different models')
        one, two = (vector / np.abs(vector).max() for vector in (
            self.vector.astype(np.float64), other.vector.astype(np.float64)))
        cosine = one @ two / (np.linalg.norm(one) * np.linalg.norm(two))
        return float(np.clip(cosine, -1.0, 1.0))

    def __len__(self) -> int:
        """Return the number of elements."""
        return len(self.vector)

    def rows(self) -> list[dict[str, Any]]:
        """Return one dictionary: ``vector``, a list of numbers."""
        return [{'vector': self.vector.tolist()}]

    def to_dict(self) -> dict[str, Any]:
        """Return the result in JSON types: task, image, results, timing_ms."""
        return _to_dict(self)

    def __str__(self) -> str:
        """Return the size and the first numbers."""
        first = ', '.join(f'{value:.4g}' for value in self.vector[:4])
        norm = float(np.linalg.norm(self.vector.astype(np.float64)))
        return (f'embedding of {len(self)} numbers, norm {norm:.4g}: {first}'
                f'{", ..." if len(self) > 4 else ""}')


Result = Union[Classification, Detections, Segmentation, Embedding]


def _frozen(values: NDArray[Any], dtype: Any) -> NDArray[Any]:
    """Return a read-only view (a copy where the type must change); the caller's stays writable."""
    view: NDArray[Any] = np.asarray(values, dtype=dtype).view()
    view.flags.writeable = False
    return view


def _check_size(image_size: tuple[int, int]) -> None:
    width, height = image_size
    if width < 1 or height < 1:
        raise OutputError(f'image_size is {width}x{height} but both must be at least 1 pixel')


def _check_common(result: Classification | Detections | Segmentation) -> None:
    """Convert ids, scores and labels to their types and check what all tasks share."""
    for name, dtype in (('scores', np.float32), ('class_ids', np.int64), ('labels', np.object_)):
        object.__setattr__(result, name, _frozen(getattr(result, name), dtype))
    scores = result.scores
    if scores.ndim != 1:
        raise OutputError(f'scores has shape {scores.shape} but must have one dimension')
    for name in ('class_ids', 'labels'):
        shape = getattr(result, name).shape
        if shape != scores.shape:
            raise OutputError(
                f'{name} has shape {shape} but there are {len(scores)} scores: one is needed for '
                'each score')
    _check_size(result.image_size)
    if not np.isfinite(scores).all():
        raise OutputError(
            f'a score is {scores[~np.isfinite(scores)][0]}: the model gave no usable number '
            '(usual causes: a float16 overflow, wrong preprocessing)')
    if (scores[1:] > scores[:-1]).any():
        raise OutputError('scores rise along the rows but must be best first')


def _check_boxes(boxes: NDArray[np.float32], image_size: tuple[int, int]) -> None:
    """Check that every box is finite, ordered and inside the image."""
    width, height = image_size
    # One comparison catches NaN as well: every comparison with NaN is false.
    fits = ((boxes[:, :2] >= 0).all() and (boxes[:, 2:] <= (width, height)).all()
            and (boxes[:, :2] <= boxes[:, 2:]).all())
    if not fits:
        good = ((boxes[:, :2] >= 0) & (boxes[:, 2:] <= (width, height))
                & (boxes[:, :2] <= boxes[:, 2:])).all(axis=1)
        row = int(np.flatnonzero(~good)[0])
        raise OutputError(
            f'box {row} is {boxes[row].tolist()} but must be x1 <= x2, y1 <= y2 inside the '
            f'image of {width}x{height} pixels')


def _class_rows(result: Classification | Segmentation) -> list[dict[str, Any]]:
    return [
        {'class_id': class_id, 'label': label, 'score': round(score, 6)}
        for class_id, label, score in zip(
            result.class_ids.tolist(), result.labels.tolist(), result.scores.tolist())
    ]


def _to_dict(result: Result) -> dict[str, Any]:
    width, height = result.image_size
    return {
        'task': result.task,
        'image': {'width': int(width), 'height': int(height)},
        'results': result.rows(),
        'timing_ms': result.timing.to_dict(),
    }


def _table(header: tuple[str, ...], alignment: str, rows: list[tuple[str, ...]]) -> str:
    """Lay rows out in columns; ``alignment`` has one of ``l`` and ``r`` for each column."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = []
    for row in [header, *rows]:
        cells = [cell.ljust(width) if side == 'l' else cell.rjust(width)
                 for cell, width, side in zip(row, widths, alignment)]
        lines.append('  '.join(cells).rstrip())
    return '\n'.join(lines)
