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

"""Schema and docs of the descriptor are those of the declared keys; all descriptors keep to it."""

import copy
import json
import re
import subprocess

import descriptor_keys
import pytest
from ros2_classify import ModelDescriptor
from ros2_classify.decoders import DECODERS
from ros2_classify.errors import DescriptorError
from ros2_classify.model.descriptor import load_descriptor
import shared_data
import yaml

jsonschema = pytest.importorskip('jsonschema')

SCHEMA = json.loads(descriptor_keys.SCHEMA.read_text(encoding='utf-8'))
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)
SOURCE = {'source': {'path': 'net.onnx'}}


def yaml_files():
    """Return all YAML files of the repository, as git knows them where there is git."""
    said = subprocess.run(['git', 'ls-files', '-z', '*.yaml', '*.yml'], cwd=shared_data.ROOT,
                          capture_output=True, text=True, check=False)
    names = said.stdout.split('\0') if said.returncode == 0 else [
        path.relative_to(shared_data.ROOT) for directory in ('models', 'test/descriptors')
        for path in (shared_data.ROOT / directory).glob('*.yaml')]
    return [shared_data.ROOT / name for name in names if name]


def is_descriptor(path):
    # Settings of other programs may be several documents; a descriptor is one.
    data = next(yaml.safe_load_all(path.read_text(encoding='utf-8')), None)
    return isinstance(data, dict) and ('source' in data or path.parent.name == 'models')


DESCRIPTORS = sorted(path for path in yaml_files() if path.is_file() and is_descriptor(path))


def schema_takes(mapping):
    # JSON's keys are texts: 1 in YAML becomes "1".
    return VALIDATOR.is_valid(json.loads(json.dumps(mapping)))


def reader_takes(mapping):
    try:
        ModelDescriptor.from_mapping(mapping)
    except DescriptorError:
        return False
    return True


def test_schema_and_page_are_up_to_date():
    assert descriptor_keys.SCHEMA.read_text(encoding='utf-8') == descriptor_keys.schema_text(), (
        'run: python scripts/tools/descriptor_keys.py')


def test_it_is_a_schema():
    jsonschema.Draft7Validator.check_schema(SCHEMA)


@pytest.mark.parametrize('path', DESCRIPTORS, ids=lambda path: path.stem)
def test_each_descriptor_of_the_repository(path):
    mapping = yaml.safe_load(path.read_text(encoding='utf-8'))
    problems = [error.message for error in VALIDATOR.iter_errors(json.loads(json.dumps(mapping)))]
    assert problems == []
    load_descriptor(path)


def test_the_descriptors_are_found():
    directories = {path.parent.name for path in DESCRIPTORS}
    assert {'models', 'descriptors'} <= directories
    assert len(DESCRIPTORS) > 20


def test_the_descriptors_name_the_schema():
    for path in DESCRIPTORS:
        if path.parent == descriptor_keys.SCHEMA.parent and load_descriptor(path).source.url:
            line = '# yaml-language-server: $schema=descriptor.schema.json\n'
            assert line in path.read_text(encoding='utf-8')


