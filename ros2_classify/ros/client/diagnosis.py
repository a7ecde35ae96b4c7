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

"""Why no result arrives: the usual causes, as far as the ROS graph shows them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
import os
import time
from typing import Any

from lifecycle_msgs.srv import GetState
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import qos_check_compatible, QoSCompatibility
from rclpy.signals import SignalHandlerOptions
from ros2_classify.ros.messages.image import IMAGE_TYPES
from ros2_classify.ros.messages.vision import MESSAGES

_SERVICE_TYPES = {f'ros2_classify_interfaces/srv/{row.service}' for row in MESSAGES.values()}
_STATE_CURES = {
    'unconfigured': 'ros2 lifecycle set {server} configure, then activate',
    'inactive': 'ros2 lifecycle set {server} activate',
}


@dataclass
class Waiting:
    """What a client waited for: a result of `image`, or one of `services` (full names)."""

    server: str  # the full name of the server node
    server_state: str = ''  # its lifecycle state, empty if unknown
    image: Any = None  # the publisher
    results: Sequence[Any] = ()  # the subscriptions; one result is enough
    services: Sequence[str] = ()
    sent: int = 0
    other_results: int = 0  # how many results were for other images


def explain(node: Node, waiting: Waiting) -> str:
    """Return why no result arrived, and what to do next."""
    state = waiting.server_state
    if state in _STATE_CURES:
        cure = _STATE_CURES[state].format(server=waiting.server)
        return f'the server {waiting.server} is {state}: {cure}'
    if waiting.image is None:
        return _explain_service(node, waiting)
    if not node.count_subscribers(waiting.image.topic_name) and not (
            _nodes_named(node, waiting.server)):
        return f'nobody subscribes to {waiting.image.topic_name}: {_start_server(waiting)}'
    elsewhere = _results_elsewhere(node, waiting)
    if elsewhere:
        return elsewhere
    faults = [fault for fault in (_image_fault(node, waiting), _result_fault(node, waiting))
              if fault]
    if faults:
        return '; '.join(faults)
    if waiting.other_results:
        return (f'{waiting.other_results} results arrived, but for other images: another camera '
                f'publishes on {waiting.image.topic_name}, and the server processes the newest '
                'image only. Use the service (use_service:=true), or stop the other camera')
    return (f'everything is connected and {waiting.sent} image(s) were sent: the server may '
            'still be busy (raise timeout), or its log says what is wrong with the image')


def _explain_service(node: Node, waiting: Waiting) -> str:
    if waiting.sent:
        return 'the service received the request: the server may still be busy (raise timeout)'
    there = [name for name, types in node.get_service_names_and_types()
             if _SERVICE_TYPES & set(types) and name not in waiting.services]
    wanted = ' or '.join(waiting.services)
    if there:
        return (f'nobody offers {wanted}, but there is {", ".join(there)}: set the parameter '
                'server to the node that offers it')
    if _nodes_named(node, waiting.server):
        return (f'the node {waiting.server} runs without the service: it needs the package '
                'ros2_classify_interfaces (see its log), or it is not active')
    return f'nobody offers {wanted}; {_start_server(waiting)}'


def _image_fault(node: Node, waiting: Waiting) -> str:
    """Return what keeps the images from the server, '' if they reach it."""
    topic = waiting.image.topic_name
    own_type = _type_name(waiting.image.msg_type)
    readers = node.get_subscriptions_info_by_topic(topic)
    matching = [reader for reader in readers if reader.topic_type == own_type]
    if readers and not matching:
        return (f'{_names(readers)} expects {readers[0].topic_type} on {topic}, not {own_type}: '
                'set the parameter image_transport of one of the two')
    if not matching:
        listens = _topics_read(node, waiting.server)
        for other, kind in listens:
            cure = (f'--ros-args -r image:={other}' if kind == own_type else
                    f'set the parameter image_transport to {IMAGE_TYPES[kind]}')
            return f'the server {waiting.server} subscribes to {other} ({kind}): {cure}'
        return (f'the server {waiting.server} runs but subscribes to no images: it may still '
                'be loading its model, or its results have no subscriber yet')
    own = _own(node, node.get_publishers_info_by_topic(topic))
    return _qos_fault(topic, [(mine.qos_profile, reader.qos_profile, _names([reader]))
                              for mine in own for reader in matching])


def _result_fault(node: Node, waiting: Waiting) -> str:
    """Return what keeps results from arriving, '' if nothing does."""
    faults = []
    for subscription in waiting.results:
        topic, own_type = subscription.topic_name, _type_name(subscription.msg_type)
        writers = node.get_publishers_info_by_topic(topic)
        matching = [writer for writer in writers if writer.topic_type == own_type]
        if writers and not matching:
            faults.append(f'{_names(writers)} publishes {writers[0].topic_type} on {topic}, not '
                          f'{own_type}')
        elif matching:
            own = _own(node, node.get_subscriptions_info_by_topic(topic))
            fault = _qos_fault(topic, [(writer.qos_profile, mine.qos_profile, _names([writer]))
                                       for mine in own for writer in matching])
            if not fault:
                return ''
            faults.append(fault)
    if faults:
        return '; '.join(faults)
    topics = ' or '.join(subscription.topic_name for subscription in waiting.results)
    return f'nobody publishes on {topics}: no model is active'


def _results_elsewhere(node: Node, waiting: Waiting) -> str:
    """Return the other topic that results are published on, if any, and the cure."""
    expected = [subscription.topic_name for subscription in waiting.results]
    if any(node.count_publishers(topic) for topic in expected):
        return ''
    # Image types are ambiguous: only types that are used for results alone count.
    types = {_type_name(row.msg_type): (task, row.topic) for task, row in MESSAGES.items()
             if _type_name(row.msg_type) not in IMAGE_TYPES}
    for topic, kinds in node.get_topic_names_and_types():
        if topic in expected or not node.count_publishers(topic):
            continue
        for kind in kinds:
            if kind not in types:
                continue
            task, own = types[kind]
            wanted = {_type_name(subscription.msg_type) for subscription in waiting.results}
            cure = (f'--ros-args -r {own}:={topic}' if kind in wanted
                    else f'leave the parameter task at auto, or set it to {task}')
            return f'results are published on {topic}, not on {" or ".join(expected)}: {cure}'
    return ''


def _qos_fault(topic: str, pairs: Iterable[tuple[Any, Any, str]]) -> str:
    """Return what is wrong if no publisher matches a subscriber, else ''."""
    faults = []
    for publisher, subscriber, name in pairs:
        compatibility, reason = qos_check_compatible(publisher, subscriber)
        if compatibility != QoSCompatibility.ERROR:
            return ''
        text = reason.strip().rstrip(';').replace('ERROR: ', '')
        faults.append(f'the QoS on {topic} is incompatible with that of {name} ({text}); '
                      'change the qos_overrides of one of the two')
    return '; '.join(faults)


def _own(node: Node, endpoints: Sequence[Any]) -> list[Any]:
    """Return a node's own endpoints from the graph, which has resolved default policies."""
    return [each for each in endpoints
            if (each.node_name, each.node_namespace) == (node.get_name(), node.get_namespace())]


