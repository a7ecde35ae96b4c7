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

"""A fake model server: real sockets and HTTP, no model; its faults are a test's to choose."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
import json
import mmap
import os
import ssl
import threading
import time
from typing import Any

import numpy as np
from PIL import Image

DTYPES = {'FP32': np.float32, 'UINT8': np.uint8, 'INT64': np.int64, 'FP16': np.float16}


def means(inputs: dict[str, Any]) -> dict[str, Any]:
    """Return the mean of each channel of each image, as ``testing.save_color_classifier`` does."""
    return {'scores': inputs['image'].mean(axis=(2, 3), dtype=np.float32)}


def decoded(data: bytes) -> Any:
    """Return the RGB images, of one size, in elements of the datatype BYTES."""
    images, place = [], 0
    while place < len(data):
        size = int.from_bytes(data[place:place + 4], 'little')
        with Image.open(BytesIO(data[place + 4:place + 4 + size])) as image:
            assert image.format == 'JPEG'
            images.append(np.asarray(image.convert('RGB')))
        place += 4 + size
    return np.stack(images)


class FakeServer:
    """Serves a function; attributes are read at each request."""

    def __init__(self, model: Callable[[dict[str, Any]], dict[str, Any]] = means) -> None:
        self.model = model
        self.name = 'colors'
        self.inputs = [{'name': 'image', 'datatype': 'FP32', 'shape': [1, 3, 8, 8]}]
        self.outputs = [{'name': 'scores', 'datatype': 'FP32', 'shape': [1, 3]}]
        self.version = '1'
        self.max_batch = 0
        self.shares = True  # knows shared memory
        self.regions: dict[str, mmap.mmap] = {}
        self.token = ''
        self.status: tuple[int, str] | None = None  # replied to each inference
        self.reply: bytes | None = None  # in place of outputs: JSON text, its header
        self.raw = b''  # sent in place of a whole response
        self.closes = False  # the connection, before each reply to an inference
        self.keeps = True  # connections alive
        self.dribbles = False  # a byte of a header every now and then
        self.frozen = threading.Event()
        self.thawed = threading.Event()
        self.calls: list[dict[str, Any]] = []  # JSON of each inference
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.sent: list[bytes] = []  # each input of the datatype BYTES
        self.late: list[str] = []  # regions that were written after the client gave up

    def about(self) -> dict[str, Any]:
        """Return the model's metadata."""
        return {'name': self.name, 'versions': [self.version], 'platform': 'fake',
                'inputs': self.inputs, 'outputs': self.outputs}

    def open_region(self, key: str, size: int) -> mmap.mmap:
        """Open what a client registers."""
        number = os.open(f'/dev/shm{key}', os.O_RDWR)  # noqa: S108
        try:
            return mmap.mmap(number, size)
        finally:
            os.close(number)

    def infer(self, text: dict[str, Any], binary: bytes) -> tuple[dict[str, Any], bytes]:
        """Run the model on a request."""
        arrays, place, opened = {}, 0, {}
        for row in [*text['inputs'], *text['outputs']]:
            if 'shared_memory_region' in row['parameters']:
                name = row['parameters']['shared_memory_region']
                opened[name] = self.regions[name]
        for row in text['inputs']:
            about = row['parameters']
            if 'shared_memory_region' in about:
                data = opened[about['shared_memory_region']][
                    about['shared_memory_offset']:][:about['shared_memory_byte_size']]
            else:
                data = binary[place:place + about['binary_data_size']]
                place += about['binary_data_size']
            if row['datatype'] == 'BYTES':
                self.sent.append(data)
                arrays[row['name']] = decoded(data).reshape(*row['shape'][:1], *(
                    decoded(data).shape[1:]))
                continue
            arrays[row['name']] = np.frombuffer(data, DTYPES[row['datatype']]).reshape(
                row['shape'])
        if self.frozen.is_set():
            self.thawed.wait(10.0)
            self.late += opened
        outputs, rows, rest = self.model(arrays), [], b''
        names = {np.dtype(dtype): name for name, dtype in DTYPES.items()}
        for row in text['outputs']:
            array, about = outputs[row['name']], row['parameters']
            reply = {'name': row['name'], 'datatype': names[array.dtype],
                     'shape': list(array.shape)}
            if 'shared_memory_region' in about:
                start = about['shared_memory_offset']
                opened[about['shared_memory_region']][start:start + array.nbytes] = (
                    array.tobytes())
            else:
                reply['parameters'] = {'binary_data_size': array.nbytes}
                rest += array.tobytes()
            rows.append(reply)
        return {'model_name': self.name, 'model_version': self.version, 'outputs': rows}, rest


