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
Each model of the catalogue: complete, readable, and its contract runs through the whole pipeline.

The models here are made from the entries: inputs and outputs of the declared names, shapes and
types, and one object in the outputs. Those that need the internet are marked; they fetch the
published files themselves: ``pytest -m network test/model/test_catalogue_entries.py``.
"""

from __future__ import annotations

from dataclasses import replace
import hashlib
import re
from typing import Any, get_args

from known_results import problems_with
import numpy as np
from onnx import helper, numpy_helper
import pytest
from ros2_classify import Classification, Pipeline, read_image
from ros2_classify.decoders import DECODERS
from ros2_classify.decoders.boxes import cells
from ros2_classify.download.options import FetchOptions
from ros2_classify.model.descriptor import load_descriptor, ModelDescriptor
from ros2_classify.model.files import model_file
from ros2_classify.model.source import Certainty, Source
from ros2_classify.progress import human_size
import shared_data

MODELS = shared_data.ROOT / 'models'
PAGE = (shared_data.ROOT / 'docs/catalogue.md').read_text(encoding='utf-8')
ENTRIES = {path.stem: load_descriptor(path) for path in sorted(MODELS.glob('*.yaml'))}
FETCHED = {name: entry for name, entry in ENTRIES.items() if entry.source.url}
# More may come, none may go.
AT_LEAST = {
    'cards_detector', 'efficientnet-lite4-11', 'faster_rcnn_inception_v2_coco_2018_01_28',
    'mask_rcnn_inception_v2_coco_2018_01_28', 'mobilenetv2-12', 'mobilenetv2-12-int8', 'nanodet',
    'resnet50-v1-12', 'shufflenet-v2-12', 'squeezenet1.1-7', 'ssd_mobilenet_v1_12',
    'ssd_mobilenet_v1_coco_2017_11_17', 'ssd_mobilenet_v1_coco_2017_11_17_saved_model',
    'tensorflow-face-detection', 'tiny-yolov3-11', 'ultraface', 'yolox_nano', 'yolox_s', 'yunet'}
# The images that go through the models, width and height: a stretch would show.
IMAGE = (320, 160)
# Where the one object is, in parts of the model's input.
BOX = (0.40, 0.45, 0.60, 0.55)


def each(entries: dict[str, ModelDescriptor]) -> Any:
    return pytest.mark.parametrize('name', entries)


def test_what_is_there():
    assert AT_LEAST <= set(ENTRIES)


@each(ENTRIES)
def test_an_entry_is_complete(name):
    entry = ENTRIES[name]
    assert entry.name == name
    assert entry.task is not None
    assert entry.output.decoder in DECODERS
    assert entry.license and entry.provenance
    assert entry.load_labels() is not None
    spec = entry.input
    assert None not in (spec.size, spec.layout, spec.dtype)


@each(FETCHED)
def test_an_entry_that_is_fetched_says_how_sure_it_is(name):
    entry = FETCHED[name]
    source = entry.source
    assert source.url.startswith(('https://', 'http://download.tensorflow.org/'))
    assert source.certainty is not None
    # The words of the entry for the reader and the key for the program say the same.
    words = {'quoted_with_sha256': 'The URL is in a public repository beside this sha256.',
             'quoted': 'The URL is in a public repository',
             'inferred': 'The URL follows from those of the neighbours'}
    assert words[source.certainty] in entry.provenance
    if source.sha256 is None:
        assert 'none is known to quote a sha256' in entry.provenance
        assert source.size is None
        assert source.certainty != 'quoted_with_sha256'
    else:
        assert source.size is not None
    assert entry.expected is not None
    labels = entry.load_labels()
    known = {label for _, label in labels.items()}
    assert {result.label for result in entry.expected.results} <= known
    assert all((result.box is None) == (entry.task == 'classification')
               for result in entry.expected.results)


LABEL_COUNTS = {'imagenet1000.txt': 1000, 'coco80.txt': 80, 'coco90.txt': 80}


@each(FETCHED)
def test_the_labels_are_as_many_as_the_classes(name):
    entry = FETCHED[name]
    labels = entry.load_labels()
    if isinstance(entry.labels, str):
        assert len(labels) == LABEL_COUNTS[entry.labels.rpartition('/')[2]]
    else:
        assert [label for _, label in labels.items()] in (['face'], ['face', 'background'])


def row_of(entry: ModelDescriptor) -> str:
    """Return an entry's row in the table of the page."""
    source, expected = entry.source, entry.expected
    # That of the package is retrained now and then.
    size = human_size(source.size) if source.size else 'unknown' if source.url else 'small'
    url = f'`{source.certainty}`' if source.url else 'in the package'
    if source.url and source.sha256 is None:
        url += ', no sha256'
    result = f'`{expected.image}`' if expected and expected.image else '–'
    return f'| `{entry.name}` | {entry.task} | {size} | {entry.license} | {url} | {result} |'