def _start_server(waiting: Waiting) -> str:
    domain = os.environ.get('ROS_DOMAIN_ID') or '0'
    return (f'there is no node {waiting.server}. Start one (ros2 run ros2_classify server '
            f'--ros-args -p model:=NAME) with the same ROS_DOMAIN_ID ({domain}) and in the same '
            'namespace, or name another one with the parameter server')


def _nodes_named(node: Node, full_name: str) -> bool:
    return any(f'{namespace.rstrip("/")}/{name}' == full_name
               for name, namespace in node.get_node_names_and_namespaces())


def _topics_read(node: Node, full_name: str) -> list[tuple[str, str]]:
    """Return the image topics that a node subscribes to, each with its type."""
    namespace, _, name = full_name.rpartition('/')
    return [(topic, kind) for topic, kinds in node.get_subscriber_names_and_types_by_node(
        name, namespace or '/') for kind in kinds if kind in IMAGE_TYPES]


def _names(endpoints: Sequence[Any]) -> str:
    return ', '.join(
        # Discovery reports endpoints before the names of their nodes.
        'a node' if each.node_name == '_NODE_NAME_UNKNOWN_' else
        f'{each.node_namespace.rstrip("/")}/{each.node_name}' for each in endpoints)


def _type_name(msg_type: Any) -> str:
    package, _, _ = msg_type.__module__.partition('.')
    return f'{package}/msg/{msg_type.__name__}'


#: Seconds after which a request without a response is sent again.
_ASK_AGAIN = 1.0


def lifecycle_state(server: str, timeout: float) -> str:
    """Return a node's lifecycle state, such as ``active``; empty after `timeout` seconds."""
    context = rclpy.Context()
    # Leave Ctrl-C to Python: there is nothing to clean up.
    rclpy.init(args=[], context=context, signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = rclpy.create_node(
            f'health_{os.getpid()}', context=context, enable_rosout=False,
            start_parameter_services=False)
        try:
            client = node.create_client(GetState, f'{server}/get_state')
            executor = SingleThreadedExecutor(context=context)
            executor.add_node(node)
            end = time.monotonic() + timeout
            label = ''
            if client.wait_for_service(timeout_sec=timeout):
                # A server may not know this client yet: its response is dropped then.
                while not label and (left := end - time.monotonic()) > 0.0:
                    future = client.call_async(GetState.Request())
                    executor.spin_until_future_complete(future, min(left, _ASK_AGAIN))
                    if future.done():
                        label = str(future.result().current_state.label)
            executor.shutdown()
            return label
        finally:
            node.destroy_node()
    finally:
        rclpy.shutdown(context=context)
