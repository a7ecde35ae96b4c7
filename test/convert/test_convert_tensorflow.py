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

"""With the real TensorFlow: the published models, and graphs that can't be converted."""

from __future__ import annotations

import ctypes
from dataclasses import replace
import io
import json
import os
from pathlib import Path
import re
import subprocess
import sys
import tarfile

import graphs
from graphs import FLOAT, INT32, QUINT8, Shape, Type
import numpy as np
import pytest
from ros2_classify import load_descriptor, ModelDescriptor, Pipeline, read_image
from ros2_classify.autoconfig.complete import complete
from ros2_classify.convert.api import convert
from ros2_classify.convert.options import ConvertOptions
from ros2_classify.convert.process import choose_python, find_converter, PYTHON
from ros2_classify.download.options import FetchOptions
from ros2_classify.errors import ConversionError
from ros2_classify.inspection import check_model, describe_model
from ros2_classify.testing import FakeEngine
import shared_data
import test_manifest

HERE = Path(__file__).resolve().parent
CLASSIFIERS = ('mobilenet_v1_025_frozen', 'mobilenet_v1_025_saved')
PERSON = 'vww_96_saved'
DETECTOR = 'ssd_mobilenet_v1_075_frozen'
MODELS = (*CLASSIFIERS, PERSON, DETECTOR)

CONVERTER = find_converter(choose_python())
if CONVERTER is None:
    pytest.skip(f'there is no TensorFlow here: set {PYTHON} to a Python that has tensorflow and '
                'tf2onnx (scripts/setup --tensorflow makes one)', allow_module_level=True)

# Neither of the two can be imported any more.
BLOCKED = ('import sys; sys.modules["tensorflow"] = sys.modules["tf2onnx"] = None\n'
           'from ros2_classify.cli import main; sys.exit(main(sys.argv[1:]))')


