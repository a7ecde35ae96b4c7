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

"""Quantized models: the files, their results, and what can go wrong."""

from __future__ import annotations

import builtins
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ros2_classify import cli, Pipeline, quantize, read_image, write_image
from ros2_classify.errors import EngineError, InputError, ModelNotFoundError, OptionsError
from ros2_classify.model.catalog import resolve, variant_name
from ros2_classify.quantize import quantize_model
from ros2_classify.results.results import Detections, Timing
from ros2_classify.testing import save_color_classifier

onnx = pytest.importorskip('onnx', reason='models are quantized with the package onnx')

SAMPLES = Path(__file__).parents[1] / 'models/scenes'
RED, GREEN = (np.full((8, 8, 3), color, np.uint8) for color in ((0, 0, 200), (0, 200, 0)))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Write a classifier of red, green and blue, with a layer that has weights."""
    from onnx import helper, numpy_helper

    save_color_classifier(tmp_path / 'colors.onnx')
    loaded = onnx.load(str(tmp_path / 'colors.onnx'))
    loaded.graph.initializer.append(numpy_helper.from_array(
        np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1), 'w'))
    loaded.graph.node.insert(1, helper.make_node('Conv', ['pixels', 'w'], ['mixed'], 'conv'))
    loaded.graph.node[2].input[0] = 'mixed'
    (tmp_path / 'colors.onnx').write_bytes(loaded.SerializeToString())
    path = tmp_path / 'colors.yaml'
    path.write_text('source: {path: colors.onnx}\nlabels: [red, green, blue]\n'
                    'input: {scale: 1/255}\noutput: {decoder: classification}\n'
                    'license: CC0-1.0\n')
    return path


@pytest.mark.parametrize('target', ['cpu', 'tensorrt'])
def test_a_small_model(model: Path, tmp_path: Path, target: Any) -> None:
    output = tmp_path / 'small-int8.onnx'
    done = quantize_model(model, lambda: [RED, GREEN], output, target=target)
    assert (done.images, done.agreement) == (2, 1.0)
    operators = {node.op_type for node in onnx.load(str(output)).graph.node}
    assert {'QuantizeLinear', 'DequantizeLinear'} <= operators
    descriptor = resolve(done.descriptor)
    assert descriptor.name == 'small-int8' and descriptor.license == 'CC0-1.0'
    assert 'Quantized to 8 bits' in descriptor.notes
    with Pipeline.load(done.descriptor) as pipeline:
        assert pipeline(RED, 'bgr').labels[0] == 'red'
        assert pipeline(GREEN, 'bgr').labels[0] == 'green'


def test_numbers_around_zero_for_tensorrt(model: Path, tmp_path: Path) -> None:
    quantize_model(model, lambda: [RED], tmp_path / 'q.onnx', target='tensorrt')
    loaded = onnx.load(str(tmp_path / 'q.onnx'))
    zeros = [onnx.numpy_helper.to_array(item) for item in loaded.graph.initializer
             if 'zero_point' in item.name]
    assert zeros and all(zero.dtype == np.int8 and not zero.any() for zero in zeros)


@pytest.mark.parametrize('name', ['cards_classifier', 'cards_detector'])
def test_16_bits_result_as_32_do(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = [read_image(path) for path in sorted(SAMPLES.glob('*.jpg'))]
    done = quantize_model(name, lambda: images, tmp_path / f'{name}-fp16.onnx', precision='fp16')
    assert (done.images, done.agreement) == (len(images), 1.0)
    assert done.bytes_after < 0.6 * done.bytes_before
    loaded = onnx.load(str(done.model)).graph
    types = {item.data_type for item in loaded.initializer if len(item.dims) > 1}
    assert types == {onnx.TensorProto.FLOAT16}
    # The variant by its name.
    monkeypatch.setenv('ROS2_CLASSIFY_MODEL_PATH', str(tmp_path))
    assert 'In 16-bit numbers' in resolve(f'{name}:fp16').notes
    with Pipeline.load(name) as before, Pipeline.load(f'{name}:fp16') as after:
        assert after.engine.inputs == before.engine.inputs
        assert {spec.dtype for spec in after.engine.outputs} == {np.dtype(np.float32)}
        for image in images:
            one, other = before(image, 'bgr'), after(image, 'bgr')
            # Of boxes whose scores differ by a thousandth either may come first.
            assert sorted(one.labels) == sorted(other.labels)
            assert one.labels[:1].tolist() == other.labels[:1].tolist()
            assert np.allclose(one.scores, other.scores, atol=5e-3)


def test_what_16_bits_cannot_have(model: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionsError, match="target is 'tensorrt', which is for int8"):
        quantize_model(model, lambda: [RED], tmp_path / 'h.onnx', precision='fp16',
                       target='tensorrt')
    with pytest.raises(InputError, match='no images'):
        quantize_model(model, list, tmp_path / 'h.onnx', precision='fp16')
    assert not (tmp_path / 'h.onnx').exists()


def test_what_cannot_be_written_in_16_bits(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    from onnxruntime.transformers import float16

    def fails(*arguments: Any, **more: Any) -> None:
        raise ValueError('no shape')

    monkeypatch.setattr(float16, 'convert_float_to_float16', fails)
    with pytest.raises(EngineError, match='cannot be written in 16 bits: no shape'):
        quantize_model(model, lambda: [RED], tmp_path / 'h.onnx', precision='fp16')


def test_what_is_refused(model: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionsError, match='must end with .onnx'):
        quantize_model(model, lambda: [RED], tmp_path / 'q.bin')
    (tmp_path / 'there.yaml').write_text('')
    with pytest.raises(OptionsError, match='there.yaml is there already'):
        quantize_model(model, lambda: [RED], tmp_path / 'there.onnx')
    with pytest.raises(InputError, match='no images'):
        quantize_model(model, list, tmp_path / 'q.onnx')
    assert not (tmp_path / 'q.onnx').exists()


def test_without_the_package_onnx(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = builtins.__import__

    def fake(name: str, *more: Any, **settings: Any) -> Any:
        if name == 'onnx':
            raise ImportError("No module named 'onnx'")
        return real(name, *more, **settings)

    monkeypatch.setattr(builtins, '__import__', fake)
    with pytest.raises(EngineError, match=r'needs the package onnx .*: pip install onnx$'):
        quantize_model(model, lambda: [RED], tmp_path / 'q.onnx')


def test_a_poor_agreement_is_warned_about(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(quantize, '_agreement', lambda *arguments: 0.5)
    quantize_model(model, lambda: [RED], tmp_path / 'q.onnx')
    assert 'only 50 % of the results are the same' in caplog.text


def boxes(*rows: tuple[float, ...], class_id: int = 0) -> Detections:
    count = len(rows)
    return Detections(
        np.array(rows, np.float32).reshape(-1, 4), np.full(count, class_id, np.int64),
        np.linspace(0.9, 0.5, count).astype(np.float32),
        np.array(['x'] * count, dtype=object), (100, 100), Timing(0, 0, 0))


def test_shared_boxes_are_counted() -> None:
    one = boxes((0, 0, 10, 10), (50, 50, 60, 60))
    assert quantize._share(one, one) == 1.0
    assert quantize._share(one, boxes()) == 0.0
    assert quantize._share(boxes(), boxes()) == 1.0
    assert quantize._share(one, boxes((1, 0, 10, 10))) == 2 / 3
    assert quantize._share(one, boxes((6, 0, 16, 10))) == 0.0
    assert quantize._share(one, boxes((0, 0, 10, 10), class_id=1)) == 0.0


def test_top_1_on_photographs(published: Path, tmp_path: Path) -> None:
    """
    What the documentation claims, with a margin of one photograph.

    Processors without instructions for 8-bit numbers (VNNI) add them up in 16 bits, which can be
    too few: there one photograph more gets another label.
    """
    paths = sorted((published / 'images').iterdir())
    assert len(paths) == 18
    for name, least in (('squeezenet_fp32', 16), ('mobilenet_v1_025', 15)):
        done = quantize_model(
            name, lambda: map(read_image, paths), tmp_path / f'{name}-int8.onnx')
        assert done.images == 18 and done.agreement >= least / 18
        assert done.bytes_after < 0.35 * done.bytes_before


def test_the_command(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv('ROS2_CLASSIFY_MODEL_PATH', str(tmp_path))
    directory = tmp_path / 'photos'
    directory.mkdir()
    for number in range(3):
        write_image(directory / f'{number}.png', RED)
    (directory / 'notes.txt').write_text('no image')
    words = ['models', 'quantize', 'colors', '--images', str(directory), '-o',
             str(tmp_path / 'colors-int8.onnx')]
    assert cli.main([*words, '--limit', '2', '--json']) == 0
    facts = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (facts['images'], facts['agreement']) == (2, 1.0)
    assert cli.main([*words, '--force']) == 0
    assert 'measured on 3 images; 100%' in capsys.readouterr().out
    assert cli.main(words) == 2 and 'is there already' in capsys.readouterr().err
    half = [*words[:-1], str(tmp_path / 'colors-fp16.onnx'), '--precision', 'fp16']
    assert cli.main(half) == 0
    assert 'compared on 3 images; 100%' in capsys.readouterr().out
    assert resolve('colors:fp16').name == 'colors-fp16'
    # The variant by its name.
    assert variant_name('colors:int8') == 'colors-int8'
    assert resolve('colors:int8').name == 'colors-int8'
    with pytest.raises(ModelNotFoundError, match=(
            "no variant 'int4' in the catalogue; create one .* models quantize colors --images")):
        resolve('colors:int4')
    empty = tmp_path / 'empty'
    empty.mkdir()
    for place, said in (
            (empty, 'no images in it'), (tmp_path / 'none', 'not a directory of images')):
        assert cli.main([*words[:4], str(place), *words[5:], '--force']) == 2
        assert said in capsys.readouterr().err
    assert cli.main([*words, '--limit', '0']) == 2


def test_a_bag(tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip('ros2_classify_benchmark.nodes.bag', reason='reading a bag needs ROS 2')
    assert cli.main([
        'models', 'quantize', 'cards_classifier', '--bag', str(data / 'bag/car_detection'),
        '--limit', '4', '-o', str(tmp_path / 'q.onnx'), '--json']) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])['images'] == 4


def test_a_bag_without_ros(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    from ros2_classify.cli import models_quantize

    monkeypatch.setattr(models_quantize, '_BAGS', 'ros2_classify.no_such_module')
    assert cli.main(['models', 'quantize', 'cards_classifier', '--bag', 'x', '-o',
                     str(tmp_path / 'q.onnx')]) == 2
    assert 'needs ROS 2' in capsys.readouterr().err
