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

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Union

import numpy as np
from numpy.typing import NDArray

from ros2_classify.errors import OutputError
from ros2_classify.results.checked import (
    check_common, check_size, class_rows, Common, frozen, table, Timing)
from ros2_classify.results.detections import Detections

__all__ = ['Classification', 'Detections', 'Embedding', 'Result', 'Segmentation', 'Timing']


@dataclass(frozen=True, eq=False)
class Classification(Common):
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
    others : mapping of str to Result
        The results of the model's further heads, by their names; empty if it has none.
    colors : mapping of str to str
        Colours by label, as the descriptor's `colors`; other labels have those of their ids.
    t0, t1 : float or None
        Of a clip: the stamps of the first and the last frame that the model saw, in seconds; of a
        model with states, `t0` is that of the first frame since the last reset. None for an image.

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
    others: Mapping[str, Result] = field(default_factory=dict, kw_only=True)
    colors: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    t0: float | None = field(default=None, kw_only=True)
    t1: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        """Check the shapes and make the arrays read-only."""
        check_common(self)

    def __len__(self) -> int:
        """Return the number of classes."""
        return len(self.scores)

    def rows(self) -> list[dict[str, Any]]:
        """Return one dictionary for each class: ``class_id``, ``label``, ``score``."""
        return class_rows(self)

    def to_dict(self) -> dict[str, Any]:
        """Return the result in JSON types: task, image, results, timing_ms; a clip's t0, t1."""
        return {**super().to_dict(), **({} if self.t1 is None else {'t0': self.t0, 't1': self.t1})}

    def __str__(self) -> str:
        """Return the result as a table."""
        if not len(self):
            return 'no class above the threshold'
        return table(
            ('label', 'score', 'class id'), 'lrr',
            [(row['label'], f'{row["score"]:.3f}', str(row['class_id'])) for row in self.rows()])


@dataclass(frozen=True, eq=False)
class Segmentation(Common):
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
    others : mapping of str to Result
        The results of the model's further heads, by their names; empty if it has none.
    colors : mapping of str to str
        Colours by label, as the descriptor's `colors`; other labels have those of their ids.

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
    others: Mapping[str, Result] = field(default_factory=dict, kw_only=True)
    colors: Mapping[str, str] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        """Check the shapes and make the arrays read-only."""
        check_common(self)
        image, (width, height) = np.asarray(self.label_image), self.image_size
        if image.dtype not in (np.uint8, np.uint16) or image.shape != (height, width):
            raise OutputError(
                f'label_image is {image.dtype} {image.shape} but must be uint8 or uint16 with the '
                f'shape ({height}, {width})')
        object.__setattr__(self, 'label_image', frozen(image, image.dtype))

    @property
    def unlabeled(self) -> int:
        """The number in the label image that stands for no class."""
        return int(np.iinfo(self.label_image.dtype).max)

    def __len__(self) -> int:
        """Return the number of classes."""
        return len(self.scores)

    def rows(self) -> list[dict[str, Any]]:
        """Return one dictionary for each class: ``class_id``, ``label``, ``score`` (its part)."""
        return class_rows(self)

    def __str__(self) -> str:
        """Return the result as a table."""
        if not len(self):
            return 'no class on the image'
        return table(
            ('label', 'pixels', 'class id'), 'lrr',
            [(row['label'], f'{row["score"]:.1%}', str(row['class_id'])) for row in self.rows()])


@dataclass(frozen=True, eq=False)
class Embedding(Common):
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
    others : mapping of str to Result
        The results of the model's further heads, by their names; empty if it has none.

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
    others: Mapping[str, Result] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        """Check the numbers and make the array read-only."""
        check_size(self.image_size)
        vector = frozen(self.vector, np.float32)
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

    def __str__(self) -> str:
        """Return the size and the first numbers."""
        first = ', '.join(f'{value:.4g}' for value in self.vector[:4])
        norm = float(np.linalg.norm(self.vector.astype(np.float64)))
        return (f'embedding of {len(self)} numbers, norm {norm:.4g}: {first}'
                f'{", ..." if len(self) > 4 else ""}')


Result = Union[Classification, Detections, Segmentation, Embedding]
