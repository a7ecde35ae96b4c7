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

"""The command line: output, exit codes and error messages."""

import json
import os
import re
import subprocess
import sys

import cv2
import numpy as np
import pytest
from ros2_classify.cli import main, NODES
from ros2_classify.testing import save_color_classifier, save_constant_model
import shared_data

CLASSIFIER = """
source: {path: colors.onnx}
labels: [red, green, blue]
input: {scale: 1/255}
output: {decoder: classification}
license: MIT
"""
DETECTOR = """
source: {path: boxes.onnx}
labels: {1: cat, 2: dog}
output: {decoder: tf_detection}
defaults: {score_threshold: 0.4}
"""


@pytest.fixture
def models(tmp_path, monkeypatch):
    """Return a directory with two models and an image of 40x20 pixels, mostly red."""
    save_color_classifier(tmp_path / 'colors.onnx')
    boxes = np.array([[[0.1, 0.2, 0.5, 0.6], [0, 0, 1, 1], [0.5, 0.5, 0.6, 0.6]]], np.float32)
    save_constant_model(tmp_path / 'boxes.onnx', {
        'detection_boxes': boxes, 'detection_classes': np.array([[2, 1, 1]], np.float32),
        'detection_scores': np.array([[0.5, 0.9, 0.3]], np.float32),
        'num_detections': np.array([3], np.float32)})
    (tmp_path / 'colors.yaml').write_text(CLASSIFIER)
    (tmp_path / 'boxes.yaml').write_text(DETECTOR)
    image = np.zeros((20, 40, 3), np.uint8)
    image[:] = (10, 50, 200)
    cv2.imwrite(str(tmp_path / 'red.png'), image)
    monkeypatch.setenv('ROS2_CLASSIFY_MODEL_PATH', str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def infer(*words, model='colors', image='red.png'):
    return main(['infer', '--model', model, '--image', image, '--provider', 'cpu', *words])


def process(*words, **variables):
    return subprocess.run(
        [sys.executable, '-m', 'ros2_classify', *words], capture_output=True, text=True,
        check=False, timeout=120,
        env={**os.environ, 'PYTHONPATH': str(shared_data.ROOT), **variables})


def test_classification_as_json(models, capfd):
    assert infer('--json') == 0
    out, err = capfd.readouterr()
    result = json.loads(out)
    assert out.count('\n') == 1
    assert err == ''
    times = result.pop('timing_ms')
    assert sorted(times) == ['inference', 'postprocess', 'preprocess']
    assert all(time >= 0 for time in times.values())
    assert result == {
        'model': 'colors', 'task': 'classification', 'image': {'width': 40, 'height': 20},
        'results': [{'class_id': 0, 'label': 'red', 'score': pytest.approx(200 / 255, abs=1e-5)},
                    {'class_id': 1, 'label': 'green', 'score': pytest.approx(50 / 255, abs=1e-5)},
                    {'class_id': 2, 'label': 'blue', 'score': pytest.approx(10 / 255, abs=1e-5)}],
        'provider': 'CPUExecutionProvider', 'unverified': [],
        'best_score': pytest.approx(200 / 255, abs=1e-5)}


def test_detection_as_json(models, capfd):
    assert infer('--json', model='boxes') == 0
    result = json.loads(capfd.readouterr().out)
    assert result['task'] == 'detection'
    assert result['results'] == [
        {'class_id': 1, 'label': 'cat', 'score': pytest.approx(0.9), 'box': [0, 0, 40, 20]},
        {'class_id': 2, 'label': 'dog', 'score': pytest.approx(0.5), 'box': [8, 2, 24, 10]}]


def test_results_for_users(models, capfd):
    assert infer(model='boxes') == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[0] == 'boxes (detection) on red.png, 40x20'
    assert lines[2].split() == ['cat', '0.900', '0', '0', '40', '20', '1']
    assert lines[-1].startswith('preprocess ')
    assert lines[-1].endswith(' ms, CPUExecutionProvider')


@pytest.mark.parametrize('words, labels', [
    ((), ['cat', 'dog']), (('--threshold', '0.6'), ['cat']), (('--threshold', '1'), []),
    (('--threshold', '0.2'), ['cat', 'dog', 'cat']), (('--max-detections', '1'), ['cat'])])
def test_options_of_detection_are_used(models, capfd, words, labels):
    assert infer('--json', *words, model='boxes') == 0
    results = json.loads(capfd.readouterr().out)['results']
    assert [row['label'] for row in results] == labels


@pytest.mark.parametrize('words, labels', [
    (('--top-k', '1'), ['red']), (('--threshold', '0.1'), ['red', 'green'])])
def test_options_of_classification_are_used(models, capfd, words, labels):
    assert infer('--json', *words) == 0
    results = json.loads(capfd.readouterr().out)['results']
    assert [row['label'] for row in results] == labels


@pytest.mark.parametrize('model', ['colors', 'boxes'])
def test_an_annotated_image_is_written(models, capfd, model):
    assert infer('--json', '--output', 'out.png', model=model) == 0
    assert json.loads(capfd.readouterr().out)
    before, after = cv2.imread('red.png'), cv2.imread('out.png')
    assert before.shape == after.shape
    assert (before != after).any()


def test_the_annotated_image_is_named(models, capfd):
    assert infer('--output', 'out.jpg') == 0
    assert capfd.readouterr().out.splitlines()[-1] == 'wrote out.jpg'


def test_inferred_settings_go_to_stderr(models, capfd):
    os.rename('colors.onnx', 'bare.onnx')
    assert infer('--json', model='bare.onnx') == 0
    out, err = capfd.readouterr()
    assert json.loads(out)['model'] == 'bare'
    assert 'hint: inferred output.decoder: classification' in err


def test_what_is_not_verified_is_one_warning(models, capfd):
    os.rename('colors.onnx', 'bare.onnx')
    assert infer('--json', model='bare.onnx') == 0
    out, err = capfd.readouterr()
    keys = json.loads(out)['unverified']
    assert 'input.mean' in keys
    line, = [line for line in err.splitlines() if 'not verified' in line]
    assert line.startswith(f'warning: not verified: {", ".join(keys)}: ')
    assert 'models check' in line
    assert infer(model='boxes') == 0
    assert 'not verified' not in capfd.readouterr().err


def save_faint(path, score, model='faint'):
    """Write a detector whose only box has this score."""
    save_constant_model(path / f'{model}.onnx', {
        'detection_boxes': np.array([[[0.1, 0.2, 0.5, 0.6]]], np.float32),
        'detection_classes': np.array([[1]], np.float32),
        'detection_scores': np.array([[score]], np.float32),
        'num_detections': np.array([1], np.float32)})
    (path / f'{model}.yaml').write_text(DETECTOR.replace('boxes.onnx', f'{model}.onnx'))


@pytest.mark.parametrize('score, best, words, warned', [
    (0.003, 0.003, 'best score 0.003, far below the threshold of 0.4: preprocessing or decoder is '
     'probably wrong', True),
    (0.2, 0.2, 'best score 0.2, below the threshold of 0.4', False),
    (0.0, 0.0, 'there is no score above 0, far below the threshold', True)])
def test_the_best_score_is_told_where_nothing_is_found(
        models, capfd, score, best, words, warned):
    save_faint(models, score)
    assert infer('--json', model='faint') == 0
    out, err = capfd.readouterr()
    assert json.loads(out)['results'] == []
    assert json.loads(out)['best_score'] == pytest.approx(best)
    assert (f'warning: nothing found: {words}' in err) == warned
    assert infer(model='faint') == 0
    assert f'nothing found above the threshold: {words}' in capfd.readouterr().out
    assert main(['models', 'check', 'faint', '--image', 'red.png']) == 0
    page = capfd.readouterr().out
    assert f'{"warning" if warned else "note"}: nothing found: {words}' in page
    assert main(['models', 'check', 'faint', '--image', 'red.png', '--json']) == 0
    assert json.loads(capfd.readouterr().out)['best_score'] == pytest.approx(best)


def test_what_is_suspicious_about_a_result_is_a_warning(models, capfd):
    save_constant_model(models / 'off.onnx', {
        'detection_boxes': np.array([[[0.5, 0.6, 0.1, 0.2], [2, 2, 3, 3]]], np.float32),
        'detection_classes': np.array([[1, 5]], np.float32),
        'detection_scores': np.array([[0.9, 0.8]], np.float32),
        'num_detections': np.array([2], np.float32)})
    (models / 'off.yaml').write_text(DETECTOR.replace('boxes.onnx', 'off.onnx'))
    assert infer('--json', model='off') == 0
    out, err = capfd.readouterr()
    assert json.loads(out)['results'] == []
    assert re.search(
        r'^warning: off: 2 of the last 2 boxes are inverted or mostly outside', err, re.M)


def test_a_score_that_is_no_probability_is_an_error(models, capfd):
    (models / 'raw.yaml').write_text(CLASSIFIER.replace('scale: 1/255', 'scale: 1'))
    assert infer('--json', model='raw') == 1
    out, err = capfd.readouterr()
    assert out == '' and re.search(
        '^error: a score is 127, but scores are from 0 to 1: .*output.activation', err, re.M)


def test_no_class_above_the_threshold_has_a_best_score(models, capfd):
    assert infer('--threshold', '0.9', '--json') == 0
    found = json.loads(capfd.readouterr().out)
    assert found['results'] == [] and found['best_score'] == pytest.approx(200 / 255, abs=1e-5)


@pytest.mark.parametrize('code, words, change, message', [
    (1, (), {'model': 'color'}, "no model named 'color' (did you mean colors?)"),
    (1, (), {'model': 'none.onnx'}, 'the model file none.onnx was not found'),
    (1, ('--provider', 'quantum'), {}, 'quantum'),
    (1, ('--threads', '-1'), {}, 'threads is -1'),
    (2, (), {'image': 'none.png'}, 'none.png cannot be read: No such file'),
    (2, (), {'image': 'colors.yaml'}, 'colors.yaml ('),
    (2, ('--threshold', '1.5'), {}, 'score_threshold is 1.5 but must be a number from 0 to 1'),
    (2, ('--threshold', 'nan'), {}, 'score_threshold is nan'),
    (2, ('--top-k', '0'), {}, 'top_k is 0'),
    (2, ('--output', 'none/out.png'), {}, 'there is no directory none'),
    (2, ('--output', 'out.txt'), {}, "'.txt' is not an image format"),
    (2, ('--output', ''), {}, 'it is a directory; add a file name'),
])
def test_errors_are_one_sentence_on_stderr(models, capfd, code, words, change, message):
    assert infer('--json', *words, **change) == code
    out, err = capfd.readouterr()
    assert out == ''
    assert err.startswith('error: ')
    assert err.count('\n') == 1
    assert message in err


def test_errors_that_need_no_model_come_first(models, capfd):
    assert infer(model='none', image='none.png') == 2
    assert 'none.png cannot be read' in capfd.readouterr().err


@pytest.mark.parametrize('words', [
    [], ['nonsense'], ['infer'], ['infer', '--model', 'm'], ['models'], ['models', 'x'],
    ['infer', '--model', 'm', '--image', 'i', '--threshold', 'high']])
def test_wrong_arguments_exit_with_2(words, capfd):
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2
    assert 'usage: ros2_classify' in capfd.readouterr().err


def test_an_interrupted_verb_says_so(monkeypatch, capfd):
    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr('ros2_classify.cli.doctor.run', interrupted)
    assert main(['doctor']) == 130
    assert capfd.readouterr().err == 'error: interrupted\n'


def test_help_lists_verbs_and_exit_codes(capfd):
    with pytest.raises(SystemExit) as caught:
        main(['--help'])
    assert caught.value.code == 0
    text = capfd.readouterr().out
    assert all(word in text for word in (*NODES, 'infer', 'models', 'exit codes'))


def test_version(capfd):
    from ros2_classify import __version__
    with pytest.raises(SystemExit):
        main(['--version'])
    assert capfd.readouterr().out == f'ros2_classify {__version__}\n'


def test_models_list(models, capfd):
    (models / 'broken.yaml').write_text('sorce: x')
    (models / 'lost.yaml').write_text('source: {path: lost.onnx}')
    assert main(['models', 'list']) == 0
    lines = {line.split()[0]: line for line in capfd.readouterr().out.splitlines()}
    assert {'boxes', 'broken', 'colors', 'lost'} <= set(lines)
    # A table: columns begin below their headings.
    for heading, fact in (('task', 'classification'), ('licence', 'MIT'), ('cached', 'yes')):
        place = lines['model'].index(heading)
        assert lines['colors'][place:].split('  ')[0].rstrip() == fact
    # Sizes end below each other.
    assert lines['colors'][:lines['model'].index('licence')].rstrip().endswith(' bytes')
    assert 'not given' in lines['boxes'] and lines['boxes'].split()[1] == 'detection'
    assert lines['lost'].endswith('no: model file missing')
    assert lines['broken'].split()[1] == 'unusable'
    assert "did you mean 'source'" in lines['broken']


def test_models_list_as_json(models, capfd):
    (models / 'broken.yaml').write_text('sorce: x')
    assert main(['models', 'list', '--json']) == 0
    rows = {row['name']: row for row in json.loads(capfd.readouterr().out)}
    assert rows['colors'] == {
        'name': 'colors', 'descriptor': str(models / 'colors.yaml'), 'task': 'classification',
        'license': 'MIT', 'model_file': str(models / 'colors.onnx'),
        'network': str(models / 'colors.onnx'),  # words: old
        'state': 'here', 'size': (models / 'colors.onnx').stat().st_size, 'cached': True,
        'error': None}
    assert rows['broken']['error']


def test_an_empty_catalogue_says_what_to_do(monkeypatch, capfd):
    monkeypatch.setattr('ros2_classify.model.catalog.shipped_directory', lambda: None)
    assert main(['models', 'list']) == 0
    assert 'ROS2_CLASSIFY_MODEL_PATH' in capfd.readouterr().out


def test_stdout_has_only_json(models):
    done = process('infer', '--json', '--model', 'colors', '--image', 'red.png')
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)['results'][0]['label'] == 'red'


