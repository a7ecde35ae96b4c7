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

"""Images in one process: handed over without a copy, and to others as messages."""

import threading

import numpy as np
import pytest
import rclpy
from ros2_classify.ros.node.intra_process import find_sender, ImageSender
from ros2_classify.ros.server.subscription import ImageSubscription
from ros2_classify.sources.image_messages import ImageError, to_array
from sensor_msgs.msg import Image
from std_msgs.msg import Header

DEADLINE = 10.0


@pytest.fixture
def node(ros):
    """Return a node."""
    node = rclpy.create_node('local')
    yield node
    node.destroy_node()


@pytest.fixture
def sender(node):
    """Return a sender."""
    sender = ImageSender(node, 'eye/image', 2)
    yield sender
    sender.destroy()


@pytest.mark.parametrize(('encoding', 'shape', 'color'), [
    ('bgr8', (4, 6, 3), 'bgr'), ('rgba8', (4, 6, 4), 'rgba'), ('mono8', (4, 6), 'mono')])
def test_pixels_are_handed_over_as_they_are(sender, encoding, shape, color):
    got = []
    sender.listen(got.append)
    assert sender.subscriptions == 1
    pixels = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    header = Header(frame_id='eye')
    sender.send(pixels, encoding, header)
    read, found = to_array(got[0])
    assert found == color and np.array_equal(read, pixels)
    assert np.shares_memory(read, pixels)
    assert got[0].header is header
    sender.leave(got.append)
    sender.send(pixels, encoding, header)
    assert len(got) == 1 and sender.subscriptions == 0


def test_rows_with_padding_are_packed(sender):
    got = []
    sender.listen(got.append)
    wide = np.arange(4 * 9 * 3, dtype=np.uint8).reshape(4, 9, 3)
    sender.send(wide[:, 2:7], 'bgr8', Header())
    assert np.array_equal(to_array(got[0])[0], wide[:, 2:7])


@pytest.mark.parametrize(('encoding', 'array'), [
    ('bgr8', np.zeros((4, 6), np.uint8)), ('mono16', np.zeros((4, 6), np.uint16)),
    ('bgr8', np.zeros((4, 6, 3), np.float32)), ('nonsense', np.zeros((4, 6, 3), np.uint8))])
def test_what_is_no_such_image_is_refused(sender, encoding, array):
    sender.listen(pytest.fail)
    with pytest.raises(ImageError, match=f'does not fit {encoding}'):
        sender.send(array, encoding, Header())


def test_others_get_messages(sender, peer):
    theirs, mine = peer.collect(Image, '/eye/image'), []
    sender.listen(mine.append)
    peer.spin_until(lambda: sender.subscriptions == 2, 'the subscriber')
    pixels = np.full((4, 6, 3), 7, np.uint8)
    sender.send(pixels, 'rgb8', Header(frame_id='x'))
    peer.spin_until(lambda: theirs, 'the message')
    assert len(mine) == 1
    assert theirs[0].header.frame_id == 'x' and theirs[0].encoding == 'rgb8'
    assert np.array_equal(to_array(theirs[0])[0], pixels)


def test_senders_are_found_by_their_full_names(node):
    assert find_sender('/eye/image') is None
    first = ImageSender(node, 'eye/image', 2)
    assert first.topic == '/eye/image'
    second = ImageSender(node, '/eye/image', 2)
    assert find_sender('/eye/image') is second
    first.destroy()
    assert find_sender('/eye/image') is second
    second.destroy()
    assert find_sender('/eye/image') is None


def test_leaving_waits_for_the_image_that_is_being_handed_over(sender):
    inside, go_on, left = threading.Event(), threading.Event(), threading.Event()

    def listen(_):
        inside.set()
        assert go_on.wait(DEADLINE)

    def leave():
        sender.leave(listen)
        left.set()

    sender.listen(listen)
    threads = [threading.Thread(target=sender.hand_over, args=('image',), daemon=True),
               threading.Thread(target=leave, daemon=True)]
    threads[0].start()
    assert inside.wait(DEADLINE)
    threads[1].start()
    assert not left.is_set()
    go_on.set()
    assert left.wait(DEADLINE)
    for thread in threads:
        thread.join(DEADLINE)


def test_a_subscription_follows_senders_that_come_and_go(node):
    woken = []
    source = ImageSubscription(node, '/eye/image', 'raw', lambda: woken.append(True))
    source.update(wanted=True)
    assert source.subscribed and not source.is_local
    assert node.count_subscribers('/eye/image') == 1
    sender = ImageSender(node, 'eye/image', 2)
    source.update(wanted=True)
    assert source.is_local and source.waitables == ()
    assert node.count_subscribers('/eye/image') == 0
    woken.clear()
    for name in ('older', 'newer'):
        sender.send(np.zeros((2, 3), np.uint8), 'mono8', Header(frame_id=name))
    assert len(woken) == 2 and source.has_local_image and source.last_image_at is not None
    # The newest one is kept.
    taken = source.take()
    assert (taken.msg.header.frame_id, taken.replaced) == ('newer', 1)
    assert not source.has_local_image and source.take() is None
    sender.destroy()
    source.update(wanted=True)
    assert source.subscribed and not source.is_local
    assert node.count_subscribers('/eye/image') == 1
    source.unsubscribe()
    assert not source.subscribed


def test_compressed_images_go_through_the_middleware(node, sender):
    source = ImageSubscription(node, '/eye/image/compressed', 'compressed', lambda: None)
    source.update(wanted=True)
    assert source.subscribed and not source.is_local
    source.unsubscribe()
