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

"""The worker: its order, its newest frames, its patience, and its end."""

import threading
import time

import pytest

from ros2_classify.ros.server.model_turn import ModelTurn
from ros2_classify.ros.server.worker import Worker

DEADLINE = 10.0


class Step:
    """A point that threads pass when the test lets them."""

    def __init__(self):
        self._open = threading.Semaphore(0)
        self._reached = threading.Semaphore(0)
        self.held = False

    def __call__(self):
        """Be there, and wait where the test says so."""
        self._reached.release()
        if self.held:
            assert self._open.acquire(timeout=DEADLINE)

    def wait(self):
        """Wait until a thread is there."""
        assert self._reached.acquire(timeout=DEADLINE)

    def let(self, count=1):
        """Let so many threads pass."""
        self._open.release(count)


class Recorder:
    """Work that notes what happens, and happens when the test says so."""

    def __init__(self, limit=1):
        self.limit = limit
        self.log = []
        self.slots = []
        self.taken = Step()
        self.running = Step()
        self.finishing = Step()
        self.noted = threading.Condition()

    def note(self, what, *about):
        """Note something."""
        with self.noted:
            self.log.append((what, *about))
            self.noted.notify_all()

    def wait_for(self, what, *about):
        """Wait until something was noted."""
        with self.noted:
            assert self.noted.wait_for(lambda: (what, *about) in self.log, DEADLINE), self.log

    def seen(self, what):
        """Return what was noted about one step."""
        return [about for kind, *about in self.log if kind == what]

    def begin(self):
        """Tell how many frames are taken."""
        return self.limit

    def cancel(self):
        """Note that nothing could be taken."""
        self.note('cancel')

    def prepare(self, taken, slot):
        """Make a job of frames or a request."""
        job = list(taken.frames) or [taken.request]
        self.slots.append(slot)
        self.note('prepare', *job)
        self.taken()
        if job == ['unusable']:
            return None
        if job == ['strange']:
            raise ValueError('strange')
        return job

    def infer(self, job):
        """Run for as long as the test says."""
        self.note('infer', *job)
        self.running()
        if job == ['broken']:
            raise ValueError('broken')

    def finish(self, job, error):
        """Note the end."""
        self.finishing()
        self.note('finish', *job, *([str(error)] if error else []))
        if job == ['unsendable']:
            raise ValueError('unsendable')

    def abandon(self, job):
        """Note what was in vain."""
        self.note('abandon', *job)

    def leave(self, frames, requests):
        """Note what nobody began with."""
        if frames or requests:
            self.note('leave', tuple(frames), tuple(requests))

    def failed(self, error):
        """Note an exception."""
        self.note('failed', str(error))


@pytest.fixture
def make():
    """Return a function that makes a worker; it has ended after the test."""
    made = []

    def make(limit=1, streams=1, started=True, model=None, parallel=1):
        recorder = Recorder(limit)
        worker = Worker(recorder, streams, parallel=parallel, model=model)
        made.append((recorder, worker))
        if started:
            worker.start()
        return recorder, worker

    yield make
    for recorder, worker in made:
        for step in (recorder.taken, recorder.running, recorder.finishing):
            step.held = False
            step.let(1000)
        assert worker.stop(DEADLINE)


def test_the_next_frame_is_prepared_while_one_is_in_the_model(make):
    recorder, worker = make()
    recorder.running.held = True
    worker.mailbox.put(1)
    recorder.running.wait()
    worker.mailbox.put(2)
    recorder.wait_for('prepare', 2)
    # Prepared, it waits; those that come meanwhile replace each other, and never the prepared one.
    assert [worker.mailbox.put(frame) for frame in (3, 4, 5)] == [False, True, True]
    assert recorder.seen('infer') == [[1]]
    recorder.running.let(10)
    recorder.wait_for('finish', 5)
    for step in ('prepare', 'infer', 'finish'):
        assert recorder.seen(step) == [[1], [2], [5]]


