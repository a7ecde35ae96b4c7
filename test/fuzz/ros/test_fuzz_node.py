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
Real nodes that are sent anything: by their topics, services and parameters.

Messages come as objects whose fields are anything, headers among them, and as bytes that are no
message any more.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
import signal
from typing import Any

from builtin_interfaces.msg import Time

from fuzzing import fuzz, spoilt
from hypothesis import strategies as st
from lifecycle_msgs.srv import ChangeState
import pytest
from rcl_interfaces.msg import Parameter, ParameterValue
from rcl_interfaces.srv import (
    DescribeParameters, GetParameters, GetParameterTypes, ListParameters, SetParameters,
    SetParametersAtomically)
from rclpy.serialization import serialize_message
from ros2_classify.ros.camera import node as camera_node
from ros2_classify.ros.client import node as client_node
from ros2_classify.ros.server.specs import PARAMETERS
from ros_models import save_segmenter
from ros_process import Peer, Process
from ros_stream import Camera
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from test_fuzz_messages import FILES, NAMES, PRINTABLE, UINT32
from vision_msgs.msg import Classification

srv = pytest.importorskip(
    'ros2_classify_interfaces.srv', reason='the interfaces package is not built')

RED = (200, 0, 0)
# What a process may grow by: buffers of the middleware and of the allocator come and stay.
GROWTH = 96 * 1024
# They come with the first cases; more than this in the second half goes on for ever.
NOISE = 8 * 1024
# Every cause is told once in ten seconds at most, and there are not many causes.
LINES = 200

# What a message can carry: a text ends at the first zero.
HEADERS = st.builds(
    lambda sec, nanosec, frame: Header(
        stamp=Time(sec=sec, nanosec=nanosec), frame_id=frame.partition('\0')[0]),
    st.one_of(st.sampled_from((-2**31, -1, 0, 1, 2**31 - 1)), st.integers(-2**31, 2**31 - 1)),
    st.one_of(st.sampled_from((0, 10**9 - 1, 10**9, 2**31, 2**32 - 1)), UINT32), PRINTABLE)
IMAGES = st.builds(
    lambda header, height, width, step, encoding, big, data: Image(
        header=header, height=height, width=width, step=step, encoding=encoding,
        is_bigendian=big, data=array('B', data)),
    HEADERS, UINT32, UINT32, st.one_of(UINT32, st.integers(0, 60)), NAMES, st.integers(0, 255),
    st.binary(max_size=300))
VALUES = st.builds(
    lambda kind, flag, whole, real, text, texts, reals: ParameterValue(
        type=kind, bool_value=flag, integer_value=whole, double_value=real, string_value=text,
        string_array_value=texts, double_array_value=reals),
    st.one_of(st.integers(0, 9), st.integers(0, 255)), st.booleans(),
    st.one_of(st.integers(-5, 200), st.integers(-2**63, 2**63 - 1)),
    st.one_of(st.floats(0, 1), st.floats()), PRINTABLE, st.lists(PRINTABLE, max_size=3),
    st.lists(st.floats(), max_size=3))
SERIALIZED = serialize_message(Image(
    header=Header(stamp=Time(sec=1, nanosec=2), frame_id='eye'), height=4, width=6, step=18,
    encoding='rgb8', data=array('B', bytes(72))))
CHANGES = st.lists(st.tuples(
    st.one_of(st.sampled_from([spec.name for spec in PARAMETERS]), PRINTABLE), VALUES),
    min_size=1, max_size=3)