def test_the_page_lists_them():
    section = PAGE.split('## What ships')[1].split('### ')[0]
    rows = [line for line in section.splitlines() if line.startswith('| `')]
    assert rows == [row_of(entry) for entry in ENTRIES.values()]


def test_the_page_explains_each_certainty():
    section = PAGE.split('### How certain a URL is')[1].split('### ')[0]
    assert re.findall(r'^\| `(\w+)`', section, re.MULTILINE) == list(get_args(Certainty))


def test_the_sample_of_the_page_is_an_entry(tmp_path):
    sample, = re.findall(r'^```yaml\n(.*?)^```', PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / 'street_detector.yaml').write_text(sample)
    entry = load_descriptor(tmp_path / 'street_detector.yaml')
    assert entry.name == 'street_detector'
    assert entry.source.certainty and entry.expected.results and entry.provenance


def test_the_label_files():
    assert {path.name for path in (MODELS / 'labels').glob('*.txt')} == set(LABEL_COUNTS)
    readme = (MODELS / 'labels/README.md').read_text()
    assert all(f'`{name}`' in readme for name in LABEL_COUNTS)
    imagenet, coco80, coco90 = (
        ModelDescriptor('x', Source('x'), labels=f'labels/{name}', directory=MODELS).load_labels()
        for name in LABEL_COUNTS)
    assert [imagenet.name(place) for place in (0, 999)] == ['tench', 'toilet tissue']
    assert [coco80.name(place) for place in (0, 79)] == ['person', 'toothbrush']
    assert [coco90.name(place) for place in (1, 13, 90)] == ['person', 'stop sign', 'toothbrush']
    assert 0 not in coco90 and 12 not in coco90
    assert [label for _, label in coco90.items()] == [label for _, label in coco80.items()]


@each(FETCHED)
def test_the_contract_runs_through_the_whole_pipeline(tmp_path, name):
    entry = FETCHED[name]
    outputs, label = result_of(entry)
    path = save_model(tmp_path / 'net.onnx', entry, outputs)
    # The TensorFlow formats come here as what they are converted into.
    local = replace(entry, source=Source(str(path)), format='onnx')
    image = np.random.default_rng(1).integers(0, 256, (*IMAGE[::-1], 3), np.uint8)
    with Pipeline.load(local, provider='cpu') as pipeline:
        assert pipeline.descriptor.inferred == ()
        pipeline.warm_up()
        result = pipeline(image)
    assert list(result.labels[:1]) == [label]
    assert result.scores[0] == pytest.approx(0.9, abs=0.05)
    if isinstance(result, Classification):
        assert len(result) == 5
    else:
        assert len(result) == 1
        assert result.boxes[0] == pytest.approx(on_image(entry), abs=1.5)
        assert (result.masks is not None) == ('masks' in entry.output.options.get('outputs', {}))


def result_of(entry: ModelDescriptor) -> tuple[dict[str, Any], str]:
    """Return the outputs of a model that sees one object of its last class, and the label."""
    labels = entry.load_labels()
    class_id, label = max(labels.items())
    size = entry.input.size if entry.input.size != 'source' else IMAGE
    return RESULTS[entry.output.decoder](entry.output.options, class_id, size), label


def corners(size: tuple[int, int]) -> np.ndarray:
    """Return the object's box in pixels of the model's input."""
    return (np.array(BOX) * (*size, *size)).astype(np.float32)


