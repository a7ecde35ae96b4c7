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
A headless Chromium, driven by the DevTools protocol over two pipes.

The pipes (``--remote-debugging-pipe``) are file descriptors 3 and 4 of Chromium; messages are JSON
objects that end with a zero byte. No port, no websocket, no library.
"""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
import select
import shutil
import subprocess
import tempfile
import time
from typing import Any

import cv2
import numpy as np
import pytest

NAMES = ('chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable')


class Browser:
    """One page of a browser of its own."""

    def __init__(self, width: int = 1400, height: int = 900, dark: bool = False,
                 words: tuple[str, ...] = ()) -> None:
        path = next(filter(None, map(shutil.which, NAMES)), None)
        if path is None:
            pytest.skip(f'no Chromium: none of {", ".join(NAMES)} is on the PATH '
                        '(Debian, Ubuntu: apt install chromium)')
        self._directory = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        to_read, self._to = os.pipe()
        self._from, to_write = os.pipe()
        # Far above 3 and 4, so that moving one does not overwrite another.
        self._process = subprocess.Popen(
            ['bash', '-c', f'exec 3<&{to_read} 4>&{to_write}; exec "$@"', 'bash', path,
             '--headless=new', '--no-sandbox', '--disable-gpu', '--remote-debugging-pipe',
             '--no-first-run', '--hide-scrollbars', '--disable-dev-shm-usage',
             f'--user-data-dir={self._directory.name}', f'--window-size={width},{height}',
             *words, 'about:blank'],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, pass_fds=(to_read, to_write),
            env={**os.environ, 'HOME': self._directory.name})
        os.close(to_read)
        os.close(to_write)
        self._buffer = b''
        self._number = 0
        self._session: str | None = None
        deadline = time.monotonic() + 30
        while True:
            targets = self.call('Target.getTargets')['targetInfos']
            pages = [each for each in targets if each['type'] == 'page']
            if pages or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        self._session = self.call('Target.attachToTarget', targetId=pages[0]['targetId'],
                                  flatten=True)['sessionId']
        self.call('Emulation.setDeviceMetricsOverride', width=width, height=height,
                  deviceScaleFactor=1, mobile=width < 600)
        self.call('Emulation.setEmulatedMedia', features=[
            {'name': 'prefers-color-scheme', 'value': 'dark' if dark else 'light'}])

    def call(self, method: str, **parameters: Any) -> Any:
        """Call a method of the protocol and return its result."""
        self._number += 1
        message: dict[str, Any] = {'id': self._number, 'method': method, 'params': parameters}
        if self._session:
            message['sessionId'] = self._session
        os.write(self._to, json.dumps(message).encode() + b'\0')
        while True:
            found = self._next()
            if found.get('id') == self._number:
                assert 'error' not in found, (method, found['error'])
                return found['result']

    def open(self, url: str) -> None:  # noqa: A003
        """Go to a URL."""
        self.call('Page.navigate', url=url)
        self.wait("location.href != 'about:blank' && document.readyState != 'loading'", url)

    def value(self, expression: str) -> Any:
        """Return the value of a JavaScript expression."""
        done = self.call('Runtime.evaluate', expression=expression, returnByValue=True,
                         awaitPromise=True)
        assert 'exceptionDetails' not in done, done['exceptionDetails']
        return done['result'].get('value')

    def wait(self, expression: str, what: str = '', seconds: float = 30.0) -> Any:
        """Return the value of an expression once it is true."""
        deadline = time.monotonic() + seconds
        while True:
            found = self.value(expression)
            if found:
                return found
            assert time.monotonic() < deadline, f'{what or expression} after {seconds:.0f} s'
            time.sleep(0.05)

    def screenshot(self, path: Path | None = None, whole: bool = False) -> Any:
        """Return what is seen, in BGR."""
        data = base64.b64decode(self.call(
            'Page.captureScreenshot', format='png', captureBeyondViewport=whole)['data'])
        if path is not None:
            path.write_bytes(data)
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)

    def part(self, selector: str) -> Any:
        """Return what is seen of an element, in BGR."""
        x, y, width, height = self.value(
            f'(() => {{ const r = document.querySelector({selector!r}).getBoundingClientRect();'
            'return [r.x, r.y, r.width, r.height]; })()')
        image = self.screenshot()
        return image[max(0, round(y)):round(y + height), max(0, round(x)):round(x + width)]

    def drag(self, name: str, value: float) -> None:
        """Move a slider as a user does."""
        self.value(
            f'(() => {{ const e = document.forms.controls.elements[{name!r}]; e.value = {value};'
            "e.dispatchEvent(new Event('input', {bubbles: true})); return true; })()")

    def stop(self) -> None:
        """Stall it: it takes nothing from its connections."""
        import signal

        for process in _family(self._process.pid):
            os.kill(process, signal.SIGSTOP)

    def close(self) -> None:
        """End it."""
        import signal

        for process in _family(self._process.pid):
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self._process.wait(20)
        os.close(self._to)
        os.close(self._from)
        self._directory.cleanup()

    def _next(self) -> Any:
        deadline = time.monotonic() + 60
        while b'\0' not in self._buffer:
            assert select.select([self._from], [], [], 1.0)[0] or time.monotonic() < deadline, (
                'Chromium says nothing')
            if select.select([self._from], [], [], 0)[0]:
                data = os.read(self._from, 1 << 20)
                assert data, f'Chromium has ended: {self._process.poll()}'
                self._buffer += data
        line, _, self._buffer = self._buffer.partition(b'\0')
        return json.loads(line)


def _family(pid: int) -> list[int]:
    """Return a process and all that descend from it, as /proc has them."""
    children: dict[int, list[int]] = {}
    for path in Path('/proc').glob('[0-9]*/stat'):
        try:
            fields = path.read_text().rpartition(')')[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found, rest = [], [pid]
    while rest:
        found.append(rest.pop())
        rest += children.get(found[-1], [])
    return found
