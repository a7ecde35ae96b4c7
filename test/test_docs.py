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

"""The documents say what the code does, and every sample in them runs."""

from __future__ import annotations

import argparse
import ast
import dataclasses
import json
import re
import shlex
import shutil

import cv2
import doc_commands
import numpy as np
import pytest
from ros2_classify import cli, errors, ModelDescriptor, Options
from ros2_classify.bundle import write_bundle
from ros2_classify.decoders import DECODERS
from ros2_classify.errors import DescriptorError
from ros2_classify.model.descriptor import Defaults, load_descriptor
from ros2_classify.model.input_spec import InputSpec
from ros2_classify.results.results import Classification, Detections, Segmentation
from ros2_classify.testing import save_color_classifier, save_constant_model
import shared_data
import yaml

DOCS = shared_data.ROOT / 'docs'
DESCRIPTOR = (DOCS / 'descriptor.md').read_text()
PYTHON = (DOCS / 'python_api.md').read_text()
CLI = (DOCS / 'cli.md').read_text()


def table(text, heading, column=''):
    """Return the rows of the first table below a heading, or of the first with a column."""
    section = re.split(rf'^#+ {re.escape(heading)}$', text, flags=re.MULTILINE)[1]
    section = re.split(r'^#', section, maxsplit=1, flags=re.MULTILINE)[0]
    for lines in re.findall(r'(?:^\|.*\n)+', section, flags=re.MULTILINE):
        rows = [[cell.strip() for cell in line.strip().strip('|').split(' | ')]
                for line in lines.splitlines()]
        if not column or column in rows[0]:
            return [dict(zip(rows[0], row)) for row in rows[2:]]
    raise AssertionError(f'no such table below {heading}')


def keys(rows, column='key'):
    return [row[column].strip('`') for row in rows]


def blocks(text, language):
    return re.findall(rf'^```{language}\n(.*?)^```', text, flags=re.MULTILINE | re.DOTALL)


def known_keys(mapping):
    """Return what the reader of descriptors says it knows."""
    with pytest.raises(DescriptorError, match='unknown key') as caught:
        ModelDescriptor.from_mapping({'source': {'path': 'a.onnx'}, **mapping})
    return str(caught.value).rpartition('allowed are ')[2].split(', ')


def test_keys_of_the_top():
    assert sorted(keys(table(DESCRIPTOR, 'Top'))) == sorted(known_keys({'zzz': 1}))


@pytest.mark.parametrize('section', ['source', 'input', 'convert', 'defaults', 'expected'])
def test_keys_of_the_sections(section):
    expected = known_keys({section: {'path': 'a.onnx', 'zzz': 1} if section == 'source'
                           else {'zzz': 1}})
    assert keys(table(DESCRIPTOR, f'`{section}`')) == expected


@pytest.mark.parametrize('decoder', DECODERS)
def test_keys_of_the_decoders(decoder):
    rows = table(DESCRIPTOR, f'`decoder: {decoder}`')
    assert keys(rows) == known_keys({'output': {'decoder': decoder, 'zzz': 1}})
    # A default in code type is what the option would be set to.
    written = {row['key'].strip('`'): yaml.safe_load(row['default'].strip('`'))
               for row in rows if row['default'].startswith('`')}
    assert written or len(rows) == 1
    decoder = DECODERS[decoder]
    assert decoder.parse_options(written) == decoder.parse_options({})


def test_defaults_of_the_input():
    spec = InputSpec()
    for row in table(DESCRIPTOR, '`input`'):
        actual = getattr(spec, row['key'].strip('`'))
        if isinstance(actual, tuple):
            assert set(actual) == {float(row['default'].strip('`'))}
        elif isinstance(actual, float):
            assert actual == float(row['default'].strip('`'))
        elif actual is None:
            assert not row['default'].startswith('`')
        else:
            assert row['default'] == f'`{actual}`'


def test_defaults_of_the_package():
    rows = {row['key'].strip('`'): row['default'] for row in table(DESCRIPTOR, '`defaults`')}
    assert set(rows) == set(vars(Defaults()))
    for key in ('top_k', 'nms_iou', 'ioa_threshold', 'max_detections'):
        assert float(rows[key].strip('`')) == getattr(Options(), key)
    assert f'detection `{Options().score_threshold}`' in rows['score_threshold']


