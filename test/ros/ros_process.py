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

"""Nodes as real processes, and a node of the test's own to talk to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
import os
from pathlib import Path
import re
import signal
import subprocess
import sys
import threading
import time
from typing import Any

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import DescribeParameters, GetParameters, ListParameters, SetParameters
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter

ROOT = Path(__file__).resolve().parents[2]
PROFILE_VARIABLES = ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE')
# For one event, on a slow and busy machine.
DEADLINE = 40.0
_ASK_AGAIN = 2.0

# What no node logs unless a test provokes it.
_FAILURE = re.compile(r'Traceback|unexpected (failure|[A-Z]\w*)\b')

TRANSITIONS = {
    'configure': Transition.TRANSITION_CONFIGURE,
    'activate': Transition.TRANSITION_ACTIVATE,
    'deactivate': Transition.TRANSITION_DEACTIVATE,
    'cleanup': Transition.TRANSITION_CLEANUP,
}


class Process:
    """
    A node in a process of its own.

    Parameters
    ----------
    node : str
        ``server``, ``camera`` or ``client_test``.
    parameters : mapping
        Parameters by name.
    remap : mapping
        Names by the names they stand for.
    environment : mapping
        Variables to set, or to take away where the value is None.
    arguments : list of str
        Further words of the command line.
    within : list of str
        A program that runs the command, and its first arguments.

    """

    def __init__(
            self, node: str, parameters: Mapping[str, Any] | None = None,
            remap: Mapping[str, str] | None = None,
            environment: Mapping[str, str | None] | None = None,
            arguments: list[str] | None = None, within: list[str] | None = None) -> None:
        command = [*(within or []), sys.executable, '-m', 'ros2_classify', node,
                   *(arguments or [])]
        words = []
        for name, value in (parameters or {}).items():
            text = str(value).lower() if isinstance(value, bool) else str(value)
            words += ['-p', f'{name}:={text}']
        for name, value in (remap or {}).items():
            words += ['-r', f'{name}:={value}']
        if words:
            command += ['--ros-args', *words]
        env = {**os.environ, 'PYTHONUNBUFFERED': '1'}
        # The test's own settings: the node is to find the profile by itself.
        for name in PROFILE_VARIABLES:
            env.pop(name, None)
        env['PYTHONPATH'] = os.pathsep.join(
            [str(ROOT), *filter(None, [os.environ.get('PYTHONPATH')])])
        for name, value in (environment or {}).items():
            env.pop(name, None)
            if value is not None:
                env[name] = value
        self.lines: list[str] = []
        # A regular expression of the failures that the test provokes.
        self.expected_failure: str | None = None
        self._news = threading.Condition()
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env,
            errors='replace')
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def output(self) -> str:
        """All it has written so far."""
        return '\n'.join(self.lines)

    def wait_for_line(self, pattern: str, deadline: float = DEADLINE, count: int = 1) -> str:
        """Wait until it has written a matching line (or `count` of them); return the last one."""
        def found() -> list[str]:
            return [line for line in self.lines if re.search(pattern, line)]
        with self._news:
            self._news.wait_for(
                lambda: len(found()) >= count or not self._reader.is_alive(), deadline)
        assert len(found()) >= count, f'no line {pattern!r} in:\n{self.output}'
        return found()[count - 1]

    def failures(self) -> list[str]:
        """Return the lines that tell of a failure which the test doesn't expect."""
        return failures(self.lines, self.expected_failure)

    def send_signal(self, number: int) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def wait(self, deadline: float = DEADLINE) -> int:
        """Wait for its end and return the exit code."""
        try:
            code = self.process.wait(deadline)
        except subprocess.TimeoutExpired:
            raise AssertionError(f'still running after {deadline} s:\n{self.output}') from None
        self._reader.join(DEADLINE)
        return code

    def stop(self, number: int = signal.SIGINT) -> str:
        """Send a signal, check that it ends as it should, and return all it has written."""
        self.send_signal(number)
        code = self.wait()
        assert code == 0, f'exit code {code}:\n{self.output}'
        assert 'Traceback' not in self.output, self.output
        return self.output

    def kill(self) -> None:
        """End it by force, if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._reader.join(DEADLINE)
        self.process.stdout.close()

    def _read(self) -> None:
        for line in self.process.stdout:
            with self._news:
                self.lines.append(line.rstrip('\n'))
                self._news.notify_all()
        with self._news:
            self._news.notify_all()


def failures(lines: list[str], expected: str | None = None) -> list[str]:
    """Return the lines that tell of an unexpected failure, without the expected ones."""
    return [line for line in lines if _FAILURE.search(line)
            and not (expected is not None and re.search(expected, line))]


class Peer:
    """A node in the test's process, spun while the test waits."""

    def __init__(self) -> None:
        self.node = rclpy.create_node('test_peer')
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._clients: dict[str, Any] = {}

    def close(self) -> None:
        """Destroy the node."""
        self._executor.shutdown()
        self.node.destroy_node()

    def spin_until(
            self, condition: Callable[[], Any], what: str, deadline: float = DEADLINE) -> Any:
        """Run callbacks until a condition holds, and return what it returned."""
        end = time.monotonic() + deadline
        while not (value := condition()):
            assert time.monotonic() < end, f'waited {deadline} s for {what}'
            self._executor.spin_once(timeout_sec=0.05)
        return value

    def collect(self, msg_type: type, topic: str, qos: Any = 10) -> list[Any]:
        """Subscribe; the list returned grows with every message."""
        messages: list[Any] = []
        self.node.create_subscription(msg_type, topic, messages.append, qos)
        return messages

    def call(self, service_type: type, name: str, request: Any, deadline: float = DEADLINE,
             node: str | None = None) -> Any:
        """Call a service and return the response."""
        future = self.ask(service_type, name, request, node)
        return self.spin_until(lambda: future.done() and future, f'a response of {name}',
                               deadline).result()

    def ask(self, service_type: type, name: str, request: Any, node: str | None = None) -> Any:
        """Call a service of a node, by default the one its name begins with; return the future."""
        if name not in self._clients:
            self._clients[name] = self.node.create_client(service_type, name)
            self._get_known_to(node or name.rpartition('/')[0])
        client = self._clients[name]
        self.spin_until(client.service_is_ready, f'the service {name}')
        return client.call_async(request)

    def _get_known_to(self, node: str) -> None:
        """
        Wait until a node knows the clients made so far: responses to those it doesn't are dropped.

        Discovery tells of endpoints in the order of their creation, so that a response to a client
        made last shows that the earlier ones are known; what it asks for may be asked for again.
        """
        probe = self.node.create_client(ListParameters, f'{node}/list_parameters')
        self.spin_until(probe.service_is_ready, f'the parameters of {node}')
        futures: list[Any] = []
        asked = [-_ASK_AGAIN]

        def responded() -> bool:
            if time.monotonic() - asked[0] >= _ASK_AGAIN:
                futures.append(probe.call_async(ListParameters.Request()))
                asked[0] = time.monotonic()
            return any(future.done() for future in futures)

        self.spin_until(responded, f'a response of {node}')
        self.node.destroy_client(probe)

    def state(self, node: str = '/server') -> str:
        """Return a node's lifecycle state."""
        return self.call(GetState, f'{node}/get_state', GetState.Request()).current_state.label

    def transition(self, name: str, node: str = '/server') -> bool:
        """Ask for a transition; return whether it succeeded."""
        request = ChangeState.Request()
        if name in TRANSITIONS:
            request.transition.id = TRANSITIONS[name]
        else:
            request.transition.label = name
        return self.call(ChangeState, f'{node}/change_state', request).success

    def set_values(self, node: str = '/server', **values: Any) -> list[str]:
        """Set parameters; return a reason for each one that was refused."""
        request = SetParameters.Request(parameters=[
            Parameter(name, value=value).to_parameter_msg() for name, value in values.items()])
        response = self.call(SetParameters, f'{node}/set_parameters', request)
        return [result.reason for result in response.results if not result.successful]

    def get(self, name: str, node: str = '/server') -> Any:
        """Return a parameter's value."""
        response = self.call(
            GetParameters, f'{node}/get_parameters', GetParameters.Request(names=[name]))
        return Parameter.from_parameter_msg(_parameter_msg(name, response.values[0])).value

    def list_parameters(self, node: str = '/server') -> list[str]:
        """Return the names of a node's parameters."""
        response = self.call(
            ListParameters, f'{node}/list_parameters', ListParameters.Request())
        return list(response.result.names)

    def describe(self, names: list[str], node: str = '/server') -> list[Any]:
        """Return the descriptors of parameters."""
        return list(self.call(
            DescribeParameters, f'{node}/describe_parameters',
            DescribeParameters.Request(names=names)).descriptors)


def _parameter_msg(name: str, value: Any) -> Any:
    from rcl_interfaces.msg import Parameter as ParameterMsg

    return ParameterMsg(name=name, value=value)


def run_program(tmp_path: Path, text: str, *words: str) -> tuple[int, str]:
    """Run a program with the package on its path; return exit code and output."""
    program = tmp_path / 'program.py'
    program.write_text(text)
    env = {**os.environ, 'PYTHONPATH': str(ROOT)}
    done = subprocess.run(
        [sys.executable, str(program), *words], env=env, text=True, timeout=DEADLINE,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.returncode, done.stdout
