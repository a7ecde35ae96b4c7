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

"""Tiny models of the detector families, and what a whole pipeline must make of their outputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ros2_classify.image_io import read_image
from ros2_classify.model.descriptor import ModelDescriptor
from ros2_classify.pipeline import Pipeline
from ros2_classify.results.results import Detections
from ros2_classify.testing import save_constant_model
import shared_data

# Width and height; a different factor on each axis shows boxes that are exchanged.
MODEL = (64, 64)
IMAGE = (128, 192)


def pipeline_of(
    path: Path, output: Mapping[str, Any], *, labels: Any = None, threshold: float = 0.3,
    nms_iou: float = 1.0, **settings: Any,
) -> Pipeline:
    """Return a pipeline on a model's file; everything overlapping stays unless said."""
    return Pipeline.load(ModelDescriptor.from_mapping({
        'source': {'path': str(path)}, 'output': output, 'input': settings,
        **({'labels': labels} if labels else {}),
        'defaults': {'score_threshold': threshold, 'nms_iou': nms_iou, 'max_detections': 10**6}}),
        provider='cpu')


def run_model(
    directory: Path, outputs: Mapping[str, Any], output: Mapping[str, Any], *,
    size: tuple[int, int] = MODEL, image: tuple[int, int] = IMAGE, **settings: Any,
) -> Detections:
    """Return the result of a pipeline on an ONNX model with these outputs."""
    path = save_constant_model(
        directory / 'net.onnx', {name: np.asarray(value) for name, value in outputs.items()},
        input_shape=(1, 3, size[1], size[0]))
    with pipeline_of(path, output, **settings) as pipeline:
        result = pipeline(np.full((image[1], image[0], 3), 100, np.uint8))
    assert isinstance(result, Detections)
    return result


def on_image(
    rows: Iterable[Sequence[float]], size: tuple[int, int] = MODEL,
    image: tuple[int, int] = IMAGE,
) -> list[tuple[float, ...]]:
    """Map rows of x1, y1, x2, y2, score, class from a stretched input to the image."""
    mapped = []
    for x1, y1, x2, y2, score, class_id in rows:
        box = []
        for value, axis in ((x1, 0), (y1, 1), (x2, 0), (y2, 1)):
            box.append(min(max(value * image[axis] / size[axis], 0.0), float(image[axis])))
        if box[2] > box[0] and box[3] > box[1]:
            mapped.append((*box, float(score), int(class_id)))
    return mapped


def agree(result: Detections, expected: Iterable[Sequence[float]], atol: float = 0.02) -> bool:
    """Tell whether a result holds these rows, in any order among equal scores."""
    wanted = sorted(tuple(row) for row in expected)
    got = sorted((*box, score, class_id) for box, score, class_id in zip(
        result.boxes.tolist(), result.scores.tolist(), result.class_ids.tolist()))
    return len(wanted) == len(got) > 0 and bool(
        np.allclose(by_score(got), by_score(wanted), atol=atol))


def by_score(rows: list[tuple[float, ...]]) -> list[tuple[float, ...]]:
    """Order rows by score and class: coordinates that differ in the last digit are no matter."""
    return sorted(rows, key=lambda row: (round(row[4], 4), row[5], round(row[0]), round(row[1])))


# Where the faces are, read off the images.
FACES: dict[str, list[tuple[int, int, int, int]]] = {
    'tfls_grace_hopper.jpg': [(178, 130, 360, 345)],
    'coral_face.jpg': [(255, 50, 352, 172), (131, 90, 224, 205)]}


def published(name: str) -> Path:
    """Return a published model that is not part of the package; skip the test without it."""
    data = shared_data.find_data()
    places = [] if data is None else [data / 'models-more', data.parent / 'zoo/models']
    for place in places:
        if (place / name).is_file():
            return place / name
    pytest.skip(shared_data.REASON)


def run_published(
    path: Path, image: str, output: Mapping[str, Any], **settings: Any,
) -> Detections:
    """Return what a published model finds in a published image."""
    data = shared_data.find_data()
    assert data is not None
    with pipeline_of(path, output, nms_iou=0.3, **settings) as pipeline:
        result = pipeline(read_image(data / 'images' / image), 'bgr')
    assert isinstance(result, Detections)
    return result


def overlap(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the intersection over union of two boxes."""
    sides = [min(one[axis + 2], other[axis + 2]) - max(one[axis], other[axis]) for axis in (0, 1)]
    common = max(sides[0], 0) * max(sides[1], 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return common / (sum(areas) - common)


def has_faces(result: Detections, image: str) -> bool:
    """Tell whether the faces of an image were found, and little else."""
    boxes = result.boxes.tolist()
    return len(boxes) <= len(FACES[image]) + 2 and all(
        max(overlap(face, box) for box in boxes) > 0.6 for face in FACES[image])


def eyes_over_mouths(result: Detections) -> bool:
    """Tell whether the key points of all faces are inside of the box and in their places."""
    assert result.keypoints is not None
    for box, names in zip(result.boxes.tolist(), result.keypoints.rows()):
        points: dict[str, Any] = {str(point['name']): point for point in names}
        mouth = points.get('mouth') or points['right_mouth_corner']
        eyes, nose = (points['right_eye'], points['left_eye']), points['nose']
        if not (eyes[0]['x'] < eyes[1]['x']
                and max(eye['y'] for eye in eyes) < nose['y'] < mouth['y']
                and all(box[0] < point['x'] < box[2] and box[1] < point['y'] < box[3]
                        for point in (*eyes, nose, mouth))):
            return False
    return True
