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

"""Real nodes take the files that ``params`` writes, and have the values in them."""

import pytest
from ros2_classify.cli import main
from ros2_classify.ros.parameter_tables import TABLES

pytest.importorskip('rclpy')


@pytest.fixture
def file(tmp_path):
    """Return a function that writes a file with changes."""
    def write(node, **changes):
        path = tmp_path / f'{node}.yaml'
        assert main(['params', node, '--output', str(path)]) == 0
        text = path.read_text()
        for before, after in changes.items():
            assert f'{before}: ' in text
            text = '\n'.join(
                f'    {before}: {after}' if line.strip('# ').startswith(f'{before}: ') and
                line.startswith('    ') else line for line in text.splitlines())
        path.write_text(text)
        return path
    return write


def given(path):
    return ['--ros-args', '--params-file', str(path)]


def test_the_server_takes_its_file(start, peer, file, classifier):
    path = file('server', score_threshold='0.75', autostart='false')
    server = start('server', {'model': str(classifier)}, arguments=given(path))
    server.wait_for_line('waiting to be configured')
    assert 'there is no parameter' not in server.output
    assert peer.get('score_threshold') == 0.75
    assert peer.get('model_changes') == 'verified'
    assert peer.get('tiles') == '1x1'


def test_the_camera_takes_its_file(start, peer, file):
    path = file('camera', jpeg_quality='55')
    camera = start('camera', {}, arguments=given(path))
    camera.wait_for_line('camera')
    assert 'there is no parameter' not in camera.output
    assert peer.get('jpeg_quality', '/camera') == 55
    assert peer.get('frame_id', '/camera') == 'camera'


def test_the_nodes_of_one_process_have_their_own_sections(start, peer, file, classifier):
    path = file('composed', autostart='false', model=f'"{classifier}"', jpeg_quality='44')
    both = start('composed', {}, arguments=given(path))
    both.wait_for_line('waiting to be configured')
    assert 'there is no parameter' not in both.output
    assert peer.get('jpeg_quality', '/camera') == 44
    assert peer.get('model') == str(classifier)


def test_every_table_is_in_one_of_the_programs():
    assert set(TABLES) == {'server', 'camera', 'client_test', 'composed'}
