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

"""What is done about faults, step by step, with a server that only notes what it is told."""

import itertools
import threading
import time

from clocks import Clock
import pytest
from ros2_classify.errors import EngineError, ProviderLostError
from ros2_classify.ros.node.process import Stop
from ros2_classify.ros.server import model_loader as loading
from ros2_classify.ros.server.faults import EngineFaults, EXIT_CODE
from ros2_classify.ros.server.model_loader import ModelLoader
from ros2_classify.ros.server.recovery import Recovery

DEADLINE = 20.0


class FakeModel:
    """A model that can only be retired."""

    name = 'fake'

    def __init__(self):
        self.retired = threading.Event()

    def retire(self):
        """Note it."""
        self.retired.set()


class FakeServer:
    """A server that notes what is done to it."""

    def __init__(self):
        self.loader = ModelLoader(Stop(), lambda: 0.0)
        self.model = FakeModel()
        self.done = []
        self.errors = []
        self.begun = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()

    def load(self):
        """Start to load a model."""
        return self.loader.load('fake', self.work)

    def work(self, cancel, starting):
        """Load a model, or fail."""
        self.begun.set()
        assert self.go_on.wait(DEADLINE)
        if self.errors:
            raise self.errors.pop()
        return self.model

    def set_model(self, model):
        """Note a new model."""
        self.done.append('set_model')
        return FakeModel()

    def abandon_worker(self, error):
        """Note it."""
        self.done.append(f'abandon: {error}')

    def go_to_error(self, reason):
        """Note it."""
        self.done.append(f'error: {reason}')

    def end(self, code):
        """Note it."""
        self.done.append(f'end: {code}')


class FakeLog:
    """A logger that keeps its lines."""

    def __init__(self):
        self.lines = []
        self.error = self.warning = self.info = self.fatal = self.lines.append


def make(action='retry'):
    """Return all that takes part."""
    clock, server, log = Clock(), FakeServer(), FakeLog()
    faults = EngineFaults(action, clock)
    recovery = Recovery(server, faults, log)
    recovery._watchdog._clock = clock
    recovery._watchdog._looked = clock.now
    return recovery, faults, server, log, clock


def until_loaded(recovery):
    """Wait until a model is loaded."""
    assert recovery._reload.wait(DEADLINE)


def test_a_lost_device_leads_to_a_new_model():
    recovery, faults, server, log, _ = make()
    faults.failed(ProviderLostError('the GPU is gone'))
    server.go_on.clear()
    recovery.look(0.0, 10.0)
    assert not recovery._reload.done() and server.done == []
    assert [issue.key for issue in recovery.issues] == ['reloading']
    recovery.look(0.0, 10.0)
    server.go_on.set()
    until_loaded(recovery)
    recovery.look(0.0, 10.0)
    assert server.done == ['set_model'] and faults.reloads == 1 and recovery.issues == []
    assert log.lines[0] == 'reloading the model after a fault: the GPU is gone'


def test_loading_that_fails_is_tried_again_and_said_each_time():
    recovery, faults, server, log, clock = make()
    faults.failed(ProviderLostError('the GPU is gone'))
    server.errors = [EngineError('no device'), ValueError('odd')]
    for _ in range(2):
        recovery.look(0.0, 10.0)
        until_loaded(recovery)
        recovery.look(0.0, 10.0)
        assert recovery._reload is None and faults.pause() is not None
        clock.now += 1.0
    recovery.look(0.0, 10.0)
    until_loaded(recovery)
    recovery.look(0.0, 10.0)
    assert server.done == ['set_model'] and faults.pause() is None
    assert [line for line in log.lines if 'failed' in line and 'after' not in line] == [
        'reloading the model failed: odd', 'reloading the model failed: no device']


def hang(recovery, clock, seconds):
    """Let the present inference take so long."""
    for second in range(seconds):
        clock.now += 1.0
        recovery.look(second + 1.0, 10.0)


def test_a_hanging_inference_is_abandoned_and_the_model_reloaded():
    recovery, faults, server, log, clock = make()
    hang(recovery, clock, 10)
    assert recovery.issues == [] and server.done == []
    hang(recovery, clock, 11)
    assert len(server.done) == 1
    assert server.done[0].startswith('abandon: the model has not come back for 11 s')
    until_loaded(recovery)
    recovery.look(0.0, 10.0)
    assert server.done[1:] == ['set_model'] and recovery.issues == []
    assert faults.abandoned.count == 1


def test_a_hanging_inference_is_said_once_and_leads_to_the_action():
    recovery, faults, server, log, clock = make('exit')
    hang(recovery, clock, 15)
    assert server.done == [f'end: {EXIT_CODE}'] and faults.abandoned.count == 1
    assert [issue.key for issue in recovery.issues] == ['inference_timeout']
    assert len([line for line in log.lines if line.startswith('the model has not')]) == 1
    # It comes back after all.
    recovery.look(0.0, 10.0)
    assert recovery.issues == []


def test_error_and_exit_follow_the_first_fault():
    for action, done in (('error', 'error: no memory'), ('exit', f'end: {EXIT_CODE}')):
        recovery, faults, server, log, _ = make(action)
        faults.failed(EngineError('no memory'))
        recovery.look(0.0, 10.0)
        assert server.done == [done]
        assert 'no memory' in log.lines[0] and 'on_engine_fault' in log.lines[0]


def test_loading_that_never_comes_back_ends_the_process(monkeypatch):
    monkeypatch.setattr(loading, '_LOOK', 0.001)
    recovery, faults, server, log, _ = make()
    stop, ended = Stop(), threading.Event()
    faults.abandoned = stop.abandoned
    seconds = itertools.count(0.0, 1.0)
    server.loader = ModelLoader(stop, lambda: 5.0, clock=lambda: next(seconds))

    def work(cancel, starting):
        starting(1.0)
        assert ended.wait(DEADLINE)

    server.work = work
    faults.failed(ProviderLostError('the GPU is gone'))
    for count in range(1, 5):
        recovery.look(0.0, 10.0)
        until_loaded(recovery)
        while server.loader.running:
            time.sleep(0.001)
        assert stop.abandoned.count == count
        assert server.done == []
    recovery.look(0.0, 10.0)
    assert server.done == [f'end: {EXIT_CODE}']
    assert 'load_timeout is 5 s' in log.lines[-1] and '4th time' in log.lines[-1]
    ended.set()


@pytest.mark.parametrize('late', [True, False])
def test_a_model_that_is_not_needed_any_more_is_freed(late):
    recovery, faults, server, log, _ = make()
    faults.failed(ProviderLostError('the GPU is gone'))
    if late:
        server.go_on.clear()
    recovery.look(0.0, 10.0)
    assert server.begun.wait(DEADLINE)
    if not late:
        until_loaded(recovery)
    recovery.close()
    server.go_on.set()
    assert server.model.retired.wait(DEADLINE)
    recovery.look(0.0, 10.0)
    assert server.done == []
