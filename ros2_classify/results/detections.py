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

"""The objects of an image: boxes, and what a model or the server knows about each of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
import math
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ros2_classify.errors import InputError, OutputError
from ros2_classify.results.checked import check_common, Common, FEW, frozen, table, Timing
from ros2_classify.results.keypoints import Keypoints
from ros2_classify.results.masks import Masks


@dataclass(frozen=True, eq=False)
class Detections(Common):
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
    masks : Masks, optional
        The objects' masks, one for each box, from models that give them: `InstanceMasks`, or for
        YOLO segmenters ``PrototypeMasks``, with the same methods.
    keypoints : Keypoints, optional
        The objects' key points, one set for each box, from models that give them.
    oriented : ndarray of float32, shape (N, 5), optional
        ``center x, center y, width, height, angle`` from models of oriented boxes, in pixels and
        radians; the angle turns x towards y, clockwise as one sees the image. ``boxes`` are then
        the upright boxes around them, clipped to the image.
    track_ids : ndarray of object, shape (N,), optional
        One ``str`` for each box: the id of the object over time, unique for a camera and a run;
        empty while the object is not confirmed. None without tracking.
    positions : ndarray of float64, shape (N, 3), optional
        Where each object is in metres, in the camera's optical frame (x right, y down, z
        forward); NaN where it is not known. None without depth.
    attributes : mapping of str to tuple
        What the stages of a cascade say of each object, by the stage's name: for each box a
        `Classification` or an `Embedding`, or None where the stage did not look. Empty without.
    others : mapping of str to Result
        The results of the model's further heads, by their names; empty if it has none.
    colors : mapping of str to str
        Colours by label, as the descriptor's `colors`; other labels have those of their ids.

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
    masks: Masks | None = None
    keypoints: Keypoints | None = None
    oriented: NDArray[np.float32] | None = None
    track_ids: NDArray[np.object_] | None = None
    positions: NDArray[np.float64] | None = None
    attributes: Mapping[str, tuple[Any, ...]] = field(default_factory=dict, kw_only=True)
    # Any, because `Result` is the union of this type and others.
    others: Mapping[str, Any] = field(default_factory=dict, kw_only=True)
    colors: Mapping[str, str] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        """Check the shapes and make the arrays read-only."""
        check_common(self)
        boxes = frozen(self.boxes, np.float32)
        object.__setattr__(self, 'boxes', boxes)
        if boxes.shape != (len(self), 4):
            raise OutputError(
                f'boxes has shape {boxes.shape} but must be ({len(self)}, 4): one row of x1, y1, '
                'x2, y2 for each score')
        if len(self):
            _check_boxes(boxes, self.image_size)
        for what, parts in (('masks', self.masks), ('sets of key points', self.keypoints),
                            ('track ids', self.track_ids),
                            *((f'attributes {name!r}', of) for name, of in
                              self.attributes.items())):
            if parts is not None and len(parts) != len(self):
                raise OutputError(
                    f'there are {len(parts)} {what} but {len(self)} boxes: one is needed for each')
        if self.track_ids is not None:
            object.__setattr__(self, 'track_ids', frozen(self.track_ids, np.object_))
        if self.oriented is not None:
            oriented = frozen(self.oriented, np.float32)
            object.__setattr__(self, 'oriented', oriented)
            if oriented.shape != (len(self), 5) or not np.isfinite(oriented).all():
                raise OutputError(
                    f'oriented has shape {oriented.shape} but must be ({len(self)}, 5), finite: '
                    'one row of center x, center y, width, height, angle for each score')
        if self.positions is not None:
            self._set_positions(self.positions)

    def _set_positions(self, values: NDArray[np.float64]) -> None:
        positions = frozen(values, np.float64)
        object.__setattr__(self, 'positions', positions)
        if positions.shape != (len(self), 3):
            raise OutputError(
                f'positions has shape {positions.shape} but must be ({len(self)}, 3): one row '
                'of x, y, z in metres for each score')

    def with_positions(self, values: NDArray[np.float64]) -> Detections:
        """Return the same with positions; quicker than `replace`, which checks all again."""
        found = self._same()
        found._set_positions(values)
        return found

    def with_track_ids(self, track_ids: list[str]) -> Detections:
        """Return the same with an id for each object; quicker than `replace`, as above."""
        ids = np.empty(len(self), np.object_)
        ids[:] = track_ids
        ids.flags.writeable = False
        found = self._same()
        object.__setattr__(found, 'track_ids', ids)
        return found

    def _same(self) -> Detections:
        """Return a shallow copy; `copy.copy` takes several times as long."""
        found = object.__new__(type(self))
        found.__dict__.update(self.__dict__)
        return found

    def select(self, rows: NDArray[Any]) -> Detections:
        """
        Return some of the objects, with all that belongs to them.

        Parameters
        ----------
        rows : ndarray of int or bool
            Their rows in rising order, or whether each is selected.

        Returns
        -------
        Detections
            The same image and timing.

        Raises
        ------
        InputError
            If there is not one bool for each object.

        """
        rows = np.asarray(rows)
        if rows.dtype == bool:
            if rows.shape != (len(self),):
                raise InputError(
                    f'rows has shape {rows.shape} but must be ({len(self)},): one bool for each '
                    'object, or the rows as numbers')
            rows = np.flatnonzero(rows)
        rows = rows.astype(np.intp)
        return replace(
            self, boxes=self.boxes[rows], class_ids=self.class_ids[rows],
            scores=self.scores[rows], labels=self.labels[rows],
            masks=None if self.masks is None else self.masks.select(rows),
            keypoints=None if self.keypoints is None else self.keypoints.select(rows),
            oriented=None if self.oriented is None else self.oriented[rows],
            track_ids=None if self.track_ids is None else self.track_ids[rows],
            positions=None if self.positions is None else self.positions[rows],
            attributes={name: tuple(of[row] for row in rows)
                        for name, of in self.attributes.items()})

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
        """
        Return one dictionary for each object: ``class_id``, ``label``, ``score``, ``box``.

        Where the model or the server gives them also ``keypoints``, ``oriented_box``, ``id``,
        ``position`` (metres; None where it is not known), and ``attributes``: for each stage of a
        cascade what it says of the object, None where it did not look.
        """
        rows: list[dict[str, Any]] = [
            {'class_id': class_id, 'label': label, 'score': round(score, 6),
             'box': [round(edge, 2) for edge in box]}
            for class_id, label, score, box in zip(
                self.class_ids.tolist(), self.labels.tolist(), self.scores.tolist(),
                self.boxes.tolist())
        ]
        if self.keypoints is not None:
            for row, points in zip(rows, self.keypoints.rows()):
                row['keypoints'] = points
        if self.oriented is not None:
            for row, (*sides, angle) in zip(rows, self.oriented.tolist()):
                row['oriented_box'] = [*(round(side, 2) for side in sides), round(angle, 5)]
        if self.track_ids is not None:
            for row, track_id in zip(rows, self.track_ids.tolist()):
                row['id'] = track_id
        if self.positions is not None:
            for row, point in zip(rows, self.positions.tolist()):
                row['position'] = ([round(metres, 4) for metres in point]
                                   if np.isfinite(point).all() else None)
        for name, of in self.attributes.items():
            for row, each in zip(rows, of):
                row.setdefault('attributes', {})[name] = None if each is None else each.rows()
        return rows

    def said(self, row: int) -> list[tuple[str, str, float, int]]:
        """
        Return what the stages of a cascade say of one object.

        Parameters
        ----------
        row : int
            The object's row.

        Returns
        -------
        list of (str, str, float, int)
            Each stage that classifies and found a class; label, score and id of its best one.

        """
        found = [(name, of[row]) for name, of in self.attributes.items()]
        return [(name, str(each.labels[0]), float(each.scores[0]), int(each.class_ids[0]))
                for name, each in found
                if each is not None and each.task == 'classification' and len(each)]

    def __str__(self) -> str:
        """Return the result as a table."""
        if not len(self):
            return 'nothing found above the threshold'
        rows = self.rows()
        columns = [('label', 'l', [row['label'] for row in rows]),
                   ('score', 'r', [f'{row["score"]:.3f}' for row in rows])]
        if self.track_ids is not None:
            columns.insert(0, ('id', 'r', [row['id'] or '-' for row in rows]))
        columns += [(name, 'r', [f'{row["box"][side]:.0f}' for row in rows])
                    for side, name in enumerate(('x1', 'y1', 'x2', 'y2'))]
        columns.append(('class id', 'r', [str(row['class_id']) for row in rows]))
        if self.positions is not None:
            columns += [('metres', 'r', [_metres(row['position']) for row in rows]),
                        ('x, y, z', 'r', [_place(row['position']) for row in rows])]
        if self.attributes:
            columns.append(('stages', 'l', [_said(self.said(row)) for row in range(len(self))]))
        return table(tuple(name for name, _, _ in columns),
                     ''.join(side for _, side, _ in columns),
                     list(zip(*(words for _, _, words in columns)))) + self._more()

    def _more(self) -> str:
        """Return a line for each object with an angle or key points."""
        lines = []
        for place, row in enumerate(self.rows(), 1):
            if 'oriented_box' in row:
                x, y, width, height, angle = row['oriented_box']
                lines.append(
                    f'{place} {row["label"]}: {width:.0f}x{height:.0f} around {x:.0f},{y:.0f}, '
                    f'turned by {math.degrees(angle):.1f} degrees')
            if 'keypoints' in row:
                lines.append(f'{place} {row["label"]}: ' + ', '.join(
                    f'{point["name"]} {point["x"]:.0f},{point["y"]:.0f} ({point["score"]:.2f})'
                    for point in row['keypoints']))
        return ''.join(f'\n{line}' for line in lines)


def _said(found: list[tuple[str, str, float, int]]) -> str:
    return ' | '.join(f'{label} {score:.3f}' for _, label, score, _ in found)


def _check_boxes(boxes: NDArray[np.float32], image_size: tuple[int, int]) -> None:
    """Check that every box is finite, ordered and inside the image."""
    width, height = image_size
    # One comparison catches NaN as well: every comparison with NaN is false.
    if len(boxes) <= FEW:
        fits = all(0 <= x1 <= x2 <= width and 0 <= y1 <= y2 <= height
                   for x1, y1, x2, y2 in boxes.tolist())
    else:
        fits = bool((boxes[:, :2] >= 0).all() and (boxes[:, 2:] <= (width, height)).all()
                    and (boxes[:, :2] <= boxes[:, 2:]).all())
    if not fits:
        good = ((boxes[:, :2] >= 0) & (boxes[:, 2:] <= (width, height))
                & (boxes[:, :2] <= boxes[:, 2:])).all(axis=1)
        row = int(np.flatnonzero(~good)[0])
        raise OutputError(
            f'box {row} is {boxes[row].tolist()} but must be x1 <= x2, y1 <= y2 inside the '
            f'image of {width}x{height} pixels')


def _metres(position: list[float] | None) -> str:
    """Return a distance for a table."""
    return '?' if position is None else f'{float(np.linalg.norm(position)):.2f}'


def _place(position: list[float] | None) -> str:
    """Return a position for a table."""
    return '?' if position is None else ', '.join(f'{metres:.2f}' for metres in position)
