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

"""Words without options, and suggestions for what is misspelt."""

import json

import cv2
import numpy as np
import pytest
from ros2_classify.cli import main
from ros2_classify.testing import save_color_classifier


@pytest.fixture
def models(tmp_path, monkeypatch):
    """Return a directory with a model and two images, mostly red and mostly blue."""
    save_color_classifier(tmp_path / 'colors.onnx')
    (tmp_path / 'colors.yaml').write_text(
        'source: {path: colors.onnx}\nlabels: [red, green, blue]\ninput: {scale: 1/255}\n'
        'output: {decoder: classification}\n')
    for name, color in (('red.png', (10, 50, 200)), ('blue.png', (200, 50, 10))):
        cv2.imwrite(str(tmp_path / name), np.full((20, 40, 3), color, np.uint8))
    monkeypatch.setenv('ROS2_CLASSIFY_MODEL_PATH', str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(words, capsys):
    """Return the error of a command line that ends with 2."""
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize('words', [
    ['colors', 'red.png', '--json'], ['--json', 'colors', 'red.png'],
    ['colors', '--json', 'red.png'], ['--model', 'colors', '--json', 'red.png'],
    ['--model', 'colors', '--json', '--image', 'red.png'],
    ['colors', '--json', '--source', 'red.png'], ['--json', '--', 'colors', 'red.png']])
def test_model_and_image_in_every_order(models, capsys, words):
    assert main(['infer', *words]) == 0
    assert json.loads(capsys.readouterr().out)['results'][0]['label'] == 'red'


@pytest.mark.parametrize('words', [
    ['colors', 'red.png', 'blue.png', '--json'], ['colors', 'red.png', '--json', 'blue.png'],
    ['--json', 'colors', 'red.png', 'blue.png']])
def test_several_images(models, capsys, words):
    assert main(['infer', *words]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row['results'][0]['label'] for row in rows] == ['red', 'blue']


@pytest.mark.parametrize('words, source', [
    (['colors', 'red.png'], 'red.png'), (['--model', 'colors', 'red.png'], 'red.png'),
    (['colors', '--source', 'red.png'], 'red.png')])
def test_words_of_watch(models, monkeypatch, words, source):
    seen = []
    monkeypatch.setattr('ros2_classify.cli.watch.run', lambda found: seen.append(found) or 0)
    assert main(['watch', *words]) == 0
    assert (seen[0].model, seen[0].source) == ('colors', source)


@pytest.mark.parametrize('words, usage', [
    (['help'], 'ros2_classify'), (['help', 'infer'], 'ros2_classify infer'),
    (['models', 'help'], 'ros2_classify models'), (['help', 'models', 'check'],
                                                   'ros2_classify models check')])
def test_help_is_a_verb(capsys, words, usage):
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f'usage: {usage} ')


def test_watch_takes_one_source(capsys):
    assert refused(['watch', 'colors', 'a.png', 'b.png'], capsys) == (
        'error: there are 2 sources, a.png and b.png, but ros2_classify watch takes one; quote a '
        'pattern such as "photos/*.jpg"')


@pytest.mark.parametrize('verb', ['infer', 'watch'])
def test_what_is_missing_is_named_with_an_example(capsys, verb):
    assert 'no model is named; ' in refused([verb], capsys)
    error = refused([verb, 'cards_detector'], capsys)
    assert 'no source of images is named; name one after the model, as in: ' in error
    assert f'as in: ros2_classify {verb} cards_detector ' in error


@pytest.mark.parametrize('words, suggestion', [
    (['infre'], 'infer'), (['detect'], 'infer'), (['predict'], 'infer'), (['list'], 'models list'),
    (['download'], 'models fetch'), (['model'], 'models'), (['modles'], 'models'),
    (['models', 'lst'], 'list'), (['models', 'download'], 'fetch'),
    (['models', 'infer'], 'ros2_classify infer'), (['docter'], 'doctor'), (['srever'], 'server')])
def test_verbs_are_suggested(capsys, words, suggestion):
    error = refused(words, capsys)
    assert error.startswith(
        f'error: there is no verb {words[-1]!r}; did you mean {suggestion}?; the verbs are ')


def test_a_verb_like_no_other_lists_all(capsys):
    error = refused(['xyzzy'], capsys)
    assert error.startswith("error: there is no verb 'xyzzy'; the verbs are infer, watch, models")


@pytest.mark.parametrize('words, suggestion', [
    (['infer', 'm', 'i', '--treshold', '0.5'], '--threshold'),
    (['infer', 'm', 'i', '--ouput=x.png'], '--output'),
    (['models', 'list', '--jsn'], '--json'), (['doctor', '--modle', 'x'], '--model'),
    (['watch', 'm', 's', '--prot', '1'], '--port')])
def test_options_are_suggested(capsys, words, suggestion):
    error = refused(words, capsys)
    assert error.startswith('error: there is no option --')
    assert f'; did you mean {suggestion}?; ros2_classify {words[0]}' in error


@pytest.mark.parametrize('words', [
    ['models', 'list', 'extra'], ['doctor', 'extra'], ['health', 'extra']])
def test_a_word_too_many_is_named(capsys, words):
    assert "'extra' is one argument too many; see ros2_classify" in refused(words, capsys)


def test_choices_are_suggested(capsys):
    error = refused(['infer', 'm', 'i', '--input', 'imagnet'], capsys)
    assert "'imagnet' is not allowed; did you mean imagenet?; allowed are imagenet, unit" in error
