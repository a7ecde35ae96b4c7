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

"""
What messages cost: made and published, and sent from one process to another, in several ways.

``python -m ros2_classify_benchmark.nodes.messages [results|images|hops|segments ...]`` prints
JSON.
The ways are measured alternately; each number is the median of all rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
import json
import os
from pathlib import Path
import re
import signal
import struct
import subprocess
import sys
import tempfile
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

import rclpy
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from ros2_classify.results.results import Classification, Detections, Timing
from ros2_classify.ros.messages.image import to_image_msg
from ros2_classify.ros.messages.vision import MESSAGES
from ros2_classify.ros.node import dds_profile, process as runtime
from ros2_classify_benchmark.processes import environment
from sensor_msgs.msg import Image
from std_msgs.msg import Header

SIZES = {'640x480': (640, 480), '1920x1080': (1920, 1080)}
SEGMENTS = (8, 16, 24, 32, 64)
_RATE = 30.0
_CALLS = 60
_DEADLINE = 60.0
_TIMING = Timing(0.0, 0.0, 0.0)
_TOPIC = 'bench_image'


def run(rounds: int = 5, seconds: float = 3.0) -> dict[str, Any]:
    """Measure everything but `segments`."""
    return {'results': results(rounds), 'images': images(rounds),
            'hops': hops(rounds, seconds)}


def results(rounds: int = 5) -> dict[str, Any]:
    """Return the milliseconds to make and publish results, as message objects and as bytes."""
    messages_of_results: dict[str, Classification | Detections] = {
        'detections_1': _detections(1), 'detections_100': _detections(100),
        'detections_300': _detections(300), 'classification_5': _classification(5),
        'classification_999': _classification(999)}

    def measure(node: Any) -> dict[str, Any]:
        found = {}
        for name, result in messages_of_results.items():
            row = MESSAGES[result.task]
            assert row.to_cdr is not None
            found[name] = _publishing(node, row.msg_type, {
                'object': partial(row.to_msg, result, Header(), 'label'),
                'bytes': partial(row.to_cdr, result, Header(), 'label')}, rounds)
        return found

    return _with_node(measure)


def images(rounds: int = 5) -> dict[str, Any]:
    """Return the milliseconds to make and publish images, as message objects and as bytes."""
    return _with_node(lambda node: {
        name: _publishing(node, Image, {
            'object': partial(to_image_msg, _noise(size), 'bgr8', Header()),
            'bytes': partial(image_to_cdr, _noise(size), 'bgr8', Header())}, rounds)
        for name, size in SIZES.items()})


def hops(rounds: int = 5, seconds: float = 3.0) -> dict[str, Any]:
    """Measure how images at 30 Hz get from one process to another, best effort."""
    ways = [(form, executor) for executor in ('waiting', 'events') for form in ('object', 'bytes')]
    found: dict[str, Any] = {}
    for name, size in SIZES.items():
        with _Sender(size) as sender:
            rows: dict[str, list[dict[str, float]]] = {' '.join(way): [] for way in ways}
            for _ in range(rounds):
                for way in ways:
                    rows[' '.join(way)] += _receive(sender, [way], seconds)
        found[name] = {way: _medians(each) for way, each in rows.items()}
    return found


def segments(rounds: int = 3, seconds: float = 4.0) -> dict[str, Any]:
    """Measure sizes (MiB) of the sender's shared memory with two receivers at 30 Hz."""
    found: dict[str, Any] = {}
    for name, size in {**SIZES, '3840x2160': (3840, 2160)}.items():
        rows: dict[str, list[dict[str, float]]] = {}
        for _ in range(rounds):
            for segment in (0, *SEGMENTS):
                with _Sender(size, segment) as sender:
                    rows.setdefault(f'{segment} MiB' if segment else 'default', []).extend(
                        _receive(sender, [('object', 'waiting')] * 2, seconds))
        found[name] = {segment: _medians(each) for segment, each in rows.items()}
    return found


