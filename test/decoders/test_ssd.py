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

"""The SSD decoder and its priors against loops written from the publications."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

from decoder_models import (
    agree, FACES, has_faces, on_image, pipeline_of, published, run_model, run_published)
import numpy as np
import pytest
from ros2_classify.decoders import DecodeContext, DECODERS
from ros2_classify.decoders.priors import make_priors, PriorGrid, SETS
from ros2_classify.errors import (
    DescriptorError, ModelNotFoundError, NotAllowedError, OutputError)
from ros2_classify.paths import allowed_paths
from ros2_classify.pipeline import Pipeline
from ros2_classify.testing import save_constant_model

DECODER = DECODERS['ssd']
SIZE = (96, 64)
STRIDES = (8, 16)
SIDES = ((10, 16), (24, 32, 40))


def squares(size: Any, strides: Any, sides: Any, clip: bool = False) -> list[list[float]]:
    """Return center and size of square priors in pixels, cell by cell."""
    found = []
    for stride, level in zip(strides, sides):
        for y in range(math.ceil(size[1] / stride)):
            for x in range(math.ceil(size[0] / stride)):
                for side in level:
                    box = [(x + 0.5) * stride, (y + 0.5) * stride, side, side]
                    if clip:
                        box = [min(value, limit) for value, limit in zip(box, size * 2)]
                    found.append(box)
    return found


def tensorflow(size: Any) -> list[list[float]]:
    """Return the priors of TensorFlow's generator, as ssd_mobilenet_v1_coco.config sets it."""
    scales = [0.2 + (0.95 - 0.2) * layer / 5 for layer in range(6)] + [1.0]
    found = []
    for layer in range(6):
        specs = [(scales[layer], ratio) for ratio in (1, 2, 0.5, 3, 1 / 3)]
        specs.append((math.sqrt(scales[layer] * scales[layer + 1]), 1))
        if layer == 0:
            specs = [(0.1, 1), (scales[0], 2), (scales[0], 0.5)]
        columns, rows = (math.ceil(side / 2 ** (4 + layer)) for side in size)
        for y, x, (scale, ratio) in itertools.product(range(rows), range(columns), specs):
            found.append([(x + 0.5) / columns * size[0], (y + 0.5) / rows * size[1],
                          scale * math.sqrt(ratio) * min(size),
                          scale / math.sqrt(ratio) * min(size)])
    return found


def ssd300() -> list[list[float]]:
    """Return the priors of SSD300 for VOC, from the parts of the input that its code computes."""
    found = []
    for step, low, high, ratios in zip(
            (8, 16, 32, 64, 100, 300), (30, 60, 111, 162, 213, 264),
            (60, 111, 162, 213, 264, 315), ((2,), (2, 3), (2, 3), (2, 3), (2,), (2,))):
        for y, x in itertools.product(range(math.ceil(300 / step)), repeat=2):
            cx, cy = (x + 0.5) * step / 300, (y + 0.5) * step / 300
            s, t = low / 300, math.sqrt(low / 300 * (high / 300))
            shapes = [(s, s), (t, t)]
            for r in ratios:
                shapes += [(s * r ** 0.5, s / r ** 0.5), (s / r ** 0.5, s * r ** 0.5)]
            found += [[min(max(value, 0), 1) * 300 for value in (cx, cy, *shape)]
                      for shape in shapes]
    return found


@pytest.mark.parametrize(('name', 'size', 'expected', 'count'), [
    ('ultraface', (320, 240), squares(
        (320, 240), (8, 16, 32, 64),
        ((10, 16, 24), (32, 48), (64, 96), (128, 192, 256)), clip=True), 4420),
    ('retinaface', (640, 640), squares(
        (640, 640), (8, 16, 32), ((16, 32), (64, 128), (256, 512))), 16800),
    ('blazeface', (128, 128), squares((128, 128), (8, 16), ((1,) * 2, (1,) * 6)), 896),
    ('blazeface_back', (256, 256), squares((256, 256), (16, 32), ((1,) * 2, (1,) * 6)), 896),
    ('ssd_mobilenet', (300, 300), tensorflow((300, 300)), 1917),
    ('ssd_mobilenet', (320, 256), tensorflow((320, 256)), None),
    ('ssd300_voc', (300, 300), ssd300(), 8732), ('ssd300', (300, 300), None, 8732)])
