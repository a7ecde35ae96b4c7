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
The policy for SROS 2: whatever the nodes open is in it, and nothing else.

Nodes are started in all the ways in which they open other topics and services, each in a
namespace of its own; what they open is asked of the graph.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from ros_models import save_masks, save_segmenter
from ros_process import ROOT
from sros2_policy import KINDS, read_policy, Rule
from vision_msgs.msg import Classification, Detection2DArray

POLICY = ROOT / 'config' / 'sros2' / 'policy.xml'
PICTURE = ROOT / 'models' / 'scenes' / 'several_cards.jpg'


def opened(peer, names):
    """Return what nodes have open: (node, namespace, kind, name)."""
    found = set()
    for node, namespace in peer.node.get_node_names_and_namespaces():
        if node not in names:
            continue
        for kind in KINDS.values():
            listed = getattr(peer.node, f'get_{kind}_names_and_types_by_node')(node, namespace)
            found |= {(node, namespace, kind, name) for name, _ in listed}
    return found


def test_the_policy_names_what_the_nodes_open_and_nothing_else(
        start, peer, classifier, detector, tmp_path):
    for name in ('masks', 'halves'):
        (tmp_path / name).mkdir()
    servers = [
        {'model': classifier}, {'model': detector, 'image_transport': 'compressed'},
        {'model': save_masks(tmp_path / 'masks'), 'use_sim_time': True},
        {'model': save_segmenter(tmp_path / 'halves')}]
    clients = [
        {'image': PICTURE, 'timeout': 3600.0, 'output': tmp_path / 'out.png'},
        {'image': PICTURE, 'timeout': 3600.0, 'image_transport': 'compressed',
         'use_sim_time': True},
        {'image': PICTURE, 'timeout': 3600.0, 'use_service': True}]
    cameras = [{'source': PICTURE}, {'source': PICTURE, 'use_sim_time': True}]
    for node, settings in (('server', servers), ('client_test', clients), ('camera', cameras)):
        for place, each in enumerate(settings):
            start(node, each, remap={'__ns': f'/{node}_{place}'})
    # Pictures are subscribed to for somebody.
    peer.collect(Classification, '/server_0/classification')
    peer.collect(Detection2DArray, '/server_1/detections')
    rules = read_policy(POLICY)
    names = {rule.node for rule in rules}

    def unused():
        present = opened(peer, names)
        return [rule for rule in rules if not any(
            node == rule.node and rule.allows(kind, name, namespace)
            for node, namespace, kind, name in present)]

    try:
        peer.spin_until(lambda: not unused(), 'everything in the policy to be opened')
    except AssertionError:
        raise AssertionError(f'{POLICY} allows what no node opens: {unused()}') from None
    peer.spin_until(
        lambda: len({(node, namespace) for node, namespace, *_ in opened(peer, names)}) == 9,
        'all nodes')
    missing = sorted(
        f'{node}: {kind} {name}' for node, namespace, kind, name in opened(peer, names)
        if not any(rule.node == node and rule.allows(kind, name, namespace) for rule in rules))
    assert not missing, f'not in {POLICY}: {missing}'


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
    with pytest.raises((AssertionError, KeyError)):
        read_policy(path)