def image_to_cdr(pixels: NDArray[np.uint8], encoding: str, header: Any) -> bytes:
    """Write a ``sensor_msgs/Image`` as CDR, little endian; `cdr` explains the format."""
    frame, name = header.frame_id.encode() + b'\0', encoding.encode() + b'\0'
    stamp = header.stamp
    start = struct.pack('<iII', stamp.sec, stamp.nanosec, len(frame)) + frame
    start += bytes(-len(start) % 4)
    start += struct.pack('<III', *pixels.shape[:2], len(name)) + name + b'\0'
    start += bytes(-len(start) % 4)
    start += struct.pack('<II', pixels.strides[0], pixels.nbytes)
    return b''.join((b'\x00\x01\x00\x00', start, pixels.data.cast('B')))


def image_from_cdr(content: bytes) -> Any:
    """Read what `image_to_cdr` wrote; the pixels stay where they are."""
    sec, nanosec, length = struct.unpack_from('<iII', content, 4)
    at = (16 + length + 3) & ~3
    height, width, length = struct.unpack_from('<III', content, at)
    encoding = content[at + 12:at + 11 + length].decode()
    at += 12 + length
    is_bigendian = content[at]
    at = (at + 4) & ~3
    step, length = struct.unpack_from('<II', content, at)
    stamp = SimpleNamespace(sec=sec, nanosec=nanosec)
    return SimpleNamespace(
        header=SimpleNamespace(stamp=stamp), height=height, width=width, encoding=encoding,
        is_bigendian=is_bigendian, step=step, data=memoryview(content)[at + 8:at + 8 + length])


def _classification(count: int) -> Classification:
    return Classification(
        np.arange(count), np.linspace(0.9, 0.1, count, dtype=np.float32),
        np.array([f'class number {i}' for i in range(count)], object), (640, 480), _TIMING)


def _detections(count: int) -> Detections:
    corners = np.random.default_rng(1).uniform(0, (300, 200), (count, 2))
    boxes = np.hstack([corners, corners + 100]).astype(np.float32)
    result = _classification(count)
    return Detections(
        boxes, result.class_ids, result.scores, result.labels, (640, 480), _TIMING)


def _noise(size: tuple[int, int]) -> NDArray[np.uint8]:
    width, height = size
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)


def _qos() -> QoSProfile:
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST, depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)


def _with_node(measure: Callable[[Any], Any]) -> Any:
    _set_up(int(environment()['ROS_DOMAIN_ID']))
    node = rclpy.create_node('bench_messages')
    try:
        return measure(node)
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


def _set_up(domain: int | None = None) -> None:
    dds_profile.use()
    runtime.tune_malloc()
    rclpy.init(args=[], domain_id=domain, signal_handler_options=SignalHandlerOptions.NO)


def _publishing(
        node: Any, msg_type: type, ways: dict[str, Callable[[], Any]],
        rounds: int) -> dict[str, float]:
    """Return the median milliseconds of making and publishing, with one subscriber there."""
    publisher = node.create_publisher(msg_type, 'bench_messages', 1)
    subscription = node.create_subscription(msg_type, 'bench_messages', lambda _: None, 1)
    times: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, make in ways.items():
            spent = []
            for _ in range(_CALLS):
                begun = time.perf_counter()
                publisher.publish(make())
                spent.append(time.perf_counter() - begun)
            times[way].append(1e3 * float(np.median(spent)))
    node.destroy_subscription(subscription)
    node.destroy_publisher(publisher)
    return {way: round(float(np.median(each)), 3) for way, each in times.items()}


def _medians(rows: list[dict[str, float]]) -> dict[str, float]:
    return {key: round(float(np.median([row[key] for row in rows])), 3) for key in rows[0]}


class _Sender:
    """
    A process that sends images of one size, each with the time as its stamp.

    Attributes
    ----------
    environment : dict of str to str
        That of its receivers: a ROS domain that nobody else uses.

    """

    def __init__(self, size: tuple[int, int], segment: int | None = None) -> None:
        self._directory = tempfile.TemporaryDirectory()
        # Never the domain that is set: a robot may be at work there.
        self.environment = environment()
        own = dict(self.environment)
        if segment == 0:
            own['FASTDDS_BUILTIN_TRANSPORTS'] = 'DEFAULT'
        elif segment is not None:
            own[dds_profile.variable(os.environ)] = str(self._profile(segment))
        self._process = subprocess.Popen([*_SELF, 'send', *map(str, size)], env=own)

    def _profile(self, segment: int) -> Path:
        shipped = dds_profile.profile_file()
        assert shipped is not None
        path = Path(self._directory.name) / 'profile.xml'
        path.write_text(re.sub(r'>\d+</', f'>{segment * 2**20}</', shipped.read_text()))
        return path

    def __enter__(self) -> _Sender:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(_DEADLINE)
        self._directory.cleanup()


