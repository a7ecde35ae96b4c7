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

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.testing import assert_allclose
import pytest

from ros2_classify.convert.compare import compare, make_feeds, sample_image
from ros2_classify.convert.graph import TensorInfo
from ros2_classify.errors import ConversionError, InputError
from ros2_classify.model.input_spec import InputSpec

DECLARED = InputSpec(scale=1 / 255, color='bgr', mean=(0.5, 0.25, 0.0), std=(2.0, 1.0, 0.5))


def tensor(dtype: str, *dims: int | None) -> TensorInfo:
    return TensorInfo('x:0', dtype, dims)


def test_the_sample_image_is_always_the_same() -> None:
    image = sample_image(32, 24)
    assert image.shape == (24, 32, 3)
    assert image.dtype == np.uint8
    assert np.array_equal(image, sample_image(32, 24))
    assert image.std() > 30


@pytest.mark.parametrize(('info', 'shape'), [
    (tensor('uint8', None, None, None, 3), (1, 240, 320, 3)),
    (tensor('uint8', 2, 8, 10, 3), (2, 8, 10, 3)),
    (tensor('float16', None, 3, 8, 10), (1, 3, 8, 10)),
    (tensor('float32', 1, 8, 10, 1), (1, 8, 10, 1)),
    (tensor('float32', 1, 8, 10, 4), (1, 8, 10, 4)),
    (TensorInfo('x', 'uint8', None), (1, 240, 320, 3)),
])
def test_every_shape_gets_an_image(info: TensorInfo, shape: tuple[int, ...]) -> None:
    feed, = make_feeds([info], InputSpec())
    assert feed.shape == shape
    assert feed.dtype == info.dtype


def test_the_declared_size_is_used_if_the_graph_is_free() -> None:
    feed, = make_feeds([tensor('uint8', None, None, None, 3)], InputSpec(size=(64, 48)))
    assert feed.shape == (1, 48, 64, 3)


def test_pixels_are_scaled_as_declared() -> None:
    feed, = make_feeds([tensor('float32', None, 8, 10, 3)], DECLARED)
    expected = (sample_image(10, 8)[..., ::-1] / 255 - np.array(DECLARED.mean)) / np.array(
        DECLARED.std)
    assert_allclose(feed[0], expected, atol=1e-6)


def test_without_a_declaration_floats_are_small() -> None:
    feed, = make_feeds([tensor('float32', None, 8, 10, 3)], InputSpec())
    assert_allclose(feed[0], sample_image(10, 8) / 127.5 - 1, atol=1e-6)


def test_other_inputs_get_zeros() -> None:
    feeds = make_feeds([tensor('float32', 1, 8, 8, 3), tensor('int32', None, 2),
                        tensor('bool')], InputSpec())
    assert [(feed.shape, feed.dtype.name) for feed in feeds[1:]] == [((1, 2), 'int32'),
                                                                     ((), 'bool')]
    assert not feeds[1].any()


def test_an_image_can_be_given(tmp_path: Path) -> None:
    pixels = np.zeros((6, 4, 3), np.uint8)
    pixels[..., 0] = 200  # blue, as OpenCV writes it
    cv2.imwrite(str(tmp_path / 'p.png'), pixels)
    feed, = make_feeds([tensor('uint8', None, None, None, 3)], InputSpec(size='source'),
                       tmp_path / 'p.png')
    assert feed.shape == (1, 6, 4, 3)
    assert feed[0, 0, 0].tolist() == [0, 0, 200]
    (tmp_path / 'p.png').write_text('not an image')
    with pytest.raises(InputError, match='cannot be read as an image'):
        make_feeds([tensor('uint8', 1, 8, 8, 3)], InputSpec(), tmp_path / 'p.png')


def test_types_that_cannot_be_fed_are_rejected() -> None:
    with pytest.raises(ConversionError, match="'x:0' quint8 .* cannot be fed"):
        make_feeds([tensor('quint8', 1, 8, 8, 3)], InputSpec())


def test_equal_outputs_pass() -> None:
    reference = {'a:0': np.array([[1.0, 2.0]], np.float32), 'b': np.array([3])}
    report = compare({'a': np.array([[1.00005, 2.0]], np.float32), 'b:0': np.array([3])},
                     reference, 1e-4)
    assert report['differences']['a'] == pytest.approx(5e-5, rel=0.01)
    assert report['differences']['b'] == 0


def test_empty_outputs_are_equal() -> None:
    rows = np.zeros((0, 5), np.float32)
    assert compare({'rows': rows}, {'rows': rows}, 1e-4)['differences'] == {'rows': 0.0}


def test_equal_infinities_and_nan_do_not_differ() -> None:
    odd = np.array([np.inf, -np.inf, np.nan])
    assert compare({'a': odd}, {'a': odd}, 1e-4)['differences']['a'] == 0
    with pytest.raises(ConversionError, match="'a' by inf"):
        compare({'a': np.array([np.nan])}, {'a': np.array([1.0])}, 1e-4)


def test_large_numbers_may_differ_more() -> None:
    compare({'a': np.array([1000.05])}, {'a': np.array([1000.0])}, 1e-4)
    with pytest.raises(ConversionError, match="'a' by 0.5 at most, more than the tolerance"):
        compare({'a': np.array([1000.5])}, {'a': np.array([1000.0])}, 1e-4)


@pytest.mark.parametrize(('results', 'reason'), [
    ({'b': np.zeros(2)}, "lacks the output 'a'; it has b"),
    ({'a': np.zeros((1, 2))}, r'shape \[1, 2\] in ONNX and \[2\]'),
    ({'a': np.array(['x', 'y'])}, "'a' by inf"),
])
def test_different_outputs_are_rejected(results: dict[str, np.ndarray], reason: str) -> None:
    with pytest.raises(ConversionError, match=reason):
        compare(results, {'a': np.zeros(2)}, 1e-4)


def detections(scores: list[float], classes: list[int]) -> dict[str, np.ndarray]:
    boxes = np.array(classes, np.float32)[:, None] * np.ones(4, np.float32) / 10
    return {'detection_scores:0': np.array([scores], np.float32),
            'detection_classes:0': np.array([classes], np.float32),
            'detection_boxes:0': boxes[None]}


def test_rows_with_equal_scores_may_be_swapped() -> None:
    report = compare(detections([0.9, 0.5, 0.5, 0.1], [1, 3, 2, 4]),
                     detections([0.9, 0.5, 0.5, 0.1], [1, 2, 3, 4]), 1e-4)
    assert report['rows_with_a_score_of_their_own'] == 2
    assert report['differences']['detection_classes'] == 0


def test_rows_with_different_scores_may_not_be_swapped() -> None:
    with pytest.raises(ConversionError, match="'detection_classes' by 1"):
        compare(detections([0.9, 0.6, 0.5], [1, 3, 2]), detections([0.9, 0.6, 0.5], [1, 2, 3]),
                1e-4)
