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
What decoders with key points share: names and skeletons of published families, and keys.

Left and right are those of the person, not of the image.

* ``coco``: 17 points of a person, https://cocodataset.org/#keypoints-2020
* ``face``: 5 points, the order of RetinaFace, SCRFD, YuNet, CenterFace and YOLOv5-face: that eye
  and that corner of the mouth first which are at the left of the image
* ``face6``: 6 points of BlazeFace, https://arxiv.org/abs/1907.05047
* ``hand``: 21 points, https://arxiv.org/abs/2006.10214
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ros2_classify.decoders.base import Points
from ros2_classify.keys import integer, Key, Kind, listed, TEXT
from ros2_classify.yaml_config import as_list, as_word, Fields, Where

Limbs = tuple[tuple[int, int], ...]
_MOST = 1000


class Family(NamedTuple):
    """The names of a family's points, and which of them a line connects."""

    names: tuple[str, ...]
    skeleton: Limbs


def _hand() -> Family:
    fingers = ('thumb', 'index_finger', 'middle_finger', 'ring_finger', 'pinky')
    names = ['wrist']
    limbs = []
    for finger in fingers:
        first = len(names)
        joints = ('cmc', 'mcp', 'ip') if finger == 'thumb' else ('mcp', 'pip', 'dip')
        names += [f'{finger}_{joint}' for joint in (*joints, 'tip')]
        limbs += [(0, first), *((at, at + 1) for at in range(first, first + 3))]
    return Family(tuple(names), tuple(limbs))


KEYPOINT_FAMILIES = {
    'coco': Family(
        ('nose', 'left_eye', 'right_eye', 'left_ear', 'right_ear', 'left_shoulder',
         'right_shoulder', 'left_elbow', 'right_elbow', 'left_wrist', 'right_wrist', 'left_hip',
         'right_hip', 'left_knee', 'right_knee', 'left_ankle', 'right_ankle'),
        ((15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7),
         (6, 8), (7, 9), (8, 10), (1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6))),
    'face': Family(
        ('right_eye', 'left_eye', 'nose', 'right_mouth_corner', 'left_mouth_corner'), ()),
    'face6': Family(
        ('right_eye', 'left_eye', 'nose', 'mouth', 'right_ear', 'left_ear'), ()),
    'hand': _hand(),
}


def _read_names(value: object, where: Where) -> Any:
    if isinstance(value, str):
        return as_word(value, where, allowed=tuple(KEYPOINT_FAMILIES))
    return tuple(TEXT.read(name, place) for name, place in as_list(value, where))


def _read_pairs(value: object, where: Where) -> Any:
    pairs = []
    for pair, place in as_list(value, where):
        ends = _ENDS.read(pair, place)
        if len(ends) != 2:
            raise place.error(f'has {len(ends)} numbers; give the two points that a line connects')
        pairs.append(ends)
    return tuple(pairs)


def _read_shape(value: object, where: Where) -> Any:
    shape = _SHAPE.read(value, where)
    if len(shape) != 2 or shape[1] not in (2, 3):
        raise where.error(
            f'is {list(shape)}; give the number of points and the numbers of each, 2 for x, y or '
            '3 with a score, like [17, 3]')
    return shape


_ENDS = listed(integer(0, _MOST))
_SHAPE = listed(integer(1, _MOST))
KEYPOINTS = Key(
    'how many key points a box has, and the numbers of each: 2 for x, y, 3 with a score, as '
    '`kpt_shape` of Ultralytics', unset='no key points', kind=Kind(
        _read_shape, {**_SHAPE.schema, 'minItems': 2, 'maxItems': 2}, 'list like `[17, 3]`'))
KEYPOINT_NAMES = Key(
    'the names of the key points: those of a family, or a list', unset='numbers', kind=Kind(
        _read_names, {'anyOf': [{'enum': list(KEYPOINT_FAMILIES)}, listed(TEXT).schema]},
        f'{", ".join(f"`{name}`" for name in KEYPOINT_FAMILIES)}, or list of texts'))
SKELETON = Key(
    'pairs of key points that a line connects, counted from 0', unset='that of the family',
    kind=Kind(_read_pairs, {'type': 'array', 'items': {
        **_ENDS.schema, 'minItems': 2, 'maxItems': 2}}, 'list of pairs'))


def check_points(
    count: int, names: str | tuple[str, ...], skeleton: Limbs, fields: Fields, *,
    counted: bool = True,
) -> None:
    """Refuse names and limbs that don't fit the number of points, if it is known."""
    if not counted:
        count = len(family(names).names)
    elif not count:
        for key in ('keypoint_names', 'skeleton'):
            if key in fields:
                raise fields.error(key, 'needs key points; give output.keypoints')
    known = family(names, skeleton)
    if known.names and len(known.names) != count:
        raise fields.error('keypoint_names', f'has {len(known.names)} names, but a box has '
                           f'{count} key points; name each of them')
    if skeleton and count and max(max(limb) for limb in skeleton) >= count:
        raise fields.error('skeleton', f'names the point {max(max(limb) for limb in skeleton)}, '
                           f'but they are numbered from 0 to {count - 1}')


def family(names: str | tuple[str, ...], skeleton: Limbs = ()) -> Family:
    """Return names and limbs as the keys give them."""
    if isinstance(names, str):
        return Family(KEYPOINT_FAMILIES[names].names, skeleton or
                      KEYPOINT_FAMILIES[names].skeleton)
    return Family(names, skeleton)


def points_of(
    numbers: NDArray[np.float32], shape: tuple[int, int], scores: NDArray[np.float32],
    known: Family,
) -> Points:
    """
    Return the points of columns ``[N, K * 2 or 3]``.

    A point without a score of its own gets that of its box, as nothing else is known.
    """
    count, size = shape
    table = numbers.reshape(len(numbers), count, size)
    sure = np.clip(table[..., 2:], 0, 1) if size == 3 else np.broadcast_to(
        scores.reshape(-1, 1, 1), (len(numbers), count, 1))
    return Points(np.concatenate((table[..., :2], sure), axis=2).astype(np.float32),
                  *known)
