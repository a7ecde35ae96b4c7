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

"""What is bounded whatever comes: images, boxes, classes, and files without an end."""

from __future__ import annotations

from pathlib import Path
from typing import Any
import zlib

import cv2
import numpy as np
import pytest

from ros2_classify.errors import DescriptorError, InputError, LabelsError, OptionsError
from ros2_classify.image_io import MAX_PIXELS, read_image
from ros2_classify.model.descriptor import load_descriptor, ModelDescriptor
from ros2_classify.model.labels import load_labels
from ros2_classify.options import Options
from ros2_classify.pipeline import Pipeline
from ros2_classify.postprocess import postprocessor as results
from ros2_classify.testing import FakeEngine, tensor

BOXES = 20_000


def crowd(decoder: str) -> Pipeline:
    """Return a model that finds thousands of boxes."""
    random = np.random.default_rng(1)
    corners = random.uniform(0, 500, (BOXES, 2))
    boxes = np.concatenate((corners, corners + random.uniform(5, 90, (BOXES, 2))), axis=1)
    scores = random.uniform(0.01, 1, (BOXES, 1))
    outputs = {'boxes': boxes[None], 'scores': scores[None]}
    options: dict[str, Any] = {
        'outputs': {'boxes': 'boxes', 'scores': 'scores'}, 'box_format': 'xyxy',
        'normalized': False}
    if decoder == 'end_to_end':
        outputs = {'rows': np.concatenate((boxes, scores, scores * 0), axis=1)[None]}
        options = {}
    outputs = {name: array.astype(np.float32) for name, array in outputs.items()}
    engine = FakeEngine([tensor('image', (1, 3, 64, 64))],
                        [tensor(name, array.shape) for name, array in outputs.items()], outputs)
    return Pipeline(ModelDescriptor.from_mapping({
        'source': {'path': 'net.onnx'}, 'output': {'decoder': decoder, **options},
        'input': {'name': 'image', 'size': [640, 640], 'layout': 'nchw', 'dtype': 'float32'},
    }), engine)


@pytest.mark.parametrize('decoder', ['boxes_scores', 'end_to_end'])
@pytest.mark.parametrize('candidates', [1, 300, 4096])
def test_of_thousands_of_boxes_the_best_are_compared(
        decoder: str, candidates: int, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []
    filtered = results.ioa_filter

    def count(boxes: Any, *rest: Any) -> Any:
        compared.append(len(boxes))
        return filtered(boxes, *rest)

    monkeypatch.setattr(results, 'ioa_filter', count)
    result = crowd(decoder)(np.zeros((640, 640, 3), np.uint8), options=Options(
        score_threshold=0.0, max_candidates=candidates, nms_iou=1.0, ioa_threshold=0.9,
        max_detections=10**6))
    assert compared == [candidates]
    assert 1 <= len(result) <= candidates
    assert result.scores[0] > 0.999


def test_the_number_of_candidates_has_an_end() -> None:
    assert Options().max_candidates == 4096
    for wrong in (0, 100_001, True, 2.5):
        with pytest.raises(OptionsError, match='max_candidates'):
            Options().replace(max_candidates=wrong)


@pytest.mark.parametrize(('name', 'suffix'), [('image', '.png'), ('image', '.jpg')])
def test_a_large_image_file_is_refused(tmp_path: Path, name: str, suffix: str) -> None:
    path = tmp_path / f'{name}{suffix}'
    cv2.imwrite(str(path), np.zeros((20, 30, 3), np.uint8))
    assert read_image(path, max_pixels=600).shape == (20, 30, 3)
    with pytest.raises(InputError, match='of 30x20 has more than the 599 pixels'):
        read_image(path, max_pixels=599)


def test_a_bomb_is_refused_by_its_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / 'bomb.png'
    cv2.imwrite(str(path), np.zeros((2, 2, 3), np.uint8))
    data = bytearray(path.read_bytes())
    data[16:24] = (20_000).to_bytes(4, 'big') * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, 'big')
    path.write_bytes(data)

    def decode(*args: Any) -> None:
        raise AssertionError('it was decoded')

    monkeypatch.setattr(cv2, 'imdecode', decode)
    with pytest.raises(InputError, match='of 20000x20000 has more than the 67108864 pixels'):
        read_image(path)


def test_an_input_larger_than_any_image_is_refused() -> None:
    data = {'source': {'path': 'net.onnx'}, 'input': {'size': [8192, 8192]}}
    assert ModelDescriptor.from_mapping(data).input.size == (8192, 8192)
    assert 8192 * 8192 == MAX_PIXELS
    data['input'] = {'size': [8193, 8192]}
    with pytest.raises(DescriptorError, match='8193x8192 is more than the 67108864 pixels'):
        ModelDescriptor.from_mapping(data)


def test_files_without_an_end_are_no_files() -> None:
    with pytest.raises(LabelsError, match='/dev/zero: .*: not a regular file'):
        load_labels('/dev/zero')
    with pytest.raises(DescriptorError, match='/dev/zero: not a regular file'):
        load_descriptor('/dev/zero')