def test_the_newest_frame_is_taken_as_late_as_possible(make):
    # On a clock that stands still, the model is not due before an hour has passed.
    now = [0.0]
    patient = threading.Event()

    class Turn(ModelTurn):
        """A turn that tells when somebody waits for its end."""

        def wait_until_nearly_free(self, lead):
            if self._turns:
                patient.set()
            return super().wait_until_nearly_free(lead)

    model = Turn(clock=lambda: now[0])
    assert model.enter('task', 1) == 'task'
    now[0] = 3600.0
    assert model.leave('task') is None
    recorder, worker = make(model=model)
    recorder.running.held = True
    worker.mailbox.put(1)
    recorder.running.wait()
    assert patient.wait(DEADLINE)
    assert [worker.mailbox.put(frame) for frame in (2, 3, 4)] == [False, True, True]
    recorder.running.let()
    recorder.running.wait()
    # Nothing was taken too early: the last one came before the model was free.
    assert recorder.seen('prepare') == [[1], [4]]


def test_the_thread_in_the_model_stays_there_while_jobs_wait(make):
    recorder, worker = make(started=False)
    threads = {'infer': [], 'finish': []}
    real = {'infer': recorder.infer, 'finish': recorder.finish}

    def infer(job):
        threads['infer'].append(threading.get_ident())
        real['infer'](job)

    def finish(job, error):
        threads['finish'].append(threading.get_ident())
        real['finish'](job, error)

    recorder.infer, recorder.finish = infer, finish
    recorder.running.held = True
    worker.start()
    worker.mailbox.put(0)
    recorder.running.wait()
    for number in range(1, 6):
        # The next one waits for the model whenever that is left.
        worker.mailbox.put(number)
        recorder.wait_for('prepare', number)
        with worker._model._changed:
            assert worker._model._changed.wait_for(lambda: worker._model._waiting, DEADLINE)
        recorder.running.let()
        recorder.running.wait()
        recorder.wait_for('finish', number - 1)
    recorder.running.let()
    recorder.wait_for('finish', 5)
    assert len(set(threads['infer'])) == 1
    # The other one finishes all but the last, after which nothing waited.
    assert threads['finish'][:-1] == [threads['finish'][0]] * 5
    assert threads['finish'][0] != threads['infer'][0] == threads['finish'][-1]


def test_jobs_that_are_under_way_have_slots_of_their_own(make):
    recorder, worker = make(started=False)
    taken, under_way = {}, set()
    began = threading.Event()
    real_prepare, real_finish = recorder.prepare, recorder.finish

    def prepare(frames, slot):
        job = real_prepare(frames, slot)
        taken[job[0]] = slot
        assert slot not in under_way
        under_way.add(slot)
        began.set()
        return job

    def finish(job, error):
        under_way.discard(taken[job[0]])
        real_finish(job, error)

    recorder.prepare, recorder.finish = prepare, finish
    worker.start()
    for number in range(3000):
        worker.mailbox.put(number)
        if number % 5 == 0:
            assert began.wait(DEADLINE)
            began.clear()
    worker.mailbox.put(3000)
    recorder.wait_for('finish', 3000)
    assert recorder.seen('failed') == []
    assert set(taken.values()) == {0, 1} and len(taken) > 100


def test_frames_are_fetched_when_they_are_due(make):
    recorder, worker = make()
    recorder.running.held = True
    frames = iter([('fetched', 1), ('fetched', 2)])
    asked = []

    empty = threading.Event()

    def fetch(replaces):
        asked.append(replaces)
        frame = next(frames, None)
        if frame is None:
            empty.set()
        return frame

    worker.mailbox.put('put')
    recorder.running.wait()
    worker.mailbox.fetch_from(0, fetch)
    # The next one is prepared meanwhile, and none after it before there is room.
    recorder.wait_for('prepare', ('fetched', 1))
    assert asked == [False]
    recorder.running.let(100)
    recorder.wait_for('finish', ('fetched', 2))
    assert empty.wait(DEADLINE)
    worker.mailbox.put('put again')
    recorder.wait_for('finish', 'put again')
    # Asked in vain once; since then frames are put.
    assert asked == [False] * 3


