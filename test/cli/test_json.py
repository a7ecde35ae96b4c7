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

"""The one shape of JSON: see `docs/cli.md`, "JSON"."""

import argparse
import json

import cv2
import numpy as np
import pytest
from ros2_classify import cli
from ros2_classify.testing import save_color_classifier
from shared_data import ROOT

# Verbs that print no data: pages and their URLs; nodes, which pass their arguments on.
WITHOUT = {'watch', 'label', *cli.NODES}


@pytest.fixture
def models(tmp_path, monkeypatch):
    """Return a directory with a model and an image."""
    save_color_classifier(tmp_path / 'colors.onnx')
    (tmp_path / 'colors.yaml').write_text(
        'source: {path: colors.onnx}\nlabels: [red, green, blue]\ninput: {scale: 1/255}\n'
        'output: {decoder: classification}\n')
    cv2.imwrite(str(tmp_path / 'red.png'), np.full((20, 40, 3), (10, 50, 200), np.uint8))
    monkeypatch.setenv('ROS2_CLASSIFY_MODEL_PATH', str(tmp_path))
    monkeypatch.setattr('ros2_classify.model.catalog.shipped_directory', lambda: None)
    monkeypatch.setenv('XDG_DATA_HOME', str(tmp_path / 'data'))
    monkeypatch.setenv('ROS2_CLASSIFY_CACHE', str(tmp_path / 'cache'))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize('words, code, keys', [
    (['infer', 'colors', 'red.png'], 0, 'model task image results timing_ms provider unverified '
                                        'best_score'),
    (['models', 'list'], 0, 'name descriptor task license model_file state size cached error'),
    (['models', 'show', 'colors'], 0, 'name descriptor model_file state size cached task'),
    (['models', 'fetch', 'colors'], 0, 'name model_file'),
    (['models', 'verify', 'colors'], 0, 'name model_file state'),
    (['models', 'verify'], 0, 'name model_file state'),
    (['models', 'check', 'colors'], 0, 'model ok file inputs outputs unverified problems'),
    (['models', 'describe', 'colors.onnx'], 0, 'model ok descriptor_file descriptor text '
                                               'inferred unverified problems'),
    (['models', 'bundle', 'colors', '--output', 'b.tar'], 0, 'bundle size models files'),
    (['doctor'], None, 'ok findings'),
])
def test_one_line_and_nothing_else(models, monkeypatch, capfd, words, code, keys):
    if words == ['doctor']:
        monkeypatch.setattr('ros2_classify.doctor.examine', lambda **_: [])
    found = cli.main([*words, '--json'])
    assert code is None or found == code
    out = capfd.readouterr().out
    assert out.count('\n') == 1 and out.endswith('\n')
    data = json.loads(out)
    rows = data if isinstance(data, list) else [data]
    assert rows
    for row in rows:
        assert set(keys.split()) <= set(row)
        assert all(key == key.lower() and key.isidentifier() for key in row)


def test_health_without_a_server(capfd, monkeypatch):
    """The state is null, and the exit code is that of the words."""
    state = type('module', (), {'lifecycle_state': staticmethod(lambda *_: '')})
    monkeypatch.setattr('ros2_classify.cli.nodes.import_module', lambda _: state)
    assert cli.main(['health', '--json']) == 1
    out, err = capfd.readouterr()
    assert json.loads(out) == {'server': '/server', 'ok': False, 'state': None}
    assert err.startswith('error: /server does not respond')
    state.lifecycle_state = staticmethod(lambda *_: 'active')
    assert cli.main(['health', '--json']) == 0
    assert json.loads(capfd.readouterr().out) == {
        'server': '/server', 'ok': True, 'state': 'active'}


def test_an_error_leaves_standard_output_empty(models, capfd):
    assert cli.main(['infer', 'colours', 'red.png', '--json']) == 1
    out, err = capfd.readouterr()
    assert out == '' and err.startswith('error: ')


def verbs_of(parser, names=()):
    """Yield all verbs without further ones, with their parsers."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, each in action.choices.items():
                yield from verbs_of(each, (*names, name))
            return
    yield ' '.join(names), parser


@pytest.mark.parametrize('verb, parser', list(verbs_of(cli._parser(
    None, cli.extensions('ros2_classify.models_verbs')))), ids=lambda value: str(value)[:20])
def test_every_verb_with_data_has_the_option(verb, parser):
    options = [option for action in parser._actions for option in action.option_strings]
    assert ('--json' in options) == (verb not in WITHOUT), verb


def test_the_page_explains_it():
    assert '\n## JSON\n' in (ROOT / 'docs/cli.md').read_text()
