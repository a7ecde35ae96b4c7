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


"""Command lines and topics of what is measured."""

import sys

import pytest
from ros2_classify_benchmark.processes import BenchError
from ros2_classify_benchmark.settings import Settings
from ros2_classify_benchmark.systems import echo, one_for_all, other, server, servers

FACTS = {'file': '/models/a model.onnx', 'task': 'detection'}


def test_a_server_gets_the_settings(tmp_path):
    settings = Settings(model='m', threads=2, transport='compressed', parameters=('top_k:=3',))
    system = server(settings, 'classification', tmp_path)
    words = system.commands[0]
    for parameter in ('model:=m', 'threads:=2', 'image_transport:=compressed', 'top_k:=3',
                      f'trace_file:={tmp_path}/node0.npz'):
        assert words[words.index(parameter) - 1] == '-p'
    assert system.images == ('/bench/node0/image/compressed',)
    assert system.results == ('/bench/node0/classification',)
    assert system.result_type == 'vision_msgs/msg/Classification'


def test_several_servers_share_nothing(tmp_path):
    system = servers(Settings(), 'detection', tmp_path, 4)
    for names in (system.commands, system.images, system.results, system.traces):
        assert len(set(names)) == 4


def test_one_server_has_all_cameras(tmp_path):
    system = one_for_all(Settings(transport='compressed'), 'detection', tmp_path, 2)
    assert len(system.commands) == 1
    assert ("image_topics:=['/bench/one/camera0/image/compressed', "
            "'/bench/one/camera1/image/compressed']") in system.commands[0]
    assert system.results == ('/bench/one/camera0/detections', '/bench/one/camera1/detections')


def test_the_echo_takes_the_same_images():
    assert echo(Settings(transport='compressed')).images == ('/bench/echo/image/compressed',)


def test_another_node_is_told_its_topics():
    system = other(Settings(threads=3), FACTS, "my_node 'two words' -r i:={image} -r r:={result} "
                   '{file} {threads} {task} {python}')
    assert system.commands == ((
        'my_node', 'two words', '-r', 'i:=/bench/other/image', '-r', 'r:=/bench/other/result',
        '/models/a model.onnx', '3', 'detection', sys.executable),)
    assert system.result_type == ''


def test_the_plain_node_is_known_by_name():
    words = other(Settings(), FACTS, 'plain').commands[0]
    assert 'model_file:=/models/a model.onnx' in words
    assert 'ros2_classify_benchmark.nodes.plain_node' in words


@pytest.mark.parametrize(('settings', 'task', 'said'), [
    (Settings(transport='compressed'), 'detection', "--transport is 'compressed', but --against "
                                                    'plain knows raw only'),
    (Settings(encoding='mono8'), 'detection', "--encoding is 'mono8'"),
    (Settings(), 'segmentation', "the task of --model is 'segmentation'")])
def test_what_the_plain_node_cannot_do_is_said(settings, task, said):
    with pytest.raises(BenchError, match=said):
        other(settings, {**FACTS, 'task': task}, 'plain')


def test_a_command_that_is_no_words_is_refused():
    with pytest.raises(BenchError, match='cannot be split into words: No closing quotation'):
        other(Settings(), FACTS, "my_node '{image} {result}")


@pytest.mark.parametrize('command, missing', [
    ('my_node {result}', '{image}'), ('my_node {image}', '{result}')])
def test_another_node_without_topics_is_refused(command, missing):
    with pytest.raises(BenchError, match=missing):
        other(Settings(), FACTS, command)
