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
"""A server with the shipped model in a small world: 1 GiB of memory, 256 KiB of disk for logs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
import importlib
import os
from pathlib import Path
import re
import signal
import subprocess
import sys
import time
from types import TracebackType
from typing import Any

from ros2_classify_benchmark.processes import BenchError, environment, Helper, NodeProcess
from ros2_classify_benchmark.stress.control_group import control_group
from ros2_classify_benchmark.stress.frames import Drops, Frames
from ros2_classify_benchmark.stress.operator import Operator
from sensor_msgs.msg import CompressedImage
from vision_msgs.msg import Detection2DArray
import yaml

LIMIT = 1 << 30
MODEL = 'cards_detector'
TOPIC = '/image'
BOMBS = '/front/image/compressed'
_RESULTS, _BOMB_RESULTS = '/detections', '/front/detections'
_ROOT = Path(__file__).resolve().parents[4]
_IMAGE = _ROOT / 'models/scenes/one_card.jpg'
_DISK = 256 << 10
_MOUNT = ['unshare', '--mount', 'sh', '-c',
          f'mount -t tmpfs -o size={_DISK} none "$0" && exec "$@"']
# Takes what is left of the group's memory but for so much, holds it for a while, and takes more.
_HOG = """
import sys, time
open('/proc/self/oom_score_adj', 'w').write('1000')
held = [bytearray(b'x') * (1 << 20) for _ in range(int(sys.argv[1]))]
time.sleep(float(sys.argv[2]))
while True:
    held.append(bytearray(b'x') * (1 << 20))
"""
_LEFT = 24 << 20


@dataclass
class SameResults(Frames):
    """
    Results of a camera that shows the same image all the time: each is as the first one.

    Parameters
    ----------
    card : tuple of str and tuple of float
        What the first result must have: a label, and where (x1, y1, x2, y2 in pixels).

    """

    card: tuple[str, tuple[float, float, float, float]] = ('', (0.0, 0.0, 0.0, 0.0))
    delivered_twice: int = 0
    _first: Any = field(default=None)
    _numbers: dict[int, int] = field(default_factory=dict)

    def receive(self, result: Any, info: Any) -> None:  # type: ignore[override]
        """Note a result, with what the middleware tells of it; for the node's thread."""
        stamp = result.header.stamp.sec * 10**9 + result.header.stamp.nanosec
        number = int(info['publication_sequence_number'])
        if self._numbers.get(stamp) == number:
            # The server has published it once.
            self.delivered_twice += 1
            return
        self._numbers[stamp] = number
        found = [(each.bbox.center.position.x, each.bbox.center.position.y, each.bbox.size_x,
                  each.bbox.size_y, each.results[0].hypothesis.score,
                  each.results[0].hypothesis.class_id) for each in result.detections]
        if self._first is None and any(self._is_card(each) for each in found):
            self._first = found
        self.note(stamp, MODEL if found and found == self._first else 'nobody')

    def _is_card(self, found: tuple[Any, ...]) -> bool:
        x, y, width, height, _, label = found
        one, other = (x - width / 2, y - height / 2, x + width / 2, y + height / 2), self.card[1]
        sides = [min(one[at + 2], other[at + 2]) - max(one[at], other[at]) for at in (0, 1)]
        both = max(0.0, sides[0]) * max(0.0, sides[1])
        either = width * height + (other[2] - other[0]) * (other[3] - other[1]) - both
        return bool(label == self.card[0] and both > 0.5 * either)


def card() -> tuple[str, tuple[float, float, float, float]]:
    """Return what is on the image, as those say who made it."""
    images = yaml.safe_load((_ROOT / 'models/scenes/scenes.yaml').read_text())['images']
    only, = next(each['cards'] for each in images if each['image'] == _IMAGE.name)
    return only['label'], tuple(only['box'])


