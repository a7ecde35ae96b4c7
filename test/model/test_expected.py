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

"""Expected results: what a descriptor may say of them, and how results are held against them."""

from known_results import problems_with
import numpy as np
import pytest
from ros2_classify import Classification, Detections, ModelDescriptor
from ros2_classify.errors import DescriptorError
from ros2_classify.model.expected import Expected, ExpectedResult
from ros2_classify.results.results import Timing

TIMING = Timing(0.0, 0.0, 0.0)
IMAGE = {'name': 'dog.jpg', 'sha256': 'AB' * 32, 'source': 'somewhere'}
WHOLE = {'image': IMAGE, 'results': [{'label': 'dog', 'score': '9/10', 'box': [1, 2, 30, 40]}],
         'basis': 'a run'}


def read(expected):
    return ModelDescriptor.from_mapping(
        {'source': {'path': 'a.onnx'}, 'expected': expected}).expected


def test_a_whole_one():
    assert read(WHOLE) == Expected(
        'dog.jpg', 'ab' * 32, 'somewhere', (ExpectedResult('dog', 0.9, (1, 2, 30, 40)),), 'a run')


def test_none():
    assert ModelDescriptor.from_mapping({'source': {'path': 'a.onnx'}}).expected is None
    assert read({'unknown': 'no file'}) == Expected(unknown='no file')


@pytest.mark.parametrize('expected, words', [
    ({**WHOLE, 'unknown': 'x'}, 'expected.unknown: is given with image.name, image.sha256'),
    ({'image': IMAGE}, 'expected: results, basis are missing; give the image'),
    ({**WHOLE, 'basis': None}, 'expected.basis: is empty'),
    ({**WHOLE, 'image': {'name': 'a', 'sha256': 'ab' * 32}}, 'expected: image.source is missing'),
    ({**WHOLE, 'image': {**IMAGE, 'sha256': 'x'}}, "image.sha256: 'x' must be 64"),
    ({**WHOLE, 'image': {**IMAGE, 'size': 1}}, "expected.image.size: unknown key 'size'"),
    ({**WHOLE, 'results': []}, 'results: is an empty list; give one'),
    ({**WHOLE, 'results': [{'label': 'dog'}]}, r'expected.results\[0\]: score is missing'),
    ({**WHOLE, 'results': [{'score': 1}]}, r'expected.results\[0\]: label is missing'),
    ({**WHOLE, 'results': ['dog']}, r'results\[0\]: must be'),
    ({**WHOLE, 'results': [{'label': 'a', 'score': 2}]}, r'results\[0\].score: 2 is out of range'),
    ({**WHOLE, 'results': [{'label': 'a', 'score': 1, 'box': [1]}]}, r'box: has 1 numbers'),
    ({**WHOLE, 'results': [{'label': 'a', 'score': 1, 'box': [5, 0, 5, 9]}]}, 'x1 < x2'),
    ({**WHOLE, 'count': 3}, "expected.count: unknown key 'count'"),
])
def test_what_is_refused(expected, words):
    with pytest.raises(DescriptorError, match=words):
        read(expected)


def classes(*rows):
    return Classification(
        np.arange(len(rows)), np.array([score for _, score in rows], np.float32),
        np.array([label for label, _ in rows], object), (10, 10), TIMING)


def boxes(*rows):
    return Detections(
        np.array([box for _, _, box in rows], np.float32).reshape(-1, 4), np.arange(len(rows)),
        np.array([score for _, score, _ in rows], np.float32),
        np.array([label for label, _, _ in rows], object), (100, 100), TIMING)


def test_classes():
    expected = Expected(results=(ExpectedResult('cat', 0.7), ExpectedResult('dog', 0.1)))
    assert problems_with(expected, classes(('cat', 0.72), ('owl', 0.2), ('dog', 0.08))) == ()
    # The first one must be the best.
    found = problems_with(expected, classes(('owl', 0.7), ('cat', 0.7), ('dog', 0.1)))
    assert found[0].startswith('cat 0.70 is missing; got [{')
    assert len(problems_with(expected, classes(('cat', 0.6), ('dog', 0.2)))) == 2
    assert len(problems_with(expected, classes())) == 2


def test_boxes():
    face = ExpectedResult('face', 0.9, (10, 10, 30, 30))
    expected = Expected(results=(face,))
    assert problems_with(
        expected, boxes(('cat', 0.95, [0, 0, 9, 9]), ('face', 0.91, [10, 10, 30, 31]))) == ()
    for label, score, box in (('cat', 0.9, [10, 10, 30, 30]), ('face', 0.8, [10, 10, 30, 30]),
                              ('face', 0.9, [10, 10, 30, 33]), ('face', 0.9, [60, 60, 80, 80])):
        assert problems_with(expected, boxes((label, score, box)))[0].startswith(
            'face 0.90 at [10, 10, 30, 30] is missing')
    # Each result counts once.
    twice = Expected(results=(face, face))
    assert len(problems_with(twice, boxes(('face', 0.9, [10, 10, 30, 30])))) == 1
    assert len(problems_with(expected, classes(('face', 0.9)))) == 1
