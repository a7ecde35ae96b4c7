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
Every optimization gives the same results as the plain path, for all published models.

The same labels, scores within 1e-3 (a float16 model's within 5e-3), boxes within half a pixel:
one image at a time, in batches and side by side, in the images' own sizes and a camera's.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
import os
from pathlib import Path
import threading
from typing import Any

import cv2
import numpy as np
from plain_path import Found, PlainPath
import pytest
from ros2_classify.convert.process import choose_python, find_converter, PYTHON
from ros2_classify.engines import EngineSettings
from ros2_classify.image_io import read_image
from ros2_classify.pipeline import Pipeline
from ros2_classify.results.results import Detections

MODELS = {
    'squeezenet_fp32': 1e-3, 'squeezenet_fp16': 5e-3, 'mobilenet_v1_025': 1e-3,
    'yolox_nano': 1e-3, 'ultraface_rfb_320': 1e-3, 'coco_ssd_quant': 1e-3,
    'ssd_mobilenet_v1_075': 1e-3, 'vww_96_saved': 1e-3}
# A SavedModel: it runs as what TensorFlow's converter makes of it.
CONVERTED = 'vww_96_saved'
DESCRIPTORS = Path(__file__).parent / 'convert/descriptors'
CAMERAS = [(640, 480), (1920, 1080)]


def arrays(data: Path) -> list[Any]:
    """Return all images, and some of them in the sizes of cameras."""
    images = [read_image(path) for path in sorted((data / 'images').iterdir())]
    return images + [cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
                     for size, image in zip(CAMERAS * 3, images)]


def side_by_side(pipeline: Pipeline, images: list[Any]) -> list[Any]:
    """Return the results of two threads that share the model."""
    own = threading.local()

    def result(image: Any) -> Any:
        if not hasattr(own, 'batch'):
            own.batch = pipeline.new_batch()
        own.batch.clear()
        own.batch.add(image, 'bgr')
        outputs = pipeline.infer(own.batch)[0]
        return pipeline.postprocess(outputs, own.batch.geometries[0])

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(result, images))


def rows_of(result: Any) -> list[Found]:
    """Return a result in the form of the plain path."""
    boxes = result.boxes.tolist() if isinstance(result, Detections) else [()] * len(result)
    return [Found(label, score, tuple(box)) for label, score, box in zip(
        result.labels.tolist(), result.scores.tolist(), boxes)]


def differences(got: list[Found], expected: list[Found], threshold: float, scores: float) -> list[
        str]:
    """Return what differs; a score this near to the threshold may fall on either side."""
    problems = []
    free = list(expected)
    for one in got:
        same = [other for other in free
                if other.label == one.label and abs(other.score - one.score) <= scores
                and np.allclose(other.box, one.box, atol=0.5)]
        if same:
            free.remove(same[0])
        elif one.score > threshold + scores:
            problems.append(f'{one} is not expected')
    return problems + [f'{one} is missing' for one in free if one.score > threshold + scores]


@pytest.fixture
def converted(warm_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the models that are to be converted known by name."""
    if find_converter(choose_python()) is None:
        pytest.skip(f'there is no TensorFlow here: set {PYTHON} to a Python that has tensorflow '
                    'and tf2onnx (scripts/setup --tensorflow makes one)')
    path = os.environ['ROS2_CLASSIFY_MODEL_PATH']
    monkeypatch.setenv('ROS2_CLASSIFY_MODEL_PATH', f'{DESCRIPTORS}{os.pathsep}{path}')
    monkeypatch.setenv('ROS2_CLASSIFY_CACHE', str(warm_cache))


@pytest.mark.parametrize('model', MODELS)
def test_the_same_as_the_plain_path(
    published: Path, model: str, request: pytest.FixtureRequest,
) -> None:
    if model == CONVERTED:
        request.getfixturevalue('converted')
    tolerance = MODELS[model]
    images = arrays(published)
    wrong = []
    settings = EngineSettings(provider='cpu', max_batch=4, parallel=2)
    with Pipeline.load(model, engine=settings) as pipeline:
        plain = PlainPath(
            pipeline.descriptor, pipeline.labels, pipeline.file, quantised='quant' in model)
        options = pipeline.options
        together = pipeline.many(images, 'bgr', options)
        assert pipeline.parallel == 2
        beside = side_by_side(pipeline, images)
        for number, image in enumerate(images):
            expected = plain(image, options.score_threshold, options.nms_iou)
            if pipeline.task == 'classification':
                # All of them, so that the limit cuts between none.
                alone = pipeline(image, 'bgr', options.replace(top_k=1001))
                assert alone.labels[0] == expected[0].label
                assert together[number].labels[0] == expected[0].label
            else:
                alone = pipeline(image, 'bgr')
            results = {'alone': alone, 'rgb': pipeline(
                np.ascontiguousarray(image[..., ::-1]), 'rgb', options.replace(top_k=1001))}
            if pipeline.task == 'detection':
                results['in a batch'] = together[number]
                results['side by side'] = beside[number]
            else:
                for several in (together[number], beside[number]):
                    assert np.allclose(several.scores, alone.scores[:5], atol=tolerance)
                assert beside[number].labels[0] == alone.labels[0]
            wrong += [
                f'image {number} {how}: {problem}' for how, result in results.items()
                for problem in differences(
                    rows_of(result), expected, options.score_threshold, tolerance)]
    assert not wrong, '\n'.join(wrong)


def test_the_comparison_can_fail() -> None:
    one = Found('cat', 0.9, (1.0, 2.0, 30.0, 40.0))
    assert not differences([one], [one], 0.3, 1e-3)
    for other in (one._replace(label='dog'), one._replace(score=0.898),
                  one._replace(box=(1.0, 2.0, 30.0, 41.0))):
        assert len(differences([other], [one], 0.3, 1e-3)) == 2
    assert differences([], [one], 0.3, 1e-3) and differences([one], [], 0.3, 1e-3)
    assert not differences([one], [], 0.8995, 1e-3)
