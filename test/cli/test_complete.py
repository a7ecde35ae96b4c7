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

"""Shell completion: what the shell would be given."""

import os
from pathlib import Path
import shutil
import subprocess
import sys
import tempfile

import pytest
import shared_data

pytest.importorskip('argcomplete')


def completions(line, *variables, program=('-m', 'ros2_classify')):
    """Return what argcomplete prints for a line, as bash asks for it."""
    with tempfile.NamedTemporaryFile() as file:
        subprocess.run(
            [sys.executable, *program], check=False, timeout=60, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, cwd=shared_data.ROOT, env={
                **os.environ, 'PYTHONPATH': str(shared_data.ROOT), '_ARGCOMPLETE': '1',
                '_ARGCOMPLETE_IFS': '\013', '_ARGCOMPLETE_STDOUT_FILENAME': file.name,
                'COMP_LINE': line, 'COMP_POINT': str(len(line)), 'COMP_TYPE': '9'})
        return [word.strip() for word in Path(file.name).read_text().split('\013')]


@pytest.mark.parametrize('line, expected', [
    ('ros2_classify in', ['infer']), ('ros2_classify models ver', ['verify']),
    ('ros2_classify infer --thre', ['--threshold', '--threads']),
    ('ros2_classify infer cards_det', ['cards_detector']),
    ('ros2_classify infer --model cards_det', ['cards_detector']),
    ('ros2_classify models show yolox_n', ['yolox_nano']),
    ('ros2_classify watch cards_cl', ['cards_classifier']),
    ('ros2_classify infer cards_detector models/cards_sheet.p', [
        'models/cards_sheet.pdf', 'models/cards_sheet.png']),
    ('ros2_classify infer --input un', ['unit'])])
def test_what_is_completed(line, expected):
    assert sorted(completions(line)) == sorted(expected)


def test_the_second_word_is_no_model():
    assert 'cards_detector' not in completions('ros2_classify infer yolox_s cards_d')


def test_the_program_that_the_shell_finds():
    program = shutil.which('ros2_classify')
    if program is None:
        pytest.skip('only scripts/setup puts it on the path')
    assert completions('ros2_classify doc', program=(program,)) == ['doctor']


def test_the_module_says_that_it_completes():
    """What the shell looks for before it runs ``python -m ros2_classify``."""
    subprocess.run(
        [sys.executable, '-m', 'argcomplete._check_module', 'ros2_classify'], check=True,
        timeout=60, cwd=shared_data.ROOT, env={**os.environ, 'PYTHONPATH': str(shared_data.ROOT)})


def test_nothing_is_imported_without_a_shell_that_asks():
    code = """
import sys
from ros2_classify.cli import main
try:
    main(['--version'])
except SystemExit:
    pass
assert not {'argcomplete', 'numpy'} & set(sys.modules)
"""
    subprocess.run([sys.executable, '-c', code], check=True, timeout=60,
                   env={**os.environ, 'PYTHONPATH': str(shared_data.ROOT)})
