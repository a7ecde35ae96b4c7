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

"""The mailbox: newest frame of each stream first, turns for all, nobody waits for ever."""

import threading

import pytest

from ros2_classify.ros.server.mailbox import Mailbox, Taken

DEADLINE = 10.0


def take(mailbox, limit=1, delay=0.0):
    """Wait and take."""
    return mailbox.take(limit) if mailbox.wait(limit, delay) else None


def frames(*names):
    """Return what a worker gets."""
    return Taken(frames=names)


def test_only_the_newest_frame_is_taken():
    mailbox = Mailbox()
    assert [mailbox.put(frame) for frame in range(5)] == [False, True, True, True, True]
    assert take(mailbox) == frames(4)
    assert not mailbox.put(9)
    assert take(mailbox) == frames(9)


def test_frames_and_requests_take_turns():
    mailbox = Mailbox(streams=2)
    for request in 'abc':
        assert mailbox.ask(request)
    order = []
    for frame in range(4):
        mailbox.put(frame)
        mailbox.put(f'other {frame}', 1)
        order.append(take(mailbox, limit=2))
    order.append(take(mailbox))
    assert order == [
        Taken(request='a'), frames(1, 'other 1'), Taken(request='b'), frames(3, 'other 3'),
        Taken(request='c')]


def test_frames_that_are_fetched_take_turns_with_requests_too():
    mailbox = Mailbox()
    mailbox.fetch_from(0, Fetcher(1, 2))
    for request in 'abc':
        assert mailbox.ask(request)
    assert [take(mailbox) for _ in range(6)] == [
        Taken(request='a'), frames(1), Taken(request='b'), frames(2), Taken(request='c'), Taken()]


def test_requests_keep_their_order_and_have_a_limit():
    mailbox = Mailbox(max_requests=2)
    assert [mailbox.ask(request) for request in 'abc'] == [True, True, False]
    assert [take(mailbox).request for _ in range(2)] == ['a', 'b']
    assert mailbox.ask('d')


def test_a_batch_has_the_newest_frame_of_each_stream():
    mailbox = Mailbox(streams=3)
    mailbox.put('a1', 0)
    mailbox.put('c1', 2)
    mailbox.put('a2', 0)
    assert take(mailbox, limit=8) == frames('a2', 'c1')
    mailbox.put('b1', 1)
    assert take(mailbox, limit=8) == frames('b1')


class Fetcher:
    """Frames that wait in the middleware, and what was asked of it."""

    def __init__(self, *frames):
        self.frames = list(frames)
        self.asked = []

    def __call__(self, replaces):
        """Return the next frame."""
        self.asked.append(replaces)
        return self.frames.pop(0) if self.frames else None


def test_frames_are_fetched_until_there_is_none():
    mailbox = Mailbox()
    fetch = Fetcher('a', 'b')
    mailbox.put('old')
    mailbox.fetch_from(0, fetch)
    # One that was put is dropped for a newer one, and the fetcher is told so.
    assert take(mailbox) == frames('a')
    assert take(mailbox) == frames('b')
    assert fetch.asked == [True, False]
    # There may be one: nobody waits, and nothing is there.
    assert take(mailbox) == Taken()
    mailbox.put('new')
    assert take(mailbox) == frames('new')
    assert fetch.asked == [True, False, False]


def test_one_that_was_put_is_taken_where_no_newer_one_can_be_fetched():
    mailbox = Mailbox()
    mailbox.put('put')
    mailbox.fetch_from(0, Fetcher())
    assert take(mailbox) == frames('put')


def test_only_frames_whose_turn_it_is_are_fetched():
    mailbox = Mailbox(streams=3)
    fetchers = [Fetcher(*(f'{name}{turn}' for turn in range(9))) for name in 'abc']
    for stream, fetch in enumerate(fetchers):
        mailbox.fetch_from(stream, fetch)
    assert take(mailbox, limit=2) == frames('a0', 'b0')
    assert take(mailbox, limit=2) == frames('c0', 'a1')
    assert take(mailbox) == frames('b1')
    assert [len(fetch.asked) for fetch in fetchers] == [2, 2, 1]


def test_a_stream_without_a_frame_leaves_its_turn_to_the_next_one():
    mailbox = Mailbox(streams=2)
    mailbox.fetch_from(0, Fetcher())
    mailbox.put('b', 1)
    assert take(mailbox) == frames('b')


def test_no_frame_is_lost_where_another_one_cannot_be_fetched():
    def broken(replaces):
        raise RuntimeError('broken')

    mailbox = Mailbox(streams=3)
    mailbox.put('a', 0)
    mailbox.put('b', 1)
    mailbox.fetch_from(1, broken)
    mailbox.fetch_from(2, Fetcher('c'))
    with pytest.raises(RuntimeError):
        mailbox.take(3)
    # It is not asked a second time: the others would starve.
    assert sorted(mailbox.take(3).frames) == ['a', 'b', 'c']


