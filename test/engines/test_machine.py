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

"""What tells one processor from another."""

from pathlib import Path

import pytest

from ros2_classify.engines import machine

X86 = 'processor : {}\nmodel name : EPYC\ncpu MHz : {}\nflags : fpu sse avx2{}\n'


def test_cpus_of_one_kind_are_the_same(tmp_path: Path) -> None:
    names = []
    for number, (clock, more) in enumerate(((2000, ''), (3500, ''), (2000, ' avx512f'))):
        info = tmp_path / str(number)
        info.write_text(X86.format(0, clock, more) + X86.format(1, clock + 1, more))
        names.append(machine.cpu_features(info))
    assert names[0] == names[1] != names[2]
    assert machine.cpu_features() == machine.cpu_features()
    assert machine.cpu_features(tmp_path / 'missing')


def test_without_a_driver() -> None:
    assert machine.gpu_name(0, 'libno_such_driver.so.1') == 'unknown'


class FakeDriver:
    """A fake of NVIDIA's driver: there is no GPU here."""

    def __init__(self, devices: int) -> None:
        self.devices = devices

    def cuInit(self, flags):  # noqa: N802
        return 0

    def cuDeviceGet(self, handle, device):  # noqa: N802
        handle._obj.value = device
        return 0 if device < self.devices else 101

    def cuDeviceGetName(self, name, size, handle):  # noqa: N802
        name.value = f'Fake GPU {handle.value}'.encode()
        return 0

    def cuDeviceGetAttribute(self, value, attribute, handle):  # noqa: N802
        value._obj.value = {75: 8, 76: 6}[attribute]
        return 0


def test_with_a_fake_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.ctypes, 'CDLL', lambda name: FakeDriver(2))
    assert machine.gpu_name(1) == 'Fake GPU 1 8.6'
    assert machine.gpu_name(2) == 'unknown'


def test_the_version_of_tensorrt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, '_TENSORRT', ('pytest',))
    assert machine.tensorrt_version() == pytest.__version__
    monkeypatch.setattr(machine, '_TENSORRT', ())
    monkeypatch.setattr(machine, '_TENSORRT_LIBRARIES', ('libno_such.so',))
    assert machine.tensorrt_version() == 'unknown'
