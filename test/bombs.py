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
"""What a living server is given: each attack of `attacks.py` by the way it comes, and others."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
import hashlib
import os
from pathlib import Path
import shutil

import attacks
import graphs

DESCRIPTOR = 'source: {path: model.onnx}\n'


@dataclass(frozen=True)
class Bomb:
    """
    An attack: the bytes of an image, or a model to set and a pattern of the refusal.

    `words` is empty where the server is to publish a result or an error, whichever is right.
    """

    name: str
    image: bytes = b''
    model: Path | None = None
    words: str = ''


def _archive(name: str, data: bytes, directory: Path) -> Path:
    (directory / f'{name}.archive').write_bytes(data)
    path = directory / f'{name}.yaml'
    path.write_text(f'source: {{path: {name}.archive, member: m.onnx, '
                    f'sha256: {hashlib.sha256(data).hexdigest()}}}')
    return path


def _descriptor(name: str, data: bytes, directory: Path) -> Path:
    path = directory / f'{name}.yaml'
    path.write_bytes(data)
    return path


def _labels(name: str, data: bytes, directory: Path) -> Path:
    (directory / f'{name}.labels').write_bytes(data)
    return _descriptor(name, f'{DESCRIPTOR}labels: {name}.labels'.encode(), directory)


def _model(name: str, data: bytes, directory: Path) -> Path:
    path = directory / f'{name}.onnx'
    path.write_bytes(data)
    return path


def _graph(name: str, data: bytes, directory: Path) -> Path:
    path = directory / f'{name}.pb'
    path.write_bytes(data)
    return path


def _one_input(name: str, data: bytes, directory: Path, length: int = 0) -> Path:
    """Write a few bytes: an input with a side as given, and as many boxes as one of 640."""
    from onnx import helper, TensorProto

    side = length or int(data)
    graph = helper.make_graph(
        [helper.make_node('Identity', ['w'], ['boxes'])], 'g',
        [helper.make_tensor_value_info('x', TensorProto.FLOAT, [1, 3, side, side])],
        [helper.make_tensor_value_info('boxes', TensorProto.FLOAT, [1, 8400, 85])],
        [helper.make_tensor('w', TensorProto.FLOAT, [1, 8400, 85], bytes(4 * 85 * 8400),
                            raw=True)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=8)
    return _model(name, model.SerializeToString(), directory)


def _grids(name: str, data: bytes, directory: Path) -> Path:
    """Write a detector whose input is allowed, and the cells of its grids are not."""
    _one_input(f'{name}_model', data, directory, 8192)
    text = (f'source: {{path: {name}_model.onnx}}\ntask: detection\nlabels: [a]\n'
            'output: {decoder: yolox, strides: [8, 16, 32]}\n')
    return _descriptor(name, text.encode(), directory)


Writer = Callable[[str, bytes, Path], Path]
# By the reader of `attacks.py`: how its input gets to a server, which reads no image files.
WAYS: dict[object, Writer | None] = {
    attacks.read_message: None, attacks.read_image_file: None, attacks.list_archive: _archive,
    attacks.read_descriptor: _descriptor, attacks.read_labels: _labels,
    attacks.read_tensorflow: _graph, attacks.read_model: _model, attacks.model_input: _one_input,
    attacks.cells: _grids}
# What keeps the kernel from ending the process for want of memory, where less is left.
_REFUSED = f'{attacks.LIMIT.pattern}|needs at least'

# Smaller than what they grow up to: headers of 2 GB nobody reaches, and of larger label files only
# the size is read.
_SIZES = {'global pax headers': 100_000, **{
    name: 8 * attacks.MIB - 1000 for name in attacks.ATTACKS if 'label' in name}}


def of_the_table(directory: Path, good: Path, names: Collection[str] = ()) -> Iterator[Bomb]:
    """Yield each attack of the table, or some of them, as large as it grows there."""
    shutil.copy(good, directory / 'model.onnx')
    for name, (make, read, _, last, *_) in {**attacks.ATTACKS, **attacks.HARMLESS}.items():
        if names and name not in names:
            continue
        data = make(_SIZES.get(name, last))
        write = WAYS[read]
        if write is None:
            yield Bomb(name, image=data)
        else:
            path = write(name.replace(' ', '_'), data, directory)
            words = '.' if 'label' in name else _REFUSED
            yield Bomb(name, model=path, words=words)


def beside_the_table(directory: Path, good: Path) -> Iterator[Bomb]:
    """Yield models that must not be loaded for other reasons than their size."""
    shutil.copy(good, directory / 'model.onnx')

    def write(name: str, data: bytes | str) -> Path:
        path = directory / name
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    yield Bomb('long label', model=write(
        'name.yaml', f'{DESCRIPTOR}labels: ["{"x" * 4_000_000}"]'), words='at most|more than')
    yield Bomb('half a character', model=write(
        'half.yaml', f'{DESCRIPTOR}labels: ["\\ud800", b]'), words='half a character')
    if not (directory / 'pipe.onnx').exists():
        os.mkfifo(directory / 'pipe.onnx')
    yield Bomb('a pipe', model=write('pipe.yaml', (
        f'source: {{url: "{(directory / "pipe.onnx").as_uri()}", sha256: {"a" * 64}}}')),
        words='not a regular file')
    yield Bomb('a host', model=write(
        'host.yaml', f'source: {{url: "http://a..b/m.onnx", sha256: {"a" * 64}}}'),
        words='host name that no server')
    yield Bomb('a graph that writes', model=write('writes.pb', graphs.classifier(
        graphs.node('evil', 'WriteFile'))), words='its operator WriteFile')
