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


"""``scripts/bench`` runs the benchmark in the environment of the scripts."""

from pathlib import Path
import sys

import pytest
from shared_data import ROOT

environment = pytest.importorskip('environment')


@pytest.fixture
def script(monkeypatch):
    """Return the program, with this Python's own environment set up already."""
    import module

    own = environment.Environment('jazzy', False, Path(sys.prefix), sys.executable)
    monkeypatch.setattr(module, 'choose', lambda: own)
    monkeypatch.setattr(module, 'set_up', lambda *args, **kwargs: None)
    return lambda: module.run_module(['ros2_classify', 'bench'])


def test_words_are_handed_on_and_the_exit_code_comes_back(script, monkeypatch, capfd):
    for words, code, said in ((['--help'], 0, '--quick'), (['--rate', 'x'], 2, 'no number')):
        monkeypatch.setattr(sys, 'argv', ['bench', *words])
        assert script() == code
        out, err = capfd.readouterr()
        assert said in out + err


def test_it_can_be_started():
    path = ROOT / 'scripts' / 'bench'
    assert path.stat().st_mode & 0o111
    assert 'tools/run" bench' in path.read_text()