@contextmanager
def serving(fake: FakeServer | None = None, port: int = 0,
            context: ssl.SSLContext | None = None) -> Iterator[tuple[FakeServer, str]]:
    """Serve; yield the fake and its URL without a model."""
    fake = fake or FakeServer()
    sockets: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = 'HTTP/1.1'

        def log_message(self, *args: Any) -> None:
            pass

        def setup(self) -> None:
            super().setup()
            sockets.append(self.connection)

        def do_GET(self) -> None:
            self._handle()

        do_POST = do_GET

        def _send(self, status: int, body: bytes, **headers: Any) -> None:
            if fake.dribbles:
                self.wfile.write(b'HTTP/1.1 200 OK\r\n')
                for _ in range(100):
                    self.wfile.write(b'x')
                    self.wfile.flush()
                    time.sleep(0.05)
            self.send_response(status)
            self.send_header('Content-Length', str(len(body)))
            for name, text in headers.items():
                self.send_header(name.replace('_', '-'), str(text))
            if not fake.keeps:
                self.send_header('Connection', 'close')
            self.end_headers()
            self.wfile.write(body)

        def _error(self, status: int, text: str) -> None:
            self._send(status, json.dumps({'error': text}).encode())

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get('Content-Length', 0)))
            fake.headers.append(dict(self.headers))
            fake.paths.append(self.path)
            if fake.token and self.headers.get('Authorization') != f'Bearer {fake.token}':
                return self._error(401, 'no')
            model = f'/v2/models/{fake.name}'
            parts = self.path.split('/')
            if self.path == '/v2':
                return self._send(200, b'{"name": "fake", "version": "1"}')
            if '/systemsharedmemory/' in self.path:
                if not fake.shares:
                    return self._error(404, 'Not Found')
                about = json.loads(body)
                if parts[-1] == 'register':
                    fake.regions[parts[-2]] = fake.open_region(about['key'], about['byte_size'])
                else:
                    fake.regions.pop(parts[-2], None)
                return self._send(200, b'')
            if self.path == f'{model}/config':
                return self._send(200, json.dumps({'max_batch_size': fake.max_batch}).encode())
            if not self.path.startswith(model):
                return self._error(404, f"Request for unknown model: '{parts[3]}' is not found")
            if not self.path.endswith('/infer'):
                if fake.frozen.is_set():
                    fake.thawed.wait(10.0)
                return self._send(200, json.dumps(fake.about()).encode())
            size = int(self.headers['Inference-Header-Content-Length'])
            text = json.loads(body[:size])
            fake.calls.append(text)
            if fake.closes:
                self.close_connection = True
                return None
            if fake.raw:
                self.wfile.write(fake.raw)
                self.close_connection = True
                return None
            if fake.status is not None:
                return self._error(*fake.status)
            if fake.reply is not None:
                return self._send(200, fake.reply, Inference_Header_Content_Length=len(
                    fake.reply.split(b'|')[0]))
            try:
                about, rest = fake.infer(text, body[size:])
            except KeyError as error:
                return self._error(
                    400, f'Unable to find shared memory region: {error}')
            head = json.dumps(about).encode()
            try:
                self._send(200, head + rest, Inference_Header_Content_Length=len(head))
            except OSError:
                pass
            return None

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass

    server = Server(('127.0.0.1', port), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    scheme = 'http' if context is None else 'https'
    try:
        yield fake, f'{scheme}://127.0.0.1:{server.server_address[1]}'
    finally:
        fake.thawed.set()
        server.shutdown()
        server.server_close()
        for each in sockets:
            try:
                each.shutdown(2)
            except OSError:
                pass
