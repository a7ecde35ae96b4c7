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

"""Every published ONNX model gives the manifest's results through the node, too."""

import numpy as np
import pytest
from ros2_classify import Detections, read_image, Timing
from ros2_classify.ros.messages.image import to_image_msg
from ros_stream import Camera
import shared_data
from std_msgs.msg import Header
from test_manifest import BOXES, CLASSES, DATA, DESCRIPTORS, match, SCORE
from vision_msgs.msg import Classification, Detection2DArray

pytestmark = pytest.mark.skipif(DATA is None, reason=shared_data.REASON)


@pytest.fixture
def ask(start, peer, published):
    """Return a function that gives a model's results for images, each through the node."""
    servers = []

    def ask(model, msg_type, topic, images):
        servers.append(start('server', {'model': DESCRIPTORS[model], 'provider': 'cpu'}))
        results = peer.collect(msg_type, topic)
        camera = Camera(peer, '/image')
        for number, image in enumerate(images):
            pixels = read_image(published / 'images' / image)
            header = Header(frame_id=image)
            header.stamp.nanosec = number
            yield image, pixels.shape, camera.result_to(
                to_image_msg(pixels, 'bgr8', header), results)

    yield ask
    for server in servers:
        server.stop()


def to_result(msg, shape):
    """Return what a message says as a result in the image's pixels."""
    rows = [(d.bbox.center.position.x, d.bbox.center.position.y, d.bbox.size_x, d.bbox.size_y)
            for d in msg.detections]
    x, y, width, height = np.array(rows, float).reshape(-1, 4).T
    edges = (shape[1], shape[0]) * 2
    boxes = np.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2], 1)
    hypotheses = [d.results[0].hypothesis for d in msg.detections]
    return Detections(
        np.clip(boxes, 0, edges).astype(np.float32), np.arange(len(rows)),
        np.array([h.score for h in hypotheses], np.float32),
        np.array([h.class_id for h in hypotheses], object), edges[:2], Timing(0, 0, 0))


@pytest.mark.parametrize('model', sorted({model for model, _ in CLASSES}))
def test_classifier(ask, model):
    expected = {image: top.crop for (name, image), top in CLASSES.items() if name == model}
    wrong = []
    for image, _, msg in ask(model, Classification, '/classification', expected):
        label, score = expected[image]
        best = msg.results[0]
        if best.class_id != label or abs(best.score - score) > SCORE:
            wrong.append(f'{image}: {label} {score}, got {best.class_id} {best.score}')
    assert expected and not wrong, '\n'.join(wrong)


@pytest.mark.parametrize('model', sorted({model for model, _ in BOXES}))
def test_detector(ask, peer, model):
    expected = {image: found for (name, image), found in BOXES.items() if name == model}
    wrong = []
    threshold = None
    for image, shape, msg in ask(model, Detection2DArray, '/detections', expected):
        threshold = threshold or peer.get('score_threshold')
        result = to_result(msg, shape)
        taken = set()
        for row in expected[image].rows:
            index = match(result, row, taken)
            if index is not None:
                taken.add(index)
            elif row.score >= threshold + SCORE:
                wrong.append(f'{image}: {row} is missing from\n{result}')
        sure = int((result.scores >= threshold + SCORE).sum())
        if sure > expected[image].total and model != 'yolox_nano.onnx':
            wrong.append(f'{image}: {expected[image].total} boxes recorded, got\n{result}')
    assert expected and not wrong, '\n'.join(wrong)