def test_the_published_sets(name: str, size: Any, expected: Any, count: int | None) -> None:
    priors = make_priors(SETS[name].grid, size)
    assert count in (None, len(priors))
    if expected is not None:
        assert np.allclose(priors, expected, atol=1e-3)


def numbers(
    rows: int, classes: int = 3, columns: int = 4, seed: int = 0, activation: str = 'none',
) -> dict[str, Any]:
    """Return offsets and what is a score after the activation."""
    rng = np.random.default_rng(seed)
    boxes, scores = rng.normal(0, 1, (1, rows, columns)), rng.normal(0, 2, (1, rows, classes))
    if activation == 'none':
        scores = 1 / (1 + np.exp(-scores))
    return {'boxes': boxes.astype(np.float32), 'scores': scores.astype(np.float32)}


def by_hand(
    outputs: Any, priors: Any, variances: Any = (0.1, 0.1, 0.2, 0.2), threshold: float = 0.5,
    activation: str = 'none', background: int | None = None, swapped: bool = False,
    linear: bool = False,
) -> list[tuple[float, ...]]:
    """Walk over all rows and classes."""
    found = []
    for row, (px, py, pw, ph) in enumerate(priors):
        values = [float(value) for value in outputs['scores'][0, row]]
        if activation == 'sigmoid':
            values = [1 / (1 + math.exp(-value)) for value in values]
        if activation == 'softmax':
            total = sum(math.exp(value) for value in values)
            values = [math.exp(value) / total for value in values]
        a, b, c, d = (float(value) for value in outputs['boxes'][0, row, :4])
        if swapped:
            a, b, c, d = b, a, d, c
        cx, cy = px + a * variances[0] * pw, py + b * variances[1] * ph
        w = pw * (c * variances[2] if linear else math.exp(c * variances[2]))
        h = ph * (d * variances[3] if linear else math.exp(d * variances[3]))
        found += [(cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2, value, class_id)
                  for class_id, value in enumerate(values)
                  if value >= threshold and class_id != background]
    return found


GRID = {'strides': list(STRIDES), 'sizes': [list(level) for level in SIDES]}
PRIORS = squares(SIZE, STRIDES, SIDES)


@pytest.mark.parametrize('activation', ['none', 'softmax', 'sigmoid'])
@pytest.mark.parametrize(('options', 'said'), [
    ({}, {}), ({'background': 0}, {'background': 0}),
    ({'variances': [0.3, 0.4]}, {'variances': (0.3, 0.3, 0.4, 0.4)}),
    ({'variances': [0.1, 0.2, 0.3, 0.4]}, {'variances': (0.1, 0.2, 0.3, 0.4)}),
    ({'box_format': 'cycxhw'}, {'swapped': True}), ({'size_rule': 'linear'}, {'linear': True})])
def test_the_loop_agrees(
    tmp_path: Path, activation: str, options: dict[str, Any], said: dict[str, Any],
) -> None:
    outputs = numbers(len(PRIORS), activation=activation)
    result = run_model(
        tmp_path, outputs, {'decoder': 'ssd', 'activation': activation, **GRID, **options},
        size=SIZE, threshold=0.5, labels=['a', 'b', 'c'])
    assert agree(result, on_image(
        by_hand(outputs, PRIORS, activation=activation, **said), SIZE))


