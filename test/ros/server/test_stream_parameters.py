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

"""Parameters of a stream: they follow the node's until they have values of their own."""

import pytest
import rclpy
from rclpy.parameter import Parameter
from ros2_classify.errors import OptionsError
from ros2_classify.options import Options
from ros2_classify.ros.node.command_line import undeclared, unknown_parameters
from ros2_classify.ros.node.parameters import Parameters
from ros2_classify.ros.node.spec import Spec
from ros2_classify.ros.server.parameters import all_settings, check_settings
from ros2_classify.ros.server.specs import PARAMETERS
from ros2_classify.ros.server.stream_parameters import StreamParameters
from ros_stream import Camera
from vision_msgs.msg import Classification

TABLE = (
    Spec('model', '', 'A name'),
    Spec('level', 0.5, 'A level', minimum=0.0, maximum=1.0, from_model=True, per_stream=True),
    Spec('kind', 'raw', 'A kind', choices=('raw', 'cooked'), per_stream=True),
    Spec('names', [''], 'Names', per_stream=True),
    Spec('depth', 'none', 'A topic', read_only=True, per_stream=True),
)


@pytest.fixture
def make(ros):
    """Return a function that makes a node with the parameters of two streams, and values."""
    nodes = []

    def make(*words, prefixes=('front', 'robot.arm'), table=TABLE):
        node = rclpy.create_node('server', cli_args=['--ros-args', *(
            word for given in words for word in ('-p', given))])
        nodes.append(node)
        common = Parameters(node, table)
        streams = StreamParameters(common, table, prefixes)
        common.on_change(lambda: None if streams.following else streams.follow())
        return node, common, streams

    yield make
    for node in nodes:
        node.destroy_node()


def refused(node, name, value):
    """Try to set a parameter; return the reason why it can't be."""
    result = node.set_parameters([Parameter(name, value=value)])[0]
    return '' if result.successful else result.reason


def of(streams, prefix):
    """Return the values that count for a stream."""
    view = streams.view(prefix)
    return [view[spec.name] for spec in TABLE]


def test_each_stream_has_the_parameters_that_it_may_have_of_its_own(make):
    node, _, streams = make('front.level:=0.25', 'robot.arm.names:=[a, b]', 'front.depth:=/depth',
                            'kind:=cooked')
    names = node.list_parameters([], 0).names
    assert {'front.level', 'front.kind', 'front.names', 'robot.arm.level'} <= set(names)
    assert 'front.model' not in names
    assert of(streams, 'front') == ['', 0.25, 'cooked', [''], '/depth']
    assert of(streams, 'robot.arm') == ['', 0.5, 'cooked', ['a', 'b'], 'none']
    assert of(streams, '') == ['', 0.5, 'cooked', [''], 'none']
    assert node.describe_parameter('front.level').floating_point_range[0].to_value == 1.0


def test_a_stream_in_the_root_namespace_and_the_only_one_have_the_node_s(make):
    node, _, streams = make(prefixes=('',))
    assert not [name for name in node.list_parameters([], 0).names if '.' in name]
    assert of(streams, '') == ['', 0.5, 'raw', [''], 'none']


def test_a_stream_follows_the_node_until_it_has_a_value_of_its_own(make):
    node, common, streams = make()
    assert refused(node, 'level', 0.75) == ''
    assert (common['front.level'], common['robot.arm.level']) == (0.75, 0.75)
    assert refused(node, 'front.level', 0.125) == ''
    assert refused(node, 'level', 1.0) == ''
    assert (streams.view('front')['level'], streams.view('robot.arm')['level']) == (0.125, 1.0)
    # The same as the node's: it follows again.
    assert refused(node, 'front.level', 1.0) == ''
    assert refused(node, 'level', 0.0) == ''
    assert common['front.level'] == 0.0


def test_a_value_given_at_start_stays_even_if_it_is_the_node_s(make):
    node, common, _ = make('front.level:=0.5')
    common.set_model_defaults({'level': 0.75})
    assert (common['front.level'], common['robot.arm.level']) == (0.5, 0.75)
    assert refused(node, 'front.level', 0.75) == '' and refused(node, 'level', 0.25) == ''
    assert common['front.level'] == 0.25


