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


"""The images that a model gets most wrong, as thumbnails."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ros2_classify_evaluation.metrics import detection
from ros2_classify_evaluation.predict import Predictions

_MOST = 12
_SIDE = 200
_RED, _GREEN = (60, 60, 230), (80, 180, 60)


@dataclass(frozen=True)
class Mistake:
    """One mistake: what it is, where, and a JPEG in base64."""

    kind: str  # 'false alarm', 'missed' or 'wrong class'
    image: str
    text: str
    jpeg: str


def mistakes(found: Predictions, most: int = _MOST) -> list[Mistake]:
    """Return the surest mistakes first, and objects that were missed."""
    if found.task == 'detection':
        return _boxes(found, most)
    if found.task == 'classification' and not found.multi_label:
        return _classes(found, most)
    return []


def _classes(found: Predictions, most: int) -> list[Mistake]:
    truth = found.truth.argmax(axis=1)
    wrong = np.flatnonzero(found.best != truth)
    wrong = wrong[np.argsort(-found.best_scores[wrong], kind='stable')][:most]
    names = found.classes.names
    return [Mistake(
        'wrong class', found.names[row],
        f'{names[found.best[row]] if found.best[row] >= 0 else "another class"} '
        f'{found.best_scores[row]:.2f}, is {names[truth[row]]}',
        _thumbnail(found.samples[row].read())) for row in wrong.tolist()]


def _boxes(found: Predictions, most: int) -> list[Mistake]:
    names = found.classes.names
    matched = detection.operating(found.objects, found.boxes)
    chosen = matched.scores >= found.threshold
    alarms = np.flatnonzero(chosen & (matched.truths == -1))[:most]
    result = []
    for row in alarms.tolist():
        image = int(matched.images[row])
        box = found.boxes[image].boxes[matched.rows[row]]
        result.append(Mistake(
            'false alarm', found.names[image],
            f'{names[matched.class_ids[row]]} {matched.scores[row]:.2f}',
            _thumbnail(found.samples[image].read(), box, _RED)))
    taken = {(int(matched.images[row]), int(matched.truth_rows[row]))
             for row in np.flatnonzero(chosen & (matched.truth_rows >= 0))}
    missed = [(image, row) for image, truth in enumerate(found.objects)
              for row in range(len(truth)) if not truth.ignored[row] and (image, row) not in taken]
    # Large objects are the ones nobody understands to be missed.
    missed.sort(key=lambda each: -found.objects[each[0]].areas[each[1]])
    for image, row in missed[:most]:
        truth = found.objects[image]
        result.append(Mistake(
            'missed', found.names[image], names[truth.class_ids[row]],
            _thumbnail(found.samples[image].read(), truth.boxes[row], _GREEN)))
    return result


def _thumbnail(image: NDArray[np.uint8], box: NDArray[np.float64] | None = None,
               color: tuple[int, int, int] = _RED) -> str:
    """Return a JPEG of an image, or of a box and what is around it."""
    height, width = image.shape[:2]
    left, top, right, bottom = 0, 0, width, height
    if box is not None:
        margin = max(0.6 * float((box[2:] - box[:2]).max()), 24.0)
        left, top = (max(int(edge - margin), 0) for edge in box[:2])
        right, bottom = (min(int(edge + margin), limit)
                         for edge, limit in zip(box[2:], (width, height)))
    part = image[top:bottom, left:right]
    scale = _SIDE / max(part.shape[:2])
    small = cv2.resize(part, None, fx=scale, fy=scale,
                       interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    if box is not None:
        corners = ((box.reshape(2, 2) - (left, top)) * scale).round().astype(int)
        cv2.rectangle(small, corners[0].tolist(), corners[1].tolist(), color, 2)
    _, data = cv2.imencode('.jpg', small, [cv2.IMWRITE_JPEG_QUALITY, 80])
    return base64.b64encode(data.tobytes()).decode()
