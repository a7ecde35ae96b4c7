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

"""Descriptors from anywhere: refused in one sentence, or fit for use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fuzzing import fuzz, spoilt, TEXTS
from hypothesis import strategies as st
import numpy as np
import pytest

from ros2_classify.decoders import DECODERS
from ros2_classify.errors import DescriptorError, Ros2ClassifyError
from ros2_classify.model.descriptor import load_descriptor, parse_descriptor
from ros2_classify.preprocess.preprocessor import Preprocessor
from ros2_classify.yaml_config import read_yaml, Where
import yaml

SHIPPED = sorted((Path(__file__).resolve().parents[2] / 'models').glob('*.yaml'))

# The keys that there are, at every level, so that most of a made-up descriptor is looked at.
KEYS = (
    'name', 'task', 'source', 'format', 'labels', 'input', 'output', 'defaults', 'license',
    'provenance', 'notes', 'expected', 'convert', 'path', 'url', 'sha256', 'member', 'size',
    'certainty', 'layout', 'dtype', 'color', 'scale', 'mean', 'std', 'resize', 'crop_fraction',
    'anchor', 'pad_value', 'interpolation', 'extra', 'decoder', 'activation', 'multi_label',
    'background', 'outputs', 'boxes', 'scores', 'classes', 'count', 'rows', 'columns',
    'box_format', 'normalized', 'units', 'strides', 'reg_max', 'class_offset', 'threshold',
    'values', 'axes', 'upsampling', 'objectness', 'score_threshold', 'top_k', 'nms_iou',
    'ioa_threshold', 'max_detections', 'signature', 'tolerance', 'inputs')
WORDS = (
    *DECODERS, 'classification', 'detection', 'segmentation', 'onnx', 'saved_model', 'source',
    'frozen_graph', 'nchw', 'nhwc', 'float32', 'float16', 'uint8', 'rgb', 'bgr', 'gray', 'auto',
    'stretch', 'letterbox', 'center_crop', 'none', 'softmax', 'sigmoid', 'linear', 'nearest',
    'model.onnx', 'https://example.com/m.onnx', '0' * 64, '1/255', 'cxcywh', 'xyxy', '???')
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 20), st.integers(), st.floats(), TEXTS,
    st.sampled_from(WORDS))
TREES: st.SearchStrategy[Any] = st.recursive(
    SCALARS, lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(st.sampled_from(KEYS), st.integers(-1, 5)), inner,
                        max_size=5)), max_leaves=12)
DESCRIPTORS = st.fixed_dictionaries(
    {'source': st.one_of(st.just({'path': 'model.onnx'}), TREES)},
    optional={key: st.one_of(TREES, st.dictionaries(st.sampled_from(KEYS), TREES, max_size=4))
              for key in KEYS[:13] if key != 'source'})
INPUTS = st.fixed_dictionaries({}, optional={
    'size': st.one_of(st.just('source'), st.lists(st.integers(-1, 20000), max_size=3)),
    'layout': st.sampled_from(('nchw', 'nhwc')),
    'dtype': st.sampled_from(('float32', 'float16', 'uint8')),
    'color': st.sampled_from(('rgb', 'bgr', 'gray')),
    'scale': st.one_of(st.floats(), st.sampled_from(('1/255', 1))),
    'mean': st.lists(st.floats(), max_size=3), 'std': st.lists(st.floats(), max_size=3),
    'resize': st.sampled_from(('stretch', 'letterbox', 'center_crop')),
    'crop_fraction': st.floats(), 'anchor': st.sampled_from(('center', 'top_left')),
    'pad_value': st.floats(),
    'interpolation': st.sampled_from(('area', 'linear', 'nearest', 'cubic'))})


def check(text: str) -> None:
    """Read a descriptor: an error of ours, with a place and without a line end, or none."""
    try:
        data, where = read_yaml(text, 'fuzzed.yaml')
        descriptor = parse_descriptor(data, where, name='fuzzed', directory=Path('/nowhere'))
    except DescriptorError as error:
        assert str(error).startswith('fuzzed.yaml'), error
    else:
        assert hash(descriptor) == hash(descriptor)


@fuzz(text=st.text(max_size=300))
def test_any_text(text: str) -> None:
    """Text from anywhere is no descriptor, and says so."""
    check(text)


@fuzz(data=TREES)
def test_any_yaml(data: Any) -> None:
    """YAML of any form is no descriptor, and says so."""
    check(yaml.safe_dump(data))


@fuzz(2.0, data=DESCRIPTORS)
def test_made_up_descriptors(data: Any) -> None:
    """The right keys with wrong values are refused by name."""
    check(yaml.safe_dump(data))


@fuzz(data=spoilt(st.sampled_from([path.read_bytes() for path in SHIPPED])))
def test_spoilt_files(data: bytes, tmp_path: Path) -> None:
    """A file that was damaged is refused, whatever its bytes."""
    path = tmp_path / 'spoilt.yaml'
    path.write_bytes(data)
    try:
        load_descriptor(path)
    except Ros2ClassifyError as error:
        assert 'spoilt.yaml' in str(error)


@fuzz(0.5, spec=INPUTS, height=st.integers(1, 50), width=st.integers(1, 50))
def test_accepted_inputs_can_be_used(spec: Any, height: int, width: int) -> None:
    """Whatever a descriptor may say of its input, the first step can do, in finite numbers."""
    data = {'source': {'path': 'model.onnx'}, 'input': {
        'layout': 'nchw', 'dtype': 'float32', 'size': [32, 32], **spec}}
    try:
        descriptor = parse_descriptor(
            data, Where('fuzzed', (), {}), name='fuzzed', directory=Path('/nowhere'))
    except DescriptorError:
        return
    preprocess = Preprocessor(descriptor.input)
    geometry = preprocess(np.full((height, width, 3), 200, np.uint8))
    assert preprocess.tensor().dtype == descriptor.input.dtype
    boxes = geometry.to_source(np.array([[0, 0, 8, 8]], np.float32))
    assert np.isfinite(boxes).all()


BOMBS = {
    'aliases': 'a: &a [x]\nb: [' + '*a,' * 1000 + ']', 'lists in lists': '[' * 5000,
    'mappings in mappings': '{a: ' * 5000, 'dashes': '- ' * 20000, 'question marks': '? ' * 5000,
    'a tag': '!!python/object/apply:os.system ["true"]', 'NULs': '"' + '\\u0000' * 1000 + '"',
    'a long number': 'a: ' + '9' * 100_000, 'an alias of itself': '&a a: *a',
    'a long fraction': 'input: {scale: ' + '1/' * 10_000 + '1}', 'a merge': '<<: {a: 1}',
    'documents': '---\n---\n', 'another YAML': '%YAML 9.9\n---\n', 'a mark': '\ufeff',
    'a long key': '0x' + 'f' * 10_000 + ': 1', 'sexagesimals': 'a: 1:' + ':59' * 20_000,
    'a large exponent': 'a: 1e' + '9' * 1000}


@pytest.mark.parametrize('bomb', BOMBS)
def test_bombs(bomb: str) -> None:
    """What is written to take memory or time, or to run code, is refused at once."""
    check(BOMBS[bomb])
