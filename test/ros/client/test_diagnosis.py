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

"""Why no result arrives: each cause is set up with a node of the test, and named."""

import cv2
import numpy as np
import pytest
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from ros2_classify.ros.client.diagnosis import explain, Waiting
from sensor_msgs.msg import CompressedImage, Image
from vision_msgs.msg import Classification, Detection2DArray

BEST_EFFORT = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
RELIABLE = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


@pytest.fixture
def server(ros):
    """Return a node with the server's name; what it publishes and subscribes, the test says."""
    node = Node('server', namespace='here')
    yield node
    node.destroy_node()


def ignore(message):
    """Take a message; Python 3.10 cannot tell rclpy what a built-in takes."""


@pytest.fixture
def client(peer):
    """Return a function that waits for a result like the client, and explains why none came."""
    node = peer.node

    def explained(*, settled, image_qos=RELIABLE, result_qos=BEST_EFFORT, tasks=(
            (Classification, '/classification'), (Detection2DArray, '/detections')), **facts):
        waiting = Waiting(
            server='/here/server', image=node.create_publisher(Image, '/image', image_qos),
            results=[node.create_subscription(kind, topic, ignore, result_qos)
                     for kind, topic in tasks], **facts)
        peer.spin_until(settled, 'the graph to be known')
        return explain(node, waiting)

    explained.node = node
    return explained


def knows(node, topic):
    """Return a condition: the node knows of the topic's endpoints."""
    return lambda: node.count_publishers(topic) and node.count_subscribers(topic)


def knows_server(node):
    """Return a condition: the node knows of the server."""
    return lambda: ('server', '/here') in node.get_node_names_and_namespaces()


def test_no_server(client):
    text = client(settled=lambda: True)
    assert text.startswith('nobody subscribes to /image: there is no node /here/server. Start one')
    assert 'ROS_DOMAIN_ID' in text


@pytest.mark.parametrize(('state', 'cure'), [
    ('unconfigured', 'set /here/server configure'), ('inactive', 'set /here/server activate')])
def test_a_server_that_is_not_active(client, state, cure):
    text = client(settled=lambda: True, server_state=state)
    assert f'/here/server is {state}' in text and cure in text


def test_a_server_that_listens_elsewhere(client, server):
    server.create_subscription(Image, '/camera/image_raw', ignore, BEST_EFFORT)
    server.create_publisher(Classification, '/classification', RELIABLE)
    text = client(settled=knows(client.node, '/classification'))
    assert 'the server /here/server subscribes to /camera/image_raw' in text
    assert '-r image:=/camera/image_raw' in text


def test_a_server_that_takes_compressed_images(client, server):
    server.create_subscription(CompressedImage, '/image/compressed', ignore, BEST_EFFORT)
    server.create_publisher(Classification, '/classification', RELIABLE)
    text = client(settled=knows(client.node, '/classification'))
    assert '/image/compressed (sensor_msgs/msg/CompressedImage)' in text
    assert 'image_transport to compressed' in text


def test_a_server_that_rests(client, server):
    text = client(settled=knows_server(client.node))
    assert 'runs but subscribes to no images' in text
    assert 'nobody publishes on /classification or /detections: no model is active' in text


def test_results_on_another_topic(client, server):
    server.create_subscription(Image, '/image', ignore, BEST_EFFORT)
    server.create_publisher(Detection2DArray, '/found', RELIABLE)
    text = client(settled=lambda: client.node.count_publishers('/found'))
    assert 'results are published on /found, not on /classification or /detections' in text
    assert '-r detections:=/found' in text


def test_results_of_another_task(client, server):
    server.create_subscription(Image, '/image', ignore, BEST_EFFORT)
    server.create_publisher(Detection2DArray, '/detections', RELIABLE)
    text = client(settled=lambda: client.node.count_publishers('/detections'),
                  tasks=[(Classification, '/classification')])
    assert 'results are published on /detections, not on /classification' in text
    assert 'set it to detection' in text


def test_a_topic_of_another_type(client, server, start, tmp_path):
    # One process can't have two types on one topic.
    assert cv2.imwrite(str(tmp_path / 'a.png'), np.zeros((4, 4, 3), np.uint8))
    start('camera', {'source': tmp_path, 'wait_for_subscribers': 0}, {'image': '/detections'})
    server.create_subscription(Image, '/image', ignore, BEST_EFFORT)
    text = client(settled=lambda: any(
        each.node_name == 'camera'
        for each in client.node.get_publishers_info_by_topic('/detections')),
        tasks=[(Detection2DArray, '/detections')])
    assert '/camera publishes sensor_msgs/msg/Image on /detections, not vision_msgs' in text


def test_quality_of_service_of_the_image(client, server):
    server.create_subscription(Image, '/image', ignore, RELIABLE)
    server.create_publisher(Classification, '/classification', RELIABLE)
    text = client(settled=knows(client.node, '/image'), image_qos=BEST_EFFORT)
    assert 'the QoS on /image is incompatible with that of /here/server' in text
    assert 'qos_overrides' in text and 'est effort' in text


def test_quality_of_service_of_the_result(client, server):
    server.create_subscription(Image, '/image', ignore, BEST_EFFORT)
    server.create_publisher(Classification, '/classification', RELIABLE)
    text = client(settled=knows(client.node, '/classification'), result_qos=LATCHED)
    assert 'the QoS on /classification is incompatible' in text
    assert '/image' not in text


def test_all_is_connected(client, server):
    server.create_subscription(Image, '/image', ignore, BEST_EFFORT)
    server.create_publisher(Classification, '/classification', RELIABLE)
    settled = knows(client.node, '/classification')
    assert 'everything is connected and 3 image(s) were sent' in client(settled=settled, sent=3)
    text = client(settled=settled, sent=3, other_results=8)
    assert '8 results arrived, but for other images' in text and 'use_service' in text


def test_services(client, server):
    interfaces = pytest.importorskip(
        'ros2_classify_interfaces.srv', reason='ros2_classify_interfaces is not installed')
    node = client.node

    def explained(sent=0):
        return explain(node, Waiting(
            '/here/server', services=['/here/server/classify', '/here/server/detect'], sent=sent))

    client(settled=knows_server(node))
    assert 'runs without the service: it needs the package ros2_classify_inter' in explained()
    assert 'may still be busy' in explained(sent=1)
    server.create_service(interfaces.Detect, '/there/detect', print)
    client(settled=lambda: any(name == '/there/detect'
                               for name, _ in node.get_service_names_and_types()))
    assert 'but there is /there/detect: set the parameter server' in explained()
