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

"""Which images are kept, that files are whole, and that the bound holds."""

from __future__ import annotations

import json
from pathlib import Path
import threading
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
import pytest
from ros2_classify import Classification, Detections, OptionsError, read_image, Timing
from ros2_classify.keeping.keeper import doubt, Keeper, KeepRules, perceptual_hash
from ros2_classify.keeping.mcap import mend, Message
from ros2_classify.keeping.stores import Candidate, make_store

TIMING = Timing(0.0, 0.0, 0.0)
IMAGE = """std_msgs/Header header
string format
uint8[] data
"""


def noise(seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 255, (60, 80, 3), np.uint8)


def classes(*scores: float) -> Classification:
    return Classification(
        np.arange(len(scores)), np.array(scores, np.float32),
        np.array([f'c{each}' for each in range(len(scores))], object), image_size=(80, 60),
        timing=TIMING)


SURE, UNSURE = classes(0.9, 0.1), classes(0.5, 0.45)


def messages(data: bytes, about: dict[str, Any]) -> list[Message]:
    """Return an image and a text as messages, of which only the bytes count here."""
    return [Message('/camera/compressed', 'sensor_msgs/msg/CompressedImage', IMAGE, data),
            Message('/kept', 'std_msgs/msg/String', 'string data', json.dumps(about).encode())]


class Kept:
    """A keeper, and what it said."""

    def __init__(self, directory: Path, rules: str, most: int = 10**7, period: float = 0.0,
                 form: str = 'png'):
        self.directory = directory
        self.said: list[str] = []
        store = make_store(form, directory, most, self.said.append)
        self.keeper = Keeper(store, KeepRules.parse(rules), period, self.said.append)

    def look(self, image: NDArray[np.uint8], result: Any, second: float) -> None:
        """Offer an image and wait until it has been looked at."""
        seen = threading.Event()

        def read() -> NDArray[np.uint8]:
            seen.set()
            return image

        self.keeper.offer(Candidate(read, result, round(second * 1e9), 'model', messages))
        seen.wait(0.2)
        # What is looked at is done when the next one is taken.
        while self.keeper._queue.qsize():
            pass

    def names(self) -> list[str]:
        """Return the images, after all was written."""
        self.keeper.close()
        return sorted(path.name for path in self.directory.glob('*.png'))

    def recorded(self) -> list[tuple[int, bytes]]:
        """Return stamps and images of all recordings, as the package mcap reads them."""
        self.keeper.close()
        return [each for path in sorted(self.directory.glob('*.mcap')) for each in read(path)]


def read(path: Path) -> list[tuple[int, bytes]]:
    """Return stamps and images of a recording; an index that is wrong is an error."""
    from mcap.reader import make_reader
    with path.open('rb') as file:
        reader = make_reader(file, validate_crcs=True)
        summary = reader.get_summary()
        assert summary is not None and summary.statistics is not None
        found = [(message.log_time, message.data) for _, _, message in reader.iter_messages(
            topics=['/camera/compressed'])]
        assert summary.statistics.message_count == 2 * len(found)
        assert summary.statistics.chunk_count == len(summary.chunk_indexes) == len(found)
    return found


@pytest.mark.parametrize(('text', 'rules'), [
    ('', KeepRules()), ('uncertain', KeepRules(uncertain=True)),
    ('changed, every 2.5', KeepRules(changed=True, every=2.5))])
def test_rules(text: str, rules: KeepRules) -> None:
    assert KeepRules.parse(text) == rules


@pytest.mark.parametrize('text', [
    'all', 'every', 'every x', 'every 0', 'every -1', 'uncertain 3', 'every nan'])
def test_rules_that_are_refused(text: str) -> None:
    with pytest.raises(OptionsError, match='must be uncertain, changed, or every N'):
        KeepRules.parse(text)