class HostileTestbed:
    """
    A server, a camera, somebody who attacks, and an operator.

    Parameters
    ----------
    directory : Path
        For records and logs.
    rate : float
        Images a second.

    """

    def __init__(self, directory: Path, rate: float) -> None:
        if not _IMAGE.is_file():
            raise BenchError('this needs a checkout, with models/ and test/: run '
                             'scripts/reliability there')
        self.record, self.logs = directory / 'camera.txt', directory / 'ros'
        self.record.write_text('')
        self.logs.mkdir(exist_ok=True)
        self._directory, self._rate = directory, rate
        self._env = {**environment(), 'ROS2_CLASSIFY_CACHE': str(directory / 'cache')}
        for name in ('ROS2_CLASSIFY_OFFLINE', 'ROS_LOG_DIR'):
            self._env.pop(name, None)
        os.environ.update({name: self._env[name] for name in (
            'ROS_DOMAIN_ID', 'ROS_AUTOMATIC_DISCOVERY_RANGE')})
        os.environ['ROS_LOG_DIR'] = str(directory / 'own')
        self.frames, self.drops = SameResults([], card=card()), Drops()
        self.front = 0
        self.camera: Helper | None = None
        self.group = control_group(LIMIT)
        self.has_disk = not subprocess.run(
            [*_MOUNT, str(self.logs), 'true'], capture_output=True, check=False).returncode
        within = [*(self.group.command() if self.group else []),
                  *([*_MOUNT, str(self.logs)] if self.has_disk else [])]
        try:
            self.server = NodeProcess(
                [*within, sys.executable, '-m', 'ros2_classify', 'server', '--ros-args',
                 '-p', f'model:={MODEL}', '-p', 'model_changes:=any',
                 '-p', f"image_topics:=['{TOPIC}', '{BOMBS}']",
                 '-p', f'qos_overrides.{TOPIC}.subscription.reliability:=reliable',
                 '-p', f'qos_overrides.{TOPIC}.subscription.depth:=60'],
                {**self._env, 'ROS_LOG_DIR': str(self.logs)}, directory / 'server.log')
        except BaseException:
            self._remove_group()
            raise
        try:
            self.operator = Operator(
                self.frames.receive, self.drops.note, TOPIC, (Detection2DArray, _RESULTS))
            self.server.wait_for('active: ')
            self.operator.meet()
            self.operator.listen(True)
            self.operator.hear(Detection2DArray, _BOMB_RESULTS, self._on_front)
        except BaseException:
            self.server.close()
            self._remove_group()
            raise

    def open_camera(self) -> None:
        """Start the camera."""
        self.camera = Helper('ros2_classify_benchmark.stress.camera', {
            'topic': TOPIC, 'record': str(self.record), 'rate': self._rate, 'size': (0, 0),
            'encoding': 'rgb8', 'image': str(_IMAGE)},
            {**self._env, 'ROS_LOG_DIR': str(self._directory / 'own')},
            self._directory / 'camera.log')
        self.camera.ready()

    def close_camera(self, kill: bool = False) -> None:
        """End the camera; a killed one leaves its shared memory behind."""
        if self.camera is not None:
            if kill:
                os.kill(self.camera.pid, signal.SIGKILL)
            self.camera.close()
            self.camera = None

    def send(self, data: bytes, kind: str = 'jpeg') -> None:
        """Publish a compressed image to the server's other stream."""
        message = CompressedImage(format=kind)
        message.header.frame_id = 'front'
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(time.time_ns(), 10**9)
        message.data.frombytes(data)
        self.operator.publish(BOMBS, message)

    def good(self) -> bytes:
        """Return a good compressed image."""
        return _IMAGE.read_bytes()

    def wait_for_results(self, count: int = 1, patience: float = 60.0) -> None:
        """Wait for a number of further results."""
        enough = self.frames.count + count
        self.operator.wait(lambda: self.frames.count >= enough, 'the next result', patience)

    def fill_logs(self) -> Path:
        """Fill the disk of the logs; return the file to remove."""
        filler = Path(f'/proc/{self.server.pid}/root', str(self.logs).lstrip('/'), 'filler')
        with filler.open('wb', buffering=0) as target:
            try:
                for size in (4096, 1):
                    while True:
                        target.write(bytes(size))
            except OSError:
                pass
        return filler

    def logged(self) -> str:
        """Return the server's log files."""
        logs = Path(f'/proc/{self.server.pid}/root', str(self.logs).lstrip('/'))
        return ''.join(path.read_text(errors='replace') for path in logs.rglob('*.log'))

    def press(self, seconds: float) -> bool:
        """Take the group's memory until the kernel ends who takes it; return whether it did."""
        assert self.group is not None
        count = max(1, (LIMIT - self.group.memory() - _LEFT) >> 20)
        hog = subprocess.Popen([*self.group.command(), sys.executable, '-c', _HOG, str(count),
                                str(seconds)], start_new_session=True)
        try:
            return hog.wait(seconds + 120.0) == -signal.SIGKILL
        except subprocess.TimeoutExpired:
            return False
        finally:
            hog.kill()
            hog.wait()

    def peak(self) -> int:
        """Return the most memory that the server has had, in bytes."""
        status = Path(f'/proc/{self.server.pid}/status').read_text()
        found = re.search(r'VmHWM:\s+(\d+) kB', status)
        return int(found[1]) * 1024 if found else 0

    def save(self) -> None:
        """Write the results beside the images sent."""
        self.frames.save(self._directory / 'results.txt')

    def close(self) -> None:
        """End all that runs still."""
        self.close_camera()
        self.server.close()
        self.operator.close()
        self._remove_group()

    def _on_front(self, _: Any) -> None:
        self.front += 1

    def _remove_group(self) -> None:
        if self.group is not None:
            self.group.close()

    def __enter__(self) -> HostileTestbed:
        """Return the testbed; its processes end with the block."""
        return self

    def __exit__(
            self, kind: type[BaseException] | None, error: BaseException | None,
            trace: TracebackType | None) -> None:
        """End all."""
        self.close()


def bombs(directory: Path) -> Iterator[Any]:
    """Yield all attacks of the tests, each made when it is asked for."""
    # They are made by the tests, where each has a test of its own.
    for path in (_ROOT / 'test', _ROOT / 'test/convert'):
        if str(path) not in sys.path:
            sys.path.append(str(path))
    made = importlib.import_module('bombs')

    directory.mkdir(exist_ok=True)
    good = _ROOT / f'models/{MODEL}.onnx'
    yield from made.of_the_table(directory, good)
    yield from made.beside_the_table(directory, good)


def keep_busy(seconds: float) -> None:
    """Keep all processors busy with four processes each: where there are no control groups."""
    code = ('import sys, time\nend = time.time() + float(sys.argv[1])\n'
            'while time.time() < end: pass')
    many = [subprocess.Popen([sys.executable, '-c', code, str(seconds)])
            for _ in range(4 * (os.cpu_count() or 1))]
    for each in many:
        each.wait()
