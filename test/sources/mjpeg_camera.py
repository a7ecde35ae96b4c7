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

"""An HTTP server of motion JPEG that a test cuts off and starts again."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import threading
import time

import cv2
import numpy as np


class Camera:
    """Serves grey images, one level brighter each time; `stop` ends all connections."""

    def __init__(self, login: str = '', rate: float = 40.0, port: int = 0) -> None:
        self._stopped = stopped = threading.Event()

        class Handler(BaseHTTPRequestHandler):

            def do_GET(self) -> None:  # noqa: N802 - the library's name
                expected = 'Basic ' + base64.b64encode(login.encode()).decode()
                if login and self.headers.get('Authorization') != expected:
                    self.send_response(401)
                    self.send_header('WWW-Authenticate', 'Basic realm="camera"')
                    self.end_headers()
                    return
                self.send_response(200)
                self.send_header('Content-Type', 'multipart/x-mixed-replace; boundary=frame')
                self.end_headers()
                value = 0
                try:
                    while not stopped.is_set():
                        value = value % 250 + 1
                        image = np.full((48, 64, 3), value, np.uint8)
                        data = cv2.imencode('.jpg', image)[1].tobytes()
                        self.wfile.write(
                            b'--frame\r\nContent-Type: image/jpeg\r\nContent-Length: '
                            + str(len(data)).encode() + b'\r\n\r\n' + data + b'\r\n')
                        time.sleep(1 / rate)
                except OSError:
                    pass

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(('127.0.0.1', port), Handler)
        self.port = self._server.server_address[1]
        self.url = f'http://127.0.0.1:{self.port}/video'
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """End the server and its connections."""
        self._stopped.set()
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def camera(**options: object) -> Iterator[Camera]:
    """Serve a camera for the length of a block."""
    served = Camera(**options)
    try:
        yield served
    finally:
        served.stop()
