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

"""The bond, from the other side: what a manager with bondcpp or bondpy sends and waits for."""

import sys
import time
from types import ModuleType, SimpleNamespace

import pytest
from ros2_classify.ros.node import lifecycle_node
from ros2_classify.ros.node.lifecycle_node import Bond
from ros_process import DEADLINE


class Status:
    """The fields of bond/msg/Status."""

    def __init__(self, **fields):
        self.header = SimpleNamespace(stamp=None)
        vars(self).update(fields)


class Node:
    """What a bond needs of a node; its timers run when the test says so."""

    def __init__(self):
        self.sent, self.timers, self.log, self.listeners = [], [], [], []

    def get_name(self):
        return 'server'

    def get_logger(self):
        return SimpleNamespace(info=self.log.append)

    def get_clock(self):
        return SimpleNamespace(now=lambda: SimpleNamespace(to_msg=lambda: 'now'))

    def create_publisher(self, _, topic, depth):
        assert topic == 'bond'
        return SimpleNamespace(publish=self.sent.append)

    def create_subscription(self, _, topic, callback, depth):
        assert topic == 'bond'
        self.listeners.append(callback)

    def create_timer(self, period, callback, **_):
        assert 0 < period <= 1.0
        self.timers.append(callback)
        return callback

    def destroy_timer(self, timer):
        self.timers.remove(timer)

    def tick(self):
        """Have the timers run."""
        for each in list(self.timers):
            each()

    def hear(self, active, name='server', instance='manager'):
        """Have a message come."""
        for each in self.listeners:
            each(Status(id=name, instance_id=instance, active=active))


@pytest.fixture
def node(monkeypatch):
    package, messages = ModuleType('bond'), ModuleType('bond.msg')
    messages.Status = Status
    monkeypatch.setitem(sys.modules, 'bond', package)
    monkeypatch.setitem(sys.modules, 'bond.msg', messages)
    return Node()


@pytest.fixture
def bond(node):
    bond = Bond(node)
    bond.start()
    return bond


def actives(node):
    return [msg.active for msg in node.sent]


def test_the_first_heartbeat_is_sent_at_once_and_others_follow(node, bond):
    node.tick()
    node.hear(True)
    node.tick()
    assert actives(node) == [True] * 3
    first = node.sent[0]
    assert first.id == 'server' and first.header.stamp == 'now'
    assert {msg.instance_id for msg in node.sent} == {first.instance_id} != {''}
    assert first.heartbeat_period < first.heartbeat_timeout


def test_the_end_is_told_until_the_manager_confirms(node, bond):
    bond.stop()
    bond.stop()
    node.tick()
    # What comes late, of another bond, and the node's own.
    node.hear(True)
    node.hear(False, name='controller')
    node.hear(False, instance=node.sent[0].instance_id)
    node.tick()
    assert actives(node) == [True, False, False, False]
    node.hear(False)
    assert node.timers == []


def test_a_manager_that_does_not_confirm_is_told_for_a_while(node, bond, monkeypatch):
    monkeypatch.setattr(lifecycle_node, '_FAREWELL', 0.0)
    bond.stop()
    node.tick()
    assert actives(node) == [True, False] and node.timers == []


def test_the_end_that_the_manager_tells_is_confirmed_once(node, bond):
    node.hear(False)
    node.hear(False)
    node.tick()
    bond.stop()
    assert actives(node) == [True, False] and node.timers == []


def test_a_process_that_ends_is_silent(node, bond):
    bond.cease()
    node.tick()
    assert actives(node) == [True] and node.timers == []


def test_what_is_told_already_is_told_until_the_end(node, bond):
    bond.stop()
    bond.cease()
    node.tick()
    assert actives(node) == [True, False, False]


def test_another_activation_is_another_bond(node, bond):
    node.hear(False)
    bond.start()
    bond.stop()
    bond.start()
    assert actives(node) == [True, False, True, False, True]
    assert len({msg.instance_id for msg in node.sent}) == 3
    assert len(node.timers) == len(node.listeners) == 1


def test_without_the_package_the_cure_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, 'bond', None)
    monkeypatch.setitem(sys.modules, 'bond.msg', None)
    node = Node()
    bond = Bond(node)
    bond.start()
    bond.stop()
    assert 'bond_timeout to 0.0' in node.log[0] and len(node.log) == 1
    assert node.timers == node.listeners == []


class Manager:
    """The side of nav2_lifecycle_manager, over DDS."""

    def __init__(self, peer, status):
        self.peer, self._status = peer, status
        self.heard = peer.collect(status, '/bond', 100)
        self._publisher = peer.node.create_publisher(status, '/bond', 5)

    def say(self, active):
        """Publish a status."""
        self._publisher.publish(
            self._status(id='server', instance_id='manager', active=active,
                         heartbeat_timeout=4.0, heartbeat_period=0.1))

    def servers(self):
        """Return the activity that the server told of, and by which instances."""
        found = [msg for msg in self.heard if msg.instance_id != 'manager']
        assert all(msg.id == 'server' for msg in found)
        return [msg.active for msg in found], {msg.instance_id for msg in found}

    def wait(self, condition, what):
        """Send heartbeats until the server's messages fulfil a condition."""
        def met():
            self.say(True)
            return condition(self.servers()[0])
        self.peer.spin_until(met, what, DEADLINE)


def test_a_manager_over_dds(start, peer, classifier):
    status = pytest.importorskip('bond.msg', exc_type=ImportError).Status
    server = start('server', {'model': classifier, 'autostart': False})
    server.wait_for_line('waiting to be configured')
    manager = Manager(peer, status)
    assert peer.transition('configure')
    assert manager.servers() == ([], set())
    assert peer.transition('activate')
    manager.wait(lambda told: len(told) >= 10, 'heartbeats')
    assert all(manager.servers()[0]) and len(manager.servers()[1]) == 1
    # Nav2's manager ends the bond, then deactivates.
    manager.say(False)
    peer.spin_until(lambda: not manager.servers()[0][-1], 'the confirmation')
    assert peer.transition('deactivate')
    count = len(manager.servers()[0])
    assert peer.transition('activate')
    manager.wait(lambda told: len(told) >= count + 3, 'heartbeats of another bond')
    assert all(manager.servers()[0][count:]) and len(manager.servers()[1]) == 2
    # The server's process ends: the manager would ask it to deactivate if it were told.
    server.stop()
    until = time.monotonic() + 0.5
    peer.spin_until(lambda: time.monotonic() > until, 'what came')
    assert all(manager.servers()[0][count:])
