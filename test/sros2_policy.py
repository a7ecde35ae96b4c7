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
Reads an SROS 2 policy as its tools do: the form, and which names a node may open.

The form follows ``policy.xsd`` of ros2/sros2, and so does what a name means: see
``templates/dds/permissions.xsl`` there.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
import xml.etree.ElementTree as ElementTree

# What a list of names may stand for, and what it is called in the graph of ROS.
KINDS = {
    ('topics', 'publish'): 'publisher', ('topics', 'subscribe'): 'subscriber',
    ('services', 'reply'): 'service', ('services', 'request'): 'client'}
_ENTRIES = {'topics': 'topic', 'services': 'service'}


@dataclass(frozen=True)
class Rule:
    """One name that a node may open: which node, what for, and the name as it is written."""

    node: str
    kind: str
    name: str

    def full_name(self, namespace: str) -> str:
        """Return the name of the topic or service where the node is in a namespace."""
        above = namespace.rstrip('/')
        if self.name.startswith('/'):
            return self.name
        if self.name.startswith('~/'):
            return f'{above}/{self.node}{self.name[1:]}'
        return f'{above}/{self.name}'

    def allows(self, kind: str, name: str, namespace: str) -> bool:
        """Tell whether it is about this name; patterns are those of fnmatch, as in DDS."""
        return kind == self.kind and fnmatchcase(name, self.full_name(namespace))


def read_policy(path: Path) -> list[Rule]:
    """Return the rules of a policy; AssertionError where its form is wrong."""
    root = ElementTree.parse(path).getroot()
    assert root.tag == 'policy' and set(root.attrib) == {'version'}
    contexts = list(root)
    assert [each.tag for each in contexts] == ['contexts']
    rules = []
    for context in contexts[0]:
        assert context.tag == 'context' and set(context.attrib) == {'path'}
        assert context.attrib['path'].startswith('/')
        for profiles in context:
            assert profiles.tag == 'profiles' and len(profiles) > 0
            for profile in profiles:
                rules += _read_profile(profile)
    assert len(rules) == len(set(rules)), 'a name is there twice'
    return rules


def _read_profile(profile: ElementTree.Element) -> list[Rule]:
    assert profile.tag == 'profile' and set(profile.attrib) == {'ns', 'node'}
    rules = []
    for listed in profile:
        entry = _ENTRIES[listed.tag]
        assert len(listed) > 0 and len(listed.attrib) == 1
        (verb, qualifier), = listed.attrib.items()
        assert qualifier == 'ALLOW', 'what is not allowed is denied without saying so'
        for name in listed:
            assert name.tag == entry and name.text and name.text == name.text.strip()
            rules.append(Rule(profile.attrib['node'], KINDS[listed.tag, verb], name.text))
    return rules
