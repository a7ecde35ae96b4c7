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

"""Errors of the real parser of ROS 2, in sentences with the next step."""

import re

import pytest
from ros2_classify.ros.node.command_line import unused_files
from ros2_classify.ros.node.rcl_errors import explain, file_problem, sections_of, silent_problem

rclpy = pytest.importorskip('rclpy')


def sentence(*words):
    """Return what a user reads whose arguments rcl refuses."""
    context = rclpy.context.Context()
    try:
        with pytest.raises(Exception) as caught:  # noqa: B017 - the type differs by distribution
            rclpy.init(args=['--ros-args', *words], context=context)
    finally:
        context.try_shutdown()
    text = explain(caught.value)
    for raw in ('lexeme', 'Couldn', 'error not set', '.cpp', 'Error:', 'parsing a'):
        assert raw not in text
    return text


@pytest.mark.parametrize('words, says', [
    (['-r', 'image:=/bad name'], "'/bad name' in the remapping .*letters, digits, _ and / are"),
    (['-r', 'image:=/1bad'], "'/1bad' in the remapping .* as in: -r image:=/camera/image_raw"),
    (['-r', 'im-age:=/good'], "'im-age' in the remapping "),
    (['-r', '__node:=a/b'], "'a/b' cannot be the name of a node: .* -r __ns:=/NAMESPACE"),
    (['-r', '__ns:=front-1'], "'front-1' cannot be a namespace: it begins with"),
    (['-p', 'model:=[a'], 'the value of model cannot be read: line 1: this is no YAML'),
    (['-p', 'classes:=[a, 1]'], 'different types .whole numbers and text.; write one type'),
    (['-p', 'bad-name:=1'], "'bad-name' in .* cannot be the name of a parameter"),
    (['-p', ':=1'], 'cannot be the name of a parameter'),
    (['-p', 'model:='], 'model has no value; write -p model:=VALUE'),
    (['--log-level', 'inof'], "'inof' is no log level; did you mean info. allowed are debug"),
    (['--log-level', 'server:=loud'], "'loud' is no log level; allowed are debug"),
    (['--modle', 'x'], "'--modle' after --ros-args is no option .*write -p modle:=x"),
    (['--parms-file', 'x'], 'did you mean --params-file'),
    (['-x'], 'put -p before a parameter'),
    (['--enclave', 'nope'], 'after --enclave must begin with "/"'),
])
def test_arguments(words, says):
    assert re.search(says, sentence(*words))


@pytest.mark.parametrize('text, says', [
    ('server:\n  ros__parameters:\n\tmodel: x\n', 'line 3: a tab; indent with spaces'),
    ('server:\n  parameters:\n    model: x\n', 'ros__parameters is missing below'),
    ('model: x\n', "'model' is where the name of a node belongs; write the node's name or /"),
    ('/**:\n  ros__parameters:\n    classes: [1, a]\n', 'classes is a list of different types'),
    ('/**:\n  ros__parameters:\n    model:\n', "model has no value; write one, or '' for empty"),
    ('/**:\n  ros__parameters:\n    model: "x\n', 'this is no YAML .*check brackets, quotes'),
    ('- a\n- b\n', 'it has a list or a value, and no node'),
])
def test_files_of_parameters(tmp_path, text, says):
    path = tmp_path / 'p.yaml'
    path.write_text(text)
    found = sentence('--params-file', str(path))
    assert found.startswith(f'the file of parameters {path} cannot be used: ')
    assert re.search(says, found)


def test_a_file_that_is_no_text(tmp_path):
    path = tmp_path / 'p.yaml'
    path.write_bytes(b'\xff\xd8\xff\xe0' * 9)
    assert f'{path} is no text; write the node' in sentence('--params-file', str(path))


@pytest.mark.parametrize('text', [
    '/**:\n  ros__parameters:\n    rate: [1.0, 1e-3]\n    a: {b: 1}\n',
    'front:\n  server:\n    ros__parameters: {model: x}\n',
    '/**: {ros__parameters: {a: [true]}}\n'])
def test_right_files_have_no_problem(text):
    assert file_problem(text) == ''


def test_what_rcl_drops_without_a_word_is_told(tmp_path):
    path = tmp_path / 'p.yaml'
    path.write_text('/**:\n  ros__parameters:\n    classes: [[a]]\n')
    assert 'classes is a list in a list' in silent_problem(str(path))
    path.write_text('/**:\n  ros__parameters:\n    classes: [a]\n')
    assert silent_problem(str(path)) == ''


@pytest.mark.parametrize('text, told', [
    ('sever:\n  ros__parameters: {a: 1}\n', True), ('server:\n  ros__parameters: {a: 1}\n', False),
    ('/server:\n  ros__parameters: {a: 1}\n', False), ('/**:\n  ros__parameters: {a: 1}\n', False),
    ('other: {ros__parameters: {a: 1}}\nserver: {ros__parameters: {a: 1}}\n', False),
    ('front: {server: {ros__parameters: {a: 1}}}\n', True), ('', False)])
def test_a_file_for_another_node_is_told(tmp_path, text, told):
    class Node:

        def get_fully_qualified_name(self):
            return '/server'

    path = tmp_path / 'p.yaml'
    path.write_text(text)
    found = unused_files(['--ros-args', '--params-file', str(path)], [Node()])
    assert len(found) == told
    if told:
        assert re.search('has no parameters for /server, only for /.*; name the node', found[0])
        assert sections_of(str(path))


def test_other_errors_keep_their_reason_without_its_place():
    assert explain('it failed, at /a/src/parser.c:271, at /b/arguments.c:41') == 'it failed'
