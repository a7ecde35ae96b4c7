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

"""Labels: the mapping, and every published format of label file."""

import random
import tracemalloc

import numpy as np
import pytest

from ros2_classify.errors import LabelsError
from ros2_classify.model.labels import Labels, load_labels, parse_labels


@pytest.mark.parametrize('name, count, known', [
    ('imagenet_synset_1000.txt', 1000, {
        0: 'tench', 2: 'great white shark', 134: 'crane', 517: 'crane', 999: 'toilet tissue'}),
    ('imagenet_1001_background.txt', 1001, {0: 'background', 1: 'tench', 1000: 'toilet tissue'}),
    ('coco80.names', 80, {0: 'person', 79: 'toothbrush', 60: 'diningtable'}),
    ('coco90_sparse_labelmap.txt', 80, {0: 'person', 11: '11', 12: 'stop sign',
                                        89: 'toothbrush'}),
    ('mscoco_label_map.pbtxt', 80, {0: '0', 1: 'person', 12: '12', 13: 'stop sign',
                                    90: 'toothbrush'}),
])
def test_published_files(data, name, count, known):
    labels = load_labels(data / 'labels' / name)
    assert len(labels) == count
    for class_id, text in known.items():
        assert labels.name(class_id) == text


def test_the_two_coco_files_with_gaps_differ_by_one(data):
    from_zero = load_labels(data / 'labels/coco90_sparse_labelmap.txt')
    from_one = load_labels(data / 'labels/mscoco_label_map.pbtxt')
    assert {class_id + 1: name for class_id, name in from_zero.items()} == dict(from_one.items())


def test_the_two_imagenet_files_agree(data):
    synsets = load_labels(data / 'labels/imagenet_synset_1000.txt')
    names = load_labels(data / 'labels/imagenet_1001_background.txt')
    differ = [(a, names.name(i + 1)) for i, a in synsets.items() if a != names.name(i + 1)]
    # The lists differ in spelling here and there, not by a shift.
    assert len(differ) < 20


@pytest.mark.parametrize('ending', ['\n', '\r\n', '\r'])
@pytest.mark.parametrize('start', ['', '\ufeff'])
def test_line_ends_marks_and_blank_lines(tmp_path, ending, start):
    file = tmp_path / 'labels.anything'
    lines = ['person', ' bicycle \t', '', '???', 'a b  c', '', ' ', '']
    file.write_bytes((start + ending.join(lines)).encode())
    labels = load_labels(file)
    assert dict(labels.items()) == {0: 'person', 1: 'bicycle', 4: 'a b  c'}
    assert labels.name(2) == '2'


def test_leading_empty_lines_keep_the_count():
    assert dict(parse_labels('\n\nperson\n').items()) == {2: 'person'}


def test_names_may_hold_unusual_characters():
    text = 'naïve\x0cthing\ncrème brûlée\n# hash\n日本\na\u2028b\n'
    assert len(parse_labels(text)) == 5


@pytest.mark.parametrize('text, expected', [
    ('n01440764 tench, Tinca tinca\nn02012849 crane\n', {0: 'tench', 1: 'crane'}),
    # One line that is no synset: the lines are names as they stand.
    ('n01440764 tench\nother\n', {0: 'n01440764 tench', 1: 'other'}),
    ('n01440764\nn01443537\n', {0: 'n01440764', 1: 'n01443537'}),
    ('0  person\n1  bicycle\n12  stop sign\n', {0: 'person', 1: 'bicycle', 12: 'stop sign'}),
    ('0: person\n2: car, red\n', {0: 'person', 2: 'car, red'}),
    ('0 person\n1 ???\n', {0: 'person'}),
    # Set off by a colon, numbers that start elsewhere are ids too.
    ('1: person\n3: car\n', {1: 'person', 3: 'car'}),
    ('16:9\n21:9\n', {0: '16:9', 1: '21:9'}),
    ('1 person\n2: car\n', {0: '1 person', 1: '2: car'}),
    # Names that begin with numbers are names.
    ('5 euro\n10 euro\n', {0: '5 euro', 1: '10 euro'}),
    ('0\n1\n2\n', {0: '0', 1: '1', 2: '2'}),
    ('0 a\nb\n', {0: '0 a', 1: 'b'}),
    ('0 a\n0 b\n', {0: '0 a', 1: '0 b'}),
    ('single', {0: 'single'}),
])
def test_text_formats(text, expected):
    assert dict(parse_labels(text).items()) == expected