def test_what_begin_has_chosen_is_let_go_where_nothing_can_be_taken(make):
    recorder, worker = make()

    def fetch(replaces):
        worker.mailbox.fetch_from(0, lambda replaces: None)
        raise RuntimeError('the middleware is gone')

    worker.mailbox.fetch_from(0, fetch)
    recorder.wait_for('failed', 'the middleware is gone')
    assert recorder.seen('cancel') == [[]]
    worker.mailbox.put('next')
    recorder.wait_for('finish', 'next')
    assert recorder.seen('cancel') == [[]]


def test_nobody_overtakes_however_slow_the_sending_is(make):
    recorder, worker = make()
    recorder.finishing.held = True
    worker.mailbox.put(1)
    recorder.finishing.wait()
    # The first one is being sent; the second one goes through the model meanwhile, and waits.
    worker.mailbox.put(2)
    recorder.running.wait()
    recorder.wait_for('infer', 2)
    assert recorder.seen('finish') == []
    recorder.finishing.let()
    recorder.wait_for('finish', 1)
    recorder.finishing.let()
    recorder.wait_for('finish', 2)
    assert recorder.seen('finish') == [[1], [2]]


def test_thousands_of_frames_keep_their_order_and_have_the_model_for_themselves(make):
    recorder, worker = make(started=False)
    inside, others, finished = [], set(), []
    answered = threading.Event()

    def infer(job):
        others.update(inside)
        inside.append(job[0])
        inside.remove(job[0])
        answered.set()

    def finish(job, error):
        finished.append(job[0])
        recorder.note('finish', *job)

    recorder.infer, recorder.finish = infer, finish
    worker.start()
    for number in range(10_000):
        worker.mailbox.put(number)
        if number % 20 == 0:
            assert answered.wait(DEADLINE)
            answered.clear()
    worker.mailbox.put(10_000)
    recorder.wait_for('finish', 10_000)
    assert finished == sorted(finished) and len(finished) > 100
    assert others == set()


class Held:
    """Inferences that end when the test says so."""

    def __init__(self, recorder):
        self.ends = {}
        self.real = recorder.infer
        recorder.infer = self.infer

    def infer(self, job):
        """Note the beginning, and wait for the end."""
        end = self.ends.setdefault(job[0], threading.Event())
        self.real(job)
        assert end.wait(DEADLINE)

    def end(self, *names):
        """Let these end."""
        for name in names:
            self.ends.setdefault(name, threading.Event()).set()


def test_inferences_side_by_side_are_answered_in_the_order_of_their_frames(make):
    recorder, worker = make(started=False, parallel=2)
    held = Held(recorder)
    worker.start()
    for name in 'abc':
        worker.mailbox.put(name)
        recorder.wait_for('prepare', name)
    recorder.wait_for('infer', 'b')
    assert recorder.seen('infer') == [['a'], ['b']], 'two are inside, and the third one waits'
    held.end('b')
    # Its place is taken at once; its answer waits for that of the older frame.
    recorder.wait_for('infer', 'c')
    held.end('c')
    assert recorder.seen('finish') == []
    held.end('a')
    recorder.wait_for('finish', 'c')
    assert recorder.seen('finish') == [['a'], ['b'], ['c']]


def test_stopping_finishes_all_inferences_side_by_side(make):
    recorder, worker = make(started=False, parallel=2)
    held = Held(recorder)
    worker.start()
    for name in 'abc':
        worker.mailbox.put(name)
        recorder.wait_for('prepare', name)
    recorder.wait_for('infer', 'b')
    assert not worker.stop(0.01)
    recorder.wait_for('abandon', 'c')
    held.end('b', 'a')
    assert worker.stop(DEADLINE)
    assert recorder.seen('finish') == [['a'], ['b']] and recorder.seen('infer') == [['a'], ['b']]


