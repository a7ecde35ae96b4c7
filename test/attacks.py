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
Inputs that multiply, by size, each for one reader; `test_limits.py` runs it.

``python attacks.py NAME DIRECTORY``: grow the input until the reader refuses it, in an address
space of 1 GiB more than what the libraries take, and print what it took as JSON.
"""

from __future__ import annotations

from collections.abc import Callable
import io
import json
from pathlib import Path
import re
import resource
import struct
import sys
import tarfile
import time
from types import SimpleNamespace
import zlib

import numpy as np

MIB = 1 << 20
Maker, Reader = Callable[[int], bytes], Callable[[bytes, Path], None]
ALLOWED = 1 << 30


def chunk(kind: bytes, data: bytes) -> bytes:
    return (struct.pack('>I', len(data)) + kind + data
            + struct.pack('>I', zlib.crc32(kind + data)))


def png(*more: bytes) -> bytes:
    """Return a PNG of 16x16 grey pixels, with more chunks after the header."""
    header = struct.pack('>IIBBBBB', 16, 16, 8, 0, 0, 0, 0)
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + b''.join(more)
            + chunk(b'IDAT', zlib.compress(bytes(17 * 16))) + chunk(b'IEND', b''))


def png_texts(size: int) -> bytes:
    """8 kB each that unpack to 7.9 MB each."""
    text = chunk(b'zTXt', b'key\0\0' + zlib.compress(bytes(7_900_000), 9))
    return png(*[text] * max(1, size // len(text)))


def jpeg_scans(size: int, width: int = 1024, garbage: bool = False) -> bytes:
    """Return a progressive JPEG with scans of ten bytes each."""
    import cv2

    _, data = cv2.imencode('.jpg', np.zeros((width, width, 3), np.uint8),
                           [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])
    data = data.tobytes()
    begin = data.rindex(b'\xff\xda')
    last = (b'\x55' if garbage else b'') + data[begin:-2]
    return data[:-2] + last * (size // len(last)) + data[-2:]


def read_message(data: bytes, directory: Path) -> None:
    from ros2_classify.sources.image_messages import compressed_to_array

    compressed_to_array(SimpleNamespace(data=data, format=''))


def read_image_file(data: bytes, directory: Path) -> None:
    from ros2_classify import read_image

    (directory / 'image').write_bytes(data)
    read_image(directory / 'image')


def pax(size: int) -> bytes:
    """Return a tar archive with global headers of distinct keys, packed."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode='w:gz', format=tarfile.PAX_FORMAT) as tar:
        for number in range(max(1, size // 1000)):
            header = tarfile.TarInfo('h')
            header.type = tarfile.XGLTYPE
            line = f' key{number}={"x" * 900_000}\n'
            length = len(line) + 6
            body = f'{length}{line}'.encode()
            header.size = len(body)
            tar.fileobj.write(header.tobuf(tarfile.USTAR_FORMAT))
            tar.fileobj.write(body + bytes(-len(body) % 512))
            if number % 2 == 0:
                tar.fileobj.write(tarfile.TarInfo(f'f{number}').tobuf(tarfile.USTAR_FORMAT))
            tar.offset = 0
    return target.getvalue()


def zip64(size: int) -> bytes:
    """Return a zip archive whose large directory stands in the zip64 record only."""
    entry = struct.pack('<4s6H3I5H2I', b'PK\1\2', 20, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0,
                        0) + b'a'
    directory = entry * (size // len(entry))
    count = size // len(entry)
    record = struct.pack('<4sQ2H2I4Q', b'PK\6\6', 44, 45, 45, 0, 0, count, count,
                         len(directory), 0)
    locator = struct.pack('<4sIQI', b'PK\6\7', 0, len(directory), 1)
    # kind_of looks at the first bytes; zipfile allows others before the directory.
    return (b'PK\3\4' + directory + record + locator
            + struct.pack('<4s4H2IH', b'PK\5\6', 0, 0, 1, 1, 47, 0, 0))


def list_archive(data: bytes, directory: Path) -> None:
    from ros2_classify.download.archive import list_members

    (directory / 'archive').write_bytes(data)
    list_members(directory / 'archive')


def yaml_lists(size: int) -> bytes:
    return b'a: [' + b'[],' * (size // 3) + b']'


def yaml_base_60(size: int) -> bytes:
    return b'a: 1' + b':1' * (size // 2)


def yaml_hexadecimal(size: int) -> bytes:
    return b'a: 0x' + b'f' * size


def yaml_key(size: int) -> bytes:
    return b'1' + b':1' * (size // 2) + b': a'


def read_descriptor(data: bytes, directory: Path) -> None:
    from ros2_classify import load_descriptor

    (directory / 'model.yaml').write_bytes(data)
    load_descriptor(directory / 'model.yaml')


def label_one(size: int) -> bytes:
    return b'cat\n' + b'x' * size


def label_json(size: int) -> bytes:
    return b'[' + b'[],' * (size // 3) + b'[]]'


def label_python(size: int) -> bytes:
    return b"['a'," + b'(),' * (size // 3) + b']'


def label_yaml(size: int) -> bytes:
    return b'names:\n' + b'- a\n' * (size // 4)


def label_csv(size: int) -> bytes:
    return b'id,name\n0,' + b',' * size


def label_map(size: int) -> bytes:
    return b'item { id: 1 name: "a" }' + b'item{}' * (size // 6)


def read_labels(data: bytes, directory: Path) -> None:
    from ros2_classify import load_labels

    (directory / 'labels.txt').write_bytes(data)
    load_labels(directory / 'labels.txt')


def tensorflow_nodes(size: int) -> bytes:
    """Return a graph of nodes without operators; a name is needed only once."""
    return b'\x0a\x00' * (size // 2)


def tensorflow_functions(size: int) -> bytes:
    import graphs

    return graphs.classifier() + graphs.piece(2, graphs.piece(1, b'\x1a\x00' * (size // 2)))


def read_tensorflow(data: bytes, directory: Path) -> None:
    from ros2_classify.convert.graph import read_frozen_graph

    (directory / 'graph.pb').write_bytes(data)
    read_frozen_graph(directory / 'graph.pb')


def onnx_nodes(size: int) -> bytes:
    import graphs

    return b'\x08\x08' + graphs.piece(7, b'\x0a\x00' * (size // 2))


def onnx_weights(size: int) -> bytes:
    import graphs

    return b'\x08\x08' + graphs.piece(7, b'\x2a\x00' * (size // 2))


def onnx_operators(size: int) -> bytes:
    """Return a graph of nodes with a name of its own for each operator."""
    import graphs

    return b'\x08\x08' + graphs.piece(7, b''.join(
        graphs.piece(1, graphs.piece(4, f'{number:x}')) for number in range(size // 9)))


def read_model(data: bytes, directory: Path) -> None:
    from ros2_classify.engines.onnx_file import read_onnx

    (directory / 'model.onnx').write_bytes(data)
    read_onnx(directory / 'model.onnx')


def side(size: int) -> bytes:
    """Return the side of an input, as text; one that no memory is large enough for."""
    return str(32 * size).encode()


def model_input(data: bytes, directory: Path) -> None:
    """Open 192 bytes: an input, and an output with as many rows as there are cells."""
    from onnx import helper, TensorProto
    from ros2_classify import Pipeline

    length = int(data)
    graph = helper.make_graph(
        [helper.make_node('Identity', ['w'], ['boxes'])], 'g',
        [helper.make_tensor_value_info('images', TensorProto.FLOAT, [1, 3, length, length])],
        [helper.make_tensor_value_info('boxes', TensorProto.FLOAT, [1, 85, 8400])],
        [helper.make_tensor('w', TensorProto.FLOAT, [1, 85, 8400],
                            bytes(4 * 85 * 8400), raw=True)])
    path = directory / 'model.onnx'
    path.write_bytes(helper.make_model(
        graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=8).SerializeToString())
    Pipeline.load(path, provider='cpu', threads=1).close()


def cells(data: bytes, directory: Path) -> None:
    from ros2_classify.decoders.boxes import cells

    cells((int(data), int(data)), (8, 16, 32))


def bag_chunk(size: int) -> bytes:
    """Return a recording with one chunk that unpacks to some MiB of zeros."""
    from lz4.frame import LZ4FrameCompressor

    packer = LZ4FrameCompressor()
    packed = packer.begin() + b''.join(packer.compress(bytes(MIB)) for _ in range(size))
    packed += packer.flush()
    chunk = struct.pack('<QQQII', 0, 1 << 60, size * MIB, 0, 3) + b'lz4'
    chunk += struct.pack('<Q', len(packed)) + packed
    magic = b'\x89MCAP0\r\n'
    return (magic + b'\1' + struct.pack('<QI', 12, 4) + b'ros2' + bytes(4)
            + b'\6' + struct.pack('<Q', len(chunk)) + chunk + b'\x0f' + struct.pack('<QI', 4, 0)
            + b'\2' + struct.pack('<Q', 20) + bytes(20) + magic)


def read_bag(data: bytes, directory: Path) -> None:
    from ros2_classify.sources import open_source

    (directory / 'bag.mcap').write_bytes(data)
    list(open_source(str(directory / 'bag.mcap')).frames())


def voc_elements(size: int) -> bytes:
    return b'<a>' * (size // 3)


def yolo_lists(size: int) -> bytes:
    return b'names: [' + b'[],' * (size // 3) + b']'


def csv_field(size: int) -> bytes:
    return b'image,label\na.png,"' + b'x' * size + b'"\n'


def read_dataset(kind: str, name: str) -> Reader:
    def read(data: bytes, directory: Path) -> None:
        from ros2_classify_evaluation.datasets import open_dataset

        (directory / 'Annotations').mkdir(exist_ok=True)
        (directory / name).write_bytes(data)
        open_dataset(str(directory), kind)

    return read


def camera_values(size: int) -> bytes:
    return b'a: [' + b'0,' * (size // 2) + b']'


def read_camera(data: bytes, directory: Path) -> None:
    from ros2_classify import CameraModel

    (directory / 'camera.yaml').write_bytes(data)
    CameraModel.from_file(directory / 'camera.yaml')


# What a limit says; until then the input grows, even if it is refused for another reason.
LIMIT = re.compile(r'more than the \d+|larger than|too (many|long|deeply)|at most')

# The maker of an input, its reader, the first and the last size, MB and seconds at most.
ATTACKS: dict[str, tuple[Maker, Reader, int, int, int, float]] = {
    'jpeg scans': (jpeg_scans, read_message, 100, 4 * MIB, 250, 10.0),
    'jpeg scans behind garbage': (
        lambda size: jpeg_scans(size, garbage=True), read_message, 100, 4 * MIB, 250, 10.0),
    'jpeg scans in a file': (jpeg_scans, read_image_file, 100, 4 * MIB, 250, 10.0),
    'global pax headers': (pax, list_archive, 1000, 2 * MIB, 50, 10.0),
    'zip64 directory': (zip64, list_archive, 4 * 47, 16 * MIB, 150, 30.0),
    'yaml lists': (yaml_lists, read_descriptor, 3000, 4 * MIB, 500, 60.0),
    'yaml base 60': (yaml_base_60, read_descriptor, 64, 4 * MIB, 150, 10.0),
    'yaml hexadecimal': (yaml_hexadecimal, read_descriptor, 64, 4 * MIB, 150, 10.0),
    'yaml base 60 as a key': (yaml_key, read_descriptor, 64, 4 * MIB, 150, 10.0),
    'one label': (label_one, read_labels, 100, 64 * MIB, 150, 10.0),
    'labels in json': (label_json, read_labels, 300, 64 * MIB, 600, 30.0),
    'labels in python': (label_python, read_labels, 300, 64 * MIB, 800, 60.0),
    'labels in yaml': (label_yaml, read_labels, 400, 64 * MIB, 600, 60.0),
    'labels in csv': (label_csv, read_labels, 100, 64 * MIB, 600, 30.0),
    'labels in a map': (label_map, read_labels, 600, 64 * MIB, 800, 60.0),
    'nodes of a tensorflow graph': (
        tensorflow_nodes, read_tensorflow, 1000, 8 * MIB, 300, 60.0),
    'functions of a tensorflow graph': (
        tensorflow_functions, read_tensorflow, 1000, 8 * MIB, 300, 60.0),
    'nodes of a model': (onnx_nodes, read_model, 1000, 8 * MIB, 150, 60.0),
    'weights of a model': (onnx_weights, read_model, 1000, 8 * MIB, 150, 60.0),
    'operators of a model': (onnx_operators, read_model, 1000, 32 * MIB, 150, 60.0),
    'input of a model': (side, model_input, 20, 100_000, 150, 30.0),
    'grids of cells': (side, cells, 2, 100_000, 200, 10.0),
}
# Of files that no server reads: recordings, datasets, calibrations.
ELSEWHERE: dict[str, tuple[Maker, Reader, int, int, int, float]] = {
    'chunk of a bag': (bag_chunk, read_bag, 80, 320, 800, 120.0),
    'elements of voc': (voc_elements, read_dataset('voc', 'Annotations/a.xml'), 30, MIB, 50, 10.0),
    'lists of yolo': (yolo_lists, read_dataset('yolo', 'data.yaml'), 150_000, 4 * MIB, 500, 120.0),
    'field of a table': (csv_field, read_dataset('csv', 'a.csv'), 1000, 4 * MIB, 50, 10.0),
    'values of a camera': (camera_values, read_camera, 150_000, 4 * MIB, 500, 60.0),
}
# Read with success at every size: what multiplies does not reach the decoder.
HARMLESS: dict[str, tuple[Maker, Reader, int, int, int, float]] = {
    'png texts': (png_texts, read_message, 10_000, 8 * MIB, 100, 10.0),
    'png texts in a file': (png_texts, read_image_file, 10_000, 8 * MIB, 100, 10.0),
}


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def warm_up(read: Reader, directory: Path) -> None:
    """Load the libraries, which count for the baseline."""
    import cv2
    from google.protobuf import text_format  # noqa: F401
    from ros2_classify import load_labels, Pipeline, read_image  # noqa: F401
    import ros2_classify.decoders  # noqa: F401
    import ros2_classify.download.archive  # noqa: F401
    import ros2_classify.ros.messages.image  # noqa: F401
    from ros2_classify.testing import save_color_classifier

    cv2.setNumThreads(1)
    read_message(png(), directory)
    if read is model_input:
        Pipeline.load(save_color_classifier(directory / 'first.onnx'), provider='cpu',
                      threads=1).close()


def main(name: str, directory: Path) -> dict[str, object]:
    from ros2_classify.errors import Ros2ClassifyError

    make, read, first, last, _, _ = {**ATTACKS, **ELSEWHERE, **HARMLESS}[name]
    warm_up(read, directory)
    used = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()
    size, taken, slowest, refusal = first, 0, 0.0, ''
    while size <= last and not LIMIT.search(refusal):
        refusal = ''
        data = make(size)
        before = peak()
        resource.setrlimit(resource.RLIMIT_AS, (used + len(data) + ALLOWED, -1))
        began = time.monotonic()
        try:
            read(data, directory)
        except Ros2ClassifyError as error:
            refusal = f'{type(error).__name__}: {error}'
        slowest = max(slowest, time.monotonic() - began)
        resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
        taken = max(taken, peak() - before)
        size = last if size < last < 4 * size else 4 * size
    return {'size': len(data), 'refusal': refusal[:2000], 'length': len(refusal),
            'mb': taken // 10**6, 'seconds': round(slowest, 2)}


if __name__ == '__main__':
    print(json.dumps(main(sys.argv[1], Path(sys.argv[2]))))
