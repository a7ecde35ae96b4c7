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

import hashlib
import pickletools
import re
import subprocess
import sys
import zipfile

import pytest
from shared_data import ROOT


WHEELS = ROOT / 'scripts' / 'wheels'


@pytest.mark.parametrize('path', sorted(WHEELS.glob('*.txt')), ids=lambda path: path.stem)
def test_every_line_is_a_pin_with_hashes(path):
    """And the header says how they were made."""
    header, command, *lines = path.read_text().splitlines()
    assert header.startswith('# Pinned from') and '--generate-hashes' in command
    assert command.endswith(f' {path.stem}.in -o {path.name}')
    pins = re.sub(r' \\\n +', ' ', '\n'.join(lines)).split('\n')
    for pin in pins:
        assert re.fullmatch(
            r'[a-z0-9._-]+(\[.+\])?==[^ ;]+( ; [^-\\]+?)?( --hash=sha256:[0-9a-f]{64})+', pin), pin


def test_the_pages_that_tell_how_to_pin_ask_for_hashes():
    assert 'pip compile --universal --python-version 3.10 --no-annotate --generate-hashes' in (
        ROOT / 'CONTRIBUTING.md').read_text()


def test_the_floor_of_onnx_runtime():
    """What the extras ask for is what `doctor` warns below, wherever a wheel of it exists."""
    from ros2_classify.doctor.python_checks import _FLOOR

    floor = '.'.join(map(str, _FLOOR))
    for path in ('setup.py', 'training/requirements.txt'):
        found = re.findall(
            r'onnxruntime(?:-gpu\[cuda,cudnn\])?>=([\d.]+)(?:; python_version (..?) .(3\.\d+).)?',
            (ROOT / path).read_text())
        assert set(found) == {(floor, '>=', '3.11'), ('1.23.2', '<', '3.11')}, path
    for path in (WHEELS / 'jazzy.txt', WHEELS / 'kilted.txt'):
        for version, older in re.findall(
                r'^onnxruntime==([\d.]+) ; python_full_version (<)?', path.read_text(), re.M):
            assert version == '1.23.2' if older else (
                tuple(map(int, version.split('.')[:2])) >= _FLOOR)


def test_a_package_with_another_hash_is_refused(tmp_path):
    """By pip, with the options of scripts/setup: what it installs is what was pinned."""
    wheel = tmp_path / 'tiny-1.0-py3-none-any.whl'
    with zipfile.ZipFile(wheel, 'w') as archive:
        archive.writestr('tiny.py', '')
        archive.writestr('tiny-1.0.dist-info/METADATA',
                         'Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n')
        archive.writestr('tiny-1.0.dist-info/WHEEL', 'Wheel-Version: 1.0\nGenerator: test\n'
                         'Root-Is-Purelib: true\nTag: py3-none-any\n')
        archive.writestr('tiny-1.0.dist-info/RECORD', '')
    source = (ROOT / 'scripts' / 'tools' / 'set_up.py').read_text()
    options = ['--no-deps', '--require-hashes', '-r']
    assert len(re.findall(r"'--no-deps', '--require-hashes', '-r'", source)) == 2
    pins = tmp_path / 'pins.txt'
    good = hashlib.sha256(wheel.read_bytes()).hexdigest()
    for digest, code in ((good, 0), ('0' * 64, 1), ('', 1)):
        pins.write_text('tiny==1.0' + (f' --hash=sha256:{digest}' if digest else ''))
        done = subprocess.run(
            [sys.executable, '-m', 'pip', 'install', '--quiet', '--no-index', '--find-links',
             tmp_path, '--target', tmp_path / 'target', '--upgrade', *options, pins],
            capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == code, done.stderr
        assert code == 0 or 'hash' in done.stderr.lower()


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
