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

"""Label files from anywhere, in every format."""

from __future__ import annotations

from pathlib import Path

from fuzzing import fuzz, spoilt, TEXTS
from hypothesis import strategies as st
import numpy as np

from ros2_classify.autoconfig.complete import labels_of, size_of, task_of
from ros2_classify.errors import LabelsError
from ros2_classify.model.labels import Labels, load_labels, MAX_CLASS_ID, parse_labels

LINES = st.one_of(
    st.text(max_size=20), st.builds('{}: {}'.format, st.integers(-2, 10**7), TEXTS),
    st.builds('{} {}'.format, st.integers(0, 50), st.text(max_size=10)),
    st.builds('n{:08} {}, {}'.format, st.integers(0, 10**8 - 1), TEXTS, TEXTS))
ITEMS = st.builds(
    lambda keys: 'item {' + ' '.join(f'{key}: {value}' for key, value in keys) + '}',
    st.lists(st.tuples(
        st.sampled_from(('id', 'name', 'display_name', 'keypoints', 'x')),
        st.one_of(st.integers(-5, 10**8).map(str), st.text(max_size=10),
                  st.text(max_size=10).map(lambda text: f'"{text}"'),
                  st.just('{'), st.just('[1,'))), max_size=4))
GOOD = (
    b'cat\ndog\n???\nbird\n', b'0: person\n1: bicycle\n5: bus\n', b'0 person\n1 bicycle\n',
    b'n01440764 tench, Tinca tinca\nn01443537 goldfish, Carassius auratus\n',
    b'\xef\xbb\xbfcat\r\ndog\r\n',
    b'item {\n  id: 1\n  name: "/m/01g317"\n  display_name: "person"\n}\n'
    b'item { id: 2 display_name: "caf\\303\\251" }\n',
    b'{"id2label": {"0": "cat", "1": "dog"}}', b'[{"id": 1, "name": "cat"}]', b'["cat", "dog"]',
    b'path: ../data\nnames:\n  0: cat\n  1: dog\n', b'names: [cat, dog]\n', b'- cat\n- dog\n',
    b'index,mid,display_name\n0,/m/1,cat\n1,/m/2,"dog, red"\n')
METADATA = st.dictionaries(
    st.sampled_from(('names', 'task', 'imgsz', 'stride', 'classes', 'class_names', 'author',
                     'description', 'batch', 'labels')),
    st.one_of(TEXTS, st.builds(repr, st.one_of(
        st.dictionaries(st.integers(-1, 10**7), st.text(max_size=5), max_size=4),
        st.lists(st.one_of(st.text(max_size=5), st.integers()), max_size=4)))), max_size=4)


def usable(labels: Labels) -> None:
    """Check what every set of labels promises."""
    pairs = list(labels.items())
    assert pairs == sorted(pairs) and 0 <= pairs[0][0] and pairs[-1][0] <= MAX_CLASS_ID
    assert all(name and name == name.strip() for _, name in pairs)
    names = labels.names(np.array([-1, 0, pairs[-1][0], 2**40]))
    assert names[2] == pairs[-1][1] and names[3] == str(2**40)


@fuzz(text=st.text(max_size=300))
def test_any_text(text: str) -> None:
    """Text from anywhere holds names, or no names."""
    try:
        usable(parse_labels(text))
    except LabelsError:
        pass


@fuzz(lines=st.lists(LINES, max_size=12), end=st.sampled_from(('\n', '\r\n', '\r', '\f')))
def test_lines_of_all_formats(lines: list[str], end: str) -> None:
    """Lines of all formats, mixed."""
    try:
        usable(parse_labels(end.join(lines)))
    except LabelsError:
        pass


@fuzz(items=st.lists(ITEMS, max_size=6))
def test_label_maps(items: list[str]) -> None:
    """Label maps with fields that are wrong, missing or twice."""
    try:
        usable(parse_labels('\n'.join(items)))
    except LabelsError:
        pass


@fuzz(data=st.one_of(st.binary(max_size=300), spoilt(st.sampled_from(GOOD))))
def test_spoilt_files(data: bytes, tmp_path: Path) -> None:
    """Bytes from anywhere: the error names the file."""
    path = tmp_path / 'labels.txt'
    path.write_bytes(data)
    try:
        usable(load_labels(path))
    except LabelsError as error:
        assert 'labels.txt' in str(error)


@fuzz(metadata=METADATA)
def test_names_in_a_models_metadata(metadata: dict[str, str]) -> None:
    """What a model's file says of itself is believed where it makes sense, and never run."""
    labels = labels_of(metadata)
    if labels is not None:
        usable(labels)
    task_of(metadata)
    size = size_of((), metadata, [])
    assert size is None or min(size) > 0


def test_many_labels(tmp_path: Path) -> None:
    """As many labels as there may be are read, and one more is refused."""
    path = tmp_path / 'labels.txt'
    path.write_text('\n'.join(f'name {number}' for number in range(100_000)))
    labels = load_labels(path)
    assert len(labels) == 100_000
    usable(labels)
    path.write_text('name\n' * (MAX_CLASS_ID + 2))
    try:
        load_labels(path)
    except LabelsError as error:
        assert str(MAX_CLASS_ID) in str(error)
    else:
        raise AssertionError('more labels than allowed were read')
