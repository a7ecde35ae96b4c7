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

"""Messages whose bytes stay where the middleware has written them, beside rclpy's own."""

from array import array
import gc
import time

import numpy as np
import pytest
import rclpy
from rclpy.impl.implementation_singleton import rclpy_implementation
from ros2_classify.ros.server import native_take as module
from ros2_classify.ros.server.image_waiter import take
from ros2_classify.ros.server.native_take import native_take, NativeTake
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header, String


def an_image(width=64, height=48, number=1):
    """Return an image of noise; its stamp and frame are not the defaults."""
    msg = Image(height=height, width=width, encoding='bgr8', step=3 * width, is_bigendian=1,
                data=array('B', np.random.default_rng(number).bytes(3 * width * height)))
    msg.header = Header(frame_id='Kamera größer')
    msg.header.stamp.sec, msg.header.stamp.nanosec = -number, 999_999_999
    return msg


@pytest.fixture
def topic(ros):
    """Return a publisher, and a function that takes what it publishes."""
    node = rclpy.create_node('native_take')

    def make(msg_type, name):
        publisher = node.create_publisher(msg_type, name, 10)
        subscription = node.create_subscription(msg_type, name, print, 10)
        end = time.monotonic() + 10.0
        while not publisher.get_subscription_count() and time.monotonic() < end:
            time.sleep(0.01)

        def taken(how):
            end = time.monotonic() + 10.0
            while time.monotonic() < end:
                found = how(subscription)
                if found is not None:
                    return found
                time.sleep(0.005)
            raise AssertionError('nothing came')
        return publisher, taken
    yield make
    node.destroy_node()


@pytest.mark.parametrize('msg', [
    an_image(), Image(), CompressedImage(format='jpeg', data=array('B', range(7))),
    CompressedImage()], ids=['image', 'empty image', 'compressed', 'empty compressed'])
def test_fields_are_those_that_rclpy_reads(topic, msg):
    publisher, taken = topic(type(msg), '/native')
    publisher.publish(msg)
    publisher.publish(msg)
    native = taken(take)
    theirs, info = taken(lambda each: each.handle.take_message(each.msg_type, False))
    for name in msg.get_fields_and_field_types():
        expected = getattr(theirs, name)
        assert np.array_equal(getattr(native.msg, name), expected), name
    assert isinstance(native.msg.data, np.ndarray)
    assert info['publication_sequence_number'] == native.number + 1
    assert 0 < info['source_timestamp'] - native.sent < 10**10


def test_pixels_outlive_the_message_and_later_ones(topic):
    publisher, taken = topic(Image, '/native_memory')
    pixels, expected = [], []
    for number in range(20):
        msg = an_image(320, 240, number)
        publisher.publish(msg)
        pixels.append(taken(take).msg.data[5::7])
        expected.append(np.asarray(msg.data)[5::7])
    gc.collect()
    assert all(np.array_equal(*each) for each in zip(pixels, expected))
    with pytest.raises(ValueError, match='read-only'):
        pixels[0][0] = 1


def test_each_struct_is_freed_with_its_last_array(topic, monkeypatch):
    publisher, taken = topic(Image, '/native_freed')
    native = NativeTake(Image)
    freed = []
    destroy = native._destroy
    monkeypatch.setattr(
        native, '_destroy', lambda pointer: (freed.append(pointer), destroy(pointer)))
    publisher.publish(an_image())
    msg = taken(lambda each: native(each.handle.pointer)).msg
    freed.clear()  # those in which nothing was taken
    view = msg.data[10:20].reshape(2, 5)
    del msg
    gc.collect()
    assert not freed
    del view
    gc.collect()
    assert len(freed) == 1


def test_errors_are_those_of_rclpy():
    native = native_take(Image)
    with pytest.raises(rclpy_implementation.RCLError, match='subscription'):
        native(0)
    # And nothing is left of them for the next one to stumble over.
    with pytest.raises(rclpy_implementation.RCLError, match='subscription'):
        native(0)


def test_structs_that_differ_are_left_to_rclpy(monkeypatch):
    fields = dict(Image.get_fields_and_field_types())
    order = ['step', *(name for name in fields if name != 'step')]
    monkeypatch.setattr(Image, 'get_fields_and_field_types', classmethod(
        lambda cls: {name: fields[name] for name in order}))
    for cached in (module._fields, module._layout, native_take):
        cached.cache_clear()
    try:
        assert native_take(Image) is None
    finally:
        monkeypatch.undo()
        for cached in (module._fields, module._layout, native_take):
            cached.cache_clear()
    assert native_take(Image) is not None


def test_other_kinds_of_messages_are_left_to_rclpy():
    from vision_msgs.msg import Detection2DArray
    assert native_take(Detection2DArray) is None
    assert isinstance(native_take(String), NativeTake)
