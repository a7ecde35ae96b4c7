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

"""The worker's threads: who is served next, in which order results leave, and their end."""

import threading
import time
from types import SimpleNamespace

import pytest

from ros2_classify.errors import EngineError
from ros2_classify.ros.server.inference import Drop, dropped, Outcome
from ros2_classify.ros.server.worker import PublishingOrder, Worker

DEADLINE = 10.0


class Waiter:
    """Waits without ROS: for `put` and `wake`."""

    def __init__(self):
        self._changed = threading.Condition()
        self._woken = False
        self.ready = set()
        self.waiting = threading.Event()
        self.closed = False
        self.waits = []

    def wait(self, subscriptions, seconds):
        """Wait as an ImageWaiter does."""
        with self._changed:
            self.waits.append((tuple(subscriptions), seconds))
            self.waiting.set()
            self._changed.wait_for(
                lambda: self._woken or self.ready.intersection(subscriptions), seconds)
            self.waiting.clear()
            self._woken = False
            return [each for each in subscriptions if each in self.ready]

    def wake(self):
        """End a wait."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def notify(self):
        """Look again at what is ready."""
        with self._changed:
            self._changed.notify_all()

    def close(self):
        """Note the end."""
        self.closed = True


class Camera:
    """A camera with a queue of one."""

    def __init__(self, name, waiter, recorder):
        self.name = name
        self._waiter = waiter
        self._recorder = recorder
        self._newest = None
        self.error = None
        self.source = SimpleNamespace(
            waitables=(name,), has_local_image=False, last_image_at=None)

    def put(self, image):
        """Have an image come; it replaces one that waits."""
        self._newest = image
        self._waiter.ready.add(self.name)
        self._waiter.notify()

    def hand_over(self, image):
        """Have an image come without the middleware."""
        self._newest = image
        self.source.has_local_image = True
        self._waiter.wake()

    def take(self):
        """Take it."""
        if self.error is not None:
            raise self.error
        self._waiter.ready.discard(self.name)
        self.source.has_local_image = False
        image, self._newest = self._newest, None
        if image is None:
            return None
        self.source.last_image_at = time.monotonic()
        return Source(image, self._recorder)


class Source:
    """An image or a request that notes what becomes of it."""

    def __init__(self, name, recorder):
        self.name = name
        self._recorder = recorder

    def finish(self, outcome):
        """Note the outcome."""
        if self.name == 'unsendable':
            raise ValueError('unsendable')
        what = outcome.drop.name if outcome.drop else 'published'
        self._recorder.note(what, self.name, *([str(outcome.error)] if outcome.error else []))


class Recorder:
    """An inference that notes what happens, and happens when the test says so."""

    def __init__(self):
        self.log = []
        self.noted = threading.Condition()
        self.ends = {}
        self.held = set()
        self.running = []
        self.slots = []
        self.abandoned = False
        self.busy_for = 0.0

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
        """Return what was noted about one kind of event."""
        return [about[0] if len(about) == 1 else tuple(about)
                for kind, *about in self.log if kind == what]

    def hold(self, *names):
        """Keep these in the model until `end`."""
        self.held.update(names)
        for name in names:
            self.ends[name] = threading.Event()

    def end(self, *names):
        """Let these out of the model."""
        for name in names:
            self.ends[name].set()

    def run(self, model, sources, slot):
        """Stay in the model for as long as the test says."""
        names = [source.name for source in sources]
        if names == ['strange']:
            raise ValueError('strange')
        self.slots.append(slot)
        with self.noted:
            self.running.append(slot)
            assert len(self.running) == len(set(self.running)), 'a slot is used twice'
        self.note('infer', *names)
        for name in names:
            if name in self.held:
                assert self.ends[name].wait(DEADLINE)
        with self.noted:
            self.running.remove(slot)
        return sources

    def outcomes(self, job):
        """Publish, or drop what was abandoned."""
        for source in job:
            yield Outcome(source, drop=Drop.STOPPED if self.abandoned else None)

    def abandon(self, error):
        """Give up what is in the model."""
        self.abandoned = True
        return dropped([Source('given up', self)], Drop.FAILED, error)


class Model:
    """A model that counts who uses it."""

    def __init__(self, max_batch=1, slots=4):
        self.users = 0
        self.pipeline = SimpleNamespace(max_batch=max_batch)
        self.sees_clips = False
        self.batches = [[] for _ in range(slots)]

    def release(self):
        """Count."""
        self.users -= 1


class Bed:
    """A worker with cameras, and all that it works with."""

    def __init__(self, cameras=1, limit=1, **options):
        self.recorder = Recorder()
        self.waiter = Waiter()
        self.model = Model(limit)
        self.no_model = None
        self.cameras = [
            Camera(f'camera {number}', self.waiter, self.recorder) for number in range(cameras)]
        self.worker = Worker(
            self.cameras, self.recorder, self.waiter, self.acquire,
            lambda error: self.recorder.note('failed', str(error)), **options)

    def acquire(self):
        """Return the model, or why there is none."""
        if self.no_model is not None:
            return self.no_model
        self.model.users += 1
        return self.model

    def put(self, image, camera=0):
        """Have an image come."""
        self.cameras[camera].put(image)

    def request(self, name):
        """Have a request come."""
        return self.worker.submit(Source(name, self.recorder))

    def close(self):
        """End."""
        for end in self.recorder.ends.values():
            end.set()
        assert self.worker.stop(DEADLINE)
        assert self.model.users == 0, 'the model is held by nobody'
        assert self.waiter.closed


@pytest.fixture
def make():
    """Return a function that makes a worker; it has ended after the test."""
    made = []

    def make(started=True, **options):
        bed = Bed(**options)
        made.append(bed)
        if started:
            bed.worker.start()
        return bed

    yield make
    for bed in made:
        bed.close()


def test_only_the_newest_image_is_worked_on(make):
    bed = make()
    bed.recorder.hold(1)
    bed.put(1)
    bed.recorder.wait_for('infer', 1)
    # Nothing is taken before there is room.
    for image in (2, 3, 4):
        bed.put(image)
    assert bed.recorder.seen('infer') == [1]
    bed.recorder.end(1)
    bed.recorder.wait_for('published', 4)
    assert bed.recorder.seen('published') == [1, 4]


def test_a_model_that_sees_clips_gets_the_images_of_a_camera_one_after_the_other(make):
    bed = make(parallel=2)
    bed.model.sees_clips = True
    bed.recorder.hold('a')
    bed.put('a')
    bed.recorder.wait_for('infer', 'a')
    bed.put('b')
    time.sleep(0.1)
    assert bed.recorder.seen('infer') == ['a']
    bed.recorder.end('a')
    bed.recorder.wait_for('published', 'b')
    assert bed.recorder.seen('published') == ['a', 'b']


def test_an_idle_thread_waits_on_the_subscriptions_and_holds_no_model(make):
    bed = make(cameras=2)
    assert bed.waiter.waiting.wait(DEADLINE)
    assert bed.waiter.waits[0][0] == ('camera 0', 'camera 1')
    assert bed.model.users == 0
    before = bed.worker.looked_at
    time.sleep(0.01)
    # It is looking all the time.
    assert bed.worker.looked_at > before
    bed.recorder.hold('a')
    bed.put('a')
    bed.recorder.wait_for('infer', 'a')
    before = bed.worker.looked_at
    time.sleep(0.01)
    assert bed.worker.looked_at == before


def test_a_camera_without_a_subscription_is_not_waited_for(make):
    bed = make(started=False, cameras=3)
    bed.cameras[0].source.waitables = ()
    bed.cameras[1].source = None
    bed.worker.start()
    assert bed.waiter.waiting.wait(DEADLINE)
    assert bed.waiter.waits[0][0] == ('camera 2',)


def test_an_image_that_is_handed_over_is_worked_on_at_once(make):
    bed = make()
    bed.cameras[0].source.waitables = ()
    assert bed.waiter.waiting.wait(DEADLINE)
    bed.cameras[0].hand_over('local')
    bed.recorder.wait_for('published', 'local')


def test_cameras_and_requests_take_turns(make):
    bed = make(cameras=3, limit=2)
    bed.recorder.hold('first')
    bed.put('first', 0)
    bed.recorder.wait_for('infer', 'first')
    for camera, name in enumerate('abc'):
        bed.put(name, camera)
    assert bed.request('ask') and bed.request('again')
    bed.recorder.end('first')
    bed.recorder.wait_for('published', 'a')
    bed.recorder.wait_for('published', 'again')
    # Cameras that were served longest ago come first; images and requests take turns.
    assert bed.recorder.seen('infer') == ['first', 'ask', ('b', 'c'), 'again', 'a']


def test_a_flood_of_one_camera_starves_nobody(make):
    bed = make(cameras=3)
    stop = threading.Event()

    def flood():
        number = 0
        while not stop.is_set():
            bed.put(f'flood {number}', 0)
            number += 1

    thread = threading.Thread(target=flood, daemon=True)
    thread.start()
    try:
        for turn in range(20):
            bed.put(f'b {turn}', 1)
            bed.put(f'c {turn}', 2)
            assert bed.request(f'request {turn}')
            for name in 'b', 'c', 'request':
                bed.recorder.wait_for('published', f'{name} {turn}')
    finally:
        stop.set()
        thread.join()


def test_more_requests_than_fit_are_refused(make):
    bed = make()
    bed.recorder.hold('in the model')
    bed.put('in the model')
    bed.recorder.wait_for('infer', 'in the model')
    assert [bed.request(number) for number in range(9)] == [True] * 8 + [False]
    bed.recorder.end('in the model')
    bed.recorder.wait_for('published', 7)
    assert bed.recorder.seen('published')[1:] == list(range(8))


def test_a_batch_waits_for_the_cameras_that_send(make):
    bed = make(cameras=4, limit=4, max_batch_delay=DEADLINE)
    # Three are lively, the fourth has never sent anything.
    now = time.monotonic()
    for camera in bed.cameras[:3]:
        camera.source.last_image_at = now + DEADLINE
    for camera, name in enumerate('ab'):
        bed.put(name, camera)
    time.sleep(0.05)
    assert bed.recorder.seen('infer') == []
    bed.put('c', 2)
    bed.recorder.wait_for('published', 'c')
    assert len(bed.recorder.log) and sorted(bed.recorder.seen('published')) == ['a', 'b', 'c']
    # The first batch may have begun before its limit was known.
    assert sum(len(each) for each in map(list, bed.recorder.seen('infer'))) == 3


def test_a_batch_does_not_wait_for_longer_than_it_may(make):
    bed = make(cameras=2, limit=2, max_batch_delay=0.2)
    bed.put('warm', 0)
    bed.recorder.wait_for('published', 'warm')
    for camera in bed.cameras:
        camera.source.last_image_at = time.monotonic() + DEADLINE
    began = time.monotonic()
    bed.put('alone', 0)
    bed.recorder.wait_for('published', 'alone')
    assert time.monotonic() - began >= 0.19


def test_results_of_one_camera_leave_in_order_and_others_do_not_wait(make):
    bed = make(cameras=2, parallel=3)
    bed.recorder.hold('a', 'b', 'other')
    bed.put('a', 0)
    bed.recorder.wait_for('infer', 'a')
    bed.put('b', 0)
    bed.recorder.wait_for('infer', 'b')
    bed.put('other', 1)
    bed.recorder.wait_for('infer', 'other')
    bed.recorder.end('b', 'other')
    bed.recorder.wait_for('published', 'other')
    time.sleep(0.05)
    assert bed.recorder.seen('published') == ['other']
    bed.recorder.end('a')
    bed.recorder.wait_for('published', 'b')
    assert bed.recorder.seen('published') == ['other', 'a', 'b']
    assert set(bed.recorder.slots) == {0, 1, 2}


@pytest.mark.parametrize('parallel', [1, 2, 3])
def test_thousands_of_images_keep_their_order(make, parallel):
    bed = make(started=False, parallel=parallel)
    most = []
    real = bed.recorder.run

    def run(model, sources, slot):
        with bed.recorder.noted:
            most.append(len(bed.recorder.running) + 1)
        time.sleep(0.0002 * (sources[0].name % 4))
        return real(model, sources, slot)

    bed.recorder.run = run
    bed.worker.start()
    for number in range(2000):
        bed.put(number)
        time.sleep(0.0001)
    bed.put(2000)
    bed.recorder.wait_for('published', 2000)
    published = bed.recorder.seen('published')
    assert published == sorted(published) and len(published) > 100
    assert bed.recorder.seen('failed') == []


@pytest.mark.parametrize(('image', 'noted'), [
    ('strange', ('FAILED', 'strange', 'strange')), ('unsendable', ('failed', 'unsendable'))])
def test_whatever_goes_wrong_costs_one_image_only(make, image, noted):
    bed = make()
    for turn in range(3):
        bed.put(image)
        bed.recorder.wait_for(*noted)
        bed.put(turn)
        bed.recorder.wait_for('published', turn)
        bed.recorder.log.clear()


def test_a_camera_that_fails_leaves_the_others_alone(make):
    bed = make(cameras=2)
    bed.cameras[0].error = RuntimeError('the middleware is gone')
    bed.waiter.ready.add('camera 0')
    bed.put('b', 1)
    bed.recorder.wait_for('published', 'b')
    bed.recorder.wait_for('failed', 'the middleware is gone')
    # It is asked again, but not without a pause.
    time.sleep(0.3)
    assert len(bed.recorder.seen('failed')) < 20
    bed.cameras[0].error = None
    bed.put('a', 0)
    bed.recorder.wait_for('published', 'a')


def test_a_wait_that_fails_is_reported_and_repeated_with_pauses(make):
    bed = make(started=False)
    real = bed.waiter.wait

    def wait(subscriptions, seconds):
        raise RuntimeError('no wait set')

    bed.waiter.wait = wait
    bed.worker.start()
    time.sleep(0.5)
    assert 1 <= len(bed.recorder.seen('failed')) < 20
    bed.waiter.wait = real
    bed.put('a')
    bed.recorder.wait_for('published', 'a')


def test_a_failure_that_cannot_even_be_reported_ends_no_thread(make, capsys):
    bed = make(started=False)

    def on_error(error):
        bed.recorder.note('failed', str(error))
        raise OSError('the log is full')

    bed.worker._on_error = on_error
    bed.worker.start()
    bed.put('unsendable')
    bed.recorder.wait_for('failed', 'unsendable')
    bed.put('fine')
    bed.recorder.wait_for('published', 'fine')
    assert 'the log is full' in capsys.readouterr().err


def test_without_a_model_images_and_requests_are_dropped_with_the_reason(make):
    bed = make()
    bed.no_model = EngineError('it is being reloaded')
    bed.put('a')
    bed.recorder.wait_for('PAUSED', 'a', 'it is being reloaded')
    assert bed.request('b')
    bed.recorder.wait_for('PAUSED', 'b', 'it is being reloaded')
    bed.no_model = None
    bed.put('c')
    bed.recorder.wait_for('published', 'c')


def test_stopping_finishes_what_is_in_the_model_and_nothing_after_it(make):
    bed = make()
    bed.recorder.hold('in the model')
    bed.put('in the model')
    bed.recorder.wait_for('infer', 'in the model')
    bed.put('never')
    assert bed.request('request')
    assert not bed.worker.stop(0.01)
    assert bed.recorder.seen('STOPPED') == ['request']
    assert not bed.request('late')
    bed.recorder.end('in the model')
    assert bed.worker.stop(DEADLINE)
    assert bed.recorder.seen('published') == ['in the model'] == bed.recorder.seen('infer')


def test_stopping_finishes_all_inferences_side_by_side(make):
    bed = make(parallel=2)
    bed.recorder.hold('a', 'b')
    for name in 'ab':
        bed.put(name)
        bed.recorder.wait_for('infer', name)
    bed.put('c')
    assert not bed.worker.stop(0.01)
    bed.recorder.end('b', 'a')
    assert bed.worker.stop(DEADLINE)
    assert bed.recorder.seen('published') == ['a', 'b']


@pytest.mark.parametrize('started', [False, True])
def test_a_worker_that_has_nothing_to_do_stops_at_once(make, started):
    bed = make(started=started)
    began = time.monotonic()
    assert bed.worker.stop(DEADLINE)
    assert time.monotonic() - began < 0.9


def test_abandoning_gives_up_what_hangs_and_frees_those_that_wait_for_it(make):
    bed = make(parallel=2)
    bed.recorder.hold('hangs', 'next')
    bed.put('hangs')
    bed.recorder.wait_for('infer', 'hangs')
    bed.put('next')
    bed.recorder.wait_for('infer', 'next')
    bed.recorder.end('next')
    time.sleep(0.05)
    # It waits for its turn, which would never come.
    assert bed.recorder.seen('published') == []
    bed.worker.abandon(EngineError('it does not come back'))
    bed.recorder.wait_for('FAILED', 'given up', 'it does not come back')
    bed.recorder.wait_for('STOPPED', 'next')
    assert bed.waiter.closed


def test_the_order_knows_which_cameras_share_a_batch():
    order = PublishingOrder()
    first, both, second, other, nobody = (
        order.take(cameras) for cameras in ('a', 'ab', 'b', 'c', ''))
    blocked = [order._is_blocked(each) for each in (first, both, second, other, nobody)]
    assert blocked == [False, True, True, False, False]
    order.leave(first)
    assert not order._is_blocked(both) and order._is_blocked(second)
    order.leave(both)
    order.wait(second)