class Watched:
    """
    A process, and how much memory it held after each case.

    Parameters
    ----------
    process : Process
        It runs.

    """

    def __init__(self, process: Process) -> None:
        self.process = process
        self._held: list[int] = []
        self.note()

    def note(self) -> None:
        """Measure; in KiB."""
        path = Path(f'/proc/{self.process.process.pid}/status')
        self._held.append(next(int(line.split()[1]) for line in path.read_text().splitlines()
                               if line.startswith('VmRSS:')))

    def check(self) -> None:
        """Assert that it is there, does not grow on and on, and has said little; end it."""
        self.note()
        first, middle, last = self._held[0], self._held[len(self._held) // 2], self._held[-1]
        assert last - first < GROWTH, self._held
        assert last - middle < max((middle - first) / 2, NOISE), self._held
        # rcl has a line of its own for each invalid transition.
        own = [line for line in self.process.lines
               if '[rcl_lifecycle]' not in line and '.c:' not in line]
        assert len(own) < LINES, '\n'.join(own)
        self.process.stop()


@pytest.fixture
def server(start: Callable[..., Process], peer: Peer, classifier: Path) -> Iterator[Watched]:
    """Return a server that, when all is over, works as before, has not grown and logged little."""
    process = start('server', {'model': classifier})
    still = Camera(peer, '/still')

    def ask() -> None:
        request = srv.Classify.Request(image=still.message(RED))
        response = peer.call(srv.Classify, '/server/classify', request)
        assert response.success, response.message
        assert response.classification.results[0].class_id == 'red'

    ask()
    watched = Watched(process)
    yield watched
    restore = [Parameter(name='score_threshold', value=ParameterValue(type=3, double_value=0.2)),
               Parameter(name='class_id', value=ParameterValue(type=4, string_value='label')),
               Parameter(name='max_image_pixels', value=ParameterValue(
                   type=2, integer_value=10**6))]
    peer.call(SetParameters, '/server/set_parameters', SetParameters.Request(parameters=restore))
    ask()
    watched.check()


@fuzz(0.3, shrink=False, image=IMAGES)
def test_requests(image: Image, server: Watched, peer: Peer) -> None:
    """Every request has a response: a result, or a reason."""
    response = peer.call(srv.Classify, '/server/classify', srv.Classify.Request(image=image))
    assert response.success == (response.message == '')
    server.note()


@pytest.mark.parametrize('task', ['Detect', 'Segment'])
@fuzz(0.1, shrink=False, image=IMAGES)
def test_requests_of_other_tasks(
        task: str, image: Image, others: dict[str, Watched], peer: Peer) -> None:
    """The same where the model detects or segments."""
    kind = getattr(srv, task)
    response = peer.call(
        kind, f'/{task.lower()}/server/{task.lower()}', kind.Request(image=image))
    assert response.success == (response.message == '')
    others[task].note()


@pytest.fixture
def others(start: Callable[..., Process], peer: Peer, detector: Path, tmp_path: Path
           ) -> Iterator[dict[str, Watched]]:
    """Return servers of models that detect and segment."""
    models = {'Detect': detector, 'Segment': save_segmenter(tmp_path)}
    found = {task: start('server', {'model': model}, remap={'__ns': f'/{task.lower()}'})
             for task, model in models.items()}
    for process in found.values():
        process.wait_for_line('active: ')
    watched = {task: Watched(process) for task, process in found.items()}
    yield watched
    for each in watched.values():
        each.check()


@fuzz(0.3, shrink=False, changes=CHANGES)
def test_parameters(
        changes: list[tuple[str, ParameterValue]], server: Watched, peer: Peer) -> None:
    """Every parameter is set or refused with a reason, whatever its type and value."""
    parameters = [Parameter(name=name, value=value) for name, value in changes]
    response = peer.call(SetParameters, '/server/set_parameters', SetParameters.Request(
        parameters=parameters))
    assert len(response.results) == len(changes)
    assert all(result.successful or result.reason for result in response.results)
    result = peer.call(
        SetParametersAtomically, '/server/set_parameters_atomically',
        SetParametersAtomically.Request(parameters=parameters)).result
    assert result.successful or result.reason
    server.note()


@pytest.fixture
def camera_and_client(start: Callable[..., Process], peer: Peer, tmp_path: Path
                      ) -> Iterator[dict[str, Watched]]:
    """Return a camera, and a client that waits for a server which never comes."""
    processes = {
        'camera': start('camera', {'rate': 100.0}),
        'client_test': start('client_test', {'timeout': 3600.0}, remap={'image': '/unheard'})}
    processes['camera'].wait_for_line('waiting for')
    processes['client_test'].wait_for_line('sending')
    watched = {name: Watched(process) for name, process in processes.items()}
    yield watched
    watched['camera'].check()
    # Without a result, it ends when it is asked to.
    watched['client_test'].process.send_signal(signal.SIGINT)
    assert watched['client_test'].process.wait() in (0, 1)
    assert 'Traceback' not in watched['client_test'].process.output


@pytest.mark.parametrize('node', ['camera', 'client_test'])
@fuzz(0.1, shrink=False, data=st.data())
def test_parameters_of_the_other_nodes(
        node: str, data: Any, camera_and_client: dict[str, Watched], peer: Peer) -> None:
    """Set or refused with a reason, as for the server."""
    specs = {'camera': camera_node, 'client_test': client_node}[node].PARAMETERS
    changes = data.draw(st.lists(st.tuples(
        st.one_of(st.sampled_from([spec.name for spec in specs]), PRINTABLE), VALUES),
        min_size=1, max_size=3))
    response = peer.call(SetParameters, f'/{node}/set_parameters', SetParameters.Request(
        parameters=[Parameter(name=name, value=value) for name, value in changes]))
    assert len(response.results) == len(changes)
    assert all(result.successful or result.reason for result in response.results)
    camera_and_client[node].note()


# Without those that name files to read and to write: a trial must not write to this machine.
AT_START = [spec.name for spec in PARAMETERS if spec.name not in (
    'model', 'model_path', 'model_roots', 'trusted_models', 'custom_operators', 'external_data',
    'trace_file')]


@fuzz(0.05, shrink=False, name=st.sampled_from(AT_START), value=st.one_of(
    st.integers(-2**70, 2**70).map(str), st.floats().map(str), st.booleans().map(str),
    st.lists(st.sampled_from(('a', '/b', '1', '')), max_size=3).map(
        lambda items: f'[{", ".join(items)}]'), PRINTABLE))
def test_parameters_at_the_start(
        name: str, value: str, start: Callable[..., Process], classifier: Path) -> None:
    """The node starts, or ends with an exit code and words, never with a traceback."""
    process = start('server', {'model': classifier, name: value.replace('\0', '')})
    try:
        process.wait_for_line('active: |ERROR|FATAL|ros2_classify: |[Ee]rror|unconfigured')
    except AssertionError:
        # One that may not start itself says nothing.
        assert process.process.poll() is not None or name == 'autostart', process.output
    process.send_signal(signal.SIGINT)
    process.wait()
    assert 'Traceback' not in process.output, (name, value, process.output)
    process.kill()


@fuzz(0.1, shrink=False, names=st.lists(PRINTABLE, max_size=4), depth=st.integers(0, 2**64 - 1),
      number=st.integers(9, 255), label=PRINTABLE)
def test_questions(
        names: list[str], depth: int, number: int, label: str, server: Watched,
        peer: Peer) -> None:
    """Requests for missing parameters, and for invalid transitions, have a response."""
    for kind, name in ((GetParameters, 'get_parameters'),
                       (GetParameterTypes, 'get_parameter_types'),
                       (DescribeParameters, 'describe_parameters')):
        peer.call(kind, f'/server/{name}', kind.Request(names=names))
    peer.call(ListParameters, '/server/list_parameters', ListParameters.Request(
        prefixes=names, depth=depth))
    request = ChangeState.Request()
    # 9 to 14 and 60 to 72 are rclcpp's own, which no state of an active node allows.
    request.transition.id, request.transition.label = number, label
    assert not peer.call(ChangeState, '/server/change_state', request).success
    server.note()


@pytest.fixture
def stream(server: Watched, peer: Peer) -> tuple[Camera, list[Any]]:
    """Return a camera whose images the server processes, and the results."""
    results = peer.collect(Classification, '/classification')
    camera = Camera(peer, '/image')
    camera.result(RED, results)
    return camera, results


@fuzz(0.1, shrink=False, images=st.lists(IMAGES, min_size=1, max_size=4))
def test_images(
        images: list[Image], stream: tuple[Camera, list[Any]], server: Watched) -> None:
    """The next good image is processed, whatever came before it."""
    camera, results = stream
    for image in images:
        camera.send(image)
    assert camera.result(RED, results).results[0].class_id == 'red'
    results.clear()
    server.note()


@fuzz(0.2, shrink=False, header=HEADERS)
def test_headers(
        header: Header, stream: tuple[Camera, list[Any]], server: Watched, peer: Peer) -> None:
    """A result has the header of its image, whatever stands in that."""
    camera, results = stream
    msg = camera.message(RED)
    msg.header = header
    assert camera.result_to(msg, results).results[0].class_id == 'red'
    results.clear()
    response = peer.call(srv.Classify, '/server/classify', srv.Classify.Request(image=msg))
    assert response.success and response.classification.header == header
    server.note()


@fuzz(0.1, shrink=False, data=st.lists(
    st.one_of(spoilt(st.just(SERIALIZED)), st.binary(max_size=100)), min_size=1, max_size=4))
def test_bytes_that_are_no_message(
        data: list[bytes], stream: tuple[Camera, list[Any]], server: Watched) -> None:
    """The next good image is processed, whatever the middleware makes of these."""
    camera, results = stream
    for each in data:
        camera.send(each)
    assert camera.result(RED, results).results[0].class_id == 'red'
    results.clear()
    server.note()


@pytest.fixture
def compressed(start: Callable[..., Process], peer: Peer, classifier: Path) -> Iterator[
        tuple[Camera, list[Any], Watched]]:
    """Return a camera of compressed images that a server processes, and the results."""
    process = start('server', {'model': classifier, 'image_transport': 'compressed'})
    results = peer.collect(Classification, '/classification')
    camera = Camera(peer, '/image/compressed', msg_type=CompressedImage)
    camera.result(RED, results)
    watched = Watched(process)
    yield camera, results, watched
    camera.result(RED, results)
    watched.check()


@fuzz(0.1, shrink=False, fmt=PRINTABLE,
      files=st.lists(spoilt(st.sampled_from(FILES)), min_size=1, max_size=4))
def test_compressed_images(
        files: list[bytes], fmt: str, compressed: tuple[Camera, list[Any], Watched]) -> None:
    """The same where images come as files."""
    camera, results, server = compressed
    for data in files:
        camera.send(CompressedImage(format=fmt, data=array('B', data)))
    assert camera.result(RED, results).results[0].class_id == 'red'
    results.clear()
    server.note()
