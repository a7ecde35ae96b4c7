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

"""Whether the log files have room: a full disk loses lines, of which no log can tell."""

from __future__ import annotations

import os
import sys

from rclpy.logging import get_logging_directory
from ros2_classify.progress import human_size
from ros2_classify.ros.diagnostics.issues import find, Issue

# Bytes: some hundred lines.
_LEAST = 64 << 10


def log_disk_issues(directory: str | None = None) -> list[Issue]:
    """Return a warning if the disk of the log files is full."""
    if '--disable-external-lib-logs' in sys.argv:
        return []
    directory = str(get_logging_directory()) if directory is None else directory
    try:
        disk = os.statvfs(directory)
    except OSError:  # it may have been removed
        return []
    left = disk.f_bavail * disk.f_frsize
    # Some file systems have no size.
    return [] if left >= _LEAST or not disk.f_blocks else [find(
        'log_disk_full', directory=directory, left=human_size(left))]