def test_values_that_are_words():
    """Every word in the tables is allowed, and every allowed word is in the tables."""
    sections = [(None, 'Top'), ('source', '`source`'), ('input', '`input`'),
                ('output', '`output`')]
    for section, heading in sections:
        for row in table(DESCRIPTOR, heading):
            key = row['key'].strip('`')
            wrong = {key: 'zzz'} if section is None else {section: {key: 'zzz'}}
            try:
                ModelDescriptor.from_mapping({'source': {'path': 'a.onnx'}, **wrong})
            except DescriptorError as error:
                allowed = str(error).partition("'zzz' is not allowed; allowed are ")[2]
                if allowed:
                    assert re.findall(r'`(\w+)`', row['value']) == allowed.split(', ')


@pytest.mark.parametrize('text', blocks(DESCRIPTOR, 'yaml'))
def test_descriptors(tmp_path, text):
    (tmp_path / 'sample.yaml').write_text(text)
    descriptor = load_descriptor(tmp_path / 'sample.yaml')
    assert descriptor.name == yaml.safe_load(text)['name']
    assert descriptor.task == ('classification' if descriptor.heads else 'detection')


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """Make the models and the image that the samples use."""
    save_color_classifier(tmp_path / 'colors.onnx')
    save_color_classifier(tmp_path / 'encoder.onnx')
    save_constant_model(tmp_path / 'boxes.onnx', {
        'detection_boxes': np.array([[[0.1, 0.2, 0.5, 0.6]]], np.float32),
        'detection_classes': np.array([[0]], np.float32),
        'detection_scores': np.array([[0.9]], np.float32),
        'num_detections': np.array([1], np.float32)})
    save_constant_model(tmp_path / 'faces.onnx', {
        'age': np.array([[0.0, 2.0]], np.float32),
        'glasses': np.array([[0.9, 0.1]], np.float32)})
    (tmp_path / 'cards_detector.yaml').write_text(
        'source: {path: boxes.onnx}\nlabels: [stop]\noutput: {decoder: tf_detection}\n')
    cv2.imwrite(str(tmp_path / 'photo.jpg'), np.full((48, 64, 3), 100, np.uint8))
    (tmp_path / 'photos').mkdir()
    shutil.copy(tmp_path / 'photo.jpg', tmp_path / 'photos')
    monkeypatch.setenv('ROS2_CLASSIFY_CACHE', str(tmp_path / 'cache'))
    monkeypatch.setenv('XDG_DATA_HOME', str(tmp_path / 'data'))
    monkeypatch.setenv('ROS2_CLASSIFY_MODEL_PATH', str(tmp_path))
    monkeypatch.chdir(tmp_path)
    write_bundle([load_descriptor('cards_detector.yaml')], tmp_path / 'models.tar')
    return tmp_path


@pytest.mark.parametrize('code', blocks(PYTHON, 'python'))
def test_python_samples(workplace, capsys, code):
    exec(compile(code, 'python_api.md', 'exec'), {'__name__': 'sample'})
    printed = capsys.readouterr().out
    assert 'print(' not in code or printed
    if 'write_image' in code:
        assert (workplace / 'annotated.png').is_file()


def test_the_table_of_results():
    rows = table(PYTHON, 'Results')
    for kind in (Classification, Detections, Segmentation):
        has = [row['attribute'].strip('`') for row in rows if row[f'`{kind.__name__}`'] == 'yes']
        assert has == [field.name for field in dataclasses.fields(kind)]


def test_the_table_of_errors():
    drawn = set(re.findall(r'├── (\w+)|└── (\w+)', errors.__doc__))
    expected = {first or second for first, second in drawn} - {'Ros2ClassifyError'}
    assert set(keys(table(PYTHON, 'Errors'), 'error')) == expected


@pytest.mark.parametrize('line', [
    line for block in blocks(CLI, 'bash') for line in block.splitlines() if ' models ' in line])
def test_commands_name_their_model(workplace, capsys, line):
    """All commands of all pages are run in test_doc_commands.py."""
    words = shlex.split(line)
    assert words[:3] == ['python', '-m', 'ros2_classify']
    assert cli.main(words[3:]) == 0
    assert 'cards_detector' in capsys.readouterr().out


def options_of(verb):
    parser = cli._parser()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return [action for action in action.choices[verb]._actions
                    if action.dest != 'help' and action.option_strings]
    raise AssertionError('there are no verbs')


@pytest.mark.parametrize('verb', ['infer', 'watch', 'doctor', 'health', 'params'])
def test_the_table_of_options(verb):
    rows = table(CLI, f'`{verb}`', 'option')
    actions = options_of(verb)
    assert keys(rows, 'option') == [action.option_strings[0] for action in actions]
    for row, action in zip(rows, actions):
        assert (row['default'] == 'needed') == action.required
        if row['default'].startswith('`'):
            assert row['default'] == f'`{action.default}`'
        elif not action.required:
            assert not action.default


