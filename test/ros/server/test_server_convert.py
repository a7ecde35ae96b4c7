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

"""A server whose model is a TensorFlow one."""

from __future__ import annotations

import os
from pathlib import Path
import re
import shutil
import signal
import time
from typing import Any

from fake_converter import FakeConverter
import graphs
import pytest
from ros2_classify import read_image
from ros2_classify.convert.process import choose_python, find_converter, PYTHON
from ros2_classify.ros.messages.image import to_image_msg
from ros_process import DEADLINE
from ros_stream import Camera
import shared_data
from std_msgs.msg import Header
import test_manifest
from test_server_models import to_result
from vision_msgs.msg import Classification, Detection2DArray

# The real one; a conversion takes up to two minutes on a busy machine.
CONVERTER = find_converter(choose_python())
CONVERSION = 900.0


@pytest.fixture
def converter(tmp_path: Path) -> FakeConverter:
    """Return a stand-in for TensorFlow."""
    return FakeConverter(tmp_path / 'converter')


@pytest.fixture
def environment(tmp_path: Path, converter: FakeConverter) -> dict[str, str | None]:
    """Return an environment with an empty cache."""
    return {'ROS2_CLASSIFY_CACHE': str(tmp_path / 'cache'), PYTHON: str(converter.python)}


@pytest.fixture
def model(tmp_path: Path) -> str:
    """Return a frozen graph."""
    (tmp_path / 'tiny.pb').write_bytes(graphs.classifier())
    return str(tmp_path / 'tiny.pb')


def test_a_model_is_converted_before_the_node_is_active(
    start: Any, model: str, environment: Any, converter: FakeConverter,
) -> None:
    server = start('server', {'model': model}, environment=environment)
    server.wait_for_line('active: ')
    output = server.stop()
    assert output.index('to ONNX in ') < output.index('active: ')
    assert "tiny: the output 'softmax:0', because of its usual name" in output
    # TensorFlow is gone, the cache is there.
    shutil.rmtree(converter.python.parent)
    server = start('server', {'model': model}, environment={**environment, PYTHON: None})
    server.wait_for_line('active: ')
    assert 'to ONNX in ' not in server.stop()


def test_a_conversion_that_takes_too_long_is_given_up(
    start: Any, model: str, environment: Any, converter: FakeConverter,
) -> None:
    converter.plan(does='wait')
    server = start('server', {'model': model, 'conversion_timeout': 1.0}, environment=environment)
    assert server.wait() == 1
    assert 'took more than 1 s and was stopped' in server.output
    assert 'the parameter conversion_timeout' in server.output


def test_no_tensorflow_is_one_sentence(start: Any, model: str, environment: Any) -> None:
    server = start('server', {'model': model}, environment={**environment, PYTHON: '/no/python'})
    assert server.wait() == 1
    assert 'must be converted to ONNX once, but ROS2_CLASSIFY_CONVERTER_PYTHON' in server.output
    assert 'Traceback' not in server.output


def test_a_signal_ends_a_conversion(
    start: Any, model: str, environment: Any, converter: FakeConverter, tmp_path: Path,
) -> None:
    converter.plan(does='wait')
    server = start('server', {'model': model}, environment=environment)
    server.wait_for_line('converting tiny to ONNX, once')
    end = time.monotonic() + DEADLINE
    while not converter.requests():
        assert time.monotonic() < end, 'the conversion does not begin'
        time.sleep(0.01)
    server.stop(signal.SIGTERM)
    while any(_works_in(entry, tmp_path) for entry in Path('/proc').glob('[0-9]*/cwd')):
        assert time.monotonic() < end, 'the conversion goes on'
        time.sleep(0.01)
    # The next process finds the lock free.
    converter.plan(does='convert')
    server = start('server', {'model': model}, environment=environment)
    server.wait_for_line('active: ')
    server.stop()


def _works_in(entry: Path, directory: Path) -> bool:
    try:
        return os.readlink(entry).startswith(str(directory))
    except OSError:
        return False  # it has just ended, or is another user's


@pytest.fixture
def ask(start: Any, peer: Any, data: Path, warm_cache: Path) -> Any:
    """Return a function that gives a model's results for all images, each through the node."""
    if CONVERTER is None:
        pytest.skip(f'there is no TensorFlow here: set {PYTHON} to a Python that has tensorflow '
                    'and tf2onnx (scripts/setup --tensorflow makes one)')
    servers = []
    descriptors = shared_data.ROOT / 'test/convert/descriptors'
    environment = {
        'ROS2_CLASSIFY_CACHE': str(warm_cache),
        'ROS2_CLASSIFY_MODEL_PATH': os.pathsep.join(
            (str(descriptors), shared_data.model_path(data)))}

    def replies(model: str, msg_type: type, topic: str) -> Any:
        servers.append(start(
            'server', {'model': model, 'provider': 'cpu'}, environment=environment))
        servers[-1].wait_for_line('active: ', CONVERSION)
        results = peer.collect(msg_type, topic)
        camera = Camera(peer, '/image')
        for number, path in enumerate(sorted((data / 'images').iterdir())):
            pixels = read_image(path)
            header = Header(frame_id=path.name)
            header.stamp.nanosec = number
            yield path.name, pixels.shape, camera.result_to(
                to_image_msg(pixels, 'bgr8', header), results)

    yield replies
    for server in servers:
        server.stop()


@pytest.mark.parametrize('model', ['mobilenet_v1_025_frozen', 'mobilenet_v1_025_saved'])
def test_published_classifiers(ask: Any, model: str) -> None:
    wrong = []
    for image, _, msg in ask(model, Classification, '/classification'):
        label, score = test_manifest.CLASSES['mobilenet_v1_0.25_224.onnx', image].crop
        best = msg.results[0]
        if best.class_id != label or abs(best.score - score) > test_manifest.SCORE:
            wrong.append(f'{image}: {label} {score}, got {best.class_id} {best.score}')
    assert not wrong, '\n'.join(wrong)


def test_published_person_detector(ask: Any) -> None:
    text = test_manifest.MANIFEST.partition('vww_96_saved_model, probability of "person": ')[2]
    recorded = dict(re.findall(r'(\S+\.\w+) (\d\.\d+)', text.partition('\n')[0]))
    for image, _, msg in ask('vww_96_saved', Classification, '/classification'):
        scores = {result.class_id: result.score for result in msg.results}
        assert abs(scores['person'] - float(recorded[image])) < test_manifest.SCORE, image


def test_published_detector(ask: Any) -> None:
    wrong = []
    for image, shape, msg in ask(
            'ssd_mobilenet_v1_075_frozen', Detection2DArray, '/detections'):
        result = to_result(msg, shape)
        taken: set[int] = set()
        for row in test_manifest.BOXES['ssd_mobilenet_v1_0.75_coco', image].rows:
            index = test_manifest.match(result, row, taken)
            if index is not None:
                taken.add(index)
            elif row.score >= 0.5 + test_manifest.SCORE:
                wrong.append(f'{image}: {row} is missing from\n{result}')
    assert not wrong, '\n'.join(wrong)
