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
What the demo sees. usage: demo_watcher.py OUTPUT [SAMPLES], in the environment.

With SAMPLES, wait for the result of each image there, compare it with what is in the image, save
the annotated image, and end with exit code 0 if all are right. Without, print what appears and
save the newest annotated image as live.jpg, until a signal comes.
"""

from __future__ import annotations

from functools import partial
import math
from pathlib import Path
import sys
import time
from typing import Any, NamedTuple

import cv2
import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from ros2_classify.sources.image_messages import to_array
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2DArray
import yaml

# Seconds to wait for all results.
TIMEOUT = 60.0
# Least intersection over union of a box and the card under it.
LEAST_OVERLAP = 0.5
# Seconds between two annotated images on the disk.
PERIOD = 0.5
# Of how many images messages are kept while others are awaited.
MOST_STAMPS = 50


class Card(NamedTuple):
    """A card in an image: its name, and its box in pixels as x1, y1, x2, y2."""

    label: str
    box: tuple[float, float, float, float]
    score: float = 1.0
    track_id: str = ''

    def __str__(self) -> str:
        """Return what is printed of it."""
        x1, y1, x2, y2 = self.box
        track = self.track_id and f'{self.track_id} '
        return f'{track}{self.label} {self.score:.2f} [{x1:.0f} {y1:.0f} {x2:.0f} {y2:.0f}]'


# By the name of the file: its pixels, and the cards in it.
Samples = dict[str, tuple[Any, list[Card]]]


class Watcher(Node):
    """Matches the messages of camera and server by stamp; checks them if there are samples."""

    def __init__(self, samples: Samples, output: Path) -> None:
        super().__init__('demo_watcher')
        self.missing = dict(samples)
        self.wrong = 0
        self._output = output
        self._on_all = self._check if samples else self._show
        self._topics = {'found': (Detection2DArray, 'detections'),
                        'annotated': (Image, 'server/debug_image'),
                        **({'image': (Image, 'image')} if samples else {})}
        self._parts: dict[tuple[int, int], dict[str, Any]] = {}
        self._labels: list[tuple[str, str]] | None = None
        self._written = 0.0
        qos = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
        for part, (kind, topic) in self._topics.items():
            self.create_subscription(kind, topic, partial(self._on_message, part), qos)

    def _on_message(self, part: str, message: Any) -> None:
        """Go on when all messages with a stamp are here."""
        stamp = (message.header.stamp.sec, message.header.stamp.nanosec)
        parts = self._parts.setdefault(stamp, {})
        parts[part] = message
        if len(parts) == len(self._topics):
            self._on_all(**self._parts.pop(stamp))
        elif len(self._parts) > MOST_STAMPS:
            del self._parts[next(iter(self._parts))]

    def _check(self, found: Detection2DArray, annotated: Image, image: Image) -> None:
        """Compare with the sample that the camera published: it sends the files' own pixels."""
        pixels, cards = to_array(image)[0], cards_of(found)
        for name, (expected_pixels, expected) in list(self.missing.items()):
            if np.array_equal(expected_pixels, pixels):
                # A sample comes again while others have no result yet.
                del self.missing[name]
                difference = compare(expected, cards)
                self.wrong += bool(difference)
                print(f'  {name:18} {", ".join(map(str, cards)) or "nothing"}')
                if difference:
                    print(f'  {"":18} WRONG: {difference}')
                cv2.imwrite(str(self._output / name), to_array(annotated)[0])

    def _show(self, found: Detection2DArray, annotated: Image) -> None:
        """Print the cards if ids or labels changed; now and then write the annotated image."""
        cards = cards_of(found)
        labels = sorted((card.track_id, card.label) for card in cards)
        if labels != self._labels:
            self._labels = labels
            print(f'  {", ".join(map(str, cards)) or "nothing"}')
        if time.monotonic() > self._written + PERIOD:
            self._written = time.monotonic()
            # Replaced in one go: a viewer never reads half an image.
            cv2.imwrite(str(self._output / 'new_live.jpg'), to_array(annotated)[0])
            (self._output / 'new_live.jpg').replace(self._output / 'live.jpg')


def cards_of(message: Detection2DArray) -> list[Card]:
    """Return what was detected."""
    cards = []
    for found in message.detections:
        x, y = found.bbox.center.position.x, found.bbox.center.position.y
        width, height = found.bbox.size_x / 2, found.bbox.size_y / 2
        best = found.results[0].hypothesis
        cards.append(Card(best.class_id, (x - width, y - height, x + width, y + height),
                          best.score, found.id))
    return cards


def overlap(first: Card, second: Card) -> float:
    """Return the intersection of two boxes over their union."""
    a, b = np.array(first.box), np.array(second.box)
    sides = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None)
    common = float(sides.prod())
    return common / (float((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod()) - common)


def compare(expected: list[Card], found: list[Card]) -> str:
    """Return what is missing and what is there but should not be; empty if all is right."""
    left = list(found)
    missing = []
    for card in expected:
        match = next((each for each in left if each.label == card.label
                      and overlap(each, card) >= LEAST_OVERLAP), None)
        if match:
            left.remove(match)
        else:
            missing.append(card.label)
    return '; '.join(f'{what} {", ".join(map(str, cards))}' for what, cards in (
        ('missing', missing), ('not there', left)) if cards)


def load_samples(directory: Path) -> Samples:
    """Read the sample images and what is in them."""
    entries = yaml.safe_load((directory / f'{directory.name}.yaml').read_text())['images']
    return {entry['image']: (cv2.imread(str(directory / entry['image'])), [
        Card(card['label'], tuple(card['box'])) for card in entry['cards']]) for entry in entries}


def main(output: Path, samples: str = '') -> int:
    """Watch until every sample is checked or the time is up, or until a signal comes."""
    rclpy.init()
    watcher = Watcher(load_samples(Path(samples)) if samples else {}, output)
    deadline = time.monotonic() + (TIMEOUT if samples else math.inf)
    try:
        while (watcher.missing or not samples) and time.monotonic() < deadline:
            rclpy.spin_once(watcher, timeout_sec=0.2)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    rclpy.try_shutdown()
    for name in watcher.missing:
        print(f'  {name:18} NO RESULT within {TIMEOUT:.0f} s')
    return 1 if watcher.missing or watcher.wrong else 0


if __name__ == '__main__':
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
