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
Whether a camera on this machine can share memory with this process, as Fast DDS does.

Fast DDS takes two participants with one host id for neighbours, and sends over shared memory
alone: what a container with a `/dev/shm` of its own, or another user's process, never sees. The
identity of a publisher holds the host id and the process id; the rest is read from `/proc`.
"""

from __future__ import annotations

from collections.abc import Sequence
import os
from pathlib import Path
import shutil

_VENDOR = bytes((1, 15))
# The name that the graph has until a participant's own words have come.
_UNKNOWN = '_NODE_NAME_UNKNOWN_'
_MAPPED = '/dev/shm/fast'
# One segment of the shipped profile.
_SEGMENT = 24 * 2**20


def obstacle(
        camera: Sequence[int], own: Sequence[int], node_name: str = '', *,
        proc: Path = Path('/proc'), directory: Path = Path('/dev/shm')) -> tuple[str, str]:
    """
    Return what keeps a camera's images away, and words about it; two empty ones if nothing does.

    ``user``: its process is another user's; ``container``: it has another `/dev/shm`; ``small``:
    `/dev/shm` is too small for one of both. `camera` and `own` are the identities of its
    publisher and of any endpoint of this process.
    """
    theirs, ours = bytes(camera), bytes(own)
    if len(theirs) < 8 or theirs[:2] != _VENDOR or theirs[:4] != ours[:4]:
        return '', ''  # another middleware or another machine
    number = int.from_bytes(theirs[4:6], 'little')
    if number == os.getpid() & 0xffff:
        return '', ''
    processes = (int(each.name) for each in proc.iterdir() if each.name.isdigit())
    found = [pid for pid in processes if pid & 0xffff == number]
    for pid in found:
        try:
            user = (proc / str(pid)).stat().st_uid
            if user != os.geteuid():
                return 'user', f'user {user}, this node as user {os.geteuid()}'
            their_directory = proc / str(pid) / 'root' / directory.relative_to('/')
            if not their_directory.samefile(directory):
                return 'container', f'process {pid}'
            usage = shutil.disk_usage(directory)
            shared = _shares(proc / str(pid)) and _shares(proc / 'self')
            # Another transport may have been asked for.
            if usage.total < _SEGMENT or not shared and usage.free < _SEGMENT:
                return 'small', (f'{usage.total / 2**20:.0f} MiB, {usage.free / 2**20:.0f} MiB '
                                 'of them free')
        except OSError:  # it has just ended, or may not be looked at
            continue
    # A camera that was killed has been heard; one whose process can't be seen has not.
    return ('container', 'its process is not visible here') if (
        not found and node_name == _UNKNOWN) else ('', '')


def _shares(process: Path) -> bool:
    return _MAPPED in (process / 'maps').read_text(errors='replace')
