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
"""A control group of the kernel: bounds for the memory and the processor time of a process."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
import secrets
import time
from types import TracebackType

_ROOT = Path('/sys/fs/cgroup')
# cpu.max and cpu.cfs_period_us, in microseconds.
_PERIOD = 100_000
_CONTROLLERS = ('memory', 'cpu')


class ControlGroup:
    """
    A group below that of this process, so that what bounds this process bounds it as well.

    Parameters
    ----------
    memory : int
        Bytes.
    root, own : Path
        Where groups are, and the file that says which are this process' own; for tests.

    Raises
    ------
    OSError
        If this process may make none.

    """

    def __init__(self, memory: int, root: Path = _ROOT,
                 own: Path = Path('/proc/self/cgroup')) -> None:
        name = f'ros2_classify_{os.getpid()}_{secrets.token_hex(4)}'
        groups = {controllers: path for _, controllers, path in (
            line.split(':', 2) for line in own.read_text().splitlines())}
        self._is_v1 = 'memory' in groups
        if self._is_v1:
            self._paths = {each: root / each / groups[each].lstrip('/') / name
                           for each in _CONTROLLERS}
        else:
            parent = root / groups[''].lstrip('/')
            with contextlib.suppress(OSError):
                (parent / 'cgroup.subtree_control').write_text('+memory +cpu')
            self._paths = dict.fromkeys(_CONTROLLERS, parent / name)
        try:
            for path in dict.fromkeys(self._paths.values()):
                path.mkdir()
            self._write('memory', 'memory.limit_in_bytes', 'memory.max', str(memory))
        except OSError:
            self.close()
            raise

    def command(self) -> list[str]:
        """Return the first words of a command that is to run in this group."""
        files = ' '.join(f"'{path}/cgroup.procs'" for path in dict.fromkeys(self._paths.values()))
        return ['sh', '-c', f'for group in {files}; do echo $$ > "$group" || exit 1; done; '
                'exec "$@"', 'in_group']

    def limit_processor(self, share: float | None) -> None:
        """Allow a share of one processor, or all of them."""
        if self._is_v1:
            quota = -1 if share is None else round(share * _PERIOD)
            (self._paths['cpu'] / 'cpu.cfs_quota_us').write_text(str(quota))
        else:
            quota_text = 'max' if share is None else str(round(share * _PERIOD))
            (self._paths['cpu'] / 'cpu.max').write_text(f'{quota_text} {_PERIOD}')

    def memory(self) -> int:
        """Return how many bytes are in use, those of cached files included."""
        return int(self._read('memory.usage_in_bytes', 'memory.current'))

    def kills(self) -> int:
        """Return how many processes the kernel has ended for want of memory."""
        text = self._read('memory.oom_control', 'memory.events')
        return next((int(line.split()[1]) for line in text.splitlines()
                     if line.startswith('oom_kill ')), 0)

    def close(self) -> None:
        """Remove the group once its processes have ended."""
        for path in dict.fromkeys(self._paths.values()):
            end = time.monotonic() + 5.0
            while path.exists():
                try:
                    path.rmdir()
                except OSError:
                    if time.monotonic() > end:
                        break
                    time.sleep(0.1)

    def __enter__(self) -> ControlGroup:
        """Return the group."""
        return self

    def __exit__(
            self, kind: type[BaseException] | None, error: BaseException | None,
            trace: TracebackType | None) -> None:
        """Remove it."""
        self.close()

    def _write(self, controller: str, v1: str, v2: str, value: str) -> None:
        path = self._paths[controller] / (v1 if self._is_v1 else v2)
        if not path.exists():
            raise OSError(f'{path} does not exist')
        path.write_text(value)

    def _read(self, v1: str, v2: str) -> str:
        return (self._paths['memory'] / (v1 if self._is_v1 else v2)).read_text()


def control_group(memory: int) -> ControlGroup | None:
    """Return a group with a limit of memory, where this process may make one."""
    try:
        return ControlGroup(memory)
    except (OSError, KeyError):
        return None
