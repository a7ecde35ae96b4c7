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

"""What servers and networks answer when they don't give a file, in sentences for people."""

from __future__ import annotations

import http.client
import socket
import ssl
import urllib.error

from ros2_classify.download.access import private_headers
from ros2_classify.download.url import origin_of, redact
from ros2_classify.errors import FetchError

_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})


class TemporaryError(Exception):
    """
    An attempt failed, and another one may succeed.

    Parameters
    ----------
    reason : str
        What happened, for people.
    wait : float, optional
        Seconds that the server asked us to wait.

    """

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class RangeRefusedError(TemporaryError):
    """What there is can't be gone on with."""


def refused(error: urllib.error.HTTPError, url: str) -> Exception:
    """Return what to raise for an answer that is no file: a TemporaryError or a FetchError."""
    code, shown = error.code, redact(url)
    if code == 416:
        return RangeRefusedError('the server has no more bytes than there are already')
    if code in _RETRIED:
        return TemporaryError(f'{shown} answered {code} {error.reason}',
                              _seconds(error.headers.get('Retry-After')))
    if code in (401, 403, 407):
        sent = bool(private_headers(url))
        step = ('the token or header in the environment was sent and not accepted' if sent else
                'if it is a private server, set in the environment '
                f"ROS2_CLASSIFY_HTTP_TOKEN='{origin_of(url)} TOKEN'")
        return FetchError(f'{shown} refused access ({code} {error.reason}); {step}')
    if code in (404, 410):
        return FetchError(f'{shown} is not there ({code} {error.reason}); correct the address, or '
                          'take the file from elsewhere and name it by path')
    return FetchError(f'{shown} answered {code} {error.reason}; correct the address')


def _seconds(text: str | None) -> float | None:
    """Return a Retry-After given in seconds; a date is as good as nothing."""
    return float(text) if text and text.strip().isdecimal() and len(text) < 8 else None


def unreachable(error: urllib.error.URLError, url: str) -> Exception:
    """Return what to raise where no answer came: a TemporaryError or a FetchError."""
    reason, host = error.reason, origin_of(url)
    if isinstance(reason, ssl.SSLCertVerificationError):
        return FetchError(
            f'{host} shows a certificate that is not trusted ({reason.verify_message}); look at '
            "the machine's date, and name a private authority's certificates in SSL_CERT_FILE")
    if isinstance(reason, ssl.SSLError):
        return TemporaryError(f'{host} does not speak TLS as expected ({reason.reason})')
    if isinstance(reason, socket.gaierror):
        return TemporaryError(f'the name {host.host} is unknown here ({reason.strerror}); '
                              'is there a network?')
    if isinstance(reason, OSError):
        return TemporaryError(f'{host} cannot be reached ({network_reason(reason)})')
    return FetchError(f'{host} cannot be asked ({reason}); correct the address')


def network_reason(error: Exception) -> str:
    """Return a few words for what ended a connection."""
    if isinstance(error, TimeoutError):
        return 'the server fell silent'
    if isinstance(error, http.client.IncompleteRead):
        return 'the connection was cut off'
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def hint(content_type: str, head: bytes) -> str:
    """
    Say what a wrong file probably is.

    Parameters
    ----------
    content_type : str
        As the server said.
    head : bytes
        The file's first bytes.

    Returns
    -------
    str
        The end of a sentence, or nothing.

    """
    if head.startswith(b'version https://git-lfs.github.com/spec/'):
        return (' (it is the pointer that Git LFS keeps in place of the file: use the address '
                'that serves the file itself)')
    if content_type.startswith('text/html') or head.lstrip()[:14].lower() in (
            b'<!doctype html', b'<html'):
        return ' (it is a web page: a log-in page, or the page about the file)'
    return ''
