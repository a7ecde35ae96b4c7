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

"""A video through camera, server and a subscriber: three processes, and boxes on the cars."""

import json
import os

import cv2
import numpy as np
from rclpy.qos import qos_profile_sensor_data
from ros2_classify.cli import main
from ros2_classify.ros.messages.vision import detections_from
from ros2_classify.sources.image_messages import to_array
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2DArray


def stamp(msg):
    """Return a message's stamp."""
    return msg.header.stamp.sec, msg.header.stamp.nanosec


def car_park(path):
    """Return the image without cars: the median of frames over the whole video."""
    capture = cv2.VideoCapture(str(path))
    frames = []
    while capture.grab():
        frames.append(capture.retrieve()[1])
    return np.median(frames[::12], axis=0)


def rows_of_infer(video, results):
    """Return what ``infer`` says of each frame, by the frame's pixels."""
    capture, frames = cv2.VideoCapture(str(video)), {}
    while capture.grab():
        frames.setdefault(capture.retrieve()[1].tobytes(), len(frames))
    assert main(['infer', '--model', 'yolox_nano', '--source', str(video), '--threshold', '0.5',
                 '--limit', '112', '--results', str(results)]) == 0
    rows = [json.loads(line) for line in results.read_text().splitlines()]
    return {pixels: rows[number] for pixels, number in frames.items() if number < len(rows)}


def numbers(msg):
    """Return label, score, and box as x1, y1, x2, y2, of each detection of a message."""
    found = []
    for each in msg.detections:
        (best, *_), box = each.results, each.bbox
        x, y = box.center.position.x, box.center.position.y
        found.append((best.hypothesis.class_id, best.hypothesis.score, [
            x - box.size_x / 2, y - box.size_y / 2, x + box.size_x / 2, y + box.size_y / 2]))
    return found


def test_every_result_belongs_to_one_image_and_boxes_sit_on_cars(
        start, peer, published, tmp_path):
    video = published / 'video' / 'car-detection.mp4'
    empty = car_park(video)
    height, width = empty.shape[:2]
    images = peer.collect(Image, '/image', qos_profile_sensor_data)
    results = peer.collect(Detection2DArray, '/detections', 100)
    server = start('server', {'model': 'yolox_nano', 'score_threshold': 0.5}, environment={
        'ROS2_CLASSIFY_MODEL_PATH': os.environ['ROS2_CLASSIFY_MODEL_PATH']})
    camera = start('camera', {
        'source': video, 'rate': 60.0, 'frame_id': 'car_park', 'wait_for_subscribers': 2})
    peer.spin_until(lambda: sum(len(msg.detections) for msg in results) >= 20, 'boxes')
    camera.stop()
    assert 'unusable' in server.stop()

    by_stamp = {stamp(msg): msg for msg in images}
    assert len(by_stamp) == len(images)
    assert len({stamp(msg) for msg in results}) == len(results)
    # A best-effort image may reach one subscriber and miss the other.
    matched = [msg for msg in results if stamp(msg) in by_stamp]
    assert len(matched) >= 0.9 * len(results)
    shares = []
    for msg in matched:
        assert msg.header == by_stamp[stamp(msg)].header and msg.header.frame_id == 'car_park'
        assert all(detection.header == msg.header for detection in msg.detections)
        pixels, _ = to_array(by_stamp[stamp(msg)])
        # The camera changed its exposure now and then; most of every image is asphalt.
        balanced = pixels * (np.median(empty, axis=(0, 1)) / np.median(pixels, axis=(0, 1)))
        changed = np.abs(balanced - empty).max(axis=2) > 40
        for x1, y1, x2, y2 in detections_from(msg, (width, height), {}).boxes.round().astype(int):
            # A car fills its box, seen from above, but for corners and asphalt-grey windows ...
            box = changed[y1:y2, x1:x2]
            assert box.size > 2000 and box.mean() > 0.5
            # ... and around the box there is asphalt, but for shadows and other cars.
            around = changed[max(0, y1 - 12):y2 + 12, max(0, x1 - 12):x2 + 12]
            share = (around.sum() - box.sum()) / max(1, around.size - box.size)
            shares.append(share / box.mean())
    assert len(shares) >= 15
    assert np.median(shares) < 0.4 and max(shares) < 0.7, shares

    # ... and ``infer`` has the same numbers for each of the images, to what its lines round.
    rows, compared = rows_of_infer(video, tmp_path / 'rows.jsonl'), []
    for msg in matched:
        row = rows.get(to_array(by_stamp[stamp(msg)])[0].tobytes())
        if row is None:
            continue
        found = numbers(msg)
        assert [each[0] for each in found] == [each['label'] for each in row['results']]
        for (_, score, box), each in zip(found, row['results']):
            assert abs(score - each['score']) <= 1e-4
            assert np.abs(np.subtract(box, each['box'])).max() <= 0.01
        compared.append(len(found))
    assert len(compared) >= 15 and sum(compared) >= 5
