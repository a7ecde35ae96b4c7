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


"""Datasets of the demo cards, made once for all tests."""

from pathlib import Path
import sys

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))


@pytest.fixture(scope='session')
def samples():
    from training import dataset
    return dataset.draw(24, seed=5)


@pytest.fixture(scope='session')
def sets(samples, bags, tmp_path_factory):
    """Return the same images in five formats, by name."""
    from training import dataset
    from training.cards import NAMES
    root = tmp_path_factory.mktemp('sets')
    for name, write in dataset._WRITERS.items():
        write(samples, root / name)
    bags(root / 'bag', {'/camera': [sample.image[..., ::-1] for sample in samples]}, {'/truth': [
        [(NAMES[number], 1.0, box, '') for number, box in zip(
            sample.classes.tolist(), sample.boxes.tolist())] for sample in samples]})
    return {name: root / name for name in (*dataset._WRITERS, 'bag')}


@pytest.fixture(scope='session')
def bags():
    """
    Return what writes a bag: lists of images by topic, and lists of labels of each image.

    Labels are ``name, score, box, id``, or names alone; stamps are 0.1 s apart from second 100.
    """
    rosbag2 = pytest.importorskip('rosbags.rosbag2')
    from ros2_classify_evaluation.vision_messages import CLASSIFICATION, DETECTIONS, make_store

    def write(path, images, labels=None, shift=0.0):
        store = make_store(path)
        types = store.types

        def header(number, shift=0.0):
            nanoseconds = round(1e9 * (100 + shift)) + number * 10**8
            stamp = types['builtin_interfaces/msg/Time'](*divmod(nanoseconds, 10**9))
            return nanoseconds, types['std_msgs/msg/Header'](stamp=stamp, frame_id='camera')

        point = types['geometry_msgs/msg/Point'](0.0, 0.0, 0.0)
        turn = types['geometry_msgs/msg/Quaternion'](0.0, 0.0, 0.0, 1.0)
        pose = types['geometry_msgs/msg/PoseWithCovariance'](
            types['geometry_msgs/msg/Pose'](point, turn), np.zeros(36))

        def hypothesis(name, score):
            return types['vision_msgs/msg/ObjectHypothesis'](name, score)

        def detection(head, name, score, box, track):
            x1, y1, x2, y2 = box
            center = types['vision_msgs/msg/Pose2D'](
                types['vision_msgs/msg/Point2D']((x1 + x2) / 2, (y1 + y2) / 2), 0.0)
            return types['vision_msgs/msg/Detection2D'](
                head, [types['vision_msgs/msg/ObjectHypothesisWithPose'](
                    hypothesis(name, score), pose)],
                types['vision_msgs/msg/BoundingBox2D'](center, x2 - x1, y2 - y1), track)

        with rosbag2.Writer(path, version=9,
                            storage_plugin=rosbag2.StoragePlugin.MCAP) as writer:
            kind = 'sensor_msgs/msg/CompressedImage'
            for topic, each in images.items():
                connection = writer.add_connection(topic, kind, typestore=store)
                for number, image in enumerate(each):
                    nanoseconds, head = header(number)
                    data = cv2.imencode('.png', np.ascontiguousarray(image))[1].reshape(-1)
                    writer.write(connection, nanoseconds, store.serialize_cdr(
                        types[kind](header=head, format='png', data=data), kind))
            for topic, each in (labels or {}).items():
                boxes = any(isinstance(one, tuple) for found in each for one in found or ())
                kind = DETECTIONS if boxes else CLASSIFICATION
                connection = writer.add_connection(topic, kind, typestore=store)
                for number, found in enumerate(each):
                    if found is None:
                        continue
                    nanoseconds, head = header(number, shift)
                    rows = [detection(head, *one) if boxes else hypothesis(one, 1.0)
                            for one in found]
                    writer.write(connection, nanoseconds, store.serialize_cdr(
                        types[kind](head, rows), kind))
        return path
    return write


@pytest.fixture(scope='session')
def crops(tmp_path_factory):
    from training import dataset
    root = tmp_path_factory.mktemp('crops')
    dataset.write_crops(60, root, seed=5)
    return root


@pytest.fixture
def evaluate(capsys):
    """Return what runs the verb: its exit code, output and messages."""
    from ros2_classify import cli

    def run(*words):
        code = cli.main(['evaluate', *map(str, words)])
        return code, *capsys.readouterr()
    return run
