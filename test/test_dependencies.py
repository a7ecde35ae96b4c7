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

"""What the scripts install is pinned, and nothing in the package unpickles."""

import pickletools
import re

import pytest
from shared_data import ROOT


def test_every_line_is_a_pin():
    for path in (ROOT / 'scripts' / 'wheels').glob('*.txt'):
        for line in path.read_text().splitlines():
            assert re.match(r'#|[a-z0-9._-]+(\[.+\])?==\S+( ; .+)?$', line), f'{path}: {line}'


def test_nothing_in_the_package_unpickles_or_runs_text():
    """No pickle, marshal, shelve, eval or exec, nor what loads pickles by itself."""
    words = re.compile(
        r'\b(?:import|from) (?:pickle|cPickle|marshal|shelve|dill|joblib|cloudpickle)\b'
        r'|\b(?:eval|exec|compile|__import__)\('
        r'|allow_pickle\s*=\s*True|\bnp\.load\((?!.*allow_pickle=False)|\btorch\.load\('
        r'|yaml\.(?:load|full_load|unsafe_load|Loader|FullLoader|UnsafeLoader)\b'
        r'|shell\s*=\s*True|os\.system')
    found = [f'{path.relative_to(ROOT)}:{number}: {line.strip()}'
             for path in sorted((ROOT / 'ros2_classify').rglob('*.py'))
             for number, line in enumerate(path.read_text().splitlines(), 1)
             if words.search(re.sub(r're\.compile\(', '', line))]
    assert found == []


@pytest.mark.parametrize('suffix', ['.pkl', '.pickle', '.npy', '.npz', '.pt', '.pth', '.joblib'])
def test_no_file_of_the_package_is_a_pickle(suffix):
    assert not list((ROOT / 'ros2_classify').rglob(f'*{suffix}'))
    assert not list((ROOT / 'models').rglob(f'*{suffix}'))


def test_a_pickle_is_no_model(tmp_path):
    """A file with a pickle in it, whatever it is called, is refused and not read as one."""
    from ros2_classify import Pipeline
    from ros2_classify.errors import Ros2ClassifyError

    # What would print a word if it was unpickled, written by hand: pickle itself is not needed.
    hostile = b"cbuiltins\nprint\n(S'it ran'\ntR."
    assert [opcode.name for opcode, *_ in pickletools.genops(hostile)][:1] == ['GLOBAL']
    for name in ('net.onnx', 'net.pb', 'net.yaml', 'net.pt'):
        path = tmp_path / name
        path.write_bytes(hostile)
        with pytest.raises(Ros2ClassifyError):
            Pipeline.load(path)
