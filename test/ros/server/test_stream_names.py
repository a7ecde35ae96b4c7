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

"""Names of streams: what follows from image_topics, and what is refused."""

import pytest
import rclpy
from ros2_classify.errors import OptionsError
from ros2_classify.ros.server.stream_parameters import stream_names, StreamNames


@pytest.fixture
def make(ros):
    """Return a function that makes a node with words of a command line."""
    nodes = []

    def make(*words, **options):
        node = rclpy.create_node(
            'server', cli_args=['--ros-args', *words] if words else None, **options)
        nodes.append(node)
        return node

    yield make
    for node in nodes:
        node.destroy_node()


@pytest.mark.parametrize('empty', [[], [''], ['', '']])
def test_without_a_list_there_is_the_one_topic_image(make, empty):
    node = make('-r', 'image:=/cam/image_raw')
    assert stream_names(node, empty, 'raw', empty) == (StreamNames('/cam/image_raw', 'raw'),)
    assert stream_names(node, empty, 'compressed') == (
        StreamNames('/cam/image_raw/compressed', 'compressed'),)


@pytest.mark.parametrize(('name', 'transport', 'expected'), [
    ('/front/image_raw', 'raw', ('/front/image_raw', 'raw', '/front')),
    ('/front/image_raw', 'compressed', ('/front/image_raw/compressed', 'compressed', '/front')),
    ('/front/image_raw/compressed', 'raw', (
        '/front/image_raw/compressed', 'compressed', '/front')),
    ('/front/color/image', 'raw', ('/front/color/image', 'raw', '/front/color')),
    ('rear/image', 'raw', ('/robot/rear/image', 'raw', '/robot/rear')),
    ('image', 'raw', ('/robot/image', 'raw', '/robot')),
    ('/image', 'raw', ('/image', 'raw', '/')),
    ('/compressed', 'raw', None),
])
def test_results_go_to_the_camera_s_namespace(make, name, transport, expected):
    node = make(namespace='/robot')
    if expected is None:
        with pytest.raises(OptionsError, match="'/compressed' of image_topics cannot be used: "):
            stream_names(node, [name], transport)
        return
    assert stream_names(node, [name], transport) == (StreamNames(*expected),)


def test_remappings_count(make):
    node = make('-r', '/front/image:=/cam1/image_raw', '-r', '/rear/image/compressed:=/cam2/jpeg')
    assert stream_names(node, ['/front/image', '/rear/image/compressed'], 'raw') == (
        StreamNames('/cam1/image_raw', 'raw', '/cam1'),
        StreamNames('/cam2/jpeg', 'compressed', '/cam2'))


def test_namespaces_may_be_given(make):
    node = make(namespace='/robot')
    topics = ['/stereo/left', '/stereo/right', '/rear/image']
    assert [names.namespace for names in stream_names(
        node, topics, 'raw', ['eyes/left', '/right/', '/'])] == [
            '/robot/eyes/left', '/right', '/']


@pytest.mark.parametrize(('topics', 'namespaces', 'words'), [
    (['/stereo/left', '/stereo/right'], [],
     r'for /stereo/left and /stereo/right would mix in the namespace /stereo: .*'
     r'output_namespaces:=\[/stereo/left, /stereo/right\]'),
    (['/a/image', '/a/image/compressed'], [], 'would mix in the namespace /a'),
    (['/a/image', '/a/image'], [], 'image_topics names /a/image twice'),
    (['/a/image', '/b/image'], ['same', 'same'], 'would mix in the namespace /same'),
    (['/a/image', '/b/image'], ['one'], 'output_namespaces has 1 names but image_topics has 2'),
    ([], ['one'], 'output_namespaces has 1 names but image_topics has 0'),
    (['/a b/image'], [], "'/a b/image' of image_topics cannot be used: topic name must not"),
    (['/a/image'], ['b c'], "or 'b c' of output_namespaces cannot be used: topic name must not"),
])
def test_what_cannot_be_is_refused_in_words(make, topics, namespaces, words):
    with pytest.raises(OptionsError, match=words):
        stream_names(make(), topics, 'raw', namespaces)
