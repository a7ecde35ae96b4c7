#!/usr/bin/env python3
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
Print the class of the largest object in each message of ``detections``.

The largest box stands in for the nearest object: a box has no distance in metres.

    ros2 run ros2_classify server --ros-args -p model:=cards_detector
    python examples/print_largest.py
"""

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from vision_msgs.msg import Detection2D, Detection2DArray


def area(detection: Detection2D) -> float:
    """Return the area of a box in square pixels."""
    return float(detection.bbox.size_x * detection.bbox.size_y)


class LargestObject(Node):
    """Subscribes to ``detections``."""

    def __init__(self) -> None:
        super().__init__('largest_object')
        self.create_subscription(Detection2DArray, 'detections', self.on_detections, 10)

    def on_detections(self, msg: Detection2DArray) -> None:
        """Print one line for each message."""
        if not msg.detections:
            print('nothing', flush=True)
            return
        largest = max(msg.detections, key=area)
        best = largest.results[0].hypothesis
        center = largest.bbox.center.position
        print(f'{best.class_id} {best.score:.2f} at {center.x:.0f}, {center.y:.0f}', flush=True)


def main() -> None:
    rclpy.init()
    try:
        rclpy.spin(LargestObject())
    except (KeyboardInterrupt, ExternalShutdownException):
        pass


if __name__ == '__main__':
    main()
