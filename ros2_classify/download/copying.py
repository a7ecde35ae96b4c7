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

"""Files copied as a whole or not at all, also from one file system to another."""

from __future__ import annotations

import os
from pathlib import Path
import shutil


def copy_whole(source: Path, target: Path) -> None:
    """
    Copy a file in one step for everybody who looks; what was at its place is replaced.

    Parameters
    ----------
    source, target : Path
        From where, and to which name, in a directory that exists.

    Raises
    ------
    OSError
        If it can't be done; the target is as it was then.

    """
    # Of this process alone: another one may copy to the same name.
    part = target.with_name(f'.{target.name}.{os.getpid()}.part')
    try:
        shutil.copyfile(source, part)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
