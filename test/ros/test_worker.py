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

"""The worker: it outlives exceptions, and stops when told."""

import threading

from ros2_classify.ros.worker import Worker

DEADLINE = 10.0


class Recorder:
    """The functions that a worker calls."""

    def __init__(self):
        self.seen = []
        self.errors = []
        self.busy = threading.Event()
        self.go_on = threading.Event()
        self.done = threading.Event()
        self.failed = threading.Event()

    def frame(self, frame):
        """Do what the frame says."""
        if frame == 'raise':
            raise ValueError('no')
        if frame == 'block':
            self.busy.set()
            self.go_on.wait(DEADLINE)
        self.seen.append(frame)
        self.done.set()

    def error(self, error):
        """Note the error."""
        self.errors.append(error)
        self.failed.set()

    def request(self, request, alive):
        """Note the request."""
        self.seen.append((request, alive))


def make():
    """Return a recorder and a worker for it."""
    recorder = Recorder()
    return recorder, Worker(recorder.frame, recorder.request, recorder.error)


def test_an_exception_costs_one_frame_only():
    recorder, worker = make()
    worker.start()
    worker.mailbox.put('raise')
    assert recorder.failed.wait(DEADLINE)
    worker.mailbox.put('good')
    assert recorder.done.wait(DEADLINE)
    assert worker.stop(DEADLINE)
    assert recorder.seen == ['good']
    assert [str(error) for error in recorder.errors] == ['no']


def test_stopping_finishes_the_frame_and_refuses_the_requests():
    recorder, worker = make()
    worker.start()
    worker.mailbox.put('block')
    assert recorder.busy.wait(DEADLINE)
    worker.mailbox.put('never')
    worker.mailbox.ask('request')
    assert not worker.stop(0.01)
    recorder.go_on.set()
    assert worker.stop(DEADLINE)
    assert recorder.seen == [('request', False), 'block']


def test_a_worker_that_never_started_stops():
    _, worker = make()
    assert worker.stop(0.0)