@pytest.mark.parametrize('parallel', [2, 3])
def test_thousands_of_frames_side_by_side_keep_their_order(make, parallel):
    recorder, worker = make(started=False, parallel=parallel)
    inside, most, slots, finished = [], [], {}, []
    real = recorder.prepare

    def prepare(taken, slot):
        job = real(taken, slot)
        assert slot not in slots.values(), 'somebody else works there'
        slots[job[0]] = slot
        return job

    def infer(job):
        inside.append(job[0])
        most.append(len(inside))
        time.sleep(0.0002 * (job[0] % 4))
        inside.remove(job[0])

    def finish(job, error):
        finished.append(job[0])
        del slots[job[0]]
        recorder.note('finish', *job)

    recorder.prepare, recorder.infer, recorder.finish = prepare, infer, finish
    worker.start()
    for number in range(2000):
        worker.mailbox.put(number)
        time.sleep(0.0001)
    worker.mailbox.put(2000)
    recorder.wait_for('finish', 2000)
    assert finished == sorted(finished) and len(finished) > 100
    assert recorder.seen('failed') == []
    assert max(most) == parallel


def test_streams_and_requests_have_their_turns(make):
    recorder, worker = make(limit=2, streams=3)
    recorder.running.held = True
    worker.mailbox.put('first', 0)
    recorder.running.wait()
    worker.mailbox.put('second', 0)
    recorder.wait_for('prepare', 'second')
    for stream, name in enumerate('abc'):
        worker.mailbox.put(name, stream)
    for name in ('ask', 'again'):
        assert worker.mailbox.ask(name)
    recorder.running.let(100)
    recorder.wait_for('finish', 'again')
    recorder.wait_for('finish', 'a')
    # Streams that had no turn yet come first; frames and requests take turns.
    assert recorder.seen('finish') == [
        ['first'], ['second'], ['ask'], ['b', 'c'], ['again'], ['a']]


@pytest.mark.parametrize(('frame', 'noted'), [
    ('broken', ('finish', 'broken', 'broken')), ('strange', ('failed', 'strange')),
    ('unsendable', ('failed', 'unsendable')), ('unusable', ('prepare', 'unusable'))])
def test_whatever_goes_wrong_costs_one_frame_only(make, frame, noted):
    recorder, worker = make()
    for turn in range(5):
        worker.mailbox.put(frame)
        recorder.wait_for(*noted)
        worker.mailbox.put(turn)
        recorder.wait_for('finish', turn)
        recorder.log.clear()


def test_stopping_finishes_what_is_in_the_model_and_nothing_after_it(make):
    recorder, worker = make()
    recorder.running.held = True
    worker.mailbox.put('in the model')
    recorder.running.wait()
    worker.mailbox.put('prepared')
    recorder.wait_for('prepare', 'prepared')
    worker.mailbox.put('never')
    worker.mailbox.ask('request')
    assert not worker.stop(0.01)
    recorder.wait_for('abandon', 'prepared')
    assert recorder.seen('leave') == [[('never',), ('request',)]]
    assert worker.busy_for > 0.0
    recorder.running.let()
    assert worker.stop(DEADLINE)
    assert recorder.seen('finish') == [['in the model']]
    assert recorder.seen('infer') == [['in the model']]
    assert worker.busy_for == 0.0


def test_a_worker_that_has_nothing_to_do_stops_at_once(make):
    _, worker = make()
    assert worker.stop(DEADLINE)


def test_a_worker_that_never_started_stops(make):
    _, worker = make(started=False)
    assert worker.stop(0.0)


def test_a_failure_that_cannot_even_be_noted_ends_no_thread(make, capsys):
    recorder, worker = make()

    def failed(error):
        recorder.note('failed', str(error))
        raise OSError('the log is full')

    recorder.failed = failed
    for name in ('strange', 'unsendable', 'strange'):
        worker.mailbox.put(name)
        recorder.wait_for('prepare', name)
        if name == 'unsendable':
            recorder.wait_for('failed', name)
    worker.mailbox.put('fine')
    recorder.wait_for('finish', 'fine')
    assert worker.stop(DEADLINE)
    assert 'the log is full' in capsys.readouterr().err
