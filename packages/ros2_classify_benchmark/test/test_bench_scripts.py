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
"""``scripts/bench`` and ``scripts/reliability`` run in the environment of the scripts."""

import os
import subprocess

import pytest
from shared_data import ROOT


@pytest.mark.skipif('ROS2_CLASSIFY_TEST_ROS' not in os.environ,
                    reason='runs where scripts/test has set up the environment')
@pytest.mark.parametrize('words, code, said', [
    (['bench', '--help'], 0, '--quick'), (['bench', '--rate', 'x'], 2, '--rate'),
    (['reliability', '--help'], 0, 'scripts/reliability')])
def test_words_are_handed_on_and_the_exit_code_comes_back(words, code, said):
    done = subprocess.run([ROOT / 'scripts' / words[0], *words[1:]], capture_output=True,
                          text=True, check=False, timeout=120, cwd='/')
    assert done.returncode == code
    assert said in done.stdout + done.stderr
