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

"""URLs: checks, servers, and how messages show them."""

from __future__ import annotations

from pathlib import Path
import re
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

SCHEMES = ('https', 'http', 'file')

_URL = re.compile(r'[A-Za-z][A-Za-z0-9+.-]*://')
_SHA256 = re.compile(r'[0-9a-f]{64}')
_DEFAULT_PORTS = {'https': 443, 'http': 80}


class Origin(NamedTuple):
    """A server: what RFC 6454 calls an origin."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        """Return ``https://host``, with the port if it isn't the default."""
        host = f'[{self.host}]' if ':' in self.host else self.host
        usual = _DEFAULT_PORTS.get(self.scheme) == self.port
        return f'{self.scheme}://{host}{"" if usual else f":{self.port}"}'


def is_url(text: str) -> bool:
    """Return whether a text is a URL and not a path or a name."""
    return _URL.match(text) is not None


def is_sha256(text: str) -> bool:
    """Return whether a text is 64 lower-case hexadecimal digits."""
    return _SHA256.fullmatch(text) is not None


def problem_with(url: str) -> str | None:
    """Return what is wrong with a URL, to end a sentence with, without secrets; or None."""
    if any(char <= ' ' or char > '~' for char in url):
        return 'has a blank or a non-ASCII character; percent-encode it, like %20'
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        return f'is not a valid URL ({error})'
    if parts.scheme not in SCHEMES:
        return f'begins with {parts.scheme!r}; allowed are {", ".join(SCHEMES)}'
    if '@' in parts.netloc:
        return ('has a user name or a password, which must not be in a file; remove them and set '
                'ROS2_CLASSIFY_HTTP_TOKEN or ROS2_CLASSIFY_HTTP_HEADER in the environment')
    if parts.scheme == 'file':
        if parts.netloc not in ('', 'localhost') or not parts.path.startswith('/'):
            return 'must have an absolute path, like file:///home/me/model.onnx'
        return None
    if not parts.hostname:
        return 'has no server; write it like https://example.com/model.onnx'
    if problem := host_problem(parts.hostname):
        return problem
    if port == 0:
        return 'has port 0; give a valid port'
    return None


def host_problem(host: str) -> str:
    """Return what is wrong with a host's name, to end a sentence with (RFC 1035, 2.3.4)."""
    parts = host.removesuffix('.').split('.')
    if ':' not in host and (len(host) > 254 or not all(0 < len(part) < 64 for part in parts)):
        return ('has a host name that no server can have: its parts have 1 to 63 letters, all '
                'together up to 253')
    return ''


def origin_of(url: str) -> Origin:
    """Return the server of a valid http or https URL."""
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    return Origin(scheme, (parts.hostname or '').lower(), parts.port or _DEFAULT_PORTS[scheme])


def redact(url: str) -> str:
    """Return a URL for messages, without what may be secret: user, password, query, fragment."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return 'an invalid URL'
    host = parts.netloc.rpartition('@')[2]
    return f'{parts.scheme}://{host}{parts.path}{"?…" if parts.query else ""}'


def file_name(url: str) -> str:
    """Return the last part of a URL's path as a safe file name, or ``'file'``."""
    last = unquote(urlsplit(url).path.rstrip('/').rpartition('/')[2])
    return safe_name(last)


def safe_name(name: str) -> str:
    """Return a name of letters, digits and ``._+-`` only, not hidden, not long."""
    return re.sub(r'[^A-Za-z0-9._+-]+', '_', name).lstrip('.')[-120:] or 'file'


def local_path(url: str) -> Path:
    """Return the path of a file: URL."""
    # Imported here because it brings all of HTTP and TLS.
    from urllib.request import url2pathname

    return Path(url2pathname(urlsplit(url).path))


def split_facts(url: str) -> tuple[str, str | None, str | None]:
    """Split ``https://host/all.tar.gz#sha256=…&member=all/m.onnx`` into URL, sha256, member."""
    base, _, fragment = url.partition('#')
    facts = dict(part.partition('=')[::2] for part in fragment.split('&'))
    sha256, member = facts.get('sha256'), unquote(facts.get('member', ''))
    return base, None if sha256 is None else sha256.lower(), member or None


SUFFIXES = ('.tar.gz', '.tgz', '.tar.bz2', '.tar.xz', '.tar', '.zip')


def is_archive_name(name: str) -> bool:
    """Return whether a file name is that of an archive."""
    return name.lower().endswith(SUFFIXES)
