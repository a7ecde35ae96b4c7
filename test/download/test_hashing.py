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

"""The sha256 of a directory is what the documented command line gives."""

from __future__ import annotations

from pathlib import Path
import subprocess

from ros2_classify.download.hashing import sha256_of_directory


def test_a_directory_hashes_as_the_shell_does(tmp_path: Path) -> None:
    for name in ('b/c.txt', 'a.txt', 'B.txt', 'b.txt', 'b/a/x', 'ä.txt'):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / 'empty').mkdir()
    shell = subprocess.run(
        'find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum', shell=True,
        cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert sha256_of_directory(tmp_path) == shell.split()[0]
