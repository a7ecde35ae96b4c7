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

"""Every command in the documents is run, or listed with the reason why not."""

from pathlib import Path
import re
import subprocess

import cv2
import doc_commands
import numpy as np
import pytest
from ros2_classify import cli, load_descriptor
from ros2_classify.bundle import write_bundle
from ros2_classify.download.hashing import sha256_of_directory
import shared_data


def name_of(command):
    return f'{command.page}: {command.text}'


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """Make the models and the image that the commands use."""
    doc_commands.save_models(tmp_path, 'my_model', 'my_detector', 'best', 'model', 'detector')
    (tmp_path / 'catalogue').mkdir()
    doc_commands.save_models(tmp_path / 'catalogue', 'coins')
    monkeypatch.setenv('ROS2_CLASSIFY_MODEL_PATH', str(tmp_path / 'catalogue'))
    (tmp_path / 'photos').mkdir()
    (tmp_path / 'encoder.yaml').write_text(
        'source: {path: my_model.onnx}\noutput: {decoder: embedding}\n')
    for path in ('photo.jpg', 'other.jpg', 'photos/photo.jpg'):
        cv2.imwrite(str(tmp_path / path), np.full((48, 64, 3), 100, np.uint8))
    video = cv2.VideoWriter(
        str(tmp_path / 'video.mp4'), cv2.VideoWriter.fourcc(*'mp4v'), 10.0, (64, 48))
    for _ in range(3):
        video.write(np.full((48, 64, 3), 100, np.uint8))
    video.release()
    monkeypatch.setenv('ROS2_CLASSIFY_CACHE', str(tmp_path / 'cache'))
    monkeypatch.setenv('XDG_DATA_HOME', str(tmp_path / 'data'))
    monkeypatch.chdir(tmp_path)
    write_bundle([load_descriptor('my_model.yaml')], tmp_path / 'models.tar')
    return tmp_path


@pytest.mark.parametrize('command', doc_commands.of_kind('verb'), ids=name_of)
def test_verbs(workplace, capsys, command):
    if 'describe' in command.arguments:
        # It replaces no file; here there is none yet.
        (workplace / 'my_model.yaml').unlink()
    if any(word.startswith('models/scenes') for word in command.arguments):
        (workplace / 'models').mkdir(exist_ok=True)
        (workplace / 'models/scenes').symlink_to(shared_data.ROOT / 'models/scenes')
    try:
        code = cli.main(command.arguments)
    except SystemExit as end:  # --help ends so
        code = end.code
    assert code == 0, capsys.readouterr().err
    assert capsys.readouterr().out
    if '--output' in command.arguments:
        output = command.arguments[command.arguments.index('--output') + 1]
        assert (workplace / output).stat().st_size > 0


@pytest.mark.parametrize('command', doc_commands.of_kind('python'), ids=name_of)
def test_python(workplace, capsys, command):
    exec(compile(command.words[2], command.page, 'exec'), {'__name__': 'sample'})
    assert capsys.readouterr().out


@pytest.mark.parametrize('command', doc_commands.of_kind('shell'), ids=name_of)
def test_the_sum_of_a_directory(tmp_path, monkeypatch, command):
    """What the shell says is what the package works out."""
    directory = tmp_path / 'directory'
    (directory / 'variables').mkdir(parents=True)
    for name in ('saved_model.pb', 'variables/b', 'variables/B', 'variables/a b'):
        (directory / name).write_text(name)
    monkeypatch.chdir(tmp_path)
    done = subprocess.run(['bash', '-c', command.text], capture_output=True, text=True, check=True)
    assert done.stdout.split()[0] == sha256_of_directory(directory)


@pytest.mark.parametrize('command', doc_commands.of_kind('launch'), ids=name_of)
def test_launch_files_have_the_arguments(command):
    """The launch files are run in test/ros/test_launch.py, where ROS's launch is installed."""
    words = command.words
    assert words[2] == 'ros2_classify'
    path = shared_data.ROOT / 'launch' / words[3]
    text = path.read_text() + (path.parent / 'camera_pipeline.launch.py').read_text()
    for word in words[4:]:
        name, _, value = word.partition(':=')
        assert value, word
        assert re.search(rf"['\"]{name}['\"]", text), word


def test_no_command_is_unknown():
    assert [name_of(command) for command in doc_commands.of_kind('unknown')] == []


def test_no_reason_is_idle():
    texts = [command.text for command in doc_commands.commands()]
    idle = [pattern for pattern, _ in doc_commands.NOT_RUN
            if not any(re.match(pattern, text) for text in texts)]
    assert idle == []


def test_scripts_that_are_named_are_there():
    for command in doc_commands.commands():
        for path in re.findall(r'\b(scripts/[\w/.]+|test/[\w/.]+\.py)', command.text):
            assert Path(shared_data.ROOT / path).exists(), (command.page, path)


def test_the_pages_are_found():
    pages = {command.page for command in doc_commands.commands()}
    assert {'README.md', 'docs/cli.md', 'docs/nodes/camera.md', 'docker/README.md'} <= pages
    assert {f'docs/tutorials/{path.name}' for path in (
        shared_data.ROOT / 'docs/tutorials').glob('*.md')} <= pages


def test_the_index_lists_every_page_once():
    docs = shared_data.ROOT / 'docs'
    blocks = re.findall(r'^```{toctree}\n(.*?)^```', (docs / 'index.md').read_text(),
                        flags=re.MULTILINE | re.DOTALL)
    listed = [line for block in blocks for line in block.splitlines()
              if line and not line.startswith(':')]
    pages = [str(path.relative_to(docs).with_suffix('')) for path in docs.rglob('*.md')]
    assert sorted(listed) == sorted(page for page in pages if page != 'index')
