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

"""
The policy for SROS 2, and the nodes' pages: whatever the nodes open is in them, and nothing else.

Nodes are started in all the ways in which they open other topics and services, each in a
namespace of its own; what they open is asked of the graph.
"""

from __future__ import annotations

from pathlib import Path
import re

import pytest
from ros_models import save_masks, save_pose, save_segmenter
from ros_process import ROOT
import sros2_policy
from sros2_policy import KINDS, POLICY, PolicyError, problems, read_page, read_policy, Rule
from vision_msgs.msg import Classification, Detection2DArray

IMAGE = ROOT / 'models/scenes/several_cards.jpg'


def opened(peer, names):
    """Return what nodes have open: (node, namespace, kind, name), and its types."""
    found = {}
    for node, namespace in peer.node.get_node_names_and_namespaces():
        if node not in names:
            continue
        for kind in KINDS.values():
            listed = getattr(peer.node, f'get_{kind}_names_and_types_by_node')(node, namespace)
            found.update({(node, namespace, kind, name): types for name, types in listed})
    return found


def allowed(rules, node, namespace, kind, name):
    """Tell whether the enclave that the namespace is named after allows it."""
    enclave = namespace.strip('/').rpartition('_')[0]
    return any(rule.enclave == f'/ros2_classify/{enclave}' and rule.node == node
               and rule.allows(kind, name, namespace) for rule in rules)


def test_policy_and_pages_name_what_the_nodes_open_and_nothing_else(
        start, peer, classifier, detector, tmp_path):
    for name in ('masks', 'halves', 'pose'):
        (tmp_path / name).mkdir()
    servers = [
        {'model': classifier},
        {'model': detector, 'image_transport': 'compressed', 'tracking': True},
        {'model': save_masks(tmp_path / 'masks'), 'use_sim_time': True, 'depth_topic': 'depth',
         'points': True},
        {'model': save_segmenter(tmp_path / 'halves')},
        {'model': save_pose(tmp_path / 'pose')}]
    clients = [
        {'image': IMAGE, 'timeout': 3600.0, 'output': tmp_path / 'out.png'},
        {'image': IMAGE, 'timeout': 3600.0, 'image_transport': 'compressed',
         'use_sim_time': True},
        {'image': IMAGE, 'timeout': 3600.0, 'use_service': True}]
    cameras = [{'source': IMAGE}, {'source': IMAGE, 'use_sim_time': True}]
    composed = [{'model': classifier, 'source': IMAGE},
                {'model': detector, 'source': IMAGE, 'image_transport': 'compressed'}]
    for node, settings in (('server', servers), ('client_test', clients), ('camera', cameras),
                           ('composed', composed)):
        for place, each in enumerate(settings):
            start(node, each, remap={'__ns': f'/{node}_{place}'})
    # Images are subscribed to for somebody.
    peer.collect(Classification, '/server_0/classification')
    peer.collect(Detection2DArray, '/server_1/detections')
    peer.collect(Classification, '/composed_0/classification')
    peer.collect(Detection2DArray, '/composed_1/detections')
    rules = [rule for rule in read_policy(POLICY) if rule.node != 'health']
    names = {rule.node for rule in rules}

    seen = {}

    def ours():
        # Another session's nodes may be in the same domain. What was seen once counts: the graph
        # of a busy machine is not complete at every moment.
        seen.update({
            key: types for key, types in opened(peer, names).items()
            if re.fullmatch(r'/(server|client_test|camera|composed)_\d', key[1])})
        return seen

    def unused():
        present = ours()
        # The server in `composed` has the rules of all tasks, and two models here: see below.
        return [rule for rule in rules if not rule.enclave.endswith('/composed') and not any(
            node == rule.node and rule.allows(kind, name, namespace)
            for node, namespace, kind, name in present)]

    try:
        peer.spin_until(lambda: not unused(), 'everything in the policy to be opened')
    except AssertionError:
        raise AssertionError(f'{POLICY} allows what no node opens: {unused()}') from None
    peer.spin_until(
        lambda: len({(node, namespace) for node, namespace, *_ in ours()}) == 14, 'all nodes')
    peer.spin_until(
        lambda: ('server', '/composed_1', 'subscriber', '/composed_1/image/compressed')
        in ours(), 'the compressed images')
    present = ours()
    missing = sorted(f'{namespace} {node}: {kind} {name}'
                     for node, namespace, kind, name in present
                     if not allowed(rules, node, namespace, kind, name))
    assert not missing, f'not in {POLICY}: {missing}'
    # What the pages say of the types; policy and pages have the same names, see below.
    types = {}
    for (node, namespace, kind, name), listed in present.items():
        for rule in rules:
            if rule.node == node and rule.allows(kind, name, namespace):
                types.setdefault((node, kind, rule.name), set()).update(listed)
    wrong = [f'{node}: {each}' for node in names
             for each in read_page(sros2_policy.PAGES / f'{node}.md')
             if each.type_name not in {full.replace('/msg/', '/') for full in types.get(
                 (node, each.kind, each.name), ())}]
    assert not wrong


