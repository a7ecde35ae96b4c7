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

"""The programs of examples/ run, and print what they promise."""

from __future__ import annotations

import os
from pathlib import Path
import re
import select
import subprocess
import sys
from typing import Any

import pytest
from shared_data import ROOT

EXAMPLES = ROOT / 'examples'
SHEET = ROOT / 'models/cards_sheet.png'
DEADLINE = 60

try:
    from ros_fixtures import *  # noqa: F401, F403 -- pytest finds fixtures by name
    import rclpy  # noqa: F401 -- tells whether ROS is here
    NO_ROS = False
except ImportError:
    NO_ROS = True
needs_ros = pytest.mark.skipif(NO_ROS, reason='rclpy is not installed')


def run(name: str, *arguments: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(name, *arguments), text=True, capture_output=True,
                          timeout=DEADLINE, env=environment())


def command(name: str, *arguments: Any) -> list[str]:
    return [sys.executable, str(EXAMPLES / name), *map(str, arguments)]


def environment() -> dict[str, str]:
    paths = [str(ROOT), *filter(None, [os.environ.get('PYTHONPATH')])]
    return {**os.environ, 'PYTHONPATH': os.pathsep.join(paths)}


def test_the_page_lists_all_programs() -> None:
    listed = re.findall(r'^\| \[(\w+\.py)\]', (EXAMPLES / 'README.md').read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(path.name for path in EXAMPLES.glob('*.py'))


def test_a_file_is_classified() -> None:
    image = next((ROOT / 'models').glob('*/one_card.jpg'))
    done = run('classify_file.py', image)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r'(\w+: [01]\.\d\d\n)+', done.stdout), done.stdout
    done = run('classify_file.py', SHEET, '--model', 'cards_detector')
    assert done.returncode and 'the task is detection' in done.stderr


def test_an_own_decoder_finds_its_object() -> None:
    done = run('own_decoder.py')
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1].split() == [
        'corner', '0.900', '24', '56', '40', '72', '0']


@needs_ros
def test_the_largest_object_is_printed(start: Any, peer: Any, detector: Path) -> None:
    server = start('server', {'model': detector, 'provider': 'cpu'})
    server.wait_for_line('active|ready')
    subscriber = subprocess.Popen(
        command('print_largest.py'), text=True, stdout=subprocess.PIPE, env=environment())
    try:
        start('camera', {'source': SHEET, 'rate': 5.0})
        assert subscriber.stdout is not None
        assert select.select([subscriber.stdout], [], [], DEADLINE)[0], 'it printed nothing'
        line = subscriber.stdout.readline()
        assert re.fullmatch(r'\w+ [01]\.\d\d at \d+, \d+\n', line), line
    finally:
        subscriber.terminate()
        subscriber.communicate(timeout=DEADLINE)


@needs_ros
def test_the_model_of_a_running_server_is_replaced(
        start: Any, peer: Any, classifier: Path, tmp_path: Path) -> None:
    from ros_models import save_classifier

    other = save_classifier(tmp_path)
    start('server', {'model': classifier, 'provider': 'cpu',
                     'model_roots': f'{classifier.parent}:{tmp_path}'},
          ).wait_for_line('active|ready')
    done = run('change_model.py', other)
    assert (done.returncode, done.stdout) == (0, f'/server runs {other}\n'), done.stderr
    assert peer.get('model') == str(other)
    done = run('change_model.py', 'no_such_model')
    assert done.returncode == 1
    assert done.stderr.startswith('error: ') and 'no_such_model' in done.stderr


@needs_ros
def test_it_waits_until_an_object_is_seen(start: Any, peer: Any, detector: Path) -> None:
    pytest.importorskip('ros2_classify_interfaces.action')
    start('server', {'model': detector, 'provider': 'cpu'}).wait_for_line('active|ready')
    start('camera', {'source': SHEET, 'rate': 5.0})
    done = run('look_until.py', '--class', 'cup', '--times', 3)
    assert done.returncode == 0, done.stderr
    *feedback, last = done.stdout.splitlines()
    assert feedback == [f'{count} images, seen in {count}' for count in (1, 2, 3)]
    assert last == 'cup was seen in 3 of 3 images on /image'
    done = run('look_until.py', '--class', 'cupp')
    assert (done.returncode, done.stdout) == (
        2, "the model has no class 'cupp': did you mean 'cup'?\n")


@needs_ros
def test_the_lifecycle_is_driven(start: Any, peer: Any, classifier: Path) -> None:
    start('server', {'model': classifier, 'provider': 'cpu', 'autostart': False})
    done = run('drive_lifecycle.py', 'configure', 'activate', 'deactivate', 'cleanup')
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        'configure: inactive', 'activate: active', 'deactivate: inactive',
        'cleanup: unconfigured']
    done = run('drive_lifecycle.py', 'activate')
    assert done.returncode == 1 and 'activate failed' in done.stderr
