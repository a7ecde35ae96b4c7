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

"""One server that all attacks are tried on, in a control group of 1 GiB, works afterwards."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
import hashlib
import os
from pathlib import Path
import re
import shutil

import attacks
import graphs
from ros_process import Peer, Process
from ros_stream import Camera
from sensor_msgs.msg import CompressedImage
from vision_msgs.msg import Classification

LIMIT = 1 << 30
RED = (200, 0, 0)
DESCRIPTOR = 'source: {path: model.onnx}\n'


def images() -> Iterator[bytes]:
    """Yield images that multiply, a few hundred kB each."""
    yield attacks.png_texts(300_000)
    yield attacks.jpeg_scans(300_000)
    yield attacks.jpeg_scans(300_000, garbage=True)


def write_models(directory: Path, good: Path) -> Iterator[tuple[Path, str]]:
    """Yield models that must not be loaded, and what the refusal says."""
    def write(name: str, data: bytes | str) -> Path:
        path = directory / name
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    large = 4_000_000
    shutil.copy(good.with_suffix('.onnx'), directory / 'model.onnx')
    yield write('lists.yaml', attacks.yaml_lists(large)), 'more than the 200000 values'
    yield write('base60.yaml', attacks.yaml_base_60(large)), 'more than the 100'
    yield write('hex.yaml', attacks.yaml_hexadecimal(large)), 'more than the 100'
    yield write('name.yaml', f'{DESCRIPTOR}labels: ["{"x" * large}"]'), 'at most|more than'
    yield write('half.yaml', f'{DESCRIPTOR}labels: ["\\ud800", b]'), 'half a character'
    write('labels.txt', attacks.label_json(large))
    yield write('labels.yaml', f'{DESCRIPTOR}labels: labels.txt'), 'must be text'
    for name, data, words in (
            ('pax.tar.gz', attacks.pax(100_000), 'larger than any valid'),
            ('zip64.zip', attacks.zip64(large), '10000 members')):
        write(name, data)
        yield write(f'{name}.yaml', (
            f'source: {{path: {name}, member: m.onnx, '
            f'sha256: {hashlib.sha256(data).hexdigest()}}}')), words
    os.mkfifo(directory / 'pipe.onnx')
    yield write('pipe.yaml', f'source: {{url: "{(directory / "pipe.onnx").as_uri()}", '
                f'sha256: {"a" * 64}}}'), 'not a regular file'
    yield write('host.yaml', f'source: {{url: "http://a..b/m.onnx", sha256: {"a" * 64}}}'), \
        'host name that no server'
    evil = graphs.classifier(graphs.node('evil', 'WriteFile'))
    yield write('writes.pb', evil), 'its operator WriteFile'
    yield write('nodes.onnx', attacks.onnx_nodes(large)), 'more than the 1000000 nodes'
    from onnx import helper, TensorProto
    graph = helper.make_graph(
        [helper.make_node('Identity', ['w'], ['boxes'])], 'g',
        [helper.make_tensor_value_info('x', TensorProto.FLOAT, [1, 3, 100_000, 100_000])],
        [helper.make_tensor_value_info('boxes', TensorProto.FLOAT, [1])],
        [helper.make_tensor('w', TensorProto.FLOAT, [1], [1.0])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=8)
    yield write('large.onnx', model.SerializeToString()), 'more than the 201326592 numbers'


@contextmanager
def control_group(pid: int) -> Iterator[Path | None]:
    """Put a process into a group with a limit of memory, where that is allowed."""
    group = Path(f'/sys/fs/cgroup/memory/ros2_classify_test_{pid}')
    try:
        group.mkdir()
        (group / 'memory.limit_in_bytes').write_text(str(LIMIT))
        (group / 'cgroup.procs').write_text(str(pid))
    except OSError:
        yield None
        return
    try:
        yield group
    finally:
        Path('/sys/fs/cgroup/memory/cgroup.procs').write_text(str(pid))
        group.rmdir()


def test_a_server_survives_all_of_it(
        start: Callable[..., Process], peer: Peer, classifier: Path, tmp_path: Path) -> None:
    # By default, none of these files would even be read.
    server = start('server', {
        'model': classifier, 'image_transport': 'compressed', 'model_changes': 'any'},
        environment={
            'ROS2_CLASSIFY_CACHE': str(tmp_path / 'cache'), 'ROS2_CLASSIFY_OFFLINE': None})
    results = peer.collect(Classification, '/classification')
    camera = Camera(peer, '/image/compressed', msg_type=CompressedImage)
    camera.result(RED, results)
    pid = server.process.pid
    with control_group(pid):
        for data in images():
            camera.send(CompressedImage(format='\x1b[2Jjpeg', data=array('B', data)))
            results.clear()
            assert camera.result(RED, results).results[0].class_id == 'red'
        for path, words in write_models(tmp_path, classifier):
            refused = peer.set_values(model=str(path))
            assert refused and re.search(words, refused[0]), (path.name, refused)
            results.clear()
            assert camera.result(RED, results).results[0].class_id == 'red', path.name
        peer.set_values(model='\x1b]0;x\x07' + 'x' * 1_000_000)
        status = Path(f'/proc/{pid}/status').read_text()
        peak = int(re.search(r'VmHWM:\s+(\d+) kB', status)[1]) * 1024
        assert peak < LIMIT, peak
    assert sum(map(len, server.lines)) < 100_000 and '\x1b' not in server.output.replace(
        '\x1b[0m', '').replace('\x1b[31m', '').replace('\x1b[33m', '')
    server.kill()
