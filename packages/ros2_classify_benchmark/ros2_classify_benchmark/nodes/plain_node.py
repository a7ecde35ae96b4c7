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
A node as one writes it on a free afternoon: rclpy, NumPy, OpenCV and ONNX Runtime.

It is what the benchmark compares with, not what anybody should use: images are worked on in the
subscription's callback, queues have their usual length of ten, every result is built object by
object. It knows two kinds of models: classifiers, and YOLOX detectors.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import onnxruntime
import rclpy
from rclpy.node import Node
from sensor_msgs.msg import Image
from vision_msgs.msg import (
    Classification, Detection2D, Detection2DArray, ObjectHypothesis, ObjectHypothesisWithPose)

TOP_K = 5
SCORE_THRESHOLD = 0.45
NMS_THRESHOLD = 0.5
STRIDES = (8, 16, 32)


class PlainNode(Node):
    """Subscribes to ``image`` and publishes ``result``."""

    def __init__(self) -> None:
        super().__init__('plain')
        model_file = self.declare_parameter('model_file', '').value
        self.task = self.declare_parameter('task', 'detection').value
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.declare_parameter('threads', 0).value
        self.session = onnxruntime.InferenceSession(
            model_file, options, providers=['CPUExecutionProvider'])
        self.input = self.session.get_inputs()[0]
        message = Detection2DArray if self.task == 'detection' else Classification
        self.publisher = self.create_publisher(message, 'result', 10)
        self.create_subscription(Image, 'image', self.callback, 10)

    def callback(self, msg: Any) -> None:
        """Process one image."""
        image: Any = np.array(msg.data, dtype=np.uint8).reshape(msg.height, msg.width, 3)
        if msg.encoding == 'bgr8':
            image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        if self.task == 'detection':
            self.publisher.publish(self.detect(image, msg.header))
        else:
            self.publisher.publish(self.classify(image, msg.header))

    def classify(self, image: Any, header: Any) -> Any:
        """Return the best classes."""
        height, width = self.input.shape[2:]
        tensor = cv2.resize(image, (width, height)).astype(np.float32)
        tensor = np.expand_dims(tensor.transpose(2, 0, 1), 0)
        scores = self.session.run(None, {self.input.name: tensor})[0].reshape(-1)
        result = Classification()
        result.header = header
        for index in np.argsort(scores)[::-1][:TOP_K]:
            result.results.append(
                ObjectHypothesis(class_id=str(index), score=float(scores[index])))
        return result

    def detect(self, image: Any, header: Any) -> Any:
        """Return the boxes that stay."""
        height, width = self.input.shape[2:]
        ratio = min(height / image.shape[0], width / image.shape[1])
        padded = np.ones((height, width, 3), dtype=np.uint8) * 114
        resized = cv2.resize(
            image, (int(image.shape[1] * ratio), int(image.shape[0] * ratio)))
        padded[:resized.shape[0], :resized.shape[1]] = resized
        tensor = np.expand_dims(padded.transpose(2, 0, 1).astype(np.float32), 0)
        predictions = self.session.run(None, {self.input.name: tensor})[0][0]
        boxes = self.decode(predictions, width, height) / ratio
        scores = predictions[:, 4:5] * predictions[:, 5:]
        classes, scores = scores.argmax(1), scores.max(1)
        kept = cv2.dnn.NMSBoxes(
            [[x - w / 2, y - h / 2, w, h] for x, y, w, h in boxes.tolist()], scores.tolist(),
            SCORE_THRESHOLD, NMS_THRESHOLD)
        result = Detection2DArray()
        result.header = header
        for index in np.array(kept).reshape(-1):
            detection = Detection2D()
            detection.header = header
            detection.bbox.center.position.x = float(boxes[index, 0])
            detection.bbox.center.position.y = float(boxes[index, 1])
            detection.bbox.size_x = float(boxes[index, 2])
            detection.bbox.size_y = float(boxes[index, 3])
            hypothesis = ObjectHypothesisWithPose()
            hypothesis.hypothesis.class_id = str(classes[index])
            hypothesis.hypothesis.score = float(scores[index])
            detection.results.append(hypothesis)
            result.detections.append(detection)
        return result

    @staticmethod
    def decode(predictions: Any, width: int, height: int) -> Any:
        """Return centres and sizes in pixels of the model's input."""
        grids, strides = [], []
        for size in STRIDES:
            xs, ys = np.meshgrid(np.arange(width // size), np.arange(height // size))
            grid = np.stack((xs, ys), 2).reshape(-1, 2)
            grids.append(grid)
            strides.append(np.full((len(grid), 1), size))
        grid, stride = np.concatenate(grids), np.concatenate(strides)
        centers = (predictions[:, :2] + grid) * stride
        sizes = np.exp(predictions[:, 2:4]) * stride
        return np.concatenate([centers, sizes], 1)


def main() -> None:
    """Spin until Ctrl-C."""
    rclpy.init()
    node = PlainNode()
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, rclpy.executors.ExternalShutdownException):
        return
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == '__main__':
    main()
