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

from ros2_classify.engines import hardware as machine

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


def cores(directory: Path, group: str = '0::/\n') -> int:
    own = directory / 'cgroup'
    own.write_text(group)
    return machine.usable_cores(directory / 'groups', own)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_quota_of_time_counts_as_fewer_cores(
        monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # Numbers that no machine has, so that each is a core of its own.
    monkeypatch.setattr('os.sched_getaffinity', lambda _: set(range(5000, 5008)))
    assert cores(tmp_path) == 8
    limit = tmp_path / 'groups/cpu.max'
    for text, expected in (('max 100000\n', 8), ('250000 100000\n', 2), ('50000 100000\n', 1),
                           ('1600000 100000\n', 8), ('x', 8), ('', 8), ('5 0', 8)):
        write(limit, text)
        assert cores(tmp_path) == expected, text


def test_the_narrowest_of_the_groups_above_counts(
        monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr('os.sched_getaffinity', lambda _: set(range(5000, 5008)))
    group = '12:cpu:/other\n0::/robot.slice/vision.service\n'
    write(tmp_path / 'groups/robot.slice/cpu.max', '300000 100000\n')
    write(tmp_path / 'groups/other/cpu.max', '100000 100000\n')
    assert cores(tmp_path, group) == 3
    write(tmp_path / 'groups/robot.slice/vision.service/cpu.max', '200000 100000\n')
    assert cores(tmp_path, group) == 2
    assert cores(tmp_path, '0::/robot.slice\n') == 3


def test_the_quota_of_control_groups_of_version_1(
        monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr('os.sched_getaffinity', lambda _: set(range(5000, 5008)))
    write(tmp_path / 'groups/cpu/cpu.cfs_period_us', '100000\n')
    for text, expected in (('-1\n', 8), ('400000\n', 4)):
        write(tmp_path / 'groups/cpu/cpu.cfs_quota_us', text)
        assert cores(tmp_path) == expected


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
