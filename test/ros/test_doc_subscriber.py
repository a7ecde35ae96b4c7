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

"""The subscriber of docs/guides/subscriber.md has 20 lines, and prints what a server finds."""

import os
from pathlib import Path
import re
import select
import subprocess
import sys

import shared_data

PAGE = (shared_data.ROOT / 'docs/guides/subscriber.md').read_text(encoding='utf-8')
PROGRAM, = re.findall(r'^```python\n(.*?)^```', PAGE, flags=re.MULTILINE | re.DOTALL)
DEADLINE = 60


def test_it_has_twenty_lines() -> None:
    assert len([line for line in PROGRAM.splitlines() if line]) <= 20


def test_it_prints_what_the_server_finds(start, tmp_path: Path) -> None:
    start('server', {'model': 'cards_detector', 'provider': 'cpu'}).wait_for_line('active: ')
    path = tmp_path / 'listener.py'
    path.write_text(PROGRAM)
    listener = subprocess.Popen(
        [sys.executable, path], text=True, stdout=subprocess.PIPE, env=dict(os.environ))
    try:
        start('camera', {'source': shared_data.ROOT / 'models/cards_sheet.png', 'rate': 5.0})
        assert listener.stdout is not None
        assert select.select([listener.stdout], [], [], DEADLINE)[0], 'it printed nothing'
        line = listener.stdout.readline()
        assert re.fullmatch(r'[a-z_]+ [01]\.\d\d at \d+, \d+\n', line), line
    finally:
        listener.terminate()
        listener.communicate(timeout=DEADLINE)