@pytest.mark.parametrize('content, words', [
    (b'', 'is empty'), (b' \n\r\n', 'is empty'), (b'???\n???\n', 'no label'),
    (b'caf\xe9\n', 'byte 3 is not UTF-8'), (b'a\0b\n', 'binary'),
    (b'item { id: 1 }', 'item 1, with id 1, has neither'),
])
def test_bad_files_name_the_file_and_the_reason(tmp_path, content, words):
    file = tmp_path / 'labels.txt'
    file.write_bytes(content)
    with pytest.raises(LabelsError, match=words) as caught:
        load_labels(file)
    assert str(file) in str(caught.value)


def test_missing_files_and_directories(tmp_path):
    with pytest.raises(LabelsError, match='No such file'):
        load_labels(tmp_path / 'none.txt')
    with pytest.raises(LabelsError, match='cannot be read'):
        load_labels(tmp_path)


def test_a_file_as_large_as_a_model_is_refused_unread(tmp_path):
    file = tmp_path / 'labels.txt'
    with open(file, 'wb') as stream:
        stream.truncate(33 * 1024 * 1024)
    with pytest.raises(LabelsError, match='check whether it is the model'):
        load_labels(file)


@pytest.mark.parametrize('names, words', [
    ({}, 'no label'), ({-1: 'a'}, '-1 must be from 0'), ({1_000_001: 'a'}, 'must be from 0'),
    ({True: 'a'}, 'True must be a whole number'), ({'1': 'a'}, "'1' must be a whole number"),
    ({0: ''}, "''"), ({0: 3}, '3 but must be text'),
])
def test_bad_mappings(names, words):
    with pytest.raises(LabelsError, match=words):
        Labels(names)


def test_names_of_many_ids_equal_the_names_of_each():
    rng = random.Random(5)
    labels = Labels({rng.randrange(200): f'name{i}' for i in range(80)})
    ids = np.array([rng.randrange(-50, 400) for _ in range(500)] + [2**40, -2**40], np.int64)
    names = labels.names(ids)
    assert names.dtype == object
    assert names.shape == ids.shape
    assert names.tolist() == [labels.name(int(i)) for i in ids]
    assert all(type(name) is str for name in names)


def test_names_of_no_ids():
    assert Labels({0: 'a'}).names(np.zeros(0, np.int64)).shape == (0,)


def test_names_are_not_shared_with_the_caller():
    labels = Labels({0: 'a', 1: 'b'})
    labels.names(np.array([0, 1]))[0] = 'changed'
    assert labels.name(0) == 'a'


@pytest.mark.parametrize('seed', range(200))
def test_damaged_label_maps_are_read_or_refused_in_our_words(tmp_path, seed):
    rng = random.Random(seed)
    text = ''.join(f'item {{\r\n  name: "/m/{i}"\r\n  id: {i}\r\n  display_name: "n {i}"\r\n}}\r\n'
                   for i in range(5))
    for _ in range(rng.randrange(1, 5)):
        place = rng.randrange(len(text))
        text = text[:place] + rng.choice(['', '{', '}', '"', "'", '\\', '#', ':', '[', '\0', '<',
                                          ' id', 'item']) + text[place + rng.randrange(4):]
    (tmp_path / 'map.pbtxt').write_text(text, newline='')
    try:
        assert len(load_labels(tmp_path / 'map.pbtxt')) > 0
    except LabelsError as error:
        assert str(error).startswith(str(tmp_path))


def test_labels_are_values():
    one, same = Labels({1: 'b', 0: 'a'}), Labels.from_names(['a', 'b'])
    assert one == same
    assert hash(one) == hash(same)
    assert one != Labels.from_names(['a'])
    assert one != {0: 'a', 1: 'b'}
    assert 1 in one
    assert 2 not in one
    assert repr(Labels.from_names('abcd')) == "Labels(4 names: 0: 'a', 1: 'b', 2: 'c', ...)"


@pytest.mark.parametrize(('names', 'count'), [
    ({0: 'a', 1: 'b'}, 2), ({0: 'a'}, 1), ({1: 'a', 2: 'b'}, None), ({0: 'a', 2: 'b'}, None)])
def test_the_number_of_classes_where_labels_tell_it(names, count):
    assert Labels(names).class_count == count


def test_ids_far_apart_take_no_memory() -> None:
    """Each of a thousand heads may have such labels, in 40 bytes of a descriptor."""
    tracemalloc.start()
    try:
        many = [Labels({7: 'cat', 1_000_000: 'dog'}) for _ in range(300)]
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()
    ids = np.array([7, 1_000_000, 0, 8, 999_999, 1_000_001, -1, 2**40])
    assert many[0].names(ids).tolist() == [
        'cat', 'dog', '0', '8', '999999', '1000001', '-1', str(2**40)]
    assert many[0].names(ids[:0]).tolist() == []
