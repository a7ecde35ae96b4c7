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

"""Hot swap: which model processes which frame, and what the callers are told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
import re
import signal
import time
from typing import Any

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
import pytest
from rcl_interfaces.srv import SetParameters, SetParametersAtomically
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from ros2_classify.testing import save_known_classifier
from ros_models import save_sleeper
from ros_process import DEADLINE, Peer
from ros_stream import Camera
from vision_msgs.msg import Classification, LabelInfo, VisionInfo
from web_server import hanging, Web, web_server

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
GREY = (90, 90, 90)
ANTS = [('ants 0', 0.75), ('ants 1', 0.25)]
BEES = [('bees 2', 0.5), ('bees 0', 0.375), ('bees 1', 0.125)]


@pytest.fixture
def ants(tmp_path: Path) -> Path:
    """Return a model with two classes."""
    return save_known_classifier(
        tmp_path, 'ants', (0.75, 0.25), defaults='score_threshold: 0.2, top_k: 2')


@pytest.fixture
def bees(tmp_path: Path) -> Path:
    """Return a model with three classes, a lower threshold, and room for more."""
    return save_known_classifier(
        tmp_path, 'bees', (0.375, 0.125, 0.5), defaults='score_threshold: 0.1, top_k: 4')


@pytest.fixture
def web() -> Iterator[Web]:
    """Run a web server."""
    with web_server() as server:
        yield server


@pytest.fixture
def slow_bees(bees: Path, web: Web) -> Path:
    """Return the second model, for a download that goes on until the web server releases it."""
    url = web.serve('/bees.onnx', hanging(bees.with_suffix('.onnx').read_bytes(), 100))
    path = bees.with_name('slow_bees.yaml')
    path.write_text(bees.read_text().replace('path: bees.onnx', f'url: "{url}"'))
    return path


@pytest.fixture
def serve(start: Any, tmp_path: Path) -> Any:
    """Return a function that starts a server, with a cache of its own."""
    def serve(model: Path, **parameters: Any) -> Any:
        values = {'model': model, 'model_changes': 'any', **parameters}
        return start('server', values, environment={
            'ROS2_CLASSIFY_CACHE': str(tmp_path / 'cache'), 'ROS2_CLASSIFY_OFFLINE': None,
            'http_proxy': None, 'HTTP_PROXY': None, 'all_proxy': None, 'ALL_PROXY': None})
    return serve


def reply(msg: Any) -> list[tuple[str, float]]:
    """Return what a result says."""
    return [(each.class_id, each.score) for each in msg.results]


def ask_for(peer: Peer, model: Any, **more: Any) -> Any:
    """Ask for another model; return the future response."""
    request = SetParameters.Request(parameters=[
        Parameter(name, value=value).to_parameter_msg()
        for name, value in {**more, 'model': str(model)}.items()])
    return peer.ask(SetParameters, '/server/set_parameters', request)


def reason(peer: Peer, future: Any) -> str:
    """Wait for what came of it: nothing, or why there is no other model."""
    results = peer.spin_until(lambda: future.done() and future, 'the outcome').result().results
    assert results[-1].successful == (not results[-1].reason)
    return str(results[-1].reason)


def failing(directory: Path, good: Path, detector: Path) -> list[tuple[Path, str]]:
    """Return models that can't take the good one's place, each with a part of the reason."""
    (directory / 'broken.onnx').write_bytes(good.with_suffix('.onnx').read_bytes()[:100])
    (directory / 'broken.yaml').write_text(
        re.sub('source: .*', 'source: {path: broken.onnx}', good.read_text()))
    (directory / 'forged.yaml').write_text(
        re.sub('sha256: ....', 'sha256: 0000', good.read_text()))
    (directory / 'greedy.yaml').write_text(
        good.read_text().replace('top_k: 4', 'top_k: 2000000'))
    return [(directory / 'broken.yaml', 'broken.onnx'), (directory / 'gone.yaml', 'gone.yaml'),
            (directory / 'forged.yaml', 'sha256'), (directory / 'greedy.yaml', 'top_k'),
            (detector, 'boxes is for detection and ants for classification, whose topics')]


def test_each_frame_is_processed_by_one_model_however_often_it_changes(
        serve: Any, peer: Peer, ants: Path, bees: Path, detector: Path) -> None:
    serve(ants).wait_for_line('active: ')
    results = peer.collect(Classification, '/classification', 100)
    labels = peer.collect(LabelInfo, '/label_info', LATCHED)
    models = peer.collect(VisionInfo, '/vision_info', LATCHED)
    camera = Camera(peer, '/image')
    camera.result(GREY, results)
    timer = peer.node.create_timer(0.01, lambda: camera.send_now(GREY))
    changes = 1
    for _ in range(3):
        for path, words in failing(ants.parent, bees, detector):
            before = len(results)
            assert words in reason(peer, ask_for(peer, path))
            assert peer.get('model') == str(ants)
            peer.spin_until(lambda: len(results) > before + 1, 'more results of the old model')
            assert reply(results[-1]) == ANTS
        for path, known, limits in ((bees, BEES, (0.1, 4)), (ants, ANTS, (0.2, 2))):
            assert reason(peer, ask_for(peer, path)) == ''
            changes += 1
            name = known[0][0].split()[0]
            assert peer.get('model') == str(path)
            assert (round(peer.get('score_threshold'), 6), peer.get('top_k')) == limits
            peer.spin_until(lambda: models[-1].database_version == changes, 'the new model')
            assert models[-1].method == name
            peer.spin_until(
                lambda: labels[-1].class_map[0].class_name == f'{name} 0', 'the new labels')
            # No result of the old model can be on its way any more when this one has come.
            camera.result(GREY, results)
            assert reply(results[-1]) == known
    peer.node.destroy_timer(timer)
    others = [reply(each) for each in results if reply(each) not in (ANTS, BEES)]
    assert not others and len(results) > 12
    turns = [one for one, other in zip(results, results[1:]) if reply(one) != reply(other)]
    assert len(turns) == 6
    stamps = [(each.header.stamp.sec, each.header.stamp.nanosec) for each in results]
    sent = iter(camera.sent)
    assert all(stamp in sent for stamp in stamps), 'results came in another order than images'


def test_frames_are_processed_while_the_new_model_is_being_loaded(
        serve: Any, peer: Peer, ants: Path, slow_bees: Path, web: Web) -> None:
    serve(ants).wait_for_line('active: ')
    results = peer.collect(Classification, '/classification')
    camera = Camera(peer, '/image')
    future = ask_for(peer, slow_bees)
    peer.spin_until(web.asked.is_set, 'the download')
    for _ in range(5):
        assert reply(camera.result(GREY, results)) == ANTS
    # Other parameters are set meanwhile, and they last; the same request again changes nothing.
    assert peer.set_values(top_k=1) == []
    assert reply(camera.result(GREY, results)) == ANTS[:1]
    assert f'the change to the model {slow_bees} has not ended yet' in reason(
        peer, ask_for(peer, slow_bees))
    assert not future.done()
    web.released.set()
    assert reason(peer, future) == ''
    assert reply(camera.result(GREY, results)) == BEES[:1]
    assert round(peer.get('score_threshold'), 6) == 0.1


def test_a_newer_request_overtakes_a_model_that_is_being_downloaded(
        serve: Any, peer: Peer, ants: Path, bees: Path, slow_bees: Path, web: Web) -> None:
    server = serve(ants)
    server.wait_for_line('active: ')
    results = peer.collect(Classification, '/classification')
    camera = Camera(peer, '/image')
    future = ask_for(peer, slow_bees)
    peer.spin_until(web.asked.is_set, 'the download')
    began = time.monotonic()
    newer = ask_for(peer, bees)
    assert f"was given up before its files were there, because model was set to '{bees}'" in (
        reason(peer, future))
    assert reason(peer, newer) == ''
    assert time.monotonic() - began < 5
    assert not web.released.is_set()
    assert reply(camera.result(GREY, results)) == BEES
    server.stop()
    assert 'Traceback' not in server.output


def transition_to(peer: Peer, name: int) -> Any:
    """Ask for a transition; return the future response."""
    return peer.ask(ChangeState, '/server/change_state', ChangeState.Request(
        transition=Transition(id=name)))


def test_a_newer_request_overtakes_the_download_of_a_node_that_is_being_configured(
        serve: Any, peer: Peer, ants: Path, slow_bees: Path, web: Web) -> None:
    server = serve(slow_bees, model_changes='verified', model_roots=ants.parent)
    peer.spin_until(web.asked.is_set, 'the download')
    began = time.monotonic()
    # What may not be set overtakes nothing; other parameters are set.
    assert 'model_changes' in reason(peer, ask_for(peer, '/nowhere/else.onnx'))
    assert peer.state() == 'configuring'
    assert peer.set_values(top_k=1) == []
    assert reason(peer, ask_for(peer, ants)) == ''
    server.wait_for_line('active: ')
    assert time.monotonic() - began < 8
    assert f"given up before its files were there, because model was set to '{ants}'" in (
        server.output)
    results = peer.collect(Classification, '/classification')
    assert reply(Camera(peer, '/image').result(GREY, results)) == ANTS[:1]
    server.stop()


@pytest.mark.parametrize('name', ['cleanup', 'shutdown'])
@pytest.mark.parametrize('autostart', [True, False])
def test_a_transition_gives_up_the_download_of_a_node_that_is_being_configured(
        serve: Any, peer: Peer, ants: Path, slow_bees: Path, web: Web, name: str,
        autostart: bool) -> None:
    server = serve(slow_bees, autostart=autostart)
    if not autostart:
        server.wait_for_line('waiting to be configured')
        configured = transition_to(peer, Transition.TRANSITION_CONFIGURE)
    peer.spin_until(web.asked.is_set, 'the download')
    # The same request again, as from a launch file, waits for its turn.
    again = transition_to(peer, Transition.TRANSITION_CONFIGURE)
    time.sleep(0.5)
    began = time.monotonic()
    future = transition_to(peer, {
        'cleanup': Transition.TRANSITION_CLEANUP,
        'shutdown': Transition.TRANSITION_UNCONFIGURED_SHUTDOWN}[name])
    assert peer.spin_until(lambda: future.done() and future, 'the response').result().success
    assert time.monotonic() - began < 4
    server.wait_for_line(f'given up before its files were there, because {name} was requested')
    if not autostart:
        assert not peer.spin_until(
            lambda: configured.done() and configured, 'the response').result().success
    if name == 'shutdown':
        assert not peer.spin_until(lambda: again.done() and again, 'that').result().success
    server.send_signal(signal.SIGINT)
    assert server.wait(DEADLINE) == 0, server.output
    assert 'Traceback' not in server.output


def test_an_inactive_server_changes_its_model_too(
        serve: Any, peer: Peer, ants: Path, bees: Path) -> None:
    serve(ants, autostart=False).wait_for_line('waiting to be configured')
    results = peer.collect(Classification, '/classification')
    models = peer.collect(VisionInfo, '/vision_info', LATCHED)
    camera = Camera(peer, '/image')
    assert peer.transition('configure')
    assert 'gone.yaml' in reason(peer, ask_for(peer, ants.with_name('gone.yaml')))
    assert 'name one' in reason(peer, ask_for(peer, ''))
    assert reason(peer, ask_for(peer, bees)) == ''
    assert not models
    assert peer.transition('activate')
    assert reply(camera.result(GREY, results)) == BEES
    peer.spin_until(lambda: models and models[-1].method == 'bees', 'the model in use')


def test_without_a_model_the_parameter_names_the_one_to_be_configured(
        serve: Any, peer: Peer, ants: Path, bees: Path) -> None:
    server = serve(ants, autostart=False)
    server.wait_for_line('waiting to be configured')
    results = peer.collect(Classification, '/classification')
    camera = Camera(peer, '/image')
    assert reason(peer, ask_for(peer, ants.with_name('gone.yaml'))) == ''
    assert not peer.transition('configure')
    assert reason(peer, ask_for(peer, bees)) == ''
    assert peer.transition('configure')
    assert peer.transition('activate')
    assert reply(camera.result(GREY, results)) == BEES
    assert 'while' not in server.output


@pytest.mark.parametrize('steps', [
    ['deactivate'], ['deactivate', 'cleanup'], ['deactivate', 'cleanup', 'configure', 'activate'],
    ['shutdown']], ids=' '.join)
def test_transitions_while_the_new_model_is_being_loaded(
        serve: Any, peer: Peer, ants: Path, slow_bees: Path, web: Web, steps: list[str]) -> None:
    server = serve(ants)
    server.wait_for_line('active: ')
    results = peer.collect(Classification, '/classification')
    camera = Camera(peer, '/image')
    future = ask_for(peer, slow_bees)
    peer.spin_until(web.asked.is_set, 'the download')
    for step in steps:
        assert peer.transition(step)
        if step == steps[-1] and steps == ['deactivate']:
            web.released.set()
    if steps == ['deactivate']:
        assert reason(peer, future) == ''
        assert peer.transition('activate')
        assert reply(camera.result(GREY, results)) == BEES
    else:
        assert 'has been cleaned up meanwhile' in reason(peer, future)
        assert peer.get('model') == str(ants)
    if steps[-1] == 'activate':
        assert reply(camera.result(GREY, results)) == ANTS
    server.stop()


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    """Return a model whose first run, for a grey image, never ends."""
    path = save_sleeper(tmp_path)
    path.write_text(path.read_text().replace('color: rgb', 'color: rgb, scale: 10'))
    return path


def test_a_model_that_never_ends_its_first_run_is_given_up(
        serve: Any, peer: Peer, operator: Any, ants: Path, bees: Path, endless: Path) -> None:
    server = serve(ants, load_timeout=4.0)
    server.wait_for_line('active: ')
    results = peer.collect(Classification, '/classification')
    camera = Camera(peer, '/image')
    future = ask_for(peer, endless)
    operator.wait('server: inference', 'WARN', 'sleeper.* has been loading .*given up after 4')
    assert reply(camera.result(GREY, results)) == ANTS
    assert 'load_timeout is 4 s' in reason(peer, future)
    assert peer.get('model') == str(ants)
    assert reply(camera.result(GREY, results)) == ANTS
    # The next one has its turn.
    assert reason(peer, ask_for(peer, bees)) == ''
    assert reply(camera.result(GREY, results)) == BEES
    operator.wait('server: inference', 'OK', 'results per second', threads='1')
    for step in ('deactivate', 'cleanup', 'configure', 'activate'):
        assert peer.transition(step), server.output
    assert reply(camera.result(GREY, results)) == BEES
    server.stop()


def test_cleanup_and_configure_while_a_model_never_ends_its_first_run(
        serve: Any, peer: Peer, ants: Path, endless: Path) -> None:
    server = serve(ants, load_timeout=4.0)
    server.wait_for_line('active: ')
    results = peer.collect(Classification, '/classification')
    camera = Camera(peer, '/image')
    future = ask_for(peer, endless)
    server.wait_for_line(f'loading the model {endless} while ants serves')
    for step in ('deactivate', 'cleanup', 'configure', 'activate'):
        assert peer.transition(step), server.output
    assert 'has been cleaned up meanwhile' in reason(peer, future)
    assert reply(camera.result(GREY, results)) == ANTS
    server.stop()


def test_configuring_a_model_that_never_ends_its_first_run_fails(
        serve: Any, peer: Peer, operator: Any, ants: Path, endless: Path) -> None:
    server = serve(endless, load_timeout=2.0, autostart=False)
    server.wait_for_line('waiting to be configured')
    assert not peer.transition('configure')
    operator.wait('server: inference', 'ERROR', 'configure failed: .*load_timeout is 2 s')
    assert reason(peer, ask_for(peer, ants)) == ''
    assert peer.transition('configure')
    server.stop()


def test_a_signal_while_the_new_model_is_being_loaded(
        serve: Any, peer: Peer, ants: Path, slow_bees: Path, web: Web) -> None:
    server = serve(ants)
    server.wait_for_line('active: ')
    future = ask_for(peer, slow_bees)
    peer.spin_until(web.asked.is_set, 'the download')
    server.send_signal(signal.SIGTERM)
    assert 'the node ends' in reason(peer, future)
    assert server.wait(DEADLINE) == 0, server.output
    assert 'Traceback' not in server.output


def test_several_parameters_at_once_are_set_with_the_model_or_not_at_all(
        serve: Any, peer: Peer, ants: Path, bees: Path) -> None:
    serve(ants).wait_for_line('active: ')
    results = peer.collect(Classification, '/classification')
    camera = Camera(peer, '/image')

    def set_all(**values: Any) -> str:
        request = SetParametersAtomically.Request(parameters=[
            Parameter(name, value=value).to_parameter_msg() for name, value in values.items()])
        result = peer.call(
            SetParametersAtomically, '/server/set_parameters_atomically', request).result
        assert result.successful == (not result.reason)
        return str(result.reason)

    assert 'class_id' in set_all(model=str(bees), class_id='both')
    assert peer.get('model') == str(ants)
    assert reply(camera.result(GREY, results)) == ANTS
    assert set_all(model=str(bees), top_k=1) == ''
    assert (peer.get('model'), peer.get('top_k')) == (str(bees), 1)
    assert reply(camera.result(GREY, results)) == BEES[:1]
    # Wrong types, and names that nobody has declared, get a response as well.
    assert 'Wrong parameter type' in peer.set_values(model=5)[0]
    assert "there is no parameter 'conf'; did you mean 'score_threshold'?" in (
        peer.set_values(conf=0.5)[0])


def test_a_model_whose_results_cannot_be_published_never_replaces_one_that_can(
        serve: Any, peer: Peer, ants: Path, bees: Path) -> None:
    serve(ants).wait_for_line('active: ')
    results = peer.collect(Classification, '/classification')
    camera = Camera(peer, '/image')
    text = bees.read_text()
    assert text.count('bees 2') == 1
    path = bees.with_name('unpublishable.yaml')
    # Everything behind the zero would be lost on its way.
    path.write_text(text.replace('bees 2', r'"bees\0 2"'))
    refusal = reason(peer, ask_for(peer, path))
    assert refusal.endswith(
        r"its results cannot be published: the label 'bees\x00 2' arrives as 'bees'; correct the "
        'labels or the name in its descriptor'), refusal
    assert peer.get('model') == str(ants)
    assert reply(camera.result(GREY, results)) == ANTS
    assert reason(peer, ask_for(peer, bees)) == ''
    assert reply(camera.result(GREY, results)) == BEES
