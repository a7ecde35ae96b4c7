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
Write a MobileNetV2 of random weights as the predecessor reads models, and our descriptor of it.

It needs TensorFlow, not ROS: ``.venv/tensorflow/bin/python graph.py DIRECTORY``. The frozen graph
begins, as Inception's did, with whole images of any size at ``DecodeJpeg``, which it resizes and
scales itself, and ends with ``softmax``. Our server runs the same graph from ``input`` on.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
import sys

import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

SIZE = 224
NAME = 'mobilenet_v2'

DESCRIPTOR = """\
name: {name}_random
task: classification
source: {{path: {name}.pb, sha256: {sha256}}}
format: frozen_graph
input:
  size: [{size}, {size}]
  resize: stretch
  interpolation: linear
  color: rgb
  scale: 1/127.5
  mean: 1
output:
  decoder: classification
  activation: none
convert:
  inputs: [input]
  outputs: [softmax]
provenance: random weights, made by scripts/tools/predecessor/graph.py with seed {seed}
"""


def frozen_graph(seed: int) -> bytes:
    """Return the graph, serialized; the same seed and TensorFlow give the same one."""
    tf.keras.utils.set_random_seed(seed)
    model = tf.keras.applications.MobileNetV2(
        (SIZE, SIZE, 3), weights=None, classifier_activation=None)

    @tf.function(input_signature=[tf.TensorSpec([None, None, 3], tf.uint8, 'DecodeJpeg')])
    def classify(image: tf.Tensor) -> tf.Tensor:
        resized = tf.image.resize(tf.cast(image, tf.float32)[tf.newaxis], (SIZE, SIZE))
        pixels = tf.identity(resized / 127.5 - 1.0, name='input')
        return tf.nn.softmax(model(pixels, training=False), name='softmax')

    frozen = convert_variables_to_constants_v2(classify.get_concrete_function())
    return bytes(frozen.graph.as_graph_def().SerializeToString())


def main() -> int:
    """Write both files."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument('directory', type=Path, metavar='DIRECTORY', help='where to')
    parser.add_argument('--seed', type=int, default=1, help='of the weights (default: 1)')
    arguments = parser.parse_args()
    arguments.directory.mkdir(parents=True, exist_ok=True)
    content = frozen_graph(arguments.seed)
    graph, descriptor = (arguments.directory / f'{NAME}{suffix}' for suffix in ('.pb', '.yaml'))
    graph.write_bytes(content)
    descriptor.write_text(DESCRIPTOR.format(
        name=NAME, sha256=hashlib.sha256(content).hexdigest(), size=SIZE, seed=arguments.seed))
    print(f'{graph} and {descriptor}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
