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

"""What is said, and what is installed, before models are measured on a GPU."""

from types import SimpleNamespace

import pytest
from ros2_classify_benchmark import gpu_start
from shared_data import ROOT


def driver(code=0, count=2):
    """Return a fake of CUDA's driver interface."""
    def get_count(pointer):
        pointer._obj.value = count
        return 0

    return SimpleNamespace(cuInit=lambda flags: code, cuDeviceGetCount=get_count)


@pytest.mark.parametrize(('found', 'device', 'said'), [
    (OSError, 0, 'there is no NVIDIA driver here: libcuda.so.1 cannot be loaded'),
    (driver(code=100), 0, r'the NVIDIA driver finds no GPU \(CUDA error 100\)'),
    (driver(count=0), 0, 'finds no GPU'),
    (driver(), 2, 'there is no GPU 2: the driver has 2, counted from 0')])
def test_what_is_missing_is_said_and_nothing_is_installed(found, device, said, monkeypatch):
    def load(name):
        if found is OSError:
            raise OSError(name)
        return found

    monkeypatch.setattr(gpu_start.ctypes, 'CDLL', load)
    monkeypatch.setattr(gpu_start.sys, 'argv', ['bench_gpu', '--device', str(device)])
    monkeypatch.setattr(gpu_start, 'set_up', None)
    with pytest.raises(SystemExit, match=said):
        gpu_start.run()


def test_a_gpu_that_is_there_lacks_nothing(monkeypatch):
    monkeypatch.setattr(gpu_start.ctypes, 'CDLL', lambda name: driver())
    assert gpu_start.missing(1) == ''


@pytest.mark.parametrize('words', [['--help'], ['--runs', '0'], ['--device', '-1']])
def test_wrong_words_and_help_install_nothing(words, monkeypatch, capsys):
    monkeypatch.setattr(gpu_start.sys, 'argv', ['bench_gpu', *words])
    monkeypatch.setattr(gpu_start, 'set_up', None)
    with pytest.raises(SystemExit) as end:
        gpu_start.run()
    assert end.value.code == (0 if words == ['--help'] else 2)


@pytest.mark.parametrize('without', [False, True])
def test_the_environment_is_made_once_and_goes_without_tensorrt(
        without, monkeypatch, tmp_path, capsys):
    called = []

    def call(*command, name):
        called.append(str(command[-1]))
        if 'venv' in command:
            (command[-1] / 'bin').mkdir(parents=True)
            (command[-1] / 'bin' / 'python').write_text('')
        if without and 'tensorrt' in str(command[-1]):
            raise SystemExit('no such package')

    monkeypatch.setattr(gpu_start, 'call', call)
    directory = tmp_path / 'gpu'
    gpu_start.set_up(directory)
    assert called[1:] == ['.[gpu,tools]', 'tensorrt>=10,<11']
    assert (directory / 'bin' / 'python').exists()
    assert ('TensorRT could not be installed' in capsys.readouterr().err) == without
    del called[:]
    gpu_start.set_up(directory)
    # What was not available is tried again.
    assert called == (['tensorrt>=10,<11'] if without else [])


def test_an_incomplete_environment_is_made_again(monkeypatch, tmp_path):
    def fail(*command, name):
        if 'pip' in command:
            raise SystemExit('no network')
        (command[-1] / 'bin').mkdir(parents=True)
        (command[-1] / 'bin' / 'python').write_text('')

    monkeypatch.setattr(gpu_start, 'call', fail)
    with pytest.raises(SystemExit, match='no network'):
        gpu_start.set_up(tmp_path / 'gpu')
    assert not (tmp_path / 'gpu').exists()


def test_it_can_be_started():
    path = ROOT / 'scripts' / 'bench_gpu'
    assert path.stat().st_mode & 0o111
    assert 'gpu_start.py' in path.read_text()
