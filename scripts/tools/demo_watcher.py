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
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2DArray
import yaml

# Seconds to wait for all results.
TIMEOUT = 60.0
# Least intersection over union of a box and the card under it.
LEAST_OVERLAP = 0.5
# Seconds between two annotated images on the disk.
PERIOD = 0.5

Stamp = tuple[int, int]


class Card(NamedTuple):
    """A card in an image: its name, and its box in pixels as x1, y1, x2, y2."""

    label: str
    box: tuple[float, float, float, float]
    score: float = 1.0

    def __str__(self) -> str:
        """Return what is printed of it."""
        x1, y1, x2, y2 = self.box
        return f'{self.label} {self.score:.2f} [{x1:.0f} {y1:.0f} {x2:.0f} {y2:.0f}]'


class Sample(NamedTuple):
    """A sample image and what is in it."""

    name: str
    pixels: Any
    cards: list[Card]


class Watcher(Node):
    """Listens to the camera and to the server, and matches their messages by stamp."""

    def __init__(self, samples: list[Sample], output: Path) -> None:
        super().__init__('demo_watcher')
        self.unseen = {sample.name: sample for sample in samples}
        self.wrong = 0
        self._output = output
        self._shown: dict[Stamp, Sample] = {}
        self._results: dict[Stamp, list[Card]] = {}
        self._annotated: dict[Stamp, Any] = {}
        qos = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
        self.create_subscription(Image, 'image', self._on_image, qos)
        self.create_subscription(Image, 'server/debug_image', self._on_annotated, qos)
        self.create_subscription(Detection2DArray, 'detections', self._on_detections, qos)

    def _on_image(self, message: Image) -> None:
        """Recognise the sample that the camera publishes: it sends the files' own pixels."""
        pixels = pixels_of(message)
        for sample in self.unseen.values():
            if np.array_equal(sample.pixels, pixels):
                self._shown[stamp_of(message)] = sample
        self._match(stamp_of(message))

    def _on_annotated(self, message: Image) -> None:
        self._annotated[stamp_of(message)] = pixels_of(message)
        self._match(stamp_of(message))

    def _on_detections(self, message: Detection2DArray) -> None:
        self._results[stamp_of(message)] = cards_of(message)
        self._match(stamp_of(message))

    def _match(self, stamp: Stamp) -> None:
        """Check a sample when its image, its result and its annotated image are here."""
        sample = self._shown.get(stamp)
        if not sample or stamp not in self._results or stamp not in self._annotated:
            return
        # A sample comes again while others still have no result.
        if self.unseen.pop(sample.name, None) is None:
            return
        found = self._results[stamp]
        difference = compare(sample.cards, found)
        self.wrong += bool(difference)
        print(f'  {sample.name:18} {", ".join(map(str, found)) or "nothing"}')
        if difference:
            print(f'  {"":18} WRONG: {difference}')
        cv2.imwrite(str(self._output / sample.name), self._annotated[stamp])


class LiveWatcher(Node):
    """Prints the labels whenever they change, and writes the annotated image now and then."""

    def __init__(self, path: Path) -> None:
        super().__init__('demo_watcher')
        self._path = path
        self._newest: Image | None = None
        self._labels: list[str] | None = None
        qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        self.create_subscription(Image, 'server/debug_image', self._on_annotated, qos)
        self.create_subscription(Detection2DArray, 'detections', self._on_detections, qos)
        self.create_timer(PERIOD, self._write)

    def _on_annotated(self, message: Image) -> None:
        self._newest = message

    def _on_detections(self, message: Detection2DArray) -> None:
        cards = cards_of(message)
        labels = sorted(card.label for card in cards)
        if labels != self._labels:
            self._labels = labels
            print(f'  {", ".join(map(str, cards)) or "nothing"}')

    def _write(self) -> None:
        """Replace the file in one go: a viewer never reads half an image."""
        if self._newest is not None:
            new = self._path.with_name(f'new_{self._path.name}')
            cv2.imwrite(str(new), pixels_of(self._newest))
            new.replace(self._path)
            self._newest = None


def stamp_of(message: Any) -> Stamp:
    """Return a message's stamp as a key."""
    return message.header.stamp.sec, message.header.stamp.nanosec


def cards_of(message: Detection2DArray) -> list[Card]:
    """Return what was detected."""
    cards = []
    for found in message.detections:
        box, centre = found.bbox, found.bbox.center.position
        best = found.results[0].hypothesis
        cards.append(Card(best.class_id, (
            centre.x - box.size_x / 2, centre.y - box.size_y / 2,
            centre.x + box.size_x / 2, centre.y + box.size_y / 2), best.score))
    return cards


def pixels_of(message: Image) -> Any:
    """Return the pixels of a ``bgr8`` image, rows without padding."""
    rows = np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)
    return rows[:, :message.width * 3].reshape(message.height, message.width, 3)


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
    return '; '.join([*([f'missing {", ".join(missing)}'] if missing else []),
                      *([f'not there {", ".join(map(str, left))}'] if left else [])])


def load_samples(directory: Path) -> list[Sample]:
    """Read the sample images and what is in them."""
    samples = []
    for entry in yaml.safe_load((directory / 'scenes.yaml').read_text())['scenes']:
        path = directory / entry['image']
        pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if pixels is None:
            raise SystemExit(f'error: {path}: not a readable image')
        samples.append(Sample(entry['image'], pixels, [
            Card(card['label'], tuple(card['box'])) for card in entry['cards']]))
    return samples


def main(output: Path, samples: str = '') -> int:
    """Watch until every sample is checked or the time is up, or until a signal comes."""
    rclpy.init()
    if not samples:
        try:
            rclpy.spin(LiveWatcher(output / 'live.jpg'))
        except (KeyboardInterrupt, ExternalShutdownException):
            pass
        rclpy.try_shutdown()
        return 0
    watcher = Watcher(load_samples(Path(samples)), output)
    deadline = time.monotonic() + TIMEOUT
    while watcher.unseen and time.monotonic() < deadline:
        rclpy.spin_once(watcher, timeout_sec=0.2)
    watcher.destroy_node()
    rclpy.try_shutdown()
    for name in watcher.unseen:
        print(f'  {name:18} NO RESULT within {TIMEOUT:.0f} s')
    return 1 if watcher.unseen or watcher.wrong else 0


if __name__ == '__main__':
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
