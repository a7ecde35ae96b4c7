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


"""Datasets of the demo cards, made once for all tests."""

from pathlib import Path
import sys

import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))


@pytest.fixture(scope='session')
def samples():
    from training import dataset
    return dataset.draw(24, seed=5)


@pytest.fixture(scope='session')
def sets(samples, tmp_path_factory):
    """Return the same images in four formats, by name."""
    from training import dataset
    root = tmp_path_factory.mktemp('sets')
    for name, write in dataset._WRITERS.items():
        write(samples, root / name)
    return {name: root / name for name in dataset._WRITERS}


@pytest.fixture(scope='session')
def crops(tmp_path_factory):
    from training import dataset
    root = tmp_path_factory.mktemp('crops')
    dataset.write_crops(60, root, seed=5)
    return root


@pytest.fixture
def evaluate(capsys):
    """Return what runs the verb: its exit code, output and messages."""
    from ros2_classify import cli

    def run(*words):
        code = cli.main(['evaluate', *map(str, words)])
        return code, *capsys.readouterr()
    return run
