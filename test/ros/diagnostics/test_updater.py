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

"""How statuses get to ``/diagnostics``: by ROS's updater where there is one, else by our own."""

import sys
from types import ModuleType, SimpleNamespace

from diagnostic_msgs.msg import DiagnosticStatus
import pytest
import rclpy
from rclpy.parameter import Parameter
from ros2_classify.ros.diagnostics.issues import Level, Status
from ros2_classify.ros.diagnostics.updater import (
    Diagnostics, fill, make_updater, MessageUpdater)


@pytest.fixture
def make_node(ros, peer):
    """Return a function that makes a node which is spun with the peer."""
    nodes = []

    def make(name, **parameters):
        nodes.append(rclpy.create_node(name, namespace='/deep', parameter_overrides=[
            Parameter(key.replace('__', '.'), value=value) for key, value in parameters.items()]))
        peer._executor.add_node(nodes[-1])
        return nodes[-1]

    yield make
    for node in nodes:
        peer._executor.remove_node(node)
        node.destroy_node()


@pytest.fixture
def no_updater(monkeypatch):
    """Have no diagnostic_updater, whether it is installed or not."""
    monkeypatch.setitem(sys.modules, 'diagnostic_updater', None)


def fine():
    return Status(Level.OK, 'fine', (('count', '3'),))


def broken():
    raise ValueError('no such thing')


def seen(operator, name):
    return operator.statuses(name)


def test_statuses_come_once_a_second_under_the_node_s_name(
        peer, operator, make_node, no_updater):
    diagnostics = Diagnostics(make_node('eye'))
    diagnostics.add('lens', fine)
    diagnostics.add('lid', broken)
    values = operator.wait('eye: lens', 'OK', '^fine$')
    assert values == {'count': '3'}
    assert seen(operator, 'eye: lens')[0].hardware_id == '/deep/eye'
    # A part that cannot tell is an error of its own, and the others are told.
    operator.wait('eye: lid', 'ERROR', 'unexpected ValueError: no such thing')
    first, second = operator.wait_for_messages(2)
    between = (second.header.stamp.sec - first.header.stamp.sec
               + 1e-9 * (second.header.stamp.nanosec - first.header.stamp.nanosec))
    assert between > 0.1

    diagnostics.remove('lid')
    diagnostics.remove('nobody knows it')
    count = len(operator.messages)
    diagnostics.publish()
    peer.spin_until(lambda: len(operator.messages) > count, 'a message at once')
    assert [status.name for status in operator.messages[-1].status] == ['eye: lens']


def test_a_deprecated_name_repeats_the_status_and_names_the_new_one(
        operator, make_node, no_updater):
    counts = iter(range(1000))
    diagnostics = Diagnostics(make_node('eye'))
    diagnostics.add(
        'lens', lambda: Status(Level.WARN, 'dirty', (('count', str(next(counts))),)), 'glass')
    operator.wait('eye: lens', 'WARN', '^dirty$')
    values = operator.wait('eye: glass', 'WARN', '^dirty$')
    assert values['deprecated status'] == 'read eye: lens'
    # Asked once for both.
    for message in operator.messages:
        new, old = ({row.key: row.value for row in status.values}
                    for status in message.status)
        assert new['count'] == old['count'] and 'deprecated status' not in new


def test_the_updater_s_parameters_are_honoured(operator, make_node, no_updater):
    diagnostics = Diagnostics(make_node(
        'eye', diagnostic_updater__period=0.25, diagnostic_updater__use_fqn=True))
    diagnostics.add('lens', fine)
    operator.wait('/deep/eye: lens', 'OK', 'fine')
    assert diagnostics._timer.timer_period_ns == 250_000_000


def test_time_that_stands_still_does_not_stop_it(operator, make_node, no_updater):
    node = make_node('eye', use_sim_time=True)
    diagnostics = Diagnostics(node)
    diagnostics.add('lens', fine)
    operator.wait('eye: lens', 'OK', 'fine')
    assert node.get_clock().now().nanoseconds == 0


def test_who_holds_the_executor_up_publishes_when_it_is_time(make_node, no_updater):
    diagnostics = Diagnostics(make_node('eye'))
    asked = []

    def status():
        asked.append(1)
        return fine()

    diagnostics.add('lens', status)
    diagnostics.publish()
    diagnostics.publish_if_due()
    assert len(asked) == 1
    diagnostics._published -= 1.0
    diagnostics.publish_if_due()
    assert len(asked) == 2


class FakeUpdater:
    """
    Has what is used of ``diagnostic_updater.Updater``, and nothing of it: it notes its calls.

    The clone of the real one is used where it is installed.
    """

    made = []

    def __init__(self, node, period=1.0):
        self.period = 2.0 * period
        self.timer = node.create_timer(self.period, lambda: None)
        self.node, self.tasks, self.hardware_id, self.updates = node, {}, '', 0
        self.made.append(self)

    def setHardwareID(self, hwid):  # noqa: N802
        """Note the hardware's name."""
        self.hardware_id = hwid

    def add(self, name, fn):
        """Note a task."""
        self.tasks[name] = fn

    def removeByName(self, name):  # noqa: N802
        """Forget a task."""
        del self.tasks[name]

    def force_update(self):
        """Note an update."""
        self.updates += 1


def test_ros_s_own_updater_is_taken_where_there_is_one(make_node, monkeypatch):
    module = ModuleType('diagnostic_updater')
    module.Updater = FakeUpdater
    monkeypatch.setitem(sys.modules, 'diagnostic_updater', module)
    node = make_node('eye')
    diagnostics = Diagnostics(node)
    diagnostics.add('lens', fine)
    fake, = FakeUpdater.made
    assert fake.hardware_id == '/deep/eye'
    # It follows the node's clock, and ours doesn't; its period is the user's.
    assert [timer.timer_period_ns for timer in node.timers] == [2_000_000_000]
    assert fake.timer not in node.timers
    status = fake.tasks['lens'](DiagnosticStatus())
    assert (status.level, status.message) == (DiagnosticStatus.OK, 'fine')
    assert [(row.key, row.value) for row in status.values] == [('count', '3')]
    diagnostics.publish()
    assert fake.updates == 1
    diagnostics.remove('lens')
    assert fake.tasks == {}


def test_without_it_there_is_ours(make_node, no_updater):
    assert isinstance(make_updater(make_node('eye')), MessageUpdater)


def test_the_real_updater_publishes_the_same(operator, make_node):
    pytest.importorskip('diagnostic_updater')
    diagnostics = Diagnostics(make_node('eye'))
    diagnostics.add('lens', fine)
    diagnostics.add('lid', broken)
    assert operator.wait('eye: lens', 'OK', 'fine') == {'count': '3'}
    operator.wait('eye: lid', 'ERROR', 'unexpected ValueError')
    assert seen(operator, 'eye: lens')[-1].hardware_id == '/deep/eye'


def test_a_megabyte_that_somebody_sent_does_not_go_out_every_second():
    sent = '\x1b[2J' + 'x' * 1_000_000
    wrapper = fill(SimpleNamespace(), Status(
        Level.WARN, f'the last change was refused: {sent}', (('last error', sent),)))
    assert len(wrapper.message) < 2200 and len(wrapper.values[0].value) < 2200
    assert '\x1b' not in wrapper.message + wrapper.values[0].value
