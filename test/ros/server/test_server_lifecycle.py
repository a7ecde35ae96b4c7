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

"""The server's lifecycle: transitions by service, failures in words, and its end in each state."""

import os
from pathlib import Path
import re
import signal
from types import SimpleNamespace

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile
from ros_process import DEADLINE
from ros_stream import Camera
from vision_msgs.msg import Classification, VisionInfo

GREEN = (10, 200, 60)
WHITE = (255, 255, 255)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def segments(process_id):
    """Return the names of the shared-memory segments that a process has made."""
    # The owner of a segment keeps a lock file open beside it; those of others are mapped, too,
    # and ports are shared by all processes of a domain and outlive each of them.
    files = [os.readlink(path) for path in Path(f'/proc/{process_id}/fd').iterdir()
             if path.is_symlink()]
    return {found[1] for found in map(
        re.compile(r'/dev/shm/(fast\w+_[0-9a-f]{16})_el\b').match, files) if found}


def test_a_manager_drives_it_through_all_states(start, peer, classifier):
    server = start('server', {'model': classifier, 'autostart': False})
    results = peer.collect(Classification, '/classification')
    models = peer.collect(VisionInfo, '/vision_info', LATCHED)
    camera = Camera(peer, '/image')
    server.wait_for_line('waiting to be configured')
    assert peer.state() == 'unconfigured'
    # Not allowed in this state.
    assert not peer.transition('activate')

    assert peer.transition('configure')
    assert peer.state() == 'inactive'
    # The model's own defaults show from here on.
    assert (peer.get('score_threshold'), peer.get('top_k')) == (0.2, 3)
    assert camera.subscriptions == 0

    for turn in range(2):
        assert peer.transition('activate')
        assert peer.state() == 'active'
        camera.result(GREEN, results)
        assert peer.transition('deactivate')
        assert peer.state() == 'inactive'
        peer.spin_until(lambda: camera.subscriptions == 0, 'the end of the subscription')
        server.wait_for_line('stopped: ', count=turn + 1)
    assert server.output.count('loading the model') == 1

    assert peer.transition('cleanup')
    assert peer.state() == 'unconfigured'
    peer.spin_until(
        lambda: peer.node.count_publishers('/classification') == 0, 'the end of the publisher')
    assert peer.transition('configure')
    assert peer.transition('activate')
    camera.result(GREEN, results)
    peer.spin_until(
        lambda: [m for m in models if m.database_version == 2], 'the second model version')
    assert peer.transition('shutdown')
    assert peer.state() == 'finalized'
    server.stop()


def test_a_user_s_value_stays_when_the_model_is_loaded(start, peer, classifier):
    server = start('server', {'model': classifier, 'autostart': False, 'top_k': 2})
    assert peer.set_values(score_threshold=0.6) == []
    assert peer.transition('configure')
    assert (peer.get('score_threshold'), peer.get('top_k')) == (0.6, 2)
    assert peer.transition('cleanup')
    assert peer.transition('configure')
    assert (peer.get('score_threshold'), peer.get('top_k')) == (0.6, 2)
    server.stop()


def test_under_a_manager_a_failure_leaves_it_unconfigured(start, peer):
    server = start('server', {'model': 'no_such_model', 'autostart': False})
    assert not peer.transition('configure')
    assert peer.state() == 'unconfigured'
    server.wait_for_line("configure failed: there is no model named 'no_such_model'")
    server.stop()


