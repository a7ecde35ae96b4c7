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

"""How a process starts, spins and ends: signals, exceptions in callbacks, the allocator."""

import os
import signal
import threading

import pytest

from ros2_classify.ros.node.process import Stop
from ros_process import DEADLINE, run_program


def test_signals_are_caught_before_anything_slow_is_imported(tmp_path):
    code, output = run_program(tmp_path, """
import sys
from ros2_classify.ros.main import PROGRAMS
print(sorted({'numpy', 'cv2', 'yaml', 'rclpy', 'onnxruntime'} & set(sys.modules)))
""")
    assert (code, output) == (0, '[]\n')


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_a_request_to_stop(number):
    before = signal.getsignal(number)
    woken = threading.Event()
    with Stop() as stop:
        stop.on_request(woken.set)
        assert not stop.requested
        os.kill(os.getpid(), number)
        assert woken.wait(DEADLINE)
        assert stop.requested and stop.code == 0
    assert signal.getsignal(number) is before


def test_the_first_request_decides_the_exit_code():
    stop = Stop()
    stop.request(3)
    stop.request(0)
    assert stop.code == 3
    late = threading.Event()
    stop.on_request(late.set)
    assert late.is_set()


def test_importing_the_entry_points_imports_no_rclpy(tmp_path):
    code, output = run_program(
        tmp_path, 'import sys\nimport ros2_classify.ros.main\nassert "rclpy" not in sys.modules')
    assert code == 0, output


@pytest.mark.parametrize('module, unneeded', [
    ('server.node', {'ros2_classify.convert.api', 'ros2_classify.convert.worker',
                     'email', 'importlib.metadata', 'ssl', 'tarfile', 'urllib.request'}),
    ('node.dds_profile', {'importlib.metadata', 'ssl', 'urllib.request'})])
def test_what_most_starts_do_not_need_is_not_imported(tmp_path, module, unneeded):
    code, output = run_program(tmp_path, f"""
import sys
import cv2, numpy, rclpy.executors, rclpy.lifecycle
before = set(sys.modules)
import ros2_classify.ros.{module}
print(sorted({unneeded} & (set(sys.modules) - before)))
""")
    assert (code, output) == (0, '[]\n')


NODE = """
import sys
from ros2_classify.ros.node import process as runtime

def create(stop):
    from rclpy.node import Node

    class Faulty(Node):
        turns = 0

        def start(self):
            self.create_timer(0.001, self.tick)

        def tick(self):
            self.turns += 1
            if self.turns == int(sys.argv[1]):
                stop.request(7)
            else:
                raise ValueError('a fault')

        def close(self):
            raise RuntimeError('another fault')

    return Faulty('faulty')

sys.exit(runtime.run(create, []))
"""


def test_exceptions_in_callbacks_are_said_and_survived(tmp_path):
    code, output = run_program(tmp_path, NODE, '20')
    assert code == 7, output
    assert output.count('unexpected ValueError in a callback: a fault') == 1
    assert 'unexpected RuntimeError while ending: another fault' in output
    assert 'Traceback' not in output


def test_exceptions_without_end_end_it(tmp_path):
    code, output = run_program(tmp_path, NODE, '1000000')
    assert code == 1, output
    assert '50 callbacks in a row failed; giving up' in output


COLLECTED = """
import gc
from ros2_classify.ros.node import process as runtime

def create(stop):
    from rclpy.node import Node

    class Starts(Node):
        def start(self):
            print(gc.isenabled(), gc.get_freeze_count() > 1000)
            stop.request()

    print(gc.isenabled())
    return Starts('starts')

print(runtime.run(create, []), gc.isenabled(), gc.get_freeze_count())
"""


def test_no_garbage_is_looked_for_in_what_stays(tmp_path):
    code, output = run_program(tmp_path, COLLECTED)
    assert (code, output.splitlines()) == (0, ['False', 'True True', '0 True 0'])


def test_garbage_is_looked_for_after_a_start_that_failed(tmp_path):
    code, output = run_program(tmp_path, """
import gc
from ros2_classify.ros.node import process as runtime
print(runtime.run(None, ['surplus']), gc.isenabled())
""")
    assert code == 0 and output.splitlines()[-1] == '2 True'