def test_several_changes_at_once_all_reach_the_streams(make):
    node, common, _ = make()
    assert node.set_parameters_atomically([
        Parameter('level', value=0.125), Parameter('kind', value='cooked'),
        Parameter('robot.arm.kind', value='raw')]).successful
    assert (common['front.level'], common['front.kind']) == (0.125, 'cooked')
    # It was set together with the node's, and to what the node had before.
    assert common['robot.arm.level'] == 0.125


def test_a_stream_s_values_are_checked_like_the_node_s(make):
    node, *_ = make()
    assert refused(node, 'front.level', 1.5)
    assert "front.kind is 'boiled' but must be one of: raw, cooked" in refused(
        node, 'front.kind', 'boiled')
    assert refused(node, 'front.depth', '/other')
    with pytest.raises(OptionsError, match="front.kind is 'boiled'"):
        make('front.kind:=boiled')


@pytest.mark.parametrize(('name', 'value', 'says'), [
    ('tiles', '3by3', "robot.arm.tiles is '3by3' but"),
    # As a list is written, not as the middleware holds it.
    ('roi', [0.5, 0.25], 'robot.arm.roi is [0.5, 0.25] but must'),
    ('class_thresholds', ['cup:1'], "robot.arm.class_thresholds has 'cup:1' but"),
])
def test_what_is_wrong_with_a_stream_s_value_names_the_stream(make, name, value, says):
    node, *_ = make(table=PARAMETERS)
    reason = refused(node, f'robot.arm.{name}', value)
    assert reason.startswith(says)
    assert refused(node, name, value) == reason.replace('robot.arm.', '')


def test_settings_of_a_stream_that_do_not_fit_together_name_the_stream(make):
    _, _, streams = make('min_area:=0.5', table=PARAMETERS)
    with pytest.raises(OptionsError, match=r'^front\.min_area is 0\.5 but must not be above'):
        check_settings(streams, None, {'front.max_area': 0.25})


@pytest.mark.parametrize(('name', 'says'), [
    ('front.levl', "did you mean 'front.level'?"),
    ('fornt.level', "did you mean 'front.level'?"),
    ('arm.level', "did you mean 'robot.arm.level'?"),
    ('robot/arm.level', "did you mean 'robot.arm.level'?"),
    ('front.model', 'model is one for all streams'),
    ('levle', "did you mean 'level'?"),
])
def test_a_wrong_name_is_told_the_nearest(make, name, says):
    node, *_ = make()
    assert says in undeclared(node, name)
    if '/' not in name:
        node, *_ = make(f'{name}:=1.0')
        assert says in unknown_parameters([node])[0]


def test_settings_are_those_of_each_stream(make):
    _, _, streams = make(
        'score_threshold:=0.5', 'front.score_threshold:=0.75', 'front.class_id:=index',
        'robot.arm.input_range:=12', 'robot.arm.max_image_pixels:=9', table=PARAMETERS)
    settings = all_settings(streams, Options(top_k=3))
    front, arm = settings.of('front'), settings.of('robot.arm')
    assert (front.options.score_threshold, front.class_id) == (0.75, 'index')
    assert (arm.options.score_threshold, arm.class_id) == (0.5, 'label')
    assert (str(arm.input_range), arm.max_pixels) == ('12', 9)
    assert settings.of('').options.score_threshold == 0.5
    assert settings.of('no such stream') is settings


def test_a_server_s_cameras_have_parameters_of_their_own(start, peer, classifier):
    topics = ('/own/left/image', '/own/right/image')
    server = start('server', {
        'model': classifier, 'image_topics': f'[{", ".join(topics)}]', 'top_k': 2,
        'score_threshold': 0.0,
        'own.left.top_k': 1, 'own.rihgt.top_k': 1})
    server.wait_for_line("no parameter 'own.rihgt.top_k'.* did you mean 'own.right.top_k'?")
    left, right = (Camera(peer, topic) for topic in topics)
    found = [peer.collect(Classification, f'/own/{side}/classification')
             for side in ('left', 'right')]
    assert len(left.result((220, 0, 0), found[0]).results) == 1
    assert len(right.result((220, 0, 0), found[1]).results) == 2
    assert {'own.left.top_k', 'own.right.score_threshold'} <= set(peer.list_parameters())
    assert peer.set_values(**{'own.right.top_k': 3}) == []
    assert len(right.result((220, 0, 0), found[1]).results) == 3
    assert len(left.result((220, 0, 0), found[0]).results) == 1
    server.stop()
