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

"""The turns of the model: how many at a time, when the next one is due, and their order."""

import threading

import pytest

from ros2_classify.ros.server.model_turn import Durations, InOrder, ModelTurn

DEADLINE = 10.0


class Clock:
    """A clock that the test sets."""

    def __init__(self):
        self.now = 50.0

    def __call__(self):
        """Return the time."""
        return self.now


def after(turn, clock, seconds, size=1):
    """Have one turn of some seconds."""
    assert turn.enter('task', size) == 'task'
    clock.now += seconds
    assert turn.leave('task') is None


def test_quantiles_of_the_last_durations():
    durations = Durations()
    assert durations.quantile(0.75) == 0.0
    for value in [9.0] * 5 + list(range(16)):
        durations.add(value)
    assert [durations.quantile(part) for part in (0.0, 0.25, 0.5, 1.0)] == [0, 4, 8, 15]


def test_it_is_free_at_first():
    turn = ModelTurn(clock=Clock())
    assert turn.busy_for == 0.0
    assert turn.wait_until_nearly_free(0.0)


def test_it_is_nearly_free_when_the_usual_time_has_passed_but_for_the_lead():
    clock = Clock()
    turn = ModelTurn(clock=clock)
    for _ in range(3):
        after(turn, clock, 8.0)
    assert turn.enter('task', 1)
    clock.now += 6.0
    assert turn.busy_for == 6.0
    # Two seconds are left: this returns at once, or not at all on a clock that stands still.
    assert turn.wait_until_nearly_free(2.0)


def test_whoever_waits_goes_on_when_the_turn_ends_early():
    clock = Clock()
    turn = ModelTurn(clock=clock)
    after(turn, clock, 3600.0)
    assert turn.enter('task', 1)
    done = threading.Event()

    def wait():
        assert turn.wait_until_nearly_free(0.5)
        done.set()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    assert not done.is_set()
    turn.leave('task')
    assert done.wait(DEADLINE)


@pytest.mark.parametrize(('size', 'nearly_free'), [(1, True), (4, False)])
def test_batches_of_another_size_take_another_time(size, nearly_free):
    clock = Clock()
    turn = ModelTurn(clock=clock)
    after(turn, clock, 1.0, size=1)
    after(turn, clock, 3600.0, size=4)
    assert turn.enter('task', size)
    clock.now += 1.0
    done = threading.Event()
    thread = threading.Thread(
        target=lambda: turn.wait_until_nearly_free(0.0) and done.set(), daemon=True)
    thread.start()
    if nearly_free:
        assert done.wait(DEADLINE)
    else:
        turn.close()
        thread.join(DEADLINE)
        assert not done.is_set()


class Waits(threading.Condition):
    """A condition that tells when somebody waits for it."""

    def __init__(self):
        super().__init__()
        self.told = threading.Event()

    def wait_for(self, predicate, timeout=None):
        """Tell, and wait."""
        self.told.set()
        return super().wait_for(predicate, timeout)


@pytest.fixture
def waiting():
    """Return a turn that somebody has, and what the thread got that waits for it."""
    turn = ModelTurn()
    assert turn.enter('first', 1) == 'first'
    turn._changed = Waits()
    got = []
    thread = threading.Thread(target=lambda: got.append(turn.enter('second', 1)), daemon=True)
    thread.start()
    assert turn._changed.told.wait(DEADLINE)
    return turn, thread, got


def test_whoever_leaves_exchanges_tasks_with_the_one_who_waits(waiting):
    turn, thread, got = waiting
    assert got == []
    assert turn.leave('first') == 'second'
    # The one who waited finishes what is done; the model is taken all the same.
    thread.join(DEADLINE)
    assert got == ['first']
    assert turn.busy_for > 0.0
    assert turn.leave('second') is None
    assert turn.busy_for == 0.0


def test_nobody_waits_any_longer_after_the_end(waiting):
    turn, thread, got = waiting
    turn.close()
    thread.join(DEADLINE)
    assert got == [None]
    # Whoever is inside still gets out, with nothing to go on with.
    assert turn.leave('first') is None
    assert turn.enter('third', 1) is None
    assert not turn.wait_until_nearly_free(1.0)


def test_what_was_exchanged_before_the_end_is_finished_after_it(waiting):
    turn, thread, got = waiting
    with turn._changed:
        assert turn.leave('first') == 'second'
        turn.close()
    thread.join(DEADLINE)
    assert got == ['first']


def test_with_two_seats_the_first_to_be_free_decides():
    clock = Clock()
    turn = ModelTurn(2, clock)
    after(turn, clock, 8.0)
    assert turn.enter('a', 1) == 'a'
    assert turn.wait_until_nearly_free(0.0), 'there is a seat'
    clock.now += 5.0
    assert turn.enter('b', 1) == 'b'
    assert turn.busy_for == 5.0, 'that of the longest turn'
    # Three seconds are left of the first one, eight of the second.
    assert turn.wait_until_nearly_free(3.0)
    clock.now += 1.0
    assert turn.leave('b') is None
    assert turn.busy_for == 6.0
    assert turn.leave('a') is None
    assert turn.busy_for == 0.0


def test_with_two_seats_whoever_leaves_first_exchanges():
    turn = ModelTurn(2)
    assert turn.enter('a', 1) == 'a' and turn.enter('b', 1) == 'b'
    turn._changed = Waits()
    got = []
    thread = threading.Thread(target=lambda: got.append(turn.enter('c', 1)), daemon=True)
    thread.start()
    assert turn._changed.told.wait(DEADLINE)
    assert turn.leave('b') == 'c'
    thread.join(DEADLINE)
    assert got == ['b']
    assert turn.leave('a') is None and turn.leave('c') is None


def test_a_door_lets_threads_through_in_the_order_of_their_numbers():
    door, passed = InOrder(), []

    def go(number):
        with door.turn(number):
            passed.append(number)

    threads = [threading.Thread(target=go, args=(number,), daemon=True)
               for number in reversed(range(20))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert passed == list(range(20))


def test_whoever_fails_behind_the_door_does_not_keep_it_closed():
    door = InOrder()
    with pytest.raises(ValueError, match='inside'), door.turn(0):
        raise ValueError('inside')
    with door.turn(1):
        pass