def test_ratios_offset_and_pairs(tmp_path: Path) -> None:
    """Each size with each ratio; a pair is a width and a height."""
    priors = []
    for y, x in itertools.product(range(4), range(6)):
        for w, h in ((10, 20), (30, 30)):
            for ratio in (1, 4):
                priors.append([(x + 0.25) * 16, (y + 0.25) * 16, w * ratio ** 0.5,
                               h / ratio ** 0.5])
    outputs = numbers(len(priors))
    result = run_model(tmp_path, outputs, {
        'decoder': 'ssd', 'strides': [16], 'sizes': [[[10, 20], [30, 30]]], 'ratios': [1, 4],
        'offset': 0.25}, size=SIZE, threshold=0.5)
    assert agree(result, on_image(by_hand(outputs, priors), SIZE))


@pytest.mark.parametrize('suffix', ['.npy', '.csv', '.txt'])
@pytest.mark.parametrize('form', ['cxcywh', 'cycxhw', 'xyxy', 'yxyx'])
def test_a_file_beside_the_descriptor(tmp_path: Path, suffix: str, form: str) -> None:
    outputs = numbers(len(PRIORS))
    table = np.array([{
        'cxcywh': (x, y, w, h), 'cycxhw': (y, x, h, w),
        'xyxy': (x - w / 2, y - h / 2, x + w / 2, y + h / 2),
        'yxyx': (y - h / 2, x - w / 2, y + h / 2, x + w / 2)}[form] for x, y, w, h in PRIORS])
    normalized = form in ('cxcywh', 'yxyx')
    if normalized:
        table = table / (SIZE * 2 if form == 'cxcywh' else (SIZE[1], SIZE[0]) * 2)
    path = tmp_path / f'priors{suffix}'
    if suffix == '.npy':
        np.save(path, table)
    elif suffix == '.csv':
        np.savetxt(path, table, delimiter=', ')
    else:
        np.savetxt(path, table.T)
    save_constant_model(tmp_path / 'net.onnx', outputs, input_shape=(1, 3, SIZE[1], SIZE[0]))
    (tmp_path / 'net.yaml').write_text(
        'source: {path: net.onnx}\n'
        f'output: {{decoder: ssd, priors: priors{suffix}, priors_format: {form}, '
        f'priors_normalized: {str(normalized).lower()}}}\n'
        'defaults: {score_threshold: 0.5, nms_iou: 1, max_detections: 100000}\n')
    with Pipeline.load(tmp_path / 'net.yaml', provider='cpu') as pipeline:
        result = pipeline(np.zeros((192, 128, 3), np.uint8))
    assert agree(result, on_image(by_hand(outputs, PRIORS), SIZE))


@pytest.mark.parametrize(('content', 'words'), [
    (b'1, 2, 3\n', ['[1, 3]', 'four numbers']), (b'1 2 3 4\n5 6\n', ['not a file of priors']),
    (b'', ['[0]']), (b'a b c d\n', ['not a file of priors']), (b'\xff\xfe\x00', ['not a file']),
    (b'1 2 3 nan\n1 2 3 4\n', ['not finite'])])
def test_a_file_without_priors(tmp_path: Path, content: bytes, words: list[str]) -> None:
    path = tmp_path / 'priors.csv'
    path.write_bytes(content)
    for file in (path, tmp_path / 'priors.npy'):
        file.write_bytes(content)
        with pytest.raises(DescriptorError) as caught:
            DECODER.load_options({'priors': file.name}, 'net.yaml', tmp_path)
        assert str(file) in str(caught.value)
        for word in words if file is path else ['not a file of priors']:
            assert word in str(caught.value)