def test_the_table_of_verbs():
    rows = table(CLI, 'The command line')
    assert [row['verb'] for row in rows if row['needs ROS 2'] == 'yes'] == [
        '`bench`', '`health`', *(f'`{node}`' for node in cli.NODES)]
    verbs = next(action for action in cli._parser()._actions
                 if isinstance(action, argparse._SubParsersAction))
    assert {row['verb'].strip('`').split()[0] for row in rows} == set(verbs.choices)


def test_the_table_of_exit_codes():
    rows = table(CLI, 'Exit codes')
    assert [f'  {row["code"]}  {row["meaning"]}' for row in rows] == (
        cli._EPILOG.splitlines()[1:])


def test_the_sample_of_json_has_the_keys_of_the_real_one(workplace, capsys):
    assert cli.main(['infer', '--model', 'cards_detector', '--image', 'photo.jpg', '--json']) == 0
    real, sample = json.loads(capsys.readouterr().out), json.loads(blocks(CLI, 'json')[0])
    assert list(sample) == list(real)
    for key in ('image', 'timing_ms'):
        assert list(sample[key]) == list(real[key])
    assert list(sample['results'][0]) == list(real['results'][0])


def anchors(path):
    """Return the anchors of a page's headings, as GitHub makes them."""
    return {re.sub(r'[^\w -]', '', heading.lower()).replace(' ', '-')
            for heading in re.findall(r'^#+ (.*)$', path.read_text(), flags=re.MULTILINE)}


@pytest.mark.parametrize('path', doc_commands.PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    for target in re.findall(r'\]\(([^)\s]+)\)', path.read_text()):
        if '://' in target:
            continue
        file, _, anchor = target.partition('#')
        linked = (path.parent / file).resolve() if file else path
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


RECORDS = sorted({name for path in doc_commands.PAGES
                  for name in re.findall(r'\bbenchmarks/([\w.-]+\.json)', path.read_text())})


@pytest.mark.parametrize('name', RECORDS)
def test_the_records_that_the_pages_name_are_there(name):
    record = json.loads((DOCS / 'benchmarks' / name).read_text())
    assert {'command', 'mode', 'date', 'machine', 'versions', 'settings'} <= set(record)


def test_the_descriptors_of_the_tests_are_plain_yaml():
    """Other programs read descriptors too: nothing in them needs our reader."""
    for path in (shared_data.ROOT / 'test/descriptors').glob('*.yaml'):
        assert yaml.safe_load(path.read_text())['name'] == path.stem


GUIDES = {path.name: path.read_text() for path in sorted((DOCS / 'guides').glob('*.md'))}


@pytest.mark.parametrize('name', GUIDES)
def test_the_samples_of_the_guides_can_be_read(name):
    """What trained the models of these pages is not installed here: their samples are parsed."""
    for text in blocks(GUIDES[name], 'yaml'):
        assert ModelDescriptor.from_mapping(yaml.safe_load(text)).task == 'classification'
    for code in blocks(GUIDES[name], 'python'):
        ast.parse(code)


def test_the_page_of_segmentation_makes_its_model_and_its_image(tmp_path, monkeypatch):
    page = (DOCS / 'segmentation.md').read_text()
    monkeypatch.chdir(tmp_path)
    exec(blocks(page, 'python')[0], {})
    (tmp_path / 'areas.yaml').write_text(blocks(page, 'yaml')[0])
    command = blocks(page, 'bash')[0].replace('models/', f'{shared_data.ROOT}/models/')
    assert cli.main(shlex.split(command)[3:]) == 0
    shown = cv2.imread(str(DOCS / 'images/segmentation.jpg')).astype(int)
    assert np.abs(cv2.imread('areas.jpg').astype(int) - shown).mean() < 1


def test_the_film_in_the_readme_moves_and_is_small():
    """An animated WebP: each of its images is a chunk ANMF."""
    text = (shared_data.ROOT / 'README.md').read_text()
    name = re.search(r'!\[.+?\]\((docs/images/\S+\.webp)\)', text)[1]
    data = (shared_data.ROOT / name).read_bytes()
    assert data[:4] + data[8:12] == b'RIFFWEBP' and data.count(b'ANMF') >= 30
    assert len(data) <= 1_500_000


def test_samples_are_found():
    """The patterns above find what they look for."""
    assert len(blocks(DESCRIPTOR, 'yaml')) == 5
    assert len(blocks(PYTHON, 'python')) == PYTHON.count('```') // 2
    assert all(ast.parse(code) for code in blocks(PYTHON, 'python'))
    assert 'targets.json' in RECORDS