@pytest.fixture
def models(data: Path, warm_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the models known by name; return the data's directory."""
    path = os.pathsep.join((str(HERE / 'descriptors'), shared_data.model_path(data)))
    monkeypatch.setenv('ROS2_CLASSIFY_MODEL_PATH', path)
    monkeypatch.setenv('ROS2_CLASSIFY_CACHE', str(warm_cache))
    return data


@pytest.mark.parametrize('model', CLASSIFIERS)
def test_classifiers_equal_the_manifest(models: Path, model: str) -> None:
    wrong = []
    with Pipeline.load(model, provider='cpu') as pipeline:
        for (name, image), top in test_manifest.CLASSES.items():
            if name == 'mobilenet_v1_0.25_224.onnx':
                best = pipeline(read_image(models / 'images' / image), 'bgr').rows()[0]
                label, score = top.crop
                if best['label'] != label or abs(best['score'] - score) > test_manifest.SCORE:
                    wrong.append(f'{image}: {label} {score}, got {best}')
    assert not wrong


def test_the_person_detector_equals_the_manifest(models: Path) -> None:
    text = test_manifest.MANIFEST.partition('vww_96_saved_model, probability of "person": ')[2]
    recorded = re.findall(r'(\S+\.\w+) (\d\.\d+)', text.partition('\n')[0])
    assert len(recorded) == 18
    with Pipeline.load(PERSON, provider='cpu') as pipeline:
        for image, score in recorded:
            result = pipeline(read_image(models / 'images' / image), 'bgr')
            scores = dict(zip(result.labels, result.scores))
            assert abs(scores['person'] - float(score)) < test_manifest.SCORE, image


def test_the_detector_equals_the_manifest(models: Path) -> None:
    wrong = []
    with Pipeline.load(DETECTOR, provider='cpu') as pipeline:
        for (name, image), found in test_manifest.BOXES.items():
            if name != 'ssd_mobilenet_v1_0.75_coco':
                continue
            result = pipeline(read_image(models / 'images' / image), 'bgr')
            taken: set[int] = set()
            for row in found.rows:
                index = test_manifest.match(result, row, taken)
                if index is not None:
                    taken.add(index)
                elif row.score >= 0.5 + test_manifest.SCORE:
                    wrong.append(f'{image}: {row} is missing from\n{result}')
    assert not wrong, '\n'.join(wrong)


@pytest.mark.parametrize('model', MODELS)
def test_the_report(models: Path, model: str) -> None:
    descriptor = load_descriptor(HERE / f'descriptors/{model}.yaml')
    source = models / 'models' / {
        DETECTOR: 'ssd_mobilenet_v1_0.75_coco/frozen_inference_graph.pb'}.get(
            model, descriptor.source.path)
    done = convert(descriptor, source)
    report = json.loads(done.report.read_text())
    assert report['source_sha256'] == descriptor.source.sha256
    differences = report['compared_with_tensorflow']['differences']
    assert max(differences.values()) < 1e-5
    assert len(differences) == (4 if model == DETECTOR else 1)
    assert 300 < report['memory_mb'] < 3000
    assert report['versions']['tf2onnx'] == CONVERTER.tf2onnx


@pytest.mark.parametrize('model', MODELS)
def test_from_the_cache_where_tensorflow_cannot_be_imported(models: Path, model: str) -> None:
    # Whichever test of a model runs first fills the cache.
    Pipeline.load(model, provider='cpu').close()
    environ = {name: value for name, value in os.environ.items() if name != PYTHON}
    done = subprocess.run(
        [sys.executable, '-c', BLOCKED, 'infer', '--json', '--model', model, '--image',
         str(models / 'images/skimage_chelsea.png')],
        capture_output=True, text=True, check=False, timeout=300, cwd=shared_data.ROOT,
        env=environ)
    assert done.returncode == 0, done.stderr
    best = json.loads(done.stdout)['results'][0]
    label, score = {DETECTOR: ('cat', 0.65), PERSON: ('non_person', 0.96)}.get(
        model, ('Egyptian cat', 0.76))
    assert best['label'] == label
    assert best['score'] == pytest.approx(score, abs=test_manifest.SCORE)


def test_without_a_descriptor(models: Path) -> None:
    with Pipeline.load(models / 'models/mobilenet_v1_0.25_224_frozen.pb', provider='cpu') as bare:
        result = bare(read_image(models / 'images/skimage_chelsea.png'), 'bgr')
    assert result.class_ids[0] == 286
    assert result.scores[0] == pytest.approx(0.76, abs=test_manifest.SCORE)


@pytest.mark.parametrize('model', MODELS)
def test_a_check(models: Path, model: str) -> None:
    report = check_model(model, read_image(models / 'images/skimage_chelsea.png'), provider='cpu')
    assert not report.problems
    assert report.onnx.producer.startswith('tf2onnx')
    assert report.onnx_path != report.file
    assert report.sha256 == report.declared.source.sha256
    best = report.result.rows()[0] if report.result.task == 'classification' else None
    assert best is None or best['label'] in ('Egyptian cat', 'non_person')


@pytest.mark.parametrize('file', [
    'mobilenet_v1_0.25_224_frozen.pb', 'mobilenet_v1_0.25_224_saved_model'])
def test_a_first_descriptor(models: Path, tmp_path: Path, file: str) -> None:
    text, report = describe_model(models / 'models' / file, tmp_path)
    (tmp_path / 'mine.yaml').write_text(text)
    written = complete(load_descriptor(tmp_path / 'mine.yaml'),
                       FakeEngine(report.inputs, report.outputs, {}))
    for name in ('task', 'format', 'input', 'output'):
        assert getattr(written, name) == getattr(report.descriptor, name)
    # It needs no conversion of its own.
    assert check_model(tmp_path / 'mine.yaml', provider='cpu').onnx_path == report.onnx_path


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a function that converts a graph: ``(GraphDef, **descriptor keys) -> Conversion``."""
    monkeypatch.setenv('ROS2_CLASSIFY_CACHE', str(tmp_path / 'cache'))

    def run(content: bytes, options: ConvertOptions | None = None, **keys: object):
        path = tmp_path / 'tiny.pb'
        path.write_bytes(content)
        descriptor = ModelDescriptor.from_mapping(
            {'name': 'tiny', 'source': {'path': str(path)}, **keys})
        return convert(descriptor, path, options)
    return run


def test_a_graph_of_our_own_writing(tiny) -> None:
    done = tiny(graphs.classifier())
    with Pipeline.load(ModelDescriptor.from_mapping({
            'name': 'tiny', 'source': {'path': str(done.model)}, 'input': {'scale': '1/255'},
            'output': {'decoder': 'classification'}})) as pipeline:
        result = pipeline(np.full((8, 8, 3), 255, np.uint8))
    weights = np.arange(12).reshape(3, 4) / 10 - 0.5
    powers = np.exp(weights.sum(axis=0))
    expected = dict(enumerate(powers / powers.sum()))
    for class_id, score in zip(result.class_ids, result.scores):
        assert score == pytest.approx(expected[class_id], abs=1e-5)


@pytest.mark.parametrize('name', [
    'mask_rcnn_inception_v2_coco_2018_01_28', 'tensorflow-face-detection'])
def test_an_entry_of_the_catalogue(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """From a URL to masks and labels, with a small model instead of the large one."""
    monkeypatch.setenv('ROS2_CLASSIFY_CACHE', str(tmp_path / 'cache'))
    entry = load_descriptor(shared_data.ROOT / f'models/{name}.yaml')
    has_masks = 'masks' in entry.output.options['outputs']
    content = graphs.detector(
        detection_boxes=np.array([[[0.25, 0.5, 0.75, 1], [0, 0, 1, 1]]], np.float32),
        detection_scores=np.array([[0.9, 0.1]], np.float32),
        detection_classes=np.array([[1, 1]], np.float32),
        num_detections=np.array([2], np.float32),
        **({'detection_masks': np.ones((1, 2, 15, 15), np.float32)} if has_masks else {}))
    file = tmp_path / Path(entry.source.url).name
    if entry.source.member:
        with tarfile.open(file, 'w:gz') as tar:
            info = tarfile.TarInfo(entry.source.member)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    else:
        file.write_bytes(content)
    source = replace(entry.source, url=file.as_uri(), sha256=None, size=None)
    with Pipeline.load(replace(entry, source=source), provider='cpu',
                       fetch=FetchOptions(allow_unverified=True)) as pipeline:
        result = pipeline(np.zeros((100, 200, 3), np.uint8))
    assert result.labels.tolist() == ['face' if 'face' in name else 'person']
    assert result.boxes.tolist() == [[100, 25, 200, 75]]
    assert (result.masks is not None) == has_masks
    if has_masks:
        # A mask of ones fills its box.
        assert (result.masks.instances((200, 100)) > 0).sum() == 100 * 50


def old_loop() -> bytes:
    """Return a graph that gathers results as old MTCNN graphs do."""
    array, flow = 'array', 'array:1'
    return graphs.graph(
        graphs.placeholder('input', None, 8, 8, 3),
        graphs.constant('size', np.array(1, np.int32)),
        graphs.constant('zero', np.array(0, np.int32)),
        graphs.node(array, 'TensorArrayV3', 'size', dtype=Type(FLOAT), element_shape=Shape(None)),
        graphs.node('write', 'TensorArrayWriteV3', array, 'zero', 'input', flow, T=Type(FLOAT)),
        graphs.node('concat', 'TensorArrayConcatV3', array, 'write', dtype=Type(FLOAT),
                    element_shape_except0=Shape(None)),
        graphs.identity('output', 'concat'))


def quantized() -> bytes:
    """Return a graph with 8-bit weights that are widened while it runs."""
    return graphs.graph(
        graphs.placeholder('input', 4, 4),
        graphs.constant('axes', np.array([0, 1], np.int32)),
        graphs.node('least', 'Min', 'input', 'axes', T=Type(FLOAT), Tidx=Type(INT32)),
        graphs.node('most', 'Max', 'input', 'axes', T=Type(FLOAT), Tidx=Type(INT32)),
        graphs.constant('weights', np.arange(16, dtype=np.uint8).reshape(4, 4)),
        graphs.node('wide', 'Dequantize', 'weights', 'least', 'most', T=Type(QUINT8),
                    mode='MIN_FIRST'),
        graphs.node('output', 'MatMul', 'input', 'wide', T=Type(FLOAT)))


def inverse() -> bytes:
    """Return a graph with an operator that ONNX lacks."""
    return graphs.graph(
        graphs.placeholder('input', 4, 4),
        graphs.node('output', 'MatrixInverse', 'input', T=Type(FLOAT)))


def custom() -> bytes:
    """Return a graph with an operator that TensorFlow lacks."""
    return graphs.graph(graphs.placeholder('input', 4, 4),
                        graphs.node('output', 'OurOwnNms', 'input', T=Type(FLOAT)))


@pytest.mark.parametrize(('content', 'words'), [
    (old_loop(), "its loops store their results in TensorFlow 1's TensorArrayConcatV3"),
    (quantized(), 'ONNX has no data type quint8'),
    (inverse(), 'ONNX has no counterpart for its operator MatrixInverse'),
    (custom(), "its operator OurOwnNms ('output') is not allowed"),
], ids=['old loop', 'quantized', 'inverse', 'custom'])
def test_what_cannot_be_converted_is_named(tiny, content: bytes, words: str) -> None:
    with pytest.raises(ConversionError, match=re.escape(words)) as caught:
        tiny(content)
    message = str(caught.value)
    assert re.search('use an ONNX export|floating-point version', message)
    assert '\n' not in message


def text_constant(name: str, text: str) -> bytes:
    value = graphs.number(1, graphs.STRING) + graphs.piece(2, b'') + graphs.piece(8, text)
    return graphs.node(name, 'Const', dtype=Type(graphs.STRING)) + graphs.piece(
        5, graphs.piece(1, 'value') + graphs.piece(2, graphs.piece(8, value)))


@pytest.mark.parametrize('unchecked', [False, True])
def test_a_graph_that_writes_a_file(
        tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unchecked: bool) -> None:
    """It is refused; and if it were not, the process could not write there."""
    written = tmp_path / 'written'
    content = graphs.graph(
        graphs.placeholder('input', None, 8, 8, 3), text_constant('name', str(written)),
        text_constant('text', 'x'), graphs.node('write', 'WriteFile', 'name', 'text'),
        graphs.node('output', 'Identity', 'input', '^write', T=Type(FLOAT)))
    words = "its operator WriteFile ('write') is not allowed"
    if unchecked:
        # landlock_create_ruleset(2) with a flag that asks for its version.
        if ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), 1) < 1:
            pytest.skip('this kernel has no Landlock')
        monkeypatch.setattr(
            'ros2_classify.convert.api.check_frozen_graph', lambda data, origin: None)
        words = 'PermissionDeniedError|Permission denied'
    with pytest.raises(ConversionError, match=words if unchecked else re.escape(words)):
        tiny(content)
    assert not written.exists()


def test_a_size_that_the_model_does_not_take(tiny) -> None:
    content = graphs.graph(
        graphs.placeholder('input', None, None, None, 3),
        graphs.constant('shape', np.array([-1, 7 * 7 * 3], np.int32)),
        graphs.node('output', 'Reshape', 'input', 'shape', T=Type(FLOAT), Tshape=Type(INT32)))
    with pytest.raises(ConversionError, match='TensorFlow itself fails on the test image.*'
                                              'input.size'):
        tiny(content)
    done = tiny(content, input={'size': [7, 7]}, task='classification')
    assert json.loads(done.report.read_text())['compared_with_tensorflow']['shapes'] == {
        'output:0': [1, 147]}


def test_a_signature_of_a_real_model_that_is_wrong(models: Path) -> None:
    descriptor = load_descriptor(HERE / f'descriptors/{PERSON}.yaml')
    wrong = replace(descriptor, conversion=replace(descriptor.conversion, signature='serve'))
    with pytest.raises(ConversionError, match=r"no signature 'serve'.*serving_default \('input"):
        convert(wrong, models / 'models/vww_96_saved_model')
