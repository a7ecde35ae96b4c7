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

"""Too little memory and too few processors are said, from files as the kernel writes them."""

from __future__ import annotations

from pathlib import Path
import subprocess
import sys
import time

import pytest
from ros2_classify.ros.diagnostics.issues import Status
from ros2_classify.ros.diagnostics.machine import count, Machine, ran_and_waited, waiting
from ros2_classify_benchmark.stress.control_group import control_group

MIB = 1 << 20
PRESSURE = ('some avg10={:.2f} avg60=24.40 avg300=17.75 total=23751259360\n'
            'full avg10=0.00 avg60=0.00 avg300=0.00 total=83897\n')
EVENTS = 'low 0\nhigh 0\nmax 5183\noom 2\noom_kill {}\noom_group_kill 0\n'
OOM_CONTROL = 'oom_kill_disable 0\nunder_oom 0\noom_kill {}\n'
CPU_STAT = ('usage_usec 88411\nuser_usec 50000\nsystem_usec 38411\nnr_periods {}\n'
            'nr_throttled {}\nthrottled_usec 4000\n')


class Kernel:
    """The files of a machine, and what is said of them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.now = 0.0
        self.write('proc/meminfo', f'MemAvailable: {8 << 20} kB\n')

    def write(self, name: str, text: str) -> None:
        """Write a file, and its directory."""
        path = self._directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def threads(self, **times: str) -> None:
        """Write the times of threads, by name."""
        for name, text in times.items():
            self.write(f'proc/self/task/{name}/schedstat', text)

    def machine(self) -> Machine:
        """Return what reads them."""
        return Machine(self._directory / 'proc', self._directory / 'groups', lambda: self.now)


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    """Return a machine with enough memory, which tells no more than that."""
    return Kernel(tmp_path)


def test_what_is_read_of_the_files() -> None:
    assert waiting(PRESSURE.format(12.19)) == 12.19
    assert waiting('some avg10=7 avg60=0 total=1') == 7.0
    assert count(EVENTS.format(3), 'oom_kill') == count(OOM_CONTROL.format(3), 'oom_kill') == 3
    assert count(CPU_STAT.format(40, 31), 'nr_throttled') == 31
    assert ran_and_waited('51268896 59001760 178\n') == (51268896, 59001760)
    for text in ('', 'some', 'full avg10=5.0', 'some avg10=nan', '\0' * 9, 'x' * 100_000):
        assert waiting(text) is None
        assert count(text, 'oom_kill') is None and ran_and_waited(text) == (0, 0)


def test_without_the_files_nothing_is_said(tmp_path: Path) -> None:
    machine = Machine(tmp_path / 'none', tmp_path / 'none')
    assert machine.status() == machine.status() == Status(
        0, 'the kernel tells nothing about memory and processors')  # type: ignore[arg-type]


def test_enough_is_fine(kernel: Kernel) -> None:
    kernel.write('proc/pressure/memory', PRESSURE.format(0.4))
    # Others wait, and this process does not.
    kernel.write('proc/pressure/cpu', PRESSURE.format(97.0))
    machine = kernel.machine()
    for times in ('1000 500 1\n', '2000 700 2\n'):
        kernel.threads(main=times)
        status = machine.status()
        assert (status.level, status.message) == (0, 'memory and processors suffice')
    assert dict(status.values) == {
        'memory left': '8.6 GB', 'waiting for memory [%]': '0',
        'waiting for a processor [%]': '97', 'this process waiting for a processor [%]': '17'}


def test_memory_that_is_nearly_used_up(kernel: Kernel) -> None:
    kernel.write('proc/self/cgroup', '0::/a\n')
    kernel.write('groups/a/memory.max', f'{1024 * MIB}')
    kernel.write('groups/a/memory.stat', f'anon {900 * MIB}\nfile {200 * MIB}\n')
    machine = kernel.machine()
    assert machine.status().level == 0
    kernel.write('groups/a/memory.stat', f'anon {1000 * MIB}\nfile 0\n')
    status = machine.status()
    assert status.level == 1
    assert 'memory is short: 25.2 MB are left on this machine or in its container;' in (
        status.message)


@pytest.mark.parametrize('place', ['proc/pressure/memory', 'groups/a/memory.pressure'])
def test_processes_that_wait_for_memory(kernel: Kernel, place: str) -> None:
    kernel.write('proc/self/cgroup', '0::/a\n')
    kernel.write('proc/pressure/memory', PRESSURE.format(0.0))
    kernel.write('groups/a/memory.stat', 'anon 0\n')
    kernel.write(place, PRESSURE.format(31.5))
    status = kernel.machine().status()
    assert status.level == 1
    assert 'memory is short: processes waited for it in 32 % of the last 10 s;' in status.message


@pytest.mark.parametrize(('own', 'file', 'text'), [
    ('0::/a\n', 'groups/a/memory.events', EVENTS),
    ('4:memory:/a\n0::/\n', 'groups/memory/a/memory.oom_control', OOM_CONTROL)])
def test_a_process_that_the_kernel_ended(
        kernel: Kernel, own: str, file: str, text: str) -> None:
    kernel.write('proc/self/cgroup', own)
    kernel.write(str(Path(file).with_name('memory.stat')), 'anon 0\n')
    kernel.write(file, text.format(7))
    machine = kernel.machine()
    # Whatever was before this process is not its matter.
    assert machine.status().level == 0
    kernel.write(file, text.format(8))
    for kernel.now in (1.0, 60.0):
        status = machine.status()
        assert status.level == 1 and 'the kernel ended a process of this container' in (
            status.message)
    kernel.now = 61.0
    assert machine.status().level == 0


@pytest.mark.parametrize(('own', 'file'), [
    ('0::/a\n', 'groups/a/cpu.stat'), ('2:cpu:/a\n0::/\n', 'groups/cpu/a/cpu.stat'),
    # The limit of a group above, as in a container.
    ('0::/a/b\n', 'groups/a/cpu.stat')])
def test_a_container_that_may_use_no_more(kernel: Kernel, own: str, file: str) -> None:
    kernel.write('proc/self/cgroup', own)
    machine = kernel.machine()
    levels = []
    # Before it is asked, hardly ever, too seldom to tell, nearly always, never.
    for numbers in ((500, 400), (510, 402), (513, 405), (523, 414), (533, 414)):
        kernel.write(file, CPU_STAT.format(*numbers))
        status = machine.status()
        levels.append(int(status.level))
        if status.level:
            assert 'processors are short: the limit of its container halted it in 90 %' in (
                status.message)
    assert levels == [0, 0, 0, 1, 0]


def test_a_process_that_waits_more_than_it_runs(kernel: Kernel) -> None:
    kernel.write('proc/pressure/cpu', PRESSURE.format(80.0))
    machine = kernel.machine()
    kernel.threads(main='1000 9000 1\n', worker='0 0 0\n')
    assert machine.status().level == 0
    # One thread has waited; another one is new, and its past unknown.
    kernel.threads(main='2000 9500 2\n', worker='1000 5500 9\n', new='0 90000 1\n')
    status = machine.status()
    assert status.level == 1
    assert 'processors are short: this process waited for one in 75 % of the time in which it ' \
        'had work' in status.message
    # Nobody else waits: its own threads do, for each other.
    kernel.write('proc/pressure/cpu', PRESSURE.format(20.0))
    kernel.threads(main='3000 19500 2\n', worker='2000 9500 9\n')
    assert machine.status().level == 0


def test_without_the_times_of_threads_all_processes_count(kernel: Kernel) -> None:
    for percent, level in ((85.0, 0), (95.0, 1)):
        kernel.write('proc/pressure/cpu', PRESSURE.format(percent))
        assert kernel.machine().status().level == level


def test_in_a_real_group_that_is_halted_and_nearly_full() -> None:
    """The kernel of this machine writes what is read."""
    group = control_group(150 * MIB)
    if group is None:
        pytest.skip('no control group may be made here')
    script = (
        'import sys, time\n'
        'from ros2_classify.ros.diagnostics.machine import Machine\n'
        'machine = Machine()\n'
        'machine.status()\n'
        'print("ready", flush=True)\n'
        'sys.stdin.readline()\n'
        f'held = bytearray({100 * MIB})\n'
        'end = time.monotonic() + 2.0\n'
        'while time.monotonic() < end:\n'
        '    pass\n'
        'print(machine.status().message, flush=True)\n')
    with group:
        process = subprocess.Popen(
            [*group.command(), sys.executable, '-c', script], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True)
        assert process.stdin is not None and process.stdout is not None
        assert process.stdout.readline() == 'ready\n'
        group.limit_processor(0.2)
        began = time.monotonic()
        said, _ = process.communicate('\n', timeout=60)
        assert time.monotonic() - began < 60 and process.returncode == 0
    assert 'memory is short: ' in said and 'are left on this machine or in its container' in said
    # On a busy machine the others take so much that the limit is not reached.
    assert 'processors are short: ' in said