def test_a_closed_mailbox_fetches_nothing():
    mailbox = Mailbox()
    fetch = Fetcher('a')
    mailbox.fetch_from(0, fetch)
    mailbox.close()
    mailbox.fetch_from(0, fetch)
    assert take(mailbox) is None
    assert mailbox.take() == Taken()
    assert fetch.asked == []


def test_whoever_waits_already_fetches():
    mailbox = Mailbox()
    got = []
    thread = threading.Thread(target=lambda: got.append(take(mailbox)), daemon=True)
    thread.start()
    mailbox.fetch_from(0, Fetcher('a'))
    thread.join(DEADLINE)
    assert got == [frames('a')]


@pytest.mark.parametrize('limit', [1, 2, 3])
def test_no_stream_starves_however_fast_the_others_are(limit):
    mailbox = Mailbox(streams=5)
    mailbox.put('slow', 4)
    served = []
    for turn in range(60):
        # The first stream is there before every turn, the others now and then.
        for stream, every in enumerate((1, 1, 2, 3)):
            if turn % every == 0:
                mailbox.put(stream, stream)
        served.append(take(mailbox, limit).frames)
    first = next(turn for turn, each in enumerate(served) if 'slow' in each)
    assert first < 5
    # Whoever always waits has as many turns as others that always wait, and its share of all.
    flat = [stream for each in served for stream in each]
    assert abs(flat.count(0) - flat.count(1)) <= 1
    assert flat.count(0) >= 60 * limit // 5
    assert flat.count(3) >= min(18, 60 * limit // 5 - 1)


def test_a_delay_ends_when_all_lively_streams_are_there():
    now = [100.0]
    mailbox = Mailbox(streams=3, clock=lambda: now[0])
    for stream in range(3):
        mailbox.put('old', stream)
    assert take(mailbox, limit=8, delay=DEADLINE) == frames('old', 'old', 'old')
    # The third one has fallen silent: nobody waits for it any more.
    now[0] += 5.0
    mailbox.put('a', 0)
    taken = []
    thread = threading.Thread(
        target=lambda: taken.append(take(mailbox, limit=8, delay=10 * DEADLINE)), daemon=True)
    mailbox.put('b', 1)
    thread.start()
    thread.join(DEADLINE)
    assert taken == [frames('a', 'b')]


def test_a_delay_is_waited_for_the_other_streams():
    mailbox = Mailbox(streams=2)
    mailbox.put('old', 0)
    mailbox.put('old', 1)
    take(mailbox, limit=2)
    mailbox.put('a1', 0)
    taken = []
    thread = threading.Thread(
        target=lambda: taken.append(take(mailbox, limit=2, delay=10 * DEADLINE)), daemon=True)
    thread.start()
    mailbox.put('a2', 0)
    mailbox.put('b1', 1)
    thread.join(DEADLINE)
    assert taken == [frames('a2', 'b1')]


def test_a_delay_has_an_end():
    mailbox = Mailbox(streams=2)
    mailbox.put('old', 1)
    take(mailbox)
    mailbox.put('a', 0)
    assert take(mailbox, limit=2, delay=0.01) == frames('a')


@pytest.mark.parametrize('deliver, expected', [
    (lambda mailbox: mailbox.put('f'), frames('f')),
    (lambda mailbox: mailbox.ask('r'), Taken(request='r')),
    (lambda mailbox: mailbox.close(), None),
])
def test_the_worker_wakes_up(deliver, expected):
    mailbox = Mailbox()
    taken = []
    thread = threading.Thread(target=lambda: taken.append(take(mailbox)), daemon=True)
    thread.start()
    deliver(mailbox)
    thread.join(DEADLINE)
    assert taken == [expected]


def test_closing_gives_all_back_and_takes_nothing_more():
    mailbox = Mailbox(streams=2)
    mailbox.put('f', 1)
    mailbox.ask('a')
    mailbox.ask('b')
    assert mailbox.close() == (['f'], ['a', 'b'])
    assert mailbox.closed
    assert take(mailbox) is None
    # Whoever put it learns that nobody will look at it.
    assert mailbox.put('g') is None
    assert not mailbox.ask('c')
    assert mailbox.take() == Taken()
    assert mailbox.close() == ([], [])


def test_deliveries_of_many_threads_are_all_counted():
    mailbox = Mailbox(max_requests=10**6)
    threads, each = 8, 500
    seen = []
    replaced = []

    def work():
        while (taken := take(mailbox)) is not None:
            seen.append(taken)
            if taken.request == 'last':
                return

    def deliver():
        for number in range(each):
            replaced.append(mailbox.put(number))
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
    assert sum(taken.request is not None for taken in seen) == threads * each + 1
    waiting = threads * each - sum(replaced) - sum(bool(taken.frames) for taken in seen)
    assert waiting in (0, 1)
