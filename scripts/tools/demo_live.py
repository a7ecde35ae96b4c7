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
What the demo sees of a live camera: prints what appears, and keeps the newest annotated image.

usage: demo_live.py OUTPUT, in the environment; goes on until it is told to end.
"""

from __future__ import annotations

from pathlib import Path
import sys

import cv2
from demo_watcher import cards_of, pixels_of
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2DArray

# Seconds between two annotated images on the disk.
PERIOD = 0.5


class LiveWatcher(Node):
    """Prints the labels whenever they change, and writes the annotated image now and then."""

    def __init__(self, image: Path) -> None:
        super().__init__('demo_live')
        self._image = image
        self._newest: Image | None = None
        self._labels: list[str] | None = None
        qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        self.create_subscription(Image, 'server/debug_image', self._on_annotated, qos)
        self.create_subscription(Detection2DArray, 'detections', self._on_detections, qos)
        self.create_timer(PERIOD, self._write)

    def _on_annotated(self, message: Image) -> None:
        self._newest = message

    def _on_detections(self, message: Detection2DArray) -> None:
        cards = cards_of(message)
        labels = sorted(card.label for card in cards)
        if labels != self._labels:
            self._labels = labels
            print(f'  {", ".join(map(str, cards)) or "nothing"}')

    def _write(self) -> None:
        """Replace the image as a whole, so that a viewer never reads half of one."""
        if self._newest is None:
            return
        fresh = self._image.with_name(f'new_{self._image.name}')
        cv2.imwrite(str(fresh), pixels_of(self._newest))
        fresh.replace(self._image)
        self._newest = None


def main() -> int:
    """Watch until a signal comes."""
    rclpy.init()
    watcher = LiveWatcher(Path(sys.argv[1], 'live.jpg'))
    try:
        rclpy.spin(watcher)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    watcher.destroy_node()
    rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
