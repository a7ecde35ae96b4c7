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

"""What the comparison with the predecessor is made with: its node on a topic, and a graph."""

import importlib.util
from pathlib import Path
import subprocess
import sys

import numpy as np
import pytest
from ros2_classify import Pipeline, read_image
from ros2_classify.convert.process import choose_python, find_converter, PYTHON
from ros2_classify.ros.messages.image import to_image_msg
import shared_data
from std_msgs.msg import Header
from vision_msgs.msg import Classification

TOOLS = shared_data.ROOT / 'packages' / 'ros2_classify_benchmark' / 'predecessor'
MODULES = ('ros2_tf_core', 'ros2_tf_core.img_conversion', 'ros2_tf_core.models',
           'tf_classification_py', 'tf_classification_py.classification_node', 'tf_interfaces',
           'tf_interfaces.srv')
# What stands in for a checkout: the names that are used of it, and nothing of its code.
FAKE = {
    'ros2_tf_core/ros2_tf_core/__init__.py': '',
    'ros2_tf_core/ros2_tf_core/models.py': '',
    'ros2_tf_core/ros2_tf_core/img_conversion.py':
        'def image_msg_to_image_np(msg):\n    return msg.height, msg.width\n',
    'tf_classification_py/tf_classification_py/__init__.py': '',
    'tf_classification_py/tf_classification_py/classification_node.py': """
from tf_interfaces.srv import ImageClassification


class ClassificationNode:
    def __init__(self, model, name):
        self.model, self.published, self.callbacks = model, [], {}
        assert hasattr(ImageClassification, 'Request')

    def create_publisher(self, kind, topic, depth):
        assert (topic, depth) == ('result', 10)
        return self

    def publish(self, msg):
        self.published.append(msg)

    def create_subscription(self, kind, topic, callback, depth):
        assert depth == 10
        self.callbacks[topic] = callback

    def classify(self, image):
        assert image == (48, 64)
        return {'classification_classes': [7, 3], 'classification_scores': [0.75, 0.25]}
"""}


@pytest.fixture
def node(monkeypatch):
    """Return the program as a module; what it imports is forgotten afterwards."""
    spec = importlib.util.spec_from_file_location('predecessor_node', TOOLS / 'node.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(sys, 'path', list(sys.path))
    yield module
    for name in MODULES:
        sys.modules.pop(name, None)


def test_its_node_results_the_images_of_a_topic(node, tmp_path):
    for name, text in FAKE.items():
        path = tmp_path / 'ros2-tensorflow' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    node_type, _, img_conversion = node.import_from(tmp_path, tmp_path / 'packages')
    assert sys.path[-1] == str(tmp_path / 'packages')
    made = node.subscribed(node_type, img_conversion)('a model')
    msg = to_image_msg(np.zeros((48, 64, 3), np.uint8), 'rgb8', Header(frame_id='camera'))
    msg.header.stamp.sec = 9
    made.callbacks['image'](msg)
    result, = made.published
    assert isinstance(result, Classification) and result.header == msg.header
    assert [(each.class_id, each.score) for each in result.results] == [('7', 0.75), ('3', 0.25)]
    assert made.model == 'a model'


def test_without_a_checkout_it_says_what_to_do(node, tmp_path):
    with pytest.raises(SystemExit, match='git clone https://github.com/alsora/ros2-tensorflow'):
        node.import_from(tmp_path, None)


def test_the_graph_is_converted_and_results(tmp_path, warm_cache, monkeypatch):
    python = choose_python()
    if find_converter(python) is None:
        pytest.skip(f'there is no TensorFlow here: set {PYTHON} to a Python that has tensorflow '
                    'and tf2onnx (scripts/setup --tensorflow makes one)')
    subprocess.run([python, str(TOOLS / 'graph.py'), str(tmp_path)], check=True, timeout=300)
    monkeypatch.setenv('ROS2_CLASSIFY_CACHE', str(warm_cache))
    image = read_image(Path(shared_data.ROOT) / 'models/scenes/one_card.jpg')
    with Pipeline.load(tmp_path / 'mobilenet_v2.yaml', provider='cpu') as pipeline:
        assert pipeline.engine.inputs[0].shape[1:] == (224, 224, 3)
        result = pipeline(image, 'bgr', pipeline.options.replace(top_k=1000))
    assert len(result) == 1000 and abs(float(result.scores.sum()) - 1.0) < 1e-3
