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

"""The mailbox: newest frame first, requests in turn, nobody waits for ever."""

import threading

import pytest

from ros2_classify.ros.mailbox import Mailbox, Taken

DEADLINE = 10.0


def test_only_the_newest_frame_is_taken():
    mailbox = Mailbox()
    for frame in range(5):
        mailbox.put(frame)
    assert mailbox.take() == Taken(frame=4)
    assert mailbox.replaced == 4
    mailbox.put(9)
    assert mailbox.take() == Taken(frame=9)
    assert mailbox.replaced == 4


def test_frames_and_requests_take_turns():
    mailbox = Mailbox()
    for request in 'abc':
        assert mailbox.ask(request)
    order = []
    for frame in range(4):
        mailbox.put(frame)
        order.append(mailbox.take())
    order.append(mailbox.take())
    assert order == [
        Taken(request='a'), Taken(frame=1), Taken(request='b'), Taken(frame=3),
        Taken(request='c')]


def test_requests_keep_their_order_and_have_a_limit():
    mailbox = Mailbox(max_requests=2)
    assert [mailbox.ask(request) for request in 'abc'] == [True, True, False]
    assert [mailbox.take().request for _ in range(2)] == ['a', 'b']
    assert mailbox.ask('d')


@pytest.mark.parametrize('deliver, expected', [
    (lambda mailbox: mailbox.put('f'), Taken(frame='f')),
    (lambda mailbox: mailbox.ask('r'), Taken(request='r')),
    (lambda mailbox: mailbox.close(), None),
])
def test_the_worker_wakes_up(deliver, expected):
    mailbox = Mailbox()
    taken = []
    thread = threading.Thread(target=lambda: taken.append(mailbox.take()), daemon=True)
    thread.start()
    deliver(mailbox)
    thread.join(DEADLINE)
    assert taken == [expected]


def test_closing_gives_the_requests_back_and_takes_nothing_more():
    mailbox = Mailbox()
    mailbox.put('f')
    mailbox.ask('a')
    mailbox.ask('b')
    assert mailbox.close() == ['a', 'b']
    assert mailbox.take() is None
    mailbox.put('g')
    assert not mailbox.ask('c')
    assert mailbox.take() is None
    assert mailbox.close() == []


def test_deliveries_of_many_threads_are_all_counted():
    mailbox = Mailbox(max_requests=10**6)
    threads, each = 8, 500
    seen = []

    def work():
        while (taken := mailbox.take()) is not None:
            seen.append(taken)
            if taken.request == 'last':
                return

    def deliver():
        for number in range(each):
            mailbox.put(number)
            mailbox.ask(number)

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    senders = [threading.Thread(target=deliver) for _ in range(threads)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join(DEADLINE)
    mailbox.ask('last')
    worker.join(DEADLINE)
    assert not worker.is_alive()
    requests = [taken for taken in seen if taken.request is not None]
    frames = [taken for taken in seen if taken.frame is not None]
    assert len(requests) == threads * each + 1
    waiting = threads * each - mailbox.replaced - len(frames)
    assert waiting in (0, 1)
