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

"""A real server that is sent anything: by its topics, its service, its parameters."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fuzzing import fuzz, spoilt
from hypothesis import strategies as st
from lifecycle_msgs.srv import ChangeState
import pytest
from rcl_interfaces.msg import Parameter, ParameterValue
from rcl_interfaces.srv import (
    DescribeParameters, GetParameters, GetParameterTypes, ListParameters, SetParameters,
    SetParametersAtomically)
from ros2_classify.ros.server_parameters import PARAMETERS
from ros_process import Peer, Process
from ros_stream import Camera
from sensor_msgs.msg import CompressedImage, Image
from test_fuzz_messages import FILES, NAMES, PRINTABLE, UINT32
from vision_msgs.msg import Classification

srv = pytest.importorskip(
    'ros2_classify_interfaces.srv', reason='the interfaces package is not built')

RED = (200, 0, 0)
# What a process may grow by: buffers of the middleware and of the allocator come and stay.
GROWTH = 96 * 1024
# Every cause is told once in ten seconds at most, and there are not many causes.
LINES = 200

IMAGES = st.builds(
    lambda height, width, step, encoding, big, data: Image(
        height=height, width=width, step=step, encoding=encoding, is_bigendian=big,
        data=array('B', data)),
    UINT32, UINT32, st.one_of(UINT32, st.integers(0, 60)), NAMES, st.integers(0, 255),
    st.binary(max_size=300))
VALUES = st.builds(
    lambda kind, flag, whole, real, text, texts, reals: ParameterValue(
        type=kind, bool_value=flag, integer_value=whole, double_value=real, string_value=text,
        string_array_value=texts, double_array_value=reals),
    st.one_of(st.integers(0, 9), st.integers(0, 255)), st.booleans(),
    st.one_of(st.integers(-5, 200), st.integers(-2**63, 2**63 - 1)),
    st.one_of(st.floats(0, 1), st.floats()), PRINTABLE, st.lists(PRINTABLE, max_size=3),
    st.lists(st.floats(), max_size=3))
CHANGES = st.lists(st.tuples(
    st.one_of(st.sampled_from([spec.name for spec in PARAMETERS]), PRINTABLE), VALUES),
    min_size=1, max_size=3)


def held(process: Process) -> int:
    """Return how much memory a process holds, in KiB."""
    lines = Path(f'/proc/{process.process.pid}/status').read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith('VmRSS:'))


@pytest.fixture
def server(start: Callable[..., Process], peer: Peer, classifier: Path) -> Iterator[Process]:
    """Return a server that, when all is over, answers as ever, has not grown and said little."""
    process = start('server', {'model': classifier})
    still = Camera(peer, '/still')

    def ask() -> None:
        request = srv.Classify.Request(image=still.message(RED))
        response = peer.call(srv.Classify, '/server/classify', request)
        assert response.success, response.message
        assert response.classification.results[0].class_id == 'red'

    ask()
    before = held(process)
    yield process
    restore = [Parameter(name='score_threshold', value=ParameterValue(type=3, double_value=0.2)),
               Parameter(name='class_id', value=ParameterValue(type=4, string_value='label')),
               Parameter(name='max_image_pixels', value=ParameterValue(
                   type=2, integer_value=10**6))]
    peer.call(SetParameters, '/server/set_parameters', SetParameters.Request(parameters=restore))
    ask()
    assert held(process) - before < GROWTH
    # rcl has a line of its own for each transition that is none.
    own = [line for line in process.lines if '[rcl_lifecycle]' not in line and '.c:' not in line]
    assert len(own) < LINES, '\n'.join(own)
    process.stop()


@fuzz(0.3, shrink=False, image=IMAGES)
def test_requests(image: Image, server: Process, peer: Peer) -> None:
    """Every request is answered: by a result, or by a reason."""
    response = peer.call(srv.Classify, '/server/classify', srv.Classify.Request(image=image))
    assert response.success == (response.message == '')


@fuzz(0.3, shrink=False, changes=CHANGES)
def test_parameters(
        changes: list[tuple[str, ParameterValue]], server: Process, peer: Peer) -> None:
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


@fuzz(0.1, shrink=False, names=st.lists(PRINTABLE, max_size=4), depth=st.integers(0, 2**64 - 1),
      number=st.integers(9, 255), label=PRINTABLE)
def test_questions(
        names: list[str], depth: int, number: int, label: str, server: Process,
        peer: Peer) -> None:
    """Questions for parameters that are not there, and transitions that are none, are answered."""
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


@pytest.fixture
def stream(server: Process, peer: Peer) -> tuple[Camera, list[Any]]:
    """Return a camera whose pictures the server answers, and the answers."""
    results = peer.collect(Classification, '/classification')
    camera = Camera(peer, '/image')
    camera.answer(RED, results)
    return camera, results


@fuzz(0.1, shrink=False, images=st.lists(IMAGES, min_size=1, max_size=4))
def test_pictures(images: list[Image], stream: tuple[Camera, list[Any]]) -> None:
    """The next good picture is answered, whatever came before it."""
    camera, results = stream
    for image in images:
        camera.send(image)
    assert camera.answer(RED, results).results[0].class_id == 'red'
    results.clear()


@pytest.fixture
def compressed(start: Callable[..., Process], peer: Peer, classifier: Path) -> Iterator[
        tuple[Camera, list[Any]]]:
    """Return a camera of compressed pictures that a server answers, and the answers."""
    process = start('server', {'model': classifier, 'image_transport': 'compressed'})
    results = peer.collect(Classification, '/classification')
    camera = Camera(peer, '/image/compressed', msg_type=CompressedImage)
    camera.answer(RED, results)
    before = held(process)
    yield camera, results
    camera.answer(RED, results)
    assert held(process) - before < GROWTH
    process.stop()


@fuzz(0.1, shrink=False, fmt=PRINTABLE,
      files=st.lists(spoilt(st.sampled_from(FILES)), min_size=1, max_size=4))
def test_compressed_pictures(
        files: list[bytes], fmt: str, compressed: tuple[Camera, list[Any]]) -> None:
    """The same where pictures come as files."""
    camera, results = compressed
    for data in files:
        camera.send(CompressedImage(format=fmt, data=array('B', data)))
    assert camera.answer(RED, results).results[0].class_id == 'red'
    results.clear()