def test_the_health_check_opens_what_its_enclave_allows(start, peer):
    rules = [rule for rule in read_policy(POLICY) if rule.node == 'health']
    start('health', arguments=['--server', '/nobody/server', '--timeout', '600'])

    def found():
        nodes = [node for node, _ in peer.node.get_node_names_and_namespaces()
                 if re.fullmatch(r'health_\d+', node)]
        present = opened(peer, nodes)
        return present if any(kind == 'client' for _, _, kind, _ in present) else {}

    def unused():
        # Below the namespace that it asks in.
        return [rule for rule in rules if not any(
            rule.allows(kind, name, '/nobody') for _, _, kind, name in found())]

    peer.spin_until(lambda: found() and not unused(), 'the health check to open it all')
    assert [(kind, name) for _, _, kind, name in found() if not any(
        rule.allows(kind, name, '/nobody') for rule in rules)] == []


def test_policy_and_pages_agree():
    assert problems() == []


@pytest.mark.parametrize(('old', 'new', 'said'), [
    ('            <topic>vision_info</topic>\n', '',
     '/ros2_classify/composed: server opens the publisher vision_info, which the policy does not'),
    ('<service>~/detect</service>', '<service>~/find</service>',
     'server opens the service ~/detect'),
    ('<service>server/segment</service>', '<service>server/*</service>',
     'the policy allows client_test the client server/*'),
    ('            <topic>image/compressed</topic>\n',
     '            <topic>image/compressed</topic>\n            <topic>cmd_vel</topic>\n',
     'the policy allows camera the publisher cmd_vel, of which its page'),
    ('</policy>', '', 'policy.xml: no element found')])
def test_what_is_wrong_with_a_policy_is_said(tmp_path, old, new, said):
    text = POLICY.read_text()
    assert old in text
    path = tmp_path / 'policy.xml'
    path.write_text(text.replace(old, new))
    assert said in '\n'.join(problems(path))


def test_names_are_those_that_the_policy_means():
    assert Rule('server', 'publisher', '~/debug_image').full_name('/') == '/server/debug_image'
    assert Rule('server', 'publisher', '~/debug_image').full_name('/a') == '/a/server/debug_image'
    assert Rule('server', 'subscriber', 'image').full_name('/a/b') == '/a/b/image'
    assert Rule('server', 'publisher', '/rosout').full_name('/a') == '/rosout'
    rule = Rule('server', 'subscriber', '*/image')
    assert rule.allows('subscriber', '/front/image', '/')
    assert not rule.allows('publisher', '/front/image', '/')
    assert not rule.allows('subscriber', '/front/image2', '/')


@pytest.mark.parametrize(('old', 'new'), [
    ('publish="ALLOW"', 'publish="YES"'), ('publish="ALLOW"', 'write="ALLOW"'),
    ('<topic>image</topic>', '<service>image</service>'),
    ('<topic>image</topic>', '<topic></topic>'), (' ns="/"', ''),
    ('<topic>image</topic>', '<topic>image</topic><topic>image</topic>')])
def test_a_policy_of_another_form_is_noticed(tmp_path: Path, old: str, new: str) -> None:
    text = POLICY.read_text()
    assert old in text
    path = tmp_path / 'policy.xml'
    path.write_text(text.replace(old, new))
    with pytest.raises(PolicyError):
        read_policy(path)