def test_doubt_is_the_margin_or_the_nearness_to_a_half() -> None:
    assert doubt(UNSURE) == pytest.approx(0.95) and doubt(SURE) == pytest.approx(0.2)
    assert doubt(classes()) == 0
    boxes = Detections(
        np.zeros((2, 4)), np.arange(2), np.array([0.95, 0.6]), np.array(['a', 'b'], object),
        image_size=(80, 60), timing=TIMING)
    assert doubt(boxes) == pytest.approx(0.8)


def test_the_unsure_are_kept_with_a_line_each(tmp_path: Path) -> None:
    kept = Kept(tmp_path / 'a', 'uncertain')
    for second, result in enumerate((SURE, UNSURE, SURE, UNSURE)):
        kept.look(noise(second), result, second)
    assert kept.names() == ['1.000000000.png', '3.000000000.png']
    assert (read_image(tmp_path / 'a/1.000000000.png') == noise(1)).all()
    lines = [json.loads(line) for line in (tmp_path / 'a/kept.jsonl').read_text().splitlines()]
    assert lines[0] == {'file': '1.000000000.png', 'stamp': 10**9, 'reasons': ['uncertain'],
                        'doubt': 0.95, 'model': 'model'}


def test_what_has_changed_and_what_comes_in_time(tmp_path: Path) -> None:
    kept = Kept(tmp_path / 'a', 'changed')
    for second, seed in enumerate((1, 1, 2, 2, 1)):
        kept.look(noise(seed), SURE, second)
    assert kept.names() == [f'{each}.000000000.png' for each in (0, 2, 4)]
    assert perceptual_hash(noise(1)) != perceptual_hash(noise(2))
    kept = Kept(tmp_path / 'b', 'every 2')
    for second in (0, 1, 2.5, 3, 4.5):
        kept.look(noise(1), SURE, second)
    assert kept.names() == ['0.000000000.png', '2.500000000.png', '4.500000000.png']


def test_a_period_between_images(tmp_path: Path) -> None:
    kept = Kept(tmp_path / 'a', 'uncertain', period=1.0)
    for second in (0.0, 0.4, 1.1, 1.2, 0.5):
        kept.look(noise(1), UNSURE, second)
    # Time that goes back begins again.
    assert kept.names() == ['0.000000000.png', '0.500000000.png', '1.100000000.png']


def test_the_bound_holds_also_over_runs_and_nothing_is_deleted(tmp_path: Path) -> None:
    for run in range(2):
        kept = Kept(tmp_path / 'a', 'uncertain', most=50_000)
        for second in range(6):
            kept.look(noise(second), UNSURE, 10 * run + second)
        names = kept.names()
        assert 2 <= len(names) <= 4 and names[0] == '0.000000000.png'
        assert sum(path.stat().st_size for path in (tmp_path / 'a').iterdir()) <= 50_000
        assert len(kept.said) == 1 and 'is full' in kept.said[0]
        assert not list((tmp_path / 'a').glob('*.part'))


def test_an_offer_never_waits_and_close_writes_what_waits(tmp_path: Path) -> None:
    kept = Kept(tmp_path / 'a', 'uncertain')
    go = threading.Event()

    def slow() -> NDArray[np.uint8]:
        go.wait(30)
        return noise(0)

    for second in range(20):
        kept.keeper.offer(Candidate(slow, UNSURE, second * 10**9, 'model'))
    go.set()
    assert 4 <= len(kept.names()) <= 5 and not kept.said


def test_a_directory_that_cannot_be_written_is_said_once(tmp_path: Path) -> None:
    (tmp_path / 'a').write_text('a file')
    kept = Kept(tmp_path / 'a', 'uncertain')
    for second in range(3):
        kept.look(noise(second), UNSURE, second)
    kept.keeper.close()
    assert len(kept.said) == 1 and 'no more images are kept' in kept.said[0]


