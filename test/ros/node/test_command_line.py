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

"""What a user typed that a node can't use is named, with what to type instead."""

import re

import pytest
import rclpy
from ros2_classify.ros.camera.node import PARAMETERS as CAMERA
from ros2_classify.ros.node.command_line import (
    _DESCRIPTOR, _MEANINGS, unknown_parameters, usage_problem)
from ros2_classify.ros.server.parameters import PARAMETERS as SERVER


@pytest.mark.parametrize('words, says', [
    ('--ros-args model:=x', "'model:=x' has no option before it: .* -p model:=x; .* -r model:=x"),
    ('--ros-args -p a:=1 b:=2', "'b:=2' has no option"),
    ('--ros-args -r a=b', "'a=b' is not a remapping.*: write -r a:=b$"),
    ('--ros-args --remap image', "'image' is not a remapping.*: write -r image:=/camera"),
    ('--ros-args -p model=a=b', "'model=a=b' is not a parameter.*: write -p model:=a=b$"),
    ('--ros-args -p', '-p needs a parameter after it, as in: -p model:=NAME'),
    ('--ros-args -r --', '-r needs a remapping after it'),
    ('--ros-args -r -p model:=x', '-r needs a remapping after it'),
    ('--ros-args --params-file /no/where.yaml', "'/no/where.yaml', and there is no such file"),
    ('--ros-args --log-level', '--log-level needs a level after it'),
])
def test_what_is_wrong_on_the_command_line_is_named(words, says):
    assert re.search(says, usage_problem(words.split()))


@pytest.mark.parametrize('words', [
    '', 'model=x', '--ros-args -p model:=x -r image:=/a --log-level server:=debug',
    '--ros-args -p a:=-1 --enable-rosout-logs -- other=1', '--ros-args -p server:a:=[1,2] -e /x'])
def test_a_right_command_line_has_no_problem(words):
    assert usage_problem(words.split()) == ''


@pytest.fixture
def make(ros):
    """Return a function that makes a node with a table's parameters, and values for it."""
    nodes = []

    def make(name, table, *words):
        node = rclpy.create_node(name, cli_args=['--ros-args', *(
            word for given in words for word in ('-p', given))])
        nodes.append(node)
        for spec in table:
            node.declare_parameter(spec.name, spec.default)
        return node

    yield make
    for node in nodes:
        node.destroy_node()


@pytest.mark.parametrize('given, says', [
    ('threshold:=0.5', "did you mean 'score_threshold'?"),
    ('conf:=0.5', "did you mean 'score_threshold'?"),
    ('score_treshold:=0.5', "did you mean 'score_threshold'?"),
    ('postprocess.nms_iou:=0.5', "did you mean 'nms_iou'?"),
    ('Model:=a', "did you mean 'model'?"),
    ('labels:=coco.txt', "it is a key of the model's descriptor: `labels`, or a label file"),
    ('num_classes:=3', "it is a key of the model's descriptor: `labels`"),
    ('class_agnostic:=true', "did you mean 'nms_agnostic'?"),
    ('imgsz:=640', "it is a key of the model's descriptor: `input`"),
    ('zebra:=1', 'ros2 param list /server shows those there are'),
])
def test_every_unknown_parameter_is_named_with_the_nearest(make, given, says):
    node = make('server', SERVER, given)
    name = given.partition(':=')[0]
    text, = unknown_parameters([node])
    assert text.startswith(f'there is no parameter {name!r}, its value is ignored; ')
    assert says in text


def test_what_one_node_of_the_process_has_is_known(make):
    words = ('rate:=1.0', 'model:=x', 'fps:=2.0', 'qos_overrides./image.subscription.depth:=2',
             'use_sim_time:=false')
    nodes = [make('server', SERVER, *words), make('camera', CAMERA, *words)]
    assert unknown_parameters(nodes) == [
        "there is no parameter 'fps', its value is ignored; did you mean 'rate'?"]


def test_meanings_are_of_parameters_that_exist_and_no_parameter_has_another_meaning():
    from ros2_classify.ros.client.node import PARAMETERS as CLIENT
    tables = [{spec.name for spec in table} for table in (SERVER, CAMERA, CLIENT)]
    assert set(_MEANINGS) <= set.union(*tables)
    for table in tables:
        for target in table & set(_MEANINGS):
            assert not table & set(_MEANINGS[target].split())
    assert not tables[0] & {word for words in _DESCRIPTOR.values() for word in words.split()}
