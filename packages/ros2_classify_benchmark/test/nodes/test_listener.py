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


"""The benchmark's subscriber: what it can listen to, and what it knows of the server."""

import pytest
from ros2_classify.ros.server.specs import PARAMETERS
from ros2_classify_benchmark.nodes.listener import Listener, unknown
from vision_msgs.msg import (
    Detection2D, Detection2DArray, ObjectHypothesis, ObjectHypothesisWithPose)


class Node:
    """Notes the types that are subscribed to."""

    def __init__(self):
        self.types = []
        self.receive = None

    def create_subscription(self, msg_type, topic, receive, qos):
        self.types.append(msg_type.__name__)
        self.receive = receive


@pytest.mark.parametrize(
    'name', ['std_msgs/msg/Header', 'sensor_msgs/msg/Image', 'vision_msgs/msg/Detection2DArray'])
def test_a_header_and_what_has_one_are_results(name):
    node = Node()
    Listener(node).listen('/result', name, 0)
    assert node.types == [name.rpartition('/')[2]]


def test_a_result_without_a_header_is_refused():
    node = Node()
    with pytest.raises(ValueError, match='/result has messages of type std_msgs/msg/String, which '
                                         'have no header'):
        Listener(node).listen('/result', 'std_msgs/msg/String', 0)
    assert node.types == []


def test_detections_are_kept_while_asked():
    node = Node()
    listener = Listener(node)
    listener.listen('/result', 'vision_msgs/msg/Detection2DArray', 0)
    msg = Detection2DArray()
    msg.header.stamp.sec, msg.header.stamp.nanosec = 5, 7
    each = Detection2D(results=[ObjectHypothesisWithPose()])
    each.results[0].hypothesis = ObjectHypothesis(class_id='stop', score=0.5)
    each.bbox.center.position.x, each.bbox.center.position.y = 10.0, 20.0
    each.bbox.size_x, each.bbox.size_y = 4.0, 6.0
    msg.detections = [each]
    node.receive(msg)
    listener.keep()
    msg.header.stamp.sec = 6
    node.receive(msg)
    assert listener.kept() == {6_000_000_007: [('stop', 0.5, 10.0, 20.0, 4.0, 6.0)]}
    node.receive(msg)
    assert listener.kept() == {}
    assert listener.count() == 3


def test_parameters_of_the_server_and_of_ros_are_known():
    names = [spec.name for spec in PARAMETERS]
    assert unknown([*names, 'use_sim_time', 'diagnostic_updater.period',
                    'qos_overrides./image.subscription.depth']) == ''


def test_other_parameters_are_said():
    assert unknown(['top_k', 'max_bach']) == (
        "the server has no parameter 'max_bach'; did you mean 'max_batch'?")
    assert unknown(['zzz']) == "the server has no parameter 'zzz'; docs/nodes/server.md has them"
