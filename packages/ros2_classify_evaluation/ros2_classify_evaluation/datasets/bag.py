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

"""Bags: images, and labels on a topic beside them, which belong together by their stamps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ros2_classify import InputError
from ros2_classify.sources import is_bag, open_source, Source
from ros2_classify.sources.bag import bound_rosbags, check_files
from ros2_classify_evaluation.datasets.base import Dataset, Names, Objects, Sample
from ros2_classify_evaluation.vision_messages import CLASSIFICATION, DETECTIONS, make_store

fits = is_bag


class _Label(NamedTuple):
    """One object or class: its name, score, box and id."""

    name: str
    score: float
    box: tuple[float, float, float, float]
    track: str


def load(path: Path, topic: str = '', labels_topic: str = '') -> Dataset:
    """Read the labels; the images are read when they are needed, one after the other."""
    task, labels_topic, labels = _labels(path, labels_topic)
    said: list[str] = []
    source = open_source(str(path), warn=said.append, topic=topic)
    player = _Player(source)
    names = Names()
    samples, used, images = [], set(), 0
    several = any(len(each) > 1 for each in labels.values())
    for number, frame in enumerate(source.frames()):
        images += 1
        key = _key(frame.stamp)
        if key not in labels:
            continue
        if key in used:
            raise InputError(f'{path} has two images with the stamp {frame.stamp:.9f}: nothing '
                             'tells which of them the labels belong to')
        used.add(key)
        found = labels[key]
        if not found and task == 'classification' and not several:
            continue
        samples.append(Sample(
            f'{frame.stamp:020.9f}', None, _truth(task, found, names), player.reader(number),
            str(path), frame.stamp))
    if not used:
        raise InputError(
            f'{path}: none of the {len(labels)} stamps on {labels_topic} is that of one of the '
            f'{images} images of {source.name}; labels need the stamps of their images')
    notes = []
    if images > len(used):
        notes.append(f'{images - len(used)} of {images} images have no labels and are skipped')
    if len(labels) > len(used):
        notes.append(f'{len(labels) - len(used)} messages on {labels_topic} have no image')
    if any(each.score < 1 for found in labels.values() for each in found):
        notes.append(f'labels on {labels_topic} have scores below 1, as results of a model have: '
                     'numbers measured against another model tell how much the two agree')
    return Dataset(task, tuple(names), samples, f'{labels_topic} of {path}', 'bag',
                   several and task == 'classification', tuple(notes))


def _key(stamp: float) -> int:
    """Return a stamp in microseconds: seconds as a float are not exact to a nanosecond."""
    return round(stamp * 1e6)


def _truth(task: str, found: list[_Label], names: Names) -> Any:
    if task == 'classification':
        return frozenset(names[each.name] for each in found)
    tracks = tuple(each.track for each in found)
    return Objects.of([each.box for each in found], [names[each.name] for each in found],
                      track_ids=tracks if any(tracks) else None)


def _labels(path: Path, topic: str) -> tuple[str, str, dict[int, list[_Label]]]:
    """Return the task, the topic, and the labels by stamp."""
    store = make_store(path)
    from rosbags.highlevel import AnyReader

    try:
        bound_rosbags()
        check_files(path)
        with AnyReader([path], default_typestore=store) as reader:
            kinds = {each.topic: each.msgtype for each in reader.connections
                     if each.msgtype in (CLASSIFICATION, DETECTIONS)}
            listed = ', '.join(sorted(kinds)) or 'none'
            if topic and topic not in kinds:
                raise InputError(f'the bag {path} has no labels on {topic}; topics with '
                                 f'Detection2DArray or Classification: {listed}')
            if len(kinds) != 1 and not topic:
                raise InputError(f'say with --labels-topic which topic of the bag {path} has '
                                 f'the labels; with Detection2DArray or Classification: {listed}')
            topic = topic or next(iter(kinds))
            found: dict[int, list[_Label]] = {}
            chosen = [each for each in reader.connections if each.topic == topic]
            for connection, _, raw in reader.messages(chosen):
                message = reader.deserialize(raw, connection.msgtype)
                stamp = message.header.stamp
                key = _key(stamp.sec + 1e-9 * stamp.nanosec)
                if key in found:
                    raise InputError(f'{path} has two messages on {topic} with the stamp '
                                     f'{stamp.sec}.{stamp.nanosec:09d}; one must go')
                found[key] = list(_READERS[kinds[topic]](message, path))
    except InputError:
        raise
    except Exception as error:  # noqa: B902 - rosbags raises what its parsers meet
        raise InputError(f'the bag {path} cannot be read: {error}') from error
    task = 'detection' if kinds[topic] == DETECTIONS else 'classification'
    return task, topic, found


def _classes(message: Any, path: Path) -> Iterator[_Label]:
    for each in message.results:
        yield _Label(each.class_id, each.score, (0.0, 0.0, 0.0, 0.0), '')


def _boxes(message: Any, path: Path) -> Iterator[_Label]:
    for each in message.detections:
        if not each.results:
            raise InputError(f'{path}: a box of the labels has no class')
        if each.bbox.center.theta:
            raise InputError(f'{path}: a box of the labels is turned (theta is '
                             f'{each.bbox.center.theta:g}); only upright boxes are measured')
        best = max(each.results, key=lambda result: float(result.hypothesis.score)).hypothesis
        center = each.bbox.center.position
        half = each.bbox.size_x / 2, each.bbox.size_y / 2
        yield _Label(best.class_id, best.score, (
            center.x - half[0], center.y - half[1], center.x + half[0], center.y + half[1]),
            each.id)


_READERS = {CLASSIFICATION: _classes, DETECTIONS: _boxes}


class _Player:
    """Reads images by their number; those in order cost no second pass."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._frames = source.frames()
        self._next = 0

    def reader(self, number: int) -> Any:
        return lambda: self._read(number)

    def _read(self, number: int) -> NDArray[np.uint8]:
        if number < self._next:
            self._frames, self._next = self._source.frames(), 0
        for frame in self._frames:
            self._next += 1
            if self._next > number:
                pixels = frame.read()
                if pixels is None:
                    raise InputError(f'{frame.name} of {self._source.name} cannot be read')
                return pixels
        raise InputError(f'{self._source.name} has no image {number} any more')