def on_image(entry: ModelDescriptor) -> np.ndarray:
    """Return the object's box in pixels of the image, by the declared way of resizing."""
    spec = entry.input
    if spec.resize != 'letterbox':
        return corners(IMAGE)
    scale = min(spec.size[0] / IMAGE[0], spec.size[1] / IMAGE[1])
    free = np.array(spec.size) - np.array(IMAGE) * scale
    shift = free / 2 if spec.anchor == 'center' else free * 0
    box = (corners(spec.size) - np.tile(shift, 2)) / scale
    return np.clip(box, 0, (*IMAGE, *IMAGE))


def classification(options, class_id, size):
    scores = np.full((1, class_id + 1), 0.0, np.float32)
    # A softmax makes 0.9 of this.
    scores[0, class_id] = np.log(9 * class_id) if options['activation'] == 'softmax' else 0.9
    return {options['output']: scores}


def yolox(options, class_id, size):
    grid = cells(size, tuple(options['strides']))
    rows = np.zeros((1, len(grid), 6 + class_id), np.float32)
    x1, y1, x2, y2 = corners(size)
    column, row, stride = grid[100]
    rows[0, 100, :4] = ((x1 + x2) / 2 / stride - column, (y1 + y2) / 2 / stride - row,
                        np.log((x2 - x1) / stride), np.log((y2 - y1) / stride))
    rows[0, 100, 4] = 1.0
    rows[0, 100, 5 + class_id] = 0.9
    return {options['output']: rows}


def tf_detection(options, class_id, size):
    names = options['outputs']
    boxes, classes, scores = (np.zeros((1, 100, *tail), np.float32) for tail in ((4,), (), ()))
    boxes[0, 0] = np.array(BOX)[[1, 0, 3, 2]]
    classes[0, 0], scores[0, 0] = class_id - options['class_offset'], 0.9
    outputs = {names['boxes']: boxes, names['classes']: classes, names['scores']: scores,
               names['count']: np.array([100], np.float32)}
    if 'masks' in names:
        outputs[names['masks']] = np.ones((1, 100, 15, 15), np.float32)
    return outputs


def boxes_scores(options, class_id, size):
    names = options['outputs']
    boxes, scores = np.zeros((1, 50, 4), np.float32), np.zeros((1, 50, class_id + 1), np.float32)
    scores[0, :, options['background']] = 1.0
    boxes[0, 7] = BOX if options['normalized'] else corners(size)
    scores[0, 7, class_id] = 0.9
    return {names['boxes']: boxes, names['scores']: scores}


def selected_indices(options, class_id, size):
    names = options['outputs']
    boxes, scores = np.zeros((1, 30, 4), np.float32), np.zeros((1, class_id + 1, 30), np.float32)
    boxes[0, 7] = corners(size)[[1, 0, 3, 2]]
    scores[0, class_id, 7] = 0.9
    return {names['boxes']: boxes, names['scores']: scores,
            names['indices']: np.array([[[0, class_id, 7]]], np.int32)}


def nanodet(options, class_id, size):
    outputs = {}
    steps = options['reg_max'] + 1
    for place, stride in enumerate(options['strides']):
        grid = cells(size, (stride,), partial=True)
        scores = np.zeros((1, len(grid), class_id + 1), np.float32)
        logits = np.zeros((1, len(grid), 4 * steps), np.float32)
        if place == len(options['strides']) - 1:
            # The cell in the middle reaches to all four sides of the box.
            points = grid[:, :2] * stride + (stride - 1) / 2
            x1, y1, x2, y2 = corners(size)
            row = int(np.abs(points - ((x1 + x2) / 2, (y1 + y2) / 2)).sum(axis=1).argmin())
            x, y = points[row]
            for side, distance in enumerate((x - x1, y - y1, x2 - x, y2 - y)):
                whole, part = divmod(distance / stride, 1)
                values = np.full(steps, -50.0)
                values[int(whole)] = np.log(1 - part)
                values[int(whole) + 1] = np.log(max(part, 1e-9))
                logits[0, row, side * steps:(side + 1) * steps] = values
            scores[0, row, class_id] = 0.9
        outputs[options['outputs']['scores'][place]] = scores
        outputs[options['outputs']['distances'][place]] = logits
    return outputs