FAILURES = {
    'none': ({}, 'the parameter model is not set; give one with'),
    'unknown': ({'model': 'no_such_model'}, "there is no model named 'no_such_model'"),
    'missing file': ({'model': 'missing.onnx'}, 'missing.onnx'),
    'garbage': ({'model': 'garbage.onnx'}, 'garbage.onnx'),
    'bad descriptor': ({'model': 'wrong.yaml'}, 'wrong.yaml'),
    'provider': ({'model': 'colors.yaml', 'provider': 'abacus'}, 'abacus'),
    'threshold type': ({'score_threshold': 1}, 'write a decimal point, such as 1.0'),
    'threshold range': ({'score_threshold': 1.5},
                        'score_threshold is 1.5 but must be from 0.0 to 1.0'),
    'class_id': ({'class_id': 'both'}, "'both' but must be one of: label, index"),
    'transport': ({'image_transport': 'theora'}, 'must be one of: raw, compressed'),
    'topics': ({'model': 'colors.yaml', 'image_topics': '[/stereo/left, /stereo/right]'},
               'would mix in the namespace /stereo'),
    'topics type': ({'image_topics': '/image'}, 'write a list, such as'),
    'qos': ({'model': 'colors.yaml',
             'qos_overrides./image.subscription.reliability': 'perfect'}, 'perfect'),
}


def test_a_catalogue_of_ones_own(start, classifier):
    server = start('server', {'model': classifier.stem,
                              'model_path': f'/no/such/directory:{classifier.parent}'})
    server.wait_for_line('active: ')
    server.stop()


@pytest.mark.parametrize('parameters, words', FAILURES.values(), ids=FAILURES)
def test_a_failure_at_start_is_one_sentence_and_an_exit_code(
        start, classifier, parameters, words):
    directory = classifier.parent
    (directory / 'garbage.onnx').write_bytes(b'this is no network')
    (directory / 'wrong.yaml').write_text(
        'name: wrong\nsource: {path: garbage.onnx}\nsize: 5\n')
    if 'model' in parameters and '.' in parameters['model']:
        parameters = {**parameters, 'model': directory / parameters['model']}
    server = start('server', parameters)
    # rclpy's own error, of a type that is not the package's.
    server.expected_failure = 'unexpected RuntimeError: Unexpected QoS override'
    assert server.wait() == 1, server.output
    assert 'Traceback' not in server.output
    bad = [line for line in server.lines if re.search('ERROR|FATAL|^ros2_classify: ', line)]
    assert len(bad) == 1 and words in bad[0], server.output
    assert 'active: ' not in server.output


@pytest.mark.parametrize('arguments, words', [
    (['model:=x'], "unexpected argument 'model:=x'; parameters and remappings follow --ros-args"),
    (['--ros-args', 'model:=x'], "'model:=x' has no option before it"),
    (['--ros-args', '-r', 'a=b'], "'a=b' is not a remapping"),
    (['--ros-args', '-p', 'a:=[1'], 'the command line cannot be understood'),
    (['--ros-args', '--colour', 'red'], 'the command line cannot be understood'),
])
def test_a_command_line_that_is_wrong_is_told_so(start, arguments, words):
    server = start('server', arguments=arguments)
    assert server.wait() == 2
    assert words in server.output
    assert 'Traceback' not in server.output


def test_an_environment_that_is_wrong_is_told_so(start):
    server = start('server', environment={'ROS_DOMAIN_ID': 'kitchen'})
    assert server.wait() == 1
    assert 'ROS 2 cannot be started: ' in server.output
    assert 'ROS_DOMAIN_ID is not an integral number' in server.output
    assert 'Traceback' not in server.output


def test_help_tells_how_to_start_it(start):
    server = start('server', arguments=['--help'])
    assert server.wait() == 0
    assert '--ros-args -p model:=MODEL' in server.output


def test_a_misspelled_parameter_is_noticed(start, classifier):
    server = start('server', {'model': classifier, 'score_treshold': 0.7})
    server.wait_for_line("no parameter 'score_treshold'.*did you mean 'score_threshold'")
    server.stop()


def enter(state, server, peer, camera):
    """Bring a server that waits to be configured into a state."""
    server.wait_for_line('waiting to be configured')
    if state == 'unconfigured':
        return
    assert peer.transition('configure')
    if state == 'inactive':
        return
    assert peer.transition('activate')
    if state == 'active':
        return
    camera.result(GREEN, peer.collect(Classification, '/classification'))


