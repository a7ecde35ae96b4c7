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
"""Build the pages below docs with Sphinx; a warning is a failure: pages.py [DIRECTORY]."""

from __future__ import annotations

from pathlib import Path
import subprocess
import sys
import tempfile

from environment import directory_of, main, ROOT
from set_up import set_up_beside


def _main() -> int:
    # Sphinx needs another docutils than the environment of ROS 2.
    set_up_beside('pages', 'Sphinx', quiet=True)
    with tempfile.TemporaryDirectory(prefix='ros2_classify_pages_') as temporary:
        return subprocess.run(
            [directory_of('pages') / 'bin' / 'python', '-m', 'sphinx', '--builder', 'html',
             '--quiet', '--fail-on-warning', '--keep-going', '--doctree-dir', f'{temporary}/tree',
             ROOT / 'docs', Path(*sys.argv[1:2]) if sys.argv[1:] else f'{temporary}/html'],
            check=False).returncode


if __name__ == '__main__':
    sys.exit(main(_main))