def yunet(options, class_id, size):
    outputs = {}
    for stride in options['strides']:
        grid = cells(size, (stride,))
        tables = {role: np.zeros((1, len(grid), columns), np.float32)
                  for role, columns in (('cls', class_id + 1), ('obj', 1), ('bbox', 4),
                                        ('kps', 10))}
        if stride == 16:
            x1, y1, x2, y2 = corners(size)
            column, row, _ = grid[100]
            tables['cls'][0, 100, class_id], tables['obj'][0, 100] = 0.9, 0.9
            tables['bbox'][0, 100] = ((x1 + x2) / 2 / stride - column,
                                      (y1 + y2) / 2 / stride - row,
                                      np.log((x2 - x1) / stride), np.log((y2 - y1) / stride))
        outputs.update({f'{role}_{stride}': table for role, table in tables.items()})
    return outputs


RESULTS = {'classification': classification, 'yolox': yolox, 'tf_detection': tf_detection,
           'boxes_scores': boxes_scores, 'selected_indices': selected_indices,
           'nanodet': nanodet, 'yunet': yunet}


def save_model(path, entry, outputs):
    """Write a model of the entry's interface that gives these outputs."""
    spec = entry.input
    width, height = spec.size if spec.size != 'source' else (None, None)
    shape = ([None, spec.channels, height, width] if spec.layout == 'nchw'
             else [None, height, width, spec.channels])

    def declared(name, dtype, shape):
        return helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)
    inputs = [declared(spec.name or 'inputs', spec.dtype, shape)]
    inputs += [declared(name, np.float32, [None, 2]) for name in spec.extra]
    graph = helper.make_graph(
        [helper.make_node('Identity', [f'{name}_value'], [name]) for name in outputs], 'graph',
        inputs, [declared(name, array.dtype, array.shape) for name, array in outputs.items()],
        initializer=[numpy_helper.from_array(array, f'{name}_value')
                     for name, array in outputs.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


# What is at hand: the published file itself, or the same weights in another file.
AT_HAND = {'ultraface': 'version-RFB-320.onnx', 'yolox_nano': 'yolox_nano.onnx'}


@pytest.mark.parametrize('name', AT_HAND)
def test_expected_results_with_the_files_at_hand(published, name):
    path = published / 'models' / AT_HAND[name]
    entry = ENTRIES[name]
    same = hashlib.sha256(path.read_bytes()).hexdigest() == entry.source.sha256
    assert same == entry.expected.basis.startswith('this very file')
    check_expected(replace(entry, source=Source(str(path))), image_of(entry))


def test_the_expected_images_are_those_of_the_directory(data):
    for entry in FETCHED.values():
        if entry.expected.image:
            assert image_of(entry) == data / 'images' / entry.expected.image


def image_of(entry: ModelDescriptor) -> Any:
    """Return the image that an entry names, or None where it is not here."""
    directory = shared_data.find_data()
    for path in sorted((directory / 'images').iterdir()) if directory else ():
        if hashlib.sha256(path.read_bytes()).hexdigest() == entry.expected.image_sha256:
            return path
    return None


def check_expected(entry: ModelDescriptor, image: Any) -> None:
    with Pipeline.load(entry, provider='cpu') as pipeline:
        assert problems_with(entry.expected, pipeline(read_image(image), 'bgr')) == ()


@pytest.mark.network
@each(FETCHED)
def test_the_published_file(name, monkeypatch):
    """Fetch into the user's own cache, where files stay, and hold them against the entry."""
    monkeypatch.delenv('ROS2_CLASSIFY_CACHE')
    entry = FETCHED[name]
    # A URL without a sha256 shows only that there is a file.
    path = model_file(entry, FetchOptions(allow_unverified=entry.source.sha256 is None))
    if entry.format != 'onnx':
        assert path.exists()
        return
    with Pipeline.load(entry, provider='cpu') as pipeline:
        pipeline.warm_up()
    if entry.expected.image:
        image = image_of(entry)
        if image is None:
            pytest.skip(shared_data.REASON)
        check_expected(entry, image)
