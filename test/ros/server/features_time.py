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
What tracking and positions cost a server, for an image of 640x480 with 20 boxes.

    scripts/shell python test/ros/server/features_time.py

Milliseconds from sending an image to its result (median), and milliseconds of the processor that
the whole process takes for an image, all its threads and the middleware's among them, in turns:
nothing on, tracking on, positions subscribed to (the depth image comes and is read; the result is
that in metres). Each turn is compared with the one without, just before.
"""

from __future__ import annotations

import os
from pathlib import Path
import sys
import tempfile
import time
from typing import Any

import numpy as np

# The helpers of the tests, which pytest finds by itself.
sys.path[:0] = [str(Path(__file__).parents[level]) for level in (1, 2)]
os.environ.setdefault('ROS_DOMAIN_ID', str(100 + os.getpid() % 100))

import rclpy  # noqa: E402
from rgbd_camera import RgbdCamera  # noqa: E402
from ros2_classify.ros.node import dds_profile  # noqa: E402
from ros2_classify.testing import save_constant_model  # noqa: E402
from ros_process import Peer, Process  # noqa: E402
from vision_msgs.msg import Detection2DArray, Detection3DArray  # noqa: E402

BOXES, PERIOD = 20, 0.04
Times = np.ndarray[Any, Any]


def save_boxes(directory: Path) -> Path:
    """Write a model of 20 boxes."""
    corners = np.mgrid[0.02:0.82:5j, 0.05:0.8:4j].reshape(2, BOXES).T.astype(np.float32)
    scores = np.zeros((1, BOXES, 2), np.float32)
    scores[..., 1] = 0.9
    save_constant_model(directory / 'many.onnx', {
        'boxes': np.hstack([corners, corners + 0.15])[None], 'scores': scores})
    path = directory / 'many.yaml'
    path.write_text(
        'name: many\ntask: detection\nsource: {path: many.onnx}\nlabels: {1: cup}\n'
        'input: {resize: stretch}\noutput: {decoder: boxes_scores, outputs: {boxes: boxes, '
        'scores: scores}, box_format: xyxy, normalized: true, background: 0}\n'
        'defaults: {nms_iou: 1.0}\n')
    return path


def used(process: int) -> float:
    """Return the milliseconds that all threads of a process have run."""
    return sum(int(path.read_text().split()[0]) for path in Path(
        f'/proc/{process}/task').glob('*/schedstat')) / 1e6


class Server:
    """A server with a camera in front of it."""

    def __init__(self, peer: Peer, depth: Any, directory: Path) -> None:
        self.peer, self._depth = peer, depth
        self._camera = RgbdCamera(peer, '/features')
        self.process = Process('server', {
            'model': save_boxes(directory), 'image_topics': '[/features/image_raw]',
            'depth_topic': 'depth', 'threads': 1})
        self.results = peer.collect(Detection2DArray, '/features/detections')
        self._camera.until(lambda: self.results, depth)

    def turn(self, images: int, found: list[Any]) -> Times:
        """Send images in the pace of a camera; return milliseconds to a result, and for it."""
        self._camera.until(lambda: found, self._depth)
        # What was changed settles first.
        self._send(images // 3, found)
        begun, seen = used(self.process.process.pid), len(found)
        waited = self._send(images, found)
        spent = used(self.process.process.pid) - begun
        return np.array([np.median(waited), spent / max(1, len(found) - seen)])

    def _send(self, images: int, found: list[Any]) -> list[float]:
        waited = []
        for _ in range(images):
            begun, seen = time.monotonic(), len(found)
            until = begun + PERIOD
            self._camera.send(self._depth)
            while time.monotonic() < until:
                self.peer._executor.spin_once(timeout_sec=max(0.0, until - time.monotonic()))
                if len(found) > seen:
                    waited.append(1e3 * (time.monotonic() - begun))
                    seen = sys.maxsize
        return waited


def measure(server: Server, rounds: int, images: int) -> dict[str, list[Times]]:
    """Return the milliseconds of each turn by what is on."""
    peer, found = server.peer, {'nothing': [], 'tracking': [], '3D': []}
    for _ in range(rounds):
        before = server.turn(images, server.results)
        assert peer.set_values(tracking=True) == []
        found['tracking'].append(server.turn(images, server.results) - before)
        assert peer.set_values(tracking=False) == []
        before = server.turn(images, server.results)
        found['nothing'].append(before)
        placed: list[Any] = []
        subscription = peer.node.create_subscription(
            Detection3DArray, '/features/detections_3d', placed.append, 10)
        found['3D'].append(server.turn(images, placed) - before)
        assert len(placed[-1].detections) == BOXES
        peer.node.destroy_subscription(subscription)
    return found


def main(rounds: int = 9, images: int = 60) -> int:
    """Print a line for each encoding and what is on."""
    dds_profile.use()
    rclpy.init()
    metres = np.random.default_rng(1).uniform(1, 4, (480, 640))
    for depth in ((1000 * metres).astype(np.uint16), metres.astype(np.float32)):
        peer = Peer()
        with tempfile.TemporaryDirectory() as directory:
            server = Server(peer, depth, Path(directory))
            try:
                found = measure(server, rounds, images)
            finally:
                server.process.kill()
                peer.close()
        print('16UC1' if depth.itemsize == 2 else '32FC1', ' to the result, ms      processor, ms')
        print('  nothing      {:.2f}                  {:.2f}'.format(
            *np.median(found.pop('nothing'), axis=0)))
        for name, times in found.items():
            cells = [f'{middle:+.2f} ({low:+.2f} to {high:+.2f})' for low, middle, high in zip(
                *np.percentile(times, (25, 50, 75), axis=0))]
            print(f'  {name:8s}', *cells)
    return 0


if __name__ == '__main__':
    sys.exit(main())
