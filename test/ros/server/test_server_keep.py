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

"""Images that a real server keeps for labelling."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ros2_classify import read_image
from ros2_classify.sources import open_source
from ros_process import Peer
from ros_stream import Camera
from vision_msgs.msg import Classification

RED, GREEN = (220, 0, 0), (0, 220, 0)


def test_a_server_keeps_images_without_a_subscriber_and_within_the_bound(
        start: Any, peer: Peer, classifier: Path, tmp_path: Path) -> None:
    place = tmp_path / 'kept'
    server = start('server', {
        'model': classifier, 'keep': 'every 0.001', 'keep_directory': place,
        'keep_period': 0.0, 'keep_megabytes': 0.1}, remap={'image': '/keep/image'})
    server.wait_for_line('active: /keep/image')
    camera = Camera(peer, '/keep/image')

    def files() -> list[Path]:
        return sorted((place / 'keep_image').glob('*.png'))

    def send() -> bool:
        camera.send(camera.message(RED))
        return bool(files())

    peer.spin_until(send, 'an image that is kept')
    image = read_image(files()[0])
    assert tuple(image[0, 0]) == RED[::-1]
    # Subscribers get their results as ever.
    results = peer.collect(Classification, '/classification')
    camera.result(GREEN, results)
    server.stop()
    lines = (place / 'keep_image/kept.jsonl').read_text().splitlines()
    assert [json.loads(line)['file'] for line in sorted(lines)] and len(lines) == len(files())
    assert sum(path.stat().st_size for path in (place / 'keep_image').iterdir()) <= 100_000
    # What it wrote is a source of images.
    assert open_source(str(place / 'keep_image')).length == len(files())


def test_recordings_have_the_images_stamps_and_results(
        start: Any, peer: Peer, classifier: Path, tmp_path: Path) -> None:
    from rosbags.highlevel import AnyReader
    from rosbags.typesys import get_typestore, Stores

    place = tmp_path / 'kept'
    server = start('server', {
        'model': classifier, 'keep': 'every 0.001', 'keep_directory': place,
        'keep_period': 0.0, 'keep_format': 'mcap'}, remap={'image': '/keep/recorded'})
    server.wait_for_line('active: /keep/recorded')
    camera, sent = Camera(peer, '/keep/recorded'), []

    def send() -> bool:
        sent.append(camera.message(RED))
        camera.send(sent[-1])
        return any((place / 'keep_recorded').glob('*.mcap'))

    peer.spin_until(send, 'an image that is kept')
    # Killed: what was written is a whole recording.
    server.kill()
    path = next((place / 'keep_recorded').glob('*.mcap'))
    store = get_typestore(Stores.ROS2_JAZZY)
    with AnyReader([path], default_typestore=store) as reader:
        found = {each.topic: (stamp, reader.deserialize(data, each.msgtype))
                 for each, stamp, data in reader.messages()}
    assert sorted(found) == ['/classification', '/keep/recorded/compressed', '/keep/recorded/kept']
    stamp, image = found['/keep/recorded/compressed']
    heads = {each.header.stamp.sec * 10**9 + each.header.stamp.nanosec: each.header.frame_id
             for each in sent}
    assert heads[stamp] == image.header.frame_id
    assert stamp == image.header.stamp.sec * 10**9 + image.header.stamp.nanosec
    _, result = found['/classification']
    assert result.header == image.header and result.results[0].class_id
    assert json.loads(found['/keep/recorded/kept'][1].data)['reasons'] == ['every']
    frame = next(iter(open_source(str(path)).frames()))
    assert tuple(frame.read()[0, 0]) == RED[::-1]


def test_what_keep_may_be_is_said(start: Any, classifier: Path) -> None:
    server = start('server', {'model': classifier, 'keep': 'everything'})
    server.wait_for_line('must be uncertain, changed, or every N')