def _receive(
        sender: _Sender, ways: Iterable[tuple[str, str]],
        seconds: float) -> list[dict[str, float]]:
    """Start receivers side by side and return what each one measured."""
    processes = [
        subprocess.Popen([*_SELF, 'receive', form, executor, str(seconds)],
                         stdout=subprocess.PIPE, text=True, env=sender.environment)
        for form, executor in ways]
    return [json.loads(process.communicate(timeout=_DEADLINE + seconds)[0].splitlines()[-1])
            for process in processes]


def _send(width: int, height: int) -> None:
    _set_up()
    ended: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(1))
    node = rclpy.create_node('bench_sender')
    publisher = node.create_publisher(Image, _TOPIC, _qos())
    msg = to_image_msg(_noise((width, height)), 'bgr8', Header(frame_id='camera'))
    due = time.monotonic()
    while not ended:
        due += 1 / _RATE
        time.sleep(max(0.0, due - time.monotonic()))
        msg.header.stamp.sec, msg.header.stamp.nanosec = divmod(time.monotonic_ns(), 10**9)
        publisher.publish(msg)
    node.destroy_node()
    rclpy.try_shutdown()


def _received(form: str, executor: str, seconds: float) -> dict[str, float]:
    _set_up()
    node = rclpy.create_node('bench_receiver')
    delays: list[float] = []

    def receive(msg: Any) -> None:
        image = image_from_cdr(msg) if form == 'bytes' else msg
        np.frombuffer(image.data, np.uint8)[::4096].max()
        stamp = image.header.stamp
        delays.append(1e-6 * (time.monotonic_ns() - stamp.sec * 10**9 - stamp.nanosec))

    node.create_subscription(Image, _TOPIC, receive, _qos(), raw=form == 'bytes')
    if executor == 'events':
        from rclpy.experimental import EventsExecutor
        spinner = EventsExecutor()
    else:
        from rclpy.executors import SingleThreadedExecutor
        spinner = SingleThreadedExecutor()
    spinner.add_node(node)
    warm = time.monotonic() + 2.0
    while time.monotonic() < warm:
        spinner.spin_once(timeout_sec=0.2)
    delays.clear()
    begun, cpu = time.monotonic(), time.process_time()
    while time.monotonic() - begun < seconds:
        spinner.spin_once(timeout_sec=0.2)
    spent, cpu = time.monotonic() - begun, time.process_time() - cpu
    spinner.shutdown()
    node.destroy_node()
    rclpy.try_shutdown()
    # Nothing came: no JSON knows a number for that but one that can't be.
    p50, p95 = np.percentile(delays or [-1.0], [50, 95]).tolist()
    return {'p50_ms': p50, 'p95_ms': p95, 'cpu_percent': 100 * cpu / spent,
            'came': min(1.0, len(delays) / (spent * _RATE))}


_SELF = (sys.executable, '-m', 'ros2_classify_benchmark.nodes.messages')
_MEASURES = {'results': results, 'images': images, 'hops': hops, 'segments': segments}


def main(words: list[str]) -> int:
    """Run one measurement or more, or be one of the processes that they start."""
    if words[:1] == ['send']:
        _send(*map(int, words[1:]))
        return 0
    if words[:1] == ['receive']:
        print(json.dumps(_received(words[1], words[2], float(words[3]))), flush=True)
        return 0
    unknown = set(words) - set(_MEASURES)
    if unknown:
        print(f'unknown: {", ".join(sorted(unknown))}; known: {", ".join(_MEASURES)}',
              file=sys.stderr)
        return 2
    print(json.dumps({word: _MEASURES[word]() for word in words} or run(), indent=1))
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