def test_a_closed_pipe_is_not_an_error(models):
    command = f'{sys.executable} -m ros2_classify models list --json; echo "code $?" >&2'
    writer = subprocess.Popen(
        ['bash', '-c', f'({command}) | true'], stderr=subprocess.PIPE, text=True,
        env={**os.environ, 'PYTHONPATH': str(shared_data.ROOT)})
    assert writer.communicate(timeout=60)[1] == 'code 0\n'


@pytest.fixture
def no_ros(tmp_path):
    """Return a module path whose first rclpy can't be imported."""
    directory = tmp_path / 'shadow'
    directory.mkdir()
    (directory / 'rclpy.py').write_text(
        "raise ModuleNotFoundError(\"No module named 'rclpy'\", name='rclpy')\n")
    return f'{directory}{os.pathsep}{shared_data.ROOT}'


@pytest.mark.parametrize('node', NODES)
def test_nodes_without_ros_say_what_is_missing(no_ros, node):
    done = process(node, '--ros-args', '-p', 'model:=x', PYTHONPATH=no_ros)
    assert done.returncode == 3, done.stderr
    assert done.stdout == ''
    assert done.stderr.count('\n') == 1
    assert f'the {node} node needs ROS 2' in done.stderr
    assert 'cannot import it (No module named' in done.stderr
    assert 'source' in done.stderr


