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
``templates/dds/permissions.xsl`` there. What the nodes say that they open stands in the tables of
their pages; a test compares policy and pages with what real nodes have open.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
import re
import xml.etree.ElementTree as ElementTree

from environment import ROOT

POLICY = ROOT / 'config' / 'sros2' / 'policy.xml'
PAGES = ROOT / 'docs' / 'nodes'

KINDS = {
    ('topics', 'publish'): 'publisher', ('topics', 'subscribe'): 'subscriber',
    ('services', 'reply'): 'service', ('services', 'request'): 'client'}
_ENTRIES = {'topics': 'topic', 'services': 'service', 'actions': 'action'}
# What an action's server opens below the action's name, and the types.
ACTION = {
    ('service', 'send_goal'): '{}_SendGoal', ('service', 'cancel_goal'):
    'action_msgs/srv/CancelGoal', ('service', 'get_result'): '{}_GetResult',
    ('publisher', 'feedback'): '{}_FeedbackMessage',
    ('publisher', 'status'): 'action_msgs/GoalStatusArray'}

# What rclpy opens by itself, and no page repeats.
EVERY_NODE = {
    ('subscriber', '/clock'), ('publisher', '/parameter_events'), ('publisher', '/rosout'),
    *(('service', f'~/{name}') for name in (
        'describe_parameters', 'get_parameter_types', 'get_parameters', 'list_parameters',
        'set_parameters', 'set_parameters_atomically', 'get_type_description'))}
LIFECYCLE_NODE = {
    ('publisher', '~/transition_event'),
    *(('service', f'~/{name}') for name in (
        'change_state', 'get_state', 'get_available_states', 'get_available_transitions',
        'get_transition_graph'))}
BY_ITSELF = {
    'server': EVERY_NODE | LIFECYCLE_NODE, 'camera': EVERY_NODE, 'client_test': EVERY_NODE}
# Its camera hands the images over: the server has no subscription.
NOT_IN_COMPOSED = {('server', 'subscriber', 'image')}


class PolicyError(ValueError):
    """A policy has a form that the tools of SROS 2 don't read, and where."""


@dataclass(frozen=True)
class Rule:
    """One name that a node may open: which node, what for, the name as written; its enclave."""

    node: str
    kind: str
    name: str
    enclave: str = ''

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


@dataclass(frozen=True)
class Opened:
    """One row of a node's page: what it opens, by which name, of which type."""

    kind: str
    name: str
    type_name: str


def read_policy(path: Path = POLICY) -> list[Rule]:
    """Return the rules of a policy; PolicyError where its form is wrong."""
    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise PolicyError(str(error)) from error
    _check(root.tag == 'policy' and set(root.attrib) == {'version'}, root)
    contexts = list(root)
    _check([each.tag for each in contexts] == ['contexts'], root)
    rules: list[Rule] = []
    for context in contexts[0]:
        _check(context.tag == 'context' and set(context.attrib) == {'path'}
               and context.attrib['path'].startswith('/'), context)
        for profiles in context:
            _check(profiles.tag == 'profiles' and len(profiles) > 0, profiles)
            for profile in profiles:
                rules += _read_profile(profile, context.attrib['path'])
    for place, rule in enumerate(rules):
        if rule in rules[:place]:
            raise PolicyError(f'{rule.enclave}: {rule.name} is there twice; remove one')
    return rules


def _read_profile(profile: ElementTree.Element, enclave: str) -> Iterator[Rule]:
    _check(profile.tag == 'profile' and set(profile.attrib) == {'ns', 'node'}, profile)
    for listed in profile:
        _check(listed.tag in _ENTRIES and len(listed) > 0 and len(listed.attrib) == 1, listed)
        (verb, qualifier), = listed.attrib.items()
        # What is not allowed is denied without saying so.
        is_action = (listed.tag, verb) == ('actions', 'execute')
        _check((is_action or (listed.tag, verb) in KINDS) and qualifier == 'ALLOW', listed)
        for name in listed:
            text = name.text or ''
            _check(name.tag == _ENTRIES[listed.tag] and text and text == text.strip(), name)
            if is_action:
                for kind, part in ACTION:
                    yield Rule(profile.attrib['node'], kind, f'{text}/_action/{part}', enclave)
                continue
            yield Rule(profile.attrib['node'], KINDS[listed.tag, verb], text, enclave)


def _check(right: object, element: ElementTree.Element) -> None:
    if not right:
        text = ElementTree.tostring(element, encoding='unicode').strip()
        raise PolicyError(
            f'{text.partition(chr(10))[0]} is not of the form that policy.xsd of sros2 asks for')


def read_page(path: Path) -> list[Opened]:
    """
    Return what a node's page says that it opens.

    Parameters
    ----------
    path:
        The page. Its sections have tables with the columns ``topic``, ``service`` or, for one that
        the node asks, ``service of others``; then ``type``. A row whose first cell does not begin
        with a name is about names that a user gives.

    """
    found = []
    sections = dict(re.findall(
        r'^## (.*)\n((?:(?!## ).*\n?)*)', path.read_text(encoding='utf-8'), re.MULTILINE))
    for section, kinds in (('Subscribed topics', {'topic': 'subscriber'}),
                           ('Published topics', {'topic': 'publisher'}),
                           ('Services', {'service': 'service', 'service of others': 'client',
                                         'action': 'action'})):
        kind = ''
        for line in sections[section].splitlines():
            cells = [cell.strip() for cell in line.strip('|').split(' | ')]
            if line.startswith('|') and cells[0] in kinds:
                kind = kinds[cells[0]]
            elif kind and (name := re.match(r'`([^`]+)`$', cells[0])):
                type_name = re.match(r'`?([\w/]+)', cells[1])
                if kind == 'action':
                    found += [Opened(each, f'{name[1]}/_action/{part}',
                                     form.format(type_name[1] if type_name else ''))
                              for (each, part), form in ACTION.items()]
                    continue
                found.append(Opened(kind, name[1], type_name[1] if type_name else ''))
    return found


def expected_rules(node: str) -> set[tuple[str, str]]:
    """Return kinds and names of what a node opens, by its page and by what rclpy adds."""
    return BY_ITSELF[node] | {(each.kind, each.name) for each in read_page(PAGES / f'{node}.md')}


def problems(path: Path = POLICY) -> list[str]:
    """
    Compare a policy with the nodes' pages, without starting a node.

    Returns
    -------
    list of str
        What is wrong with it; empty where nothing is.

    """
    try:
        rules = read_policy(path)
    except PolicyError as error:
        return [f'{path.relative_to(ROOT) if path.is_relative_to(ROOT) else path}: {error}']
    expected = {(f'/ros2_classify/{node}', node, *names)
                for node in BY_ITSELF for names in expected_rules(node)}
    expected |= {('/ros2_classify/composed', node, *names)
                 for node in ('server', 'camera') for names in expected_rules(node)
                 if (node, *names) not in NOT_IN_COMPOSED}
    # The health check's node has no page: it lives for one question.
    found = {(rule.enclave, rule.node, rule.kind, rule.name) for rule in rules
             if rule.node != 'health'}
    return [*(f'{enclave}: {node} opens the {kind} {name}, which the policy does not allow'
              for enclave, node, kind, name in sorted(expected - found)),
            *(f'{enclave}: the policy allows {node} the {kind} {name}, of which its page in '
              'docs/nodes says nothing' for enclave, node, kind, name in sorted(found - expected))]
