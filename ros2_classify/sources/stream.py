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
Streams from the network: RTSP and HTTP, read by OpenCV with FFmpeg.

Log-ins come from the environment, bound to one server each:
``ROS2_CLASSIFY_STREAM_LOGIN='rtsp://camera.local:554 USER:PASSWORD'``; more of them under names
with an underscore and any text behind. They are never part of a name, a message or a log.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
import os
import time
from urllib.parse import quote, urlsplit, urlunsplit

import cv2

from ros2_classify.sources.base import Frame, IMAGES_RATE, SourceError
from ros2_classify.sources.capture import check_frame_size, retrieve, silent

SCHEMES = ('rtsp', 'rtsps', 'http', 'https')
LOGIN = 'ROS2_CLASSIFY_STREAM_LOGIN'

_DEFAULT_PORTS = {'rtsp': 554, 'rtsps': 322, 'http': 80, 'https': 443}
# Milliseconds until a server that says nothing is given up.
_TIMEOUT_MS = 8000


class Stream:
    """
    A stream; opened once to find errors early.

    One with an end (a video file behind a URL) is not live: it has a length and is read once.
    """

    def __init__(self, url: str, environment: Mapping[str, str] = os.environ) -> None:
        self._url = with_login(url, environment)
        self.name = f'stream {shown(url)}'
        self._capture: cv2.VideoCapture | None = None
        capture = self._open()
        count, rate = capture.get(cv2.CAP_PROP_FRAME_COUNT), capture.get(cv2.CAP_PROP_FPS)
        capture.release()
        self.length = int(count) if 1 < count < 10**8 else None
        self.live = self.length is None
        self.rate = 0.0 if self.live else rate if 0.1 <= rate <= 240 else IMAGES_RATE
        self.longest_pause = 30.0

    def frames(self) -> Iterator[Frame]:
        """Connect and deliver frames until the stream stops."""
        capture = self._capture = self._open()
        number = 0
        try:
            while capture.grab():
                stamp = time.time() if self.live else number / self.rate
                yield Frame(f'{self.name} frame {number}', stamp, partial(retrieve, capture))
                number += 1
        finally:
            self.close()

    def close(self) -> None:
        """Disconnect."""
        if self._capture is not None:
            self._capture.release()
            self._capture = None

    def _open(self) -> cv2.VideoCapture:
        with silent():
            # No other backend: one for numbered images would print the URL with its log-in.
            capture = cv2.VideoCapture(self._url, cv2.CAP_FFMPEG, [
                cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, _TIMEOUT_MS,
                cv2.CAP_PROP_READ_TIMEOUT_MSEC, _TIMEOUT_MS])
            if capture.isOpened():
                check_frame_size(capture, self.name)
                return capture
            capture.release()
        login = '' if '@' in urlsplit(self._url).netloc else (
            f'; if it needs a log-in, set {LOGIN}="{_server(self._url)} USER:PASSWORD"')
        raise SourceError(
            f'{self.name} cannot be opened: check the URL, and whether the server is '
            f'running{login}')


def is_stream(text: str) -> bool:
    """Return whether a text is the URL of a stream."""
    return text.partition('://')[0].lower() in SCHEMES and '://' in text


def shown(url: str) -> str:
    """Return a URL for messages: no user, password, query or fragment."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return 'with an invalid URL'
    host = parts.netloc.rpartition('@')[2]
    return f'{parts.scheme}://{host}{parts.path}{"?…" if parts.query else ""}'


def with_login(url: str, environment: Mapping[str, str]) -> str:
    """Return a URL with the log-in that the environment has for its server."""
    try:
        parts = urlsplit(url)
        server = _server(url)
    except ValueError as error:
        raise SourceError(f'the stream has an invalid URL: {error}') from None
    if not parts.hostname:
        raise SourceError('the URL of the stream has no server; write it like '
                          'rtsp://camera.local/stream')
    if '@' in parts.netloc:
        raise SourceError(
            f'the URL {shown(url)} has a user name or a password, which others could read in the '
            f'list of processes and in parameters; remove them and set {LOGIN}="{server} '
            'USER:PASSWORD" in the environment')
    for name, value in environment.items():
        if name == LOGIN or name.startswith(LOGIN + '_'):
            where, _, login = value.strip().partition(' ')
            user, colon, password = login.strip().partition(':')
            if not colon or not is_stream(where):
                raise SourceError(
                    f'the environment variable {name} is not "URL USER:PASSWORD", such as '
                    f'"{server} USER:PASSWORD"')
            if _server(where) == server:
                safe = f'{quote(user, safe="")}:{quote(password, safe="")}@{parts.netloc}'
                return urlunsplit((parts.scheme, safe, parts.path, parts.query, ''))
    return url


def _server(url: str) -> str:
    """Return ``rtsp://camera.local``, with the port if it isn't the scheme's."""
    parts = urlsplit(url)
    scheme, host = parts.scheme.lower(), (parts.hostname or '').lower()
    port = parts.port or _DEFAULT_PORTS[scheme]
    shown_host = f'[{host}]' if ':' in host else host
    return f'{scheme}://{shown_host}' + ('' if port == _DEFAULT_PORTS[scheme] else f':{port}')
