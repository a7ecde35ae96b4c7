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

"""The commands in the documents that start nodes: each starts, and ends when asked."""

import signal

import cv2
import doc_commands
import numpy as np
import pytest

# What a node writes once its command line and its parameters are understood and used.
READY = {
    'camera': r'waiting for|publishing',
    'client_test': r'sending',
    'composed': r'active: ',
    'server': r'active: ',
}


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """Make the model, the image, the directory and the video that the commands use."""
    doc_commands.save_models(tmp_path, 'my_model', 'my_detector', 'best', 'detector')
    (tmp_path / 'models').mkdir()
    doc_commands.save_models(tmp_path / 'models', 'street_detector')
    image = np.full((48, 64, 3), 100, np.uint8)
    (tmp_path / 'photos').mkdir()
    for path in ('photo.jpg', 'photos/1.jpg'):
        cv2.imwrite(str(tmp_path / path), image)
    video = cv2.VideoWriter(
        str(tmp_path / 'drive.mp4'), cv2.VideoWriter_fourcc(*'mp4v'), 10.0, (64, 48))
    for _ in range(5):
        video.write(image)
    video.release()
    monkeypatch.chdir(tmp_path)
    return tmp_path


# A directory of the reader's own, and a port that others on this machine may have.
OWN_DIRECTORY = '/opt/our_robot/models'
PORT = ':8080'
# Most of a start is waiting.
AT_ONCE = 4
COMMANDS = doc_commands.of_kind('node')


@pytest.mark.parametrize('first', range(0, len(COMMANDS), AT_ONCE))
def test_nodes(start, workplace, first):
    group = COMMANDS[first:first + AT_ONCE]
    (workplace / 'models' / 'trusted.txt').write_text(f'{"0" * 64}  my_model.onnx\n')
    nodes = [start(command.verb, arguments=[
        word.replace(OWN_DIRECTORY, str(workplace / 'models')).replace(PORT, ':0')
        for word in command.arguments[1:]])
        for command in group]
    for command, node in zip(group, nodes):
        node.wait_for_line(READY[command.verb])
        node.send_signal(signal.SIGINT)
    for command, node in zip(group, nodes):
        assert node.process.wait(timeout=60) == 0, f'{command}\n{node.output}'


def test_the_commands_are_found():
    assert {'camera', 'client_test', 'composed', 'server'} <= {
        command.verb for command in COMMANDS}
    texts = [command.text for command in COMMANDS]
    assert any(OWN_DIRECTORY in text for text in texts)
    # In a block that is not called bash.
    assert any('--enclave /ros2_classify/server' in text for text in texts)