TAKEN = [
    {'labels': 'names.txt'}, {'labels': ['a', '???', 'b']}, {'labels': {1: 'a', 90: 'b'}},
    {'name': 'a.B-1_c'}, {'source': {'url': 'https://a.b/c.onnx', 'certainty': 'quoted'}},
    {'input': {'size': [640, 480], 'scale': '1/255', 'mean': ['1e2', 0.5, '1/3'], 'std': 2}},
    {'input': {'size': 'source'}}, {'input': {'extra': {'a': 'input_size_hw', 'b': [1, '1/2']}}},
    {'input': {'extra': {'a': 1}}}, {'defaults': {'score_threshold': '1/2', 'top_k': 3}},
    {'expected': {'unknown': 'no file'}},
    {'expected': {'image': {'name': 'a', 'sha256': '0' * 64, 'source': 'b'}, 'basis': 'c',
                  'results': [{'label': 'd', 'score': 1, 'box': [0, 0, 1, 1]}]}},
    {'output': {'decoder': 'classification', 'background': 0}},
    {'output': {'decoder': 'classification', 'background': False}},
    {'output': {'decoder': 'boxes_scores', 'background': 'none'}},
    {'output': {'decoder': 'yolo', 'objectness': 'auto', 'classes': 3}},
    {'output': {'decoder': 'yolo', 'objectness': True}},
    {'output': {'decoder': 'end_to_end', 'columns': ['class', 'score', 'box']}},
    {'output': {'decoder': 'yunet', 'strides': [8], 'outputs': {'cls': ['a']}}},
    {'output': {'decoder': 'nanodet', 'outputs': {'scores': ['a'], 'distances': ['b']}}},
    {'output': {'decoder': 'ssd', 'priors': 'ultraface', 'outputs': {'boxes': 'a'}}},
    {'output': {'decoder': 'ssd', 'strides': [8, 16], 'sizes': [[8, '1/2'], [[8, 9], [3, 4]]],
                'ratios': [1, '1/2'], 'variances': [0.1, 0.2], 'background': 'none',
                'outputs': {'boxes': ['a', 'b'], 'scores': ['c', 'd']}}},
    {'output': {'decoder': 'ssd', 'scales': [0.2, 0.95], 'strides': [16], 'spacing': 'even'}},
    {'output': {'decoder': 'yolo_anchors', 'anchors': 'yolov5', 'scale_x_y': [1, '3/2', 2]}},
    {'output': {'decoder': 'yolo_anchors', 'anchors': [[1, 2, 3, 4], [5, 6, 7, '8']],
                'size_rule': 'exp', 'scale_x_y': 1.1, 'outputs': {'maps': ['a', 'b']}}},
    {'output': {'decoder': 'yolo_fastestv2', 'anchors': 'coco'}},
    {'source': {'path': 'a.pb'}, 'convert': {'inputs': ['a'], 'outputs': ['b:0']}},
    *({'output': {'decoder': name}} for name in DECODERS),
]
REFUSED = [
    {'nonsense': 1}, {'name': 'a b'}, {'name': 3}, {'task': 'zzz'}, {'format': 'zip'},
    {'source': {}}, {'source': {'path': 'a.onnx', 'url': 'https://a.b/c.onnx'}},
    {'source': {'path': 'a.onnx', 'sha256': 'abc'}}, {'source': {'path': 'a.onnx', 'size': 0}},
    {'source': {'path': ' '}}, {'labels': []}, {'labels': [1]}, {'labels': {'a': 'b'}},
    {'labels': {}}, {'labels': 7},
    {'input': {'size': [640]}}, {'input': {'size': 'big'}}, {'input': {'size': [0, 1]}},
    {'input': {'scale': 'a/b'}}, {'input': {'scale': 0}}, {'input': {'mean': [1, 'x', 3]}},
    {'input': {'extra': {'a': 'zzz'}}}, {'input': {'extra': {'a': []}}},
    {'input': {'pad_value': 256, 'resize': 'letterbox'}}, {'input': {'zzz': 1}},
    {'defaults': {'top_k': 0}}, {'defaults': {'score_threshold': 1.5}},
    {'defaults': {'top_k': True}}, {'notes': ''},
    {'expected': {'unknown': 'a', 'basis': 'b'}}, {'expected': {'basis': 'b'}},
    {'expected': {'image': {'name': 'a'}, 'basis': 'c', 'results': [{'label': 'd', 'score': 1}]}},
    {'output': {'strides': [8]}}, {'output': {'decoder': 'zzz'}},
    {'output': {'decoder': 'yolox', 'background': 0}},
    {'output': {'decoder': 'yolox', 'strides': []}},
    {'output': {'decoder': 'yolox', 'strides': [0]}},
    {'output': {'decoder': 'classification', 'background': True}},
    {'output': {'decoder': 'classification', 'background': -1}},
    {'output': {'decoder': 'yolo', 'objectness': 'yes'}},
    {'output': {'decoder': 'end_to_end', 'columns': ['zzz']}},
    {'output': {'decoder': 'nanodet', 'outputs': {'scores': 'a', 'distances': 'b'}}},
    {'output': {'decoder': 'tf_detection', 'outputs': {'scores': ['a']}}},
    {'output': {'decoder': 'ssd', 'sizes': [8]}},
    {'output': {'decoder': 'yolo_anchors', 'anchors': 'yolo'}},
    {'output': {'decoder': 'yolo_anchors', 'anchors': 'yolov5', 'scale_x_y': 0}},
    {'output': {'decoder': 'ssd', 'strides': [8], 'sizes': [[[1, 2, 3]]]}},
    {'convert': {'inputs': 'a'}},
    *({'output': {'decoder': name, 'zzz': 1}} for name in DECODERS),
]


@pytest.mark.parametrize('mapping', TAKEN, ids=str)
def test_the_reader_and_the_schema_take(mapping):
    mapping = {**SOURCE, **mapping}
    assert reader_takes(mapping)
    assert schema_takes(mapping)


@pytest.mark.parametrize('mapping', REFUSED, ids=str)
def test_the_reader_and_the_schema_refuse(mapping):
    mapping = {**SOURCE, **mapping}
    assert not reader_takes(mapping)
    assert not schema_takes(mapping)


def test_a_source_is_needed():
    assert not schema_takes({}) and not reader_takes({})


def every_key(schema, path=()):
    """Return all keys with their schemas, those of each decoder below its name."""
    for key, value in schema.get('properties', {}).items():
        yield (*path, key), value
        # A word may stand for a mapping.
        for choice in (value, *value.get('anyOf', ())):
            yield from every_key(choice, (*path, key))
    for case in schema.get('allOf', ())[1:]:
        yield from every_key(case['then'], (*path, case['then']['properties']['decoder']['const']))


KEYS = dict(every_key(SCHEMA))


@pytest.mark.parametrize('path', [path for path in KEYS if len(path) < 3], ids='.'.join)
def test_a_list_of_mappings_fits_no_key(path):
    """Both refuse what is of a wrong kind everywhere."""
    mapping = copy.deepcopy(SOURCE)
    place = mapping
    for key in path[:-1]:
        place = place.setdefault(key, {})
    place[path[-1]] = [{'zzz': [1]}]
    assert not schema_takes(mapping)
    assert not reader_takes(mapping)


def test_keys_are_described():
    page = descriptor_keys.PAGE.read_text(encoding='utf-8')
    for path, schema in KEYS.items():
        # Those without a description only refer to a section of the page.
        assert 'description' in schema or path[-1] == 'decoder' or re.search(
            rf'^\| `{path[-1]}` .*\| see \[[^|]*\|$', page, re.MULTILINE), path
    assert not any('`' in schema.get('description', '') for schema in KEYS.values())


def test_a_section_that_the_page_lacks_is_an_error():
    page = descriptor_keys.PAGE.read_text(encoding='utf-8')
    with pytest.raises(ValueError, match='needs one section "`decoder: yolox`" with a table'):
        descriptor_keys.make_page(page.replace('`decoder: yolox`', '`decoder: x`'))