def test_infer_works_without_ros(models, no_ros):
    done = process('infer', '--model', 'colors', '--image', 'red.png', PYTHONPATH=no_ros)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize('module', ['cv2', 'numpy', 'yaml'])
def test_a_missing_library_is_reported_in_one_line(models, tmp_path, module):
    directory = tmp_path / 'shadow'
    directory.mkdir()
    (directory / f'{module}.py').write_text(
        f"raise ModuleNotFoundError('No module named {module}', name='{module}')\n")
    done = process('infer', '--model', 'colors', '--image', 'red.png',
                   PYTHONPATH=f'{directory}{os.pathsep}{shared_data.ROOT}')
    assert done.returncode == 1
    assert done.stderr.count('\n') == 1
    assert f'the Python module {module} is missing; install it with' in done.stderr


@pytest.mark.parametrize('returned, code', [(None, 0), (0, 0), (4, 4)])
def test_nodes_get_their_arguments_unchanged(monkeypatch, returned, code):
    seen = []
    module = type(sys)('ros2_classify.ros.main')
    module.PROGRAMS = {'server': lambda words: seen.append(words) or returned}
    monkeypatch.setitem(sys.modules, 'ros2_classify.ros.main', module)
    words = ['--ros-args', '-p', 'model:=x', '--help', '--', '--json']
    assert main(['server', *words]) == code
    assert seen == [words]


def test_missing_modules_of_this_package_are_not_blamed_on_ros(monkeypatch):
    def fail(name):
        raise ModuleNotFoundError(f'No module named {missing!r}', name=missing)

    monkeypatch.setattr('ros2_classify.cli.nodes.import_module', fail)
    for missing in ('ros2_classify.ros.missing', 'numpy'):
        with pytest.raises(ModuleNotFoundError):
            main(['server'])


@pytest.mark.parametrize('error', [
    ModuleNotFoundError("No module named 'vision_msgs'", name='vision_msgs'),
    ModuleNotFoundError("No module named 'rclpy._rclpy_pybind11'", name='rclpy._rclpy_pybind11'),
    ImportError('librcl.so: cannot open shared object file\nThe C extension ...')])
def test_broken_installations_of_ros_are_reported_in_one_line(monkeypatch, capfd, error):
    def fail(name):
        raise error

    monkeypatch.setattr('ros2_classify.cli.nodes.import_module', fail)
    assert main(['camera']) == 3
    err = capfd.readouterr().err
    assert err.count('\n') == 1
    assert str(error).splitlines()[0] in err
