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

"""Tables for notebooks: what they show, and that no label becomes code."""

from __future__ import annotations

import base64
from html.parser import HTMLParser
import re
from typing import Any

import cv2
import numpy as np
import pytest

from ros2_classify.errors import InputError
from ros2_classify.model.catalog import resolve
from ros2_classify.model.descriptor import ModelDescriptor
from ros2_classify.results.notebook import show
from ros2_classify.results.results import (
    Classification, Detections, Embedding, Segmentation, Timing)

TIMING = Timing(0, 0, 0)
ATTACK = '</td><script>alert(1)</script><img src=x onerror="alert(2)">\u202e\'"&'


class Reader(HTMLParser):
    """Collects elements, attributes and texts; finds what is not closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag != 'img':
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag != 'img':
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def detections(labels: Any, **more: Any) -> Detections:
    """Return small boxes."""
    count = len(labels)
    return Detections(np.tile([4.0, 5, 20, 25.5], (count, 1)), np.arange(count),
                      np.linspace(0.9, 0.5, count), np.array(labels, object), (64, 48), TIMING,
                      **more)


RESULTS = [
    detections([ATTACK, 'dog'], track_ids=np.array([ATTACK, ''], object),
               positions=np.array([[1.0, 2, 3], [np.nan] * 3])),
    Classification(np.arange(2), np.array([0.9, 0.1]), np.array([ATTACK, 'dog'], object),
                   (64, 48), TIMING),
    Segmentation(np.zeros((48, 64), np.uint8), np.array([0]), np.array([1.0]),
                 np.array([ATTACK], object), (64, 48), TIMING)]


@pytest.mark.parametrize('result', RESULTS, ids=lambda result: result.task)
def test_a_label_is_text_whatever_it_says(result: Any) -> None:
    found = Reader(result._repr_html_())
    assert ATTACK in found.texts
    assert set(found.tags) <= {'table', 'thead', 'tbody', 'tr', 'th', 'td', 'bdi', 'p'}
    assert {name for name, _ in found.attributes} <= {'style'}


def test_rows_say_what_the_result_says() -> None:
    found = Reader(RESULTS[0]._repr_html_()).texts
    assert found[:6] == ['label', 'score', 'class id', 'id', 'box', 'position in metres']
    assert '4, 5, 20, 25.5' in found and '1, 2, 3' in found and '0.900' in found


def test_many_rows_are_few() -> None:
    html = detections(['dog'] * 300)._repr_html_()
    assert html.count('<tr>') == 26 and 'and 275 more' in html and len(html) < 8000


def test_nothing_and_an_embedding() -> None:
    assert 'nothing found above the threshold' in detections([])._repr_html_()
    vector = Embedding(np.ones(3), (4, 4), TIMING)
    assert 'embedding of 3 numbers' in vector._repr_html_()
    assert '<img' in show(np.zeros((4, 4, 3), np.uint8), vector)._repr_html_()


def test_the_image_is_inside_and_annotated() -> None:
    image = np.full((48, 64, 3), 90, np.uint8)
    found = Reader(show(image, detections(['dog']))._repr_html_())
    source = dict(found.attributes)['src'] or ''
    head, data = source.split(',')
    assert head == 'data:image/jpeg;base64'
    shown = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
    assert shown.shape == image.shape and np.abs(shown.astype(int) - 90).max() > 60
    assert (image == 90).all()


def test_a_large_image_is_made_small() -> None:
    image = np.zeros((1200, 1600, 3), np.uint8)
    result = Detections(np.empty((0, 4)), np.empty(0), np.empty(0), np.empty(0, object),
                        (1600, 1200), TIMING)
    data = re.findall('base64,([^"]*)', show(image, result)._repr_html_())[0]
    shown = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
    assert shown.shape == (600, 800, 3)


def test_an_image_of_something_else_is_refused() -> None:
    with pytest.raises(InputError, match='must be a numpy array of uint8'):
        show(np.zeros((48, 64), np.float32), detections(['dog']))


def test_a_descriptor_is_a_table_of_its_keys() -> None:
    found = Reader(resolve('cards_detector')._repr_html_())
    for word in ('name', 'cards_detector', 'labels', 'task', 'detection', 'license'):
        assert word in found.texts
    hostile = ModelDescriptor.from_mapping({
        'source': {'path': 'm.onnx'}, 'labels': [ATTACK, 'x' * 900], 'notes': ATTACK})
    found = Reader(hostile._repr_html_())
    assert ATTACK in found.texts and set(found.tags) == {'table', 'tbody', 'tr', 'td', 'b', 'bdi'}
    assert len(hostile._repr_html_()) < 3000
