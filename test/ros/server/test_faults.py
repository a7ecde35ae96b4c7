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

"""Faults of the engine: pauses, actions, hanging inferences; a clock that is set by hand."""

import pytest
from ros2_classify.errors import EngineError, EngineMemoryError, ProviderLostError
from ros2_classify.ros.node.process import AbandonedThreads
from ros2_classify.ros.server.faults import EngineFaults, timeout, Watchdog


def fail(faults, clock, times, error=None):
    """Let the model fail, each time as soon as it may be tried."""
    pauses = []
    for _ in range(times):
        begun = clock.now
        while faults.pause():
            clock.now += 0.125
        pauses.append(clock.now - begun)
        faults.failed(error or EngineMemoryError('no memory'))
    return pauses


def test_a_few_faults_cost_their_images_only(clock):
    faults = EngineFaults('retry', clock)
    assert fail(faults, clock, 3) == [0.0] * 3
    assert faults.pause() is None and faults.issues() == []
    assert (faults.total, faults.last_error, faults.next_action().act) == (3, 'no memory', '')


def test_pauses_grow_up_to_a_limit_and_end_with_an_result(clock):
    faults = EngineFaults('retry', clock)
    assert fail(faults, clock, 14) == [0, 0, 0, 0, 0.5, 1, 2, 4, 8, 16, 30, 30, 30, 30]
    found, = faults.issues()
    assert found.key == 'engine_fails'
    assert 'failed 14 times in a row, next attempt in 30.0 s: no memory' in found.text
    assert str(faults.pause()) == found.text
    clock.now += 30.0
    assert faults.pause() is None
    faults.succeeded()
    assert fail(faults, clock, 3) == [0.0] * 3


def test_a_lost_device_asks_for_the_model_at_once_and_nothing_is_tried_before(clock):
    faults = EngineFaults('retry', clock)
    faults.failed(ProviderLostError('the GPU is gone'))
    assert 'reloaded: the GPU is gone' in str(faults.pause())
    assert faults.next_action().act == 'reload'
    assert faults.next_action().act == '' and faults.reloading
    assert faults.pause() is not None
    faults.reloaded()
    assert faults.pause() is None and faults.reloads == 1


@pytest.mark.parametrize(('error', 'reload'), [
    (EngineError('bad node'), True), (ValueError('odd'), True),
    (EngineMemoryError('no memory'), False)])
def test_after_many_faults_the_model_is_reloaded_unless_memory_is_short(clock, error, reload):
    faults = EngineFaults('retry', clock)
    fail(faults, clock, 4, error)
    assert faults.next_action().act == ''
    fail(faults, clock, 1, error)
    clock.now += 60.0
    assert (faults.next_action().act == 'reload') == reload


def test_reloading_that_fails_is_tried_again_after_a_pause(clock):
    faults = EngineFaults('retry', clock)
    faults.failed(ProviderLostError('gone'))
    waits = []
    for _ in range(8):
        begun = clock.now
        while faults.next_action().act != 'reload':
            clock.now += 0.125
        waits.append(clock.now - begun)
        faults.reload_failed(EngineError('no device'))
        assert faults.pause() is not None
    assert waits == [0, 0.5, 0.5, 0.5, 1, 2, 4, 8]
    assert faults.last_error == 'reloading the model failed: no device'


@pytest.mark.parametrize('action', ['error', 'exit'])
@pytest.mark.parametrize('error', [EngineError('x'), EngineMemoryError('x')])
def test_other_actions_follow_the_first_fault(clock, action, error):
    faults = EngineFaults(action, clock)
    faults.failed(error)
    chosen = faults.next_action()
    assert (chosen.act, chosen.reason) == (action, 'x')
    assert faults.next_action().act == ''


def test_a_model_that_hangs_again_and_again_ends_the_process(clock):
    faults = EngineFaults('retry', clock)
    acts = []
    for _ in range(4):
        faults.timed_out(11.0, 10.0)
        clock.now += 60.0
        acts.append(faults.next_action())
        faults.reloaded()
    assert [action.act for action in acts] == ['reload', 'reload', 'reload', 'exit']
    assert 'has not come back for 11 s' in acts[3].reason and '4th time' in acts[3].reason


def test_hangs_are_counted_for_the_life_of_the_process(clock):
    # Each activation starts again, and brings no thread back.
    abandoned = AbandonedThreads()
    acts = []
    for _ in range(4):
        faults = EngineFaults('retry', clock, abandoned)
        faults.timed_out(11.0, 10.0)
        clock.now += 60.0
        acts.append(faults.next_action().act)
    assert acts == ['reload', 'reload', 'reload', 'exit']


def test_reloading_that_hangs_counts_as_well(clock):
    abandoned = AbandonedThreads()
    faults = EngineFaults('retry', clock, abandoned)
    faults.failed(ProviderLostError('gone'))
    acts = []
    for _ in range(5):
        acts.append(faults.next_action())
        abandoned.add()
        faults.reload_timed_out(EngineError('it does not come back'))
    assert [action.act for action in acts] == ['reload'] * 4 + ['exit']
    assert 'it does not come back; that is the 4th time' in acts[4].reason


@pytest.mark.parametrize('action', ['error', 'exit'])
def test_a_model_that_hangs_leads_to_the_action(clock, action):
    faults = EngineFaults(action, clock)
    faults.timed_out(11.0, 10.0)
    assert faults.next_action().act == action


@pytest.mark.parametrize(('given', 'warm_up', 'expected'), [
    (0.0, 0.01, 10.0), (0.0, 3.0, 60.0), (2.5, 3.0, 2.5)])
def test_the_timeout_follows_the_warm_up(given, warm_up, expected):
    assert timeout(given, warm_up) == expected


def test_the_watchdog_counts_one_inference(clock):
    dog = Watchdog(clock)
    begun = clock.now
    seen = []
    for _ in range(12):
        clock.now += 1.0
        seen.append(dog.look(clock.now - begun))
    assert seen == list(range(1, 13))
    clock.now += 1.0
    assert dog.look(0.25) == 0.25
    clock.now += 1.0
    assert dog.look(0.0) == 0.0


def test_a_process_that_was_stopped_finds_no_hanging_model(clock):
    dog = Watchdog(clock)
    clock.now += 1.0
    dog.look(0.5)
    clock.now += 3600.0
    assert dog.look(3600.5) == 2.5
    clock.now += 1.0
    assert dog.look(3601.5) == 3.5
