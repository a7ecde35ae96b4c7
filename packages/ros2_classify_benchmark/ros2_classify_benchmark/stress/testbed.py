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

"""The processes of a run: server, camera and operator."""

from __future__ import annotations

from collections import Counter
import os
from pathlib import Path
import re
import signal
import sys
from types import TracebackType
from typing import Any

from ros2_classify_benchmark.processes import environment, Helper, NodeProcess
from ros2_classify_benchmark.stress.frames import Drops, Frames
from ros2_classify_benchmark.stress.models import Failing, Known, save_models
from ros2_classify_benchmark.stress.operator import Operator

RATE = 30.0
_TOPIC = '/image'
_STOPPED = re.compile(
    r'stopped: (\d+) frames received, (\d+) \w+, (\d+) replaced by newer ones, '
    r'(\d+) [\w ]+, (\d+) unusable, (\d+) failed'
    r'(?:, (\d+) beyond max_rate)?(?:, (\d+) of clips between results)?'
    r'(?:, (\d+) skipped after faults)?(?:, (\d+) dropped at the stop)?')
_SHARED_MEMORY = Path('/dev/shm')
_SEGMENT = re.compile(r'/dev/shm/(fast\w+_[0-9a-f]{16})_el\b')
_COUNTS = ('received', 'published', 'replaced', 'no subscribers', 'unusable', 'failed',
           'over rate', 'between', 'skipped', 'stopped')


class Testbed:
    """
    A server, a camera and an operator, each with its own view of what happens.

    Parameters
    ----------
    directory : Path
        For models, records and logs.
    autostart : bool
        Whether the server starts itself.

    """

    __test__ = False  # no test of pytest's

    def __init__(self, directory: Path, *, autostart: bool = True) -> None:
        self.known: list[Known]
        self.failing: list[Failing]
        self.known, self.failing = save_models(directory)
        self.record = directory / 'camera.txt'
        self.record.write_text('')
        self.log = directory / 'server.log'
        self._directory = directory
        self._env = {**environment(), 'ROS_LOG_DIR': str(directory / 'ros')}
        # This process is in the same ROS domain.
        os.environ.update({name: self._env[name] for name in (
            'ROS_DOMAIN_ID', 'ROS_AUTOMATIC_DISCOVERY_RANGE', 'ROS_LOG_DIR')})
        self.frames = Frames(self.known)
        self.drops = Drops()
        self.camera: Helper | None = None
        self.server = NodeProcess(
            [sys.executable, '-m', 'ros2_classify', 'server', '--ros-args',
             '-p', f'model:={self.known[0].path}', '-p', 'model_changes:=any',
             '-p', f'autostart:={autostart}'.lower(),
             # So that the server alone can lose images, even if the machine stalls for two
             # seconds.
             '-p', f'qos_overrides.{_TOPIC}.subscription.reliability:=reliable',
             '-p', f'qos_overrides.{_TOPIC}.subscription.depth:=60'], self._env, self.log)
        try:
            self.operator = Operator(self.frames.receive, self.drops.note)
            self.server.wait_for('active: ' if autostart else 'waiting to be configured')
            self.operator.meet()
            self.operator.listen(True)
        except BaseException:
            self.server.close()
            raise

    def open_camera(self, size: tuple[int, int] = (400, 300), encoding: str = 'rgb8') -> Helper:
        """Start the camera."""
        settings: dict[str, Any] = {
            'topic': _TOPIC, 'record': str(self.record), 'rate': RATE, 'size': size,
            'encoding': encoding}
        self.camera = Helper('ros2_classify_benchmark.stress.camera', settings, self._env,
                             self._directory / 'camera.log')
        self.camera.ready()
        return self.camera

    def close_camera(self, kill: bool = False) -> None:
        """End the camera, or kill it."""
        if self.camera is not None:
            left = segments(self.camera.pid) if kill else []
            if kill:
                os.kill(self.camera.pid, signal.SIGKILL)
            self.camera.close()
            self.camera = None
            # Otherwise an hour of kills fills the memory.
            for path in left:
                path.unlink(missing_ok=True)

    def wait_for_results(self, count: int = 1) -> None:
        """Wait for a number of further results."""
        enough = self.frames.count + count
        self.operator.wait(lambda: self.frames.count >= enough, 'the next result')

    def end(self) -> int | None:
        """End the server and return its exit code."""
        self.server.close()
        return self.server.code

    def counts(self) -> Counter[str]:
        """Return what the server has counted, from all of its activations that have ended."""
        return counts(self.server.output)

    def close(self) -> None:
        """End all that runs still."""
        self.close_camera()
        self.server.close()
        self.operator.close()

    def __enter__(self) -> Testbed:
        """Return the testbed; its processes end with the block."""
        return self

    def __exit__(
            self, kind: type[BaseException] | None, error: BaseException | None,
            trace: TracebackType | None) -> None:
        """End all."""
        self.close()


def counts(log: str) -> Counter[str]:
    """Return what a server has counted, by the lines of its log about each stop."""
    total: Counter[str] = Counter()
    for line in _STOPPED.finditer(log):
        total.update({name: int(number or 0) for name, number in zip(_COUNTS, line.groups())})
    return total


def segments(pid: int) -> list[Path]:
    """Return the files of the shared memory that a process has made, as Fast DDS names them."""
    # The owner of a segment keeps a lock open on a file beside it; others only map it.
    opened = [os.readlink(path) for path in Path(f'/proc/{pid}/fd').iterdir() if path.is_symlink()]
    names = [found[1] for found in map(_SEGMENT.match, opened) if found]
    return [path for name in names for pattern in (f'{name}*', f'sem.{name}*')
            for path in _SHARED_MEMORY.glob(pattern)]
