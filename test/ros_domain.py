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
"""A ROS domain for each process that runs tests: no two on one machine share one."""

from __future__ import annotations

from collections.abc import Iterable
import contextlib
import fcntl
import os
from pathlib import Path
import tempfile

# Fast DDS needs ports for each; up to 101 they are below those that Linux gives to others. The
# demo and the benchmark choose among the rest.
DOMAINS = range(1, 61)
LOCKS = Path(tempfile.gettempdir(), 'ros2_classify_domains')


def take_domain(domains: Iterable[int] = DOMAINS, locks: Path = LOCKS) -> tuple[int, int]:
    """Lock a domain that nobody has; return it and the lock, held until this process ends."""
    # For all users of the machine.
    with contextlib.suppress(FileExistsError):
        locks.mkdir()
        locks.chmod(0o1777)
    for domain in domains:
        try:
            lock = os.open(locks / str(domain), os.O_RDONLY | os.O_CREAT, 0o644)
        except PermissionError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        return domain, lock
    raise RuntimeError(f'all ROS domains are in use: see {locks}')