def test_an_array_of_objects_is_not_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / 'priors.npy', np.array([[{}] * 4], object), allow_pickle=True)
    with pytest.raises(DescriptorError, match='not a file of priors'):
        DECODER.load_options({'priors': 'priors.npy'}, 'net.yaml', tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    save_constant_model(tmp_path / 'net.onnx', numbers(len(PRIORS)))
    with pytest.raises(ModelNotFoundError, match='the priors file none.npy was not found'):
        pipeline_of(tmp_path / 'net.onnx', {'decoder': 'ssd', 'priors': 'none.npy'})


def test_only_allowed_files_are_read(tmp_path: Path) -> None:
    (tmp_path / 'priors.csv').write_text('0.5, 0.5, 1, 1\n')
    (tmp_path / 'allowed').mkdir()
    with allowed_paths(str(tmp_path / 'allowed')), pytest.raises(NotAllowedError):
        DECODER.load_options({'priors': 'priors.csv'}, 'net.yaml', tmp_path)


def test_outputs_are_found_or_named(tmp_path: Path) -> None:
    """By words, by shape with key points beside, and declared; grids in several outputs."""
    outputs = numbers(len(PRIORS), classes=2)
    expected = on_image(by_hand(outputs, PRIORS), SIZE)
    b, s = outputs['boxes'], outputs['scores']
    wide = np.concatenate((b, b), axis=2)
    cut = 96 * len(SIDES[0])
    for given, names in (
            ({'loc': b, 'kps': np.zeros((1, len(PRIORS), 10), np.float32), 'conf': s}, None),
            ({'x': b, 'y': s}, None), ({'y': s, 'regressors': wide}, None),
            ({'boxes': b.reshape(1, -1, 1, 4), 'scores': s}, None),
            ({'1': s, '2': wide, '3': wide}, {'boxes': '2', 'scores': '1:0'}),
            ({'1': b[:, :cut], '2': b[:, cut:], '3': s[:, :cut], '4': s[:, cut:]},
             {'boxes': ['1', '2'], 'scores': ['3', '4']})):
        result = run_model(tmp_path, given, {
            'decoder': 'ssd', **GRID, **({'outputs': names} if names else {})}, size=SIZE,
            threshold=0.5)
        assert agree(result, expected)


def decode(given: Any, threshold: float = 0.5, **options: Any) -> Any:
    """Return the candidates."""
    return DECODER.decode(given, DECODER.parse_options(options), DecodeContext(SIZE, threshold))


def test_what_is_not_finite_is_dropped() -> None:
    outputs = numbers(len(PRIORS), classes=1)
    outputs['scores'][:] = 0.9
    outputs['scores'][0, :2, 0] = np.nan, np.inf
    outputs['boxes'][0, 2:5, 2] = np.nan, np.inf, 1e5
    with np.errstate(all='raise', under='ignore'):
        found = decode(outputs, **GRID)
    assert len(found) == len(PRIORS) - 5
    assert np.isfinite(found.boxes).all()


def test_nothing_over_the_threshold() -> None:
    found = decode({**numbers(len(PRIORS)), 'scores': np.zeros((1, len(PRIORS), 2))}, **GRID)
    assert found.boxes.shape == (0, 4) and found.boxes.dtype == np.float32


@pytest.mark.parametrize(('outputs', 'options', 'words'), [
    (numbers(9), {}, ['priors, which are unknown', 'ultraface', 'output.strides', "'boxes'"]),
    (numbers(9), GRID, ['9 rows', 'strides [8, 16]', '96x64', f'{len(PRIORS)} priors']),
    (numbers(9), {'priors': 'blazeface'}, ['9 rows', 'priors', 'output.priors']),
    ({'boxes': np.zeros((1, 9, 3)), 'scores': np.zeros((1, 9, 2))}, GRID, ["'boxes'", '[1, 9, 3]',
                                                                           '[1, N, 4]']),
    ({'boxes': np.zeros((2, 9, 4)), 'scores': np.zeros((1, 9, 2))}, GRID, ['[2, 9, 4]']),
    ({'boxes': np.zeros((1, 9, 4)), 'scores': np.zeros((1, 8, 2))}, GRID, [
        "'scores'", '[1, 8, 2]', '[1, 9, classes]']),
    ({'boxes': np.zeros((1, 9, 4)), 'scores': np.zeros((1, 9, 0))}, GRID, ["'scores'"]),
    ({'a': np.zeros((1, 9, 4)), 'b': np.zeros((1, 9, 4)), 'c': np.zeros((1, 9, 2))}, GRID, [
        'told apart', 'output.outputs']),
    ({'a': np.zeros((1, 9, 4))}, {**GRID, 'outputs': {'boxes': 'a', 'scores': 'b'}}, [
        "no output 'b'"])])
def test_outputs_that_do_not_fit(outputs: Any, options: Any, words: list[str]) -> None:
    with pytest.raises(OutputError) as caught:
        decode(outputs, **options)
    for word in words:
        assert word in str(caught.value)


def test_the_number_of_classes() -> None:
    assert DECODER.class_count(numbers(9, 7), DECODER.parse_options({})) == 7
    assert DECODER.needs_nms


def test_a_set_can_be_changed() -> None:
    """What is said replaces what the set says."""
    options = DECODER.parse_options({'priors': 'ultraface', 'clip': False, 'variances': [1, 2],
                                     'background': 'none', 'offset': 0})
    assert options.grid.sizes == SETS['ultraface'].grid.sizes
    assert (options.grid.clip, options.grid.offset, options.background) == (False, 0, None)
    assert options.variances == (1, 1, 2, 2)
    assert DECODER.parse_options({'priors': 'ultraface'}).background == 0
    scaled = DECODER.parse_options({
        'scales': ['1/5', 0.95], 'strides': [16, 32], 'ratios': [1, 2], 'spacing': 'even'})
    assert scaled.grid == PriorGrid((16, 32), (), (0.2, 0.95), (1.0, 2.0), 'even')


@pytest.mark.parametrize(('options', 'words'), [
    ({'priors': 'ultrafaze'}, ['ultraface', '.npy']), ({'priors': 3}, ['text']),
    ({'priors': 'a.npy', 'strides': [8]}, ['a.npy', 'remove']),
    ({'strides': [8, 16], 'sizes': [[10]]}, ['1 lists', '2 strides']),
    ({'strides': [8], 'sizes': [[]]}, ['empty']), ({'strides': [8], 'sizes': [10]}, ['list']),
    ({'strides': [8], 'sizes': [[[1, 2, 3]]]}, ['3 numbers', 'pairs']),
    ({'strides': [8], 'sizes': [[0]]}, ['above 0']), ({'scales': [0.2]}, ['two numbers']),
    ({'variances': [1]}, ['1 numbers', 'four']), ({'offset': 2}, ['from 0']),
    ({'outputs': {'boxes': ['a', 'b'], 'scores': 'c'}}, ['names 2 outputs', '1 for scores']),
    ({'outputs': {'kps': 'a'}}, ['unknown key'])])
def test_wrong_options(options: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(DescriptorError) as caught:
        DECODER.parse_options(options)
    for word in words:
        assert word in str(caught.value)


PUBLISHED = {
    'slim320_wo_post': ({'priors': 'ultraface'}, {'mean': 127, 'std': 128}),
    'retinaface_mb025': (
        {'priors': 'retinaface', 'outputs': {'boxes': 'output0', 'scores': '572'}},
        {'color': 'bgr', 'mean': [104, 117, 123], 'resize': 'letterbox', 'anchor': 'top_left'}),
    'blazeface': ({'priors': 'blazeface', 'activation': 'sigmoid'},
                  {'mean': 127.5, 'std': 127.5, 'resize': 'letterbox', 'pad_value': 0})}


@pytest.mark.parametrize('name', PUBLISHED)
@pytest.mark.parametrize('image', FACES)
def test_published_face_detectors(name: str, image: str) -> None:
    output, settings = PUBLISHED[name]
    labels = {1: 'face'} if name != 'blazeface' else ['face']
    result = run_published(
        published(f'{name}.onnx'), image, {'decoder': 'ssd', **output}, labels=labels,
        threshold=0.6, interpolation='linear', **settings)
    assert has_faces(result, image)
    assert set(result.labels) == {'face'}
