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

"""The throttled log: each cause at once, then only now and then."""

import pytest

from ros2_classify.ros.node.logging import BoundedLogs, NodeLog, ThrottledLog


def test_each_cause_is_said_at_once_and_then_rarely():
    now = [0.0]
    lines = []
    log = ThrottledLog(10.0, lambda: now[0])
    assert log(lines.append, 'a')
    assert log(lines.append, 'b')
    for second in range(1, 10):
        now[0] = float(second)
        assert not log(lines.append, 'a')
    now[0] = 10.0
    assert log(lines.append, 'a')
    assert lines == ['a', 'b', 'a (9 more like this since the last line)']


def test_lines_of_one_cause_share_their_turn():
    now = [0.0]
    lines = []
    log = ThrottledLog(10.0, lambda: now[0])
    log(lines.append, 'size 1', 'size')
    log(lines.append, 'size 2', 'size')
    now[0] = 11.0
    log(lines.append, 'size 3', 'size')
    assert lines == ['size 1', 'size 3 (1 more like this since the last line)']


def test_the_number_of_causes_remembered_is_bounded():
    log = ThrottledLog(10.0, lambda: 0.0)
    for number in range(1000):
        log(lambda _: None, f'cause {number}')
    assert len(log._causes) <= 32


def test_one_log_writes_in_every_severity(ros):
    from rclpy.logging import get_logger

    # rclpy refuses a place in the code that changes its severity; the threads of a server that
    # first said one thing and then the other came to their end by it.
    logger = NodeLog(get_logger('test_throttle'))
    log = ThrottledLog()
    for number, write in enumerate([
            logger.warning, logger.error, logger.info, logger.fatal, logger.warning]):
        assert log(write, f'line {number}')


class Lines:
    """A logger that keeps its lines."""

    def __init__(self):
        self.lines = []
        self.name = 'lines'

    def info(self, text):
        self.lines.append(text)
        return True

    warning = error = fatal = debug = info


@pytest.mark.parametrize('severity', ['debug', 'info', 'warning', 'error', 'fatal'])
def test_a_line_is_printable_and_short(severity):
    kept = Lines()
    log = NodeLog(kept)
    assert getattr(log, severity)('label \x1b]0;title\x07 and \ud800\n[FATAL] forged')
    assert kept.lines == [r'label \x1b]0;title\x07 and \ud800' + '\n  [FATAL] forged']
    getattr(log, severity)('x' * 1_000_000)
    assert len(kept.lines[-1]) < 2100
    assert log.name == 'lines'


def test_a_megabyte_as_a_model_name_does_not_fill_the_disk():
    """Anyone who logs it, from however many places, and with another name each time."""
    now = [0.0]
    kept = Lines()
    log = NodeLog(kept, 10.0, lambda: now[0])
    for number in range(10_000):
        now[0] = number / 1000
        log.warning(f'no such model: {number}{"x" * 10_000}')
        log.error('the same')
    assert sum(map(len, kept.lines)) < 450_000
    assert kept.lines.count('the same') == 5
    now[0] = 10.0
    log.info('next')
    assert kept.lines[-1] == (
        f'next ({20_000 - len(kept.lines) + 1} lines were not shown in the period of 10 s before)')
    for _ in range(1000):
        log.fatal('never hidden')
    assert kept.lines.count('never hidden') == 1000


def test_a_node_logs_through_it(ros):
    from rclpy.node import Node

    class Bounded(BoundedLogs, Node):
        pass

    node = Bounded('bounded')
    log = node.get_logger()
    assert isinstance(log, NodeLog) and node.get_logger() is log
    assert log.name == 'bounded' and log.get_effective_level()
    for write in (log.warning, log.error, log.info, log.fatal, log.warning, log.debug):
        write('a line')
    throttled = ThrottledLog()
    assert throttled(log.warning, 'one') and throttled(log.error, 'two')
    node.destroy_node()