def test_recordings_hold_what_files_would(tmp_path: Path) -> None:
    kept = Kept(tmp_path / 'a', 'uncertain', form='mcap')
    for second, result in enumerate((SURE, UNSURE, SURE, UNSURE)):
        kept.look(noise(second), result, second)
    found = kept.recorded()
    assert [stamp for stamp, _ in found] == [10**9, 3 * 10**9] and not kept.said
    image = cv2.imdecode(np.frombuffer(found[1][1], np.uint8), cv2.IMREAD_COLOR)
    assert (image == noise(3)).all()
    assert [path.name for path in (tmp_path / 'a').iterdir()] == ['1.000000000.mcap']
    # Played again, the same images are not kept twice.
    again = Kept(tmp_path / 'a', 'uncertain', form='mcap')
    for second in (1, 3, 5):
        again.look(noise(second), UNSURE, second)
    assert [stamp // 10**9 for stamp, _ in again.recorded()] == [1, 3, 5]


def test_recordings_are_read_by_rosbags_and_end_after_some_images(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rosbags.rosbag2 import Reader
    monkeypatch.setattr('ros2_classify.keeping.stores._MOST_IMAGES', 2)
    kept = Kept(tmp_path / 'a', 'uncertain', form='mcap')
    for second in range(5):
        kept.look(noise(second), UNSURE, second)
    kept.keeper.close()
    stamps = []
    for path in sorted((tmp_path / 'a').iterdir()):
        with Reader(path) as reader:
            assert {each.msgtype for each in reader.connections} == {
                'sensor_msgs/msg/CompressedImage', 'std_msgs/msg/String'}
            stamps.append([stamp // 10**9 for each, stamp, _ in reader.messages()
                           if each.topic == '/kept'])
    assert stamps == [[0, 1], [2, 3], [4]]


def test_the_bound_holds_for_recordings(tmp_path: Path) -> None:
    for run in range(2):
        kept = Kept(tmp_path / 'a', 'uncertain', most=50_000, form='mcap')
        for second in range(6):
            kept.look(noise(second), UNSURE, 10 * run + second)
        assert 2 <= len(kept.recorded()) <= 4
        assert sum(path.stat().st_size for path in (tmp_path / 'a').iterdir()) <= 50_000
        assert len(kept.said) == 1 and 'is full' in kept.said[0]


def test_an_interrupted_recording_keeps_its_whole_images(tmp_path: Path) -> None:
    """Wherever the last write was cut, the images before are read once more, and none is wrong."""
    kept = Kept(tmp_path / 'a', 'uncertain', form='mcap')
    for second in range(3):
        kept.look(noise(second), UNSURE, second)
    expected = kept.recorded()
    path = next((tmp_path / 'a').iterdir())
    whole = path.read_bytes()
    begin = whole.index(expected[2][1]) - 80  # of the last chunk
    assert whole[begin] == 6
    for cut in (*range(begin, len(whole), 997), len(whole) - 1):
        other = tmp_path / 'cut.mcap'
        # Half a write: new bytes, and nothing, or zeros, in place of the rest.
        for rest in (b'', bytes(len(whole) - cut)):
            other.write_bytes(whole[:cut] + rest)
            stamps = mend(other)
            assert len(stamps) >= 2
            assert read(other) == expected[:len(stamps)]
            assert mend(other) == stamps


def test_other_files_stay_as_they_are(tmp_path: Path) -> None:
    (tmp_path / 'other.mcap').write_bytes(b'something else')
    kept = Kept(tmp_path, 'uncertain', form='mcap')
    kept.look(noise(1), UNSURE, 1)
    kept.keeper.close()
    assert (tmp_path / 'other.mcap').read_bytes() == b'something else'
    assert kept.said == [f'{tmp_path / "other.mcap"} is not an MCAP recording; it stays as it is']
    assert [stamp for stamp, _ in read(tmp_path / '1.000000000.mcap')] == [10**9]


def test_formats_that_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionsError, match='must be png or mcap'):
        make_store('avi', tmp_path, 1, print)