@pytest.mark.parametrize('number', SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize('state', ['unconfigured', 'inactive', 'active', 'streaming'])
def test_a_signal_ends_it_cleanly_in_every_state(start, peer, classifier, state, number):
    server = start('server', {'model': classifier, 'autostart': False})
    camera = Camera(peer, '/image', size=(640, 480))
    enter(state, server, peer, camera)
    theirs = segments(server.process.pid)
    assert theirs
    server.stop(number)
    assert not [name for name in theirs if Path('/dev/shm', name).exists()]
    assert len(re.findall('ERROR|FATAL|WARN', server.output)) == 0, server.output


def test_a_closed_terminal_does_not_end_it_under_nohup(start, peer, classifier):
    server = start('server', {'model': classifier, 'autostart': False}, within=['nohup'])
    server.wait_for_line('waiting to be configured')
    server.send_signal(signal.SIGHUP)
    assert peer.transition('configure')
    server.stop()


@pytest.mark.parametrize('number', SIGNALS, ids=lambda number: number.name)
def test_a_signal_ends_it_when_it_is_finalized(start, peer, classifier, number):
    server = start('server', {'model': classifier, 'autostart': False})
    server.wait_for_line('waiting to be configured')
    assert peer.transition('configure')
    assert peer.transition('shutdown')
    assert peer.state() == 'finalized'
    theirs = segments(server.process.pid)
    server.stop(number)
    assert not [name for name in theirs if Path('/dev/shm', name).exists()]


@pytest.mark.parametrize('state', [
    'unconfigured', 'loading', 'inactive', 'active', 'streaming', 'finalized'])
def test_after_a_hard_kill_in_any_state_the_next_one_serves(
        start, peer, classifier, sleeper, state):
    camera = Camera(peer, '/image', size=(640, 480))
    results = peer.collect(Classification, '/classification')
    if state == 'loading':
        endless = sleeper.with_name('endless.yaml')
        endless.write_text(sleeper.read_text().replace('color: rgb', 'color: rgb, scale: 10'))
        first = start('server', {'model': endless})
        first.wait_for_line('loading the model')
    else:
        first = start('server', {'model': classifier, 'autostart': False})
        enter('unconfigured' if state == 'finalized' else state, first, peer, camera)
        if state == 'finalized':
            assert peer.transition('shutdown')
    first.send_signal(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    # What the first has left behind keeps nobody from working: locks, shared memory, names.
    second = start('server', {'model': classifier})
    second.wait_for_line('active: ')
    del results[:]
    camera.result(GREEN, results)
    assert results[-1].results[0].class_id == 'green'
    second.stop()


@pytest.mark.parametrize('number', SIGNALS, ids=lambda number: number.name)
def test_a_signal_ends_it_while_a_model_is_loading(start, sleeper, number):
    # The warm-up's grey image is one that this model never comes back from.
    endless = sleeper.with_name('endless.yaml')
    endless.write_text(sleeper.read_text().replace('color: rgb', 'color: rgb, scale: 10'))
    server = start('server', {'model': endless})
    server.wait_for_line('loading the model')
    server.stop(number)
    assert 'configure was interrupted' in server.output


def test_a_signal_ends_it_while_the_model_does_not_come_back(start, peer, sleeper):
    server = start('server', {'model': sleeper})
    results = peer.collect(Classification, '/classification')
    camera = Camera(peer, '/image')
    camera.result(GREEN, results)
    theirs = segments(server.process.pid)
    camera.send(camera.message(WHITE))
    count = len(results)
    assert peer.set_values(top_k=1) == []
    camera.send(camera.message(GREEN))
    server.stop(signal.SIGTERM)
    assert len(results) == count
    assert 'the model has not come back' in server.output
    assert not [name for name in theirs if Path('/dev/shm', name).exists()]


@pytest.mark.parametrize(('takes', 'warm_up', 'signalled', 'good'), [
    (3.0, 0.1, False, True), (5.0, 0.1, False, False), (25.0, 10.0, False, True),
    (31.0, 10.0, False, False), (3.0, 10.0, True, True), (5.0, 10.0, True, False)])
def test_a_slow_model_is_waited_for_as_long_as_its_warm_up_says(
        ros, monkeypatch, takes, warm_up, signalled, good):
    """In this process, on a clock that the test sets."""
    from ros2_classify.ros.node.process import Stop
    from ros2_classify.ros.server import node as server_node

    now = [100.0]

    def stop_worker(timeout):
        now[0] += timeout
        return now[0] - 100.0 >= takes

    stop = Stop()
    node = server_node.ServerNode(stop)
    monkeypatch.setattr(server_node, 'time', SimpleNamespace(monotonic=lambda: now[0]))
    given_up = []
    node._worker = SimpleNamespace(stop=stop_worker, abandon=given_up.append)
    node.model = SimpleNamespace(warm_up_time=warm_up)
    if signalled:
        stop.request()
    assert node.halt() == good
    assert stop.has_abandoned_thread != good
    # The image in the model is counted as failed, so that all of them are in one count.
    assert [str(each) for each in given_up] == ([] if good else [
        f'the model has not come back for {now[0] - 100.0:.0f} s'])
    node.destroy_node()


def test_abandoned_threads_are_counted_through_activations(ros, classifier):
    """In this process: the next activation knows of the threads of the one before."""
    from ros2_classify.ros.node.process import Stop
    from ros2_classify.ros.server import node as server_node

    stop = Stop()
    node = server_node.ServerNode(stop)
    node.model = SimpleNamespace(warm_up_time=0.1, pipeline=SimpleNamespace(parallel=1))
    for count in range(1, 5):
        node.activate()
        node.faults.timed_out(11.0, 10.0)
        assert stop.abandoned.count == count
        assert node.faults.next_action().act == ('reload' if count < 4 else 'exit')
        assert node.halt()
    node.model = None
    node.destroy_node()


def test_counts_and_trace_are_not_lost_while_the_model_is_reloaded(ros, tmp_path):
    """In this process, stopped while a model is on its way."""
    from ros2_classify.ros.node.process import Stop
    from ros2_classify.ros.server import node as server_node
    from ros2_classify.ros.server.trace import Trace

    lines = []
    node = server_node.ServerNode(Stop())
    node._log = SimpleNamespace(info=lines.append, error=lines.append)
    node._service = SimpleNamespace(handled=3, destroy=lambda: None)
    node._worker = SimpleNamespace(stop=lambda timeout: True)
    node.recovery = SimpleNamespace(close=lambda: None)
    node._trace = Trace(str(tmp_path / 'trace.npz'))
    assert node.halt()
    assert 'stopped: 3 requests handled' in lines
    assert (tmp_path / 'trace.npz').exists()
    # Once.
    assert node.halt() and len(lines) == 2
    node.destroy_node()


def test_impatience_changes_nothing(start, classifier):
    server = start('server', {'model': classifier})
    server.wait_for_line('active: ')
    server.send_signal(signal.SIGINT)
    server.send_signal(signal.SIGTERM)
    server.send_signal(signal.SIGINT)
    assert server.wait(DEADLINE) == 0
    assert 'Traceback' not in server.output


def test_it_goes_through_the_sequences_of_a_lifecycle_manager(start, peer, classifier):
    """Nav2's manager: start-up, pause, resume, reset and shutdown, each step checked."""
    start('server', {'model': classifier, 'autostart': False})
    # Each transition by its number, and the state that get_state must then report.
    for name, state in (
            ('configure', 'inactive'), ('activate', 'active'),
            ('deactivate', 'inactive'), ('activate', 'active'),
            ('deactivate', 'inactive'), ('cleanup', 'unconfigured'),
            ('configure', 'inactive'), ('activate', 'active'),
            ('deactivate', 'inactive'), ('cleanup', 'unconfigured')):
        assert peer.transition(name), name
        assert peer.state() == state
    request = ChangeState.Request()
    # What it asks an unconfigured node for at the end.
    request.transition.id = Transition.TRANSITION_UNCONFIGURED_SHUTDOWN
    assert peer.call(ChangeState, '/server/change_state', request).success
    assert peer.state() == 'finalized'
