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

"""A checkout, a cache and a home that cannot be written: sentences, or it works anyway."""

import hashlib
import os
import shutil
import subprocess
import sys

import pytest
from shared_data import ROOT

SCRIPT = """
set -e
for place in "$0" "$1"; do
  mount --bind "$place" "$place"
  mount -o remount,ro,bind "$place"
done
shift
exec "$@"
"""


@pytest.fixture
def place(tmp_path):
    """Return a directory that the programs of this module can't write to."""
    path = tmp_path / 'place'
    path.mkdir()
    return path


@pytest.fixture
def within(place):
    """Return the words before a command that mount the checkout and `place` for reading only."""
    words = ['unshare', '-m' if os.geteuid() == 0 else '-rm', 'bash', '-c', SCRIPT, str(ROOT),
             str(place)]
    trial = subprocess.run([*words, 'bash', '-c', f'! touch {ROOT}/written {place}/written'],
                           capture_output=True, text=True, check=False)
    if trial.returncode:
        pytest.skip(f'this kernel mounts nothing: {trial.stderr.strip()}')
    assert not (ROOT / 'written').exists() and 'Read-only' in trial.stderr
    return words


def run(within, place, *command, **variables):
    return subprocess.run(
        [*within, *map(str, command)], capture_output=True, text=True, check=False, timeout=120,
        env={**os.environ, 'HOME': str(place), 'ROS2_CLASSIFY_CACHE': str(place / 'cache'),
             **variables})


def test_models_run_and_results_are_printed(within, place):
    done = run(within, place, sys.executable, '-m', 'ros2_classify', 'infer', 'cards_detector',
               ROOT / 'docs' / 'images' / 'demo.jpg')
    assert done.returncode == 0, done.stderr
    assert 'Traceback' not in done.stderr and 'detection' in done.stdout.lower()


def test_what_must_be_written_is_a_sentence(within, place):
    model = ROOT / 'models' / 'cards_detector.onnx'
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    descriptor = place / 'm.yaml'
    shutil.copy(model, place / 'm.onnx')
    descriptor.write_text(
        f'source: {{url: "{(place / "m.onnx").as_uri()}", sha256: {digest}}}\n')
    program = [sys.executable, '-m', 'ros2_classify']
    for words, said in (
            (['models', 'fetch', descriptor], 'set ROS2_CLASSIFY_CACHE to a writable directory'),
            (['infer', model, ROOT / 'docs' / 'images' / 'demo.jpg', '--out', place / 'x.png'],
             'x.png cannot be written')):
        done = run(within, place, *program, *words)
        assert done.returncode not in (0, -6, -11), done.stderr
        assert said in done.stderr and 'Read-only' in done.stderr, done.stderr
        assert 'Traceback' not in done.stderr


def test_the_scripts_say_what_they_would_write(within, place):
    done = run(within, place, ROOT / 'scripts' / 'setup', '--again')
    assert done.returncode == 2, done.stderr
    assert 'cannot be written: Read-only file system' in done.stderr
    assert 'Traceback' not in done.stderr


def test_a_server_works_where_its_log_can_be_written(start, within, place, tmp_path):
    environment = {'HOME': str(place), 'ROS2_CLASSIFY_CACHE': str(place / 'cache'),
                   'ROS_LOG_DIR': str(tmp_path / 'log')}
    server = start('server', {'model': 'cards_detector'}, environment=environment, within=within)
    server.wait_for_line('active: ')
    server.stop()
    server = start('server', {'model': 'cards_detector'}, within=within,
                   environment={**environment, 'ROS_LOG_DIR': str(place / 'log')})
    assert server.wait() == 1
    assert 'set ROS_LOG_DIR to a directory that you may write to' in server.output
