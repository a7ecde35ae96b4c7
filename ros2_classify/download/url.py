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

"""What an address may look like, what it is called in a message, and which server it names."""

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
        """Return ``https://host`` with the port where it isn't the usual one."""
        host = f'[{self.host}]' if ':' in self.host else self.host
        usual = _DEFAULT_PORTS.get(self.scheme) == self.port
        return f'{self.scheme}://{host}{"" if usual else f":{self.port}"}'


def is_url(text: str) -> bool:
    """Tell whether a text is an address and not a path or a name."""
    return _URL.match(text) is not None


def is_sha256(text: str) -> bool:
    """Tell whether a text is a sha256 as we write it: 64 lower-case hexadecimal digits."""
    return _SHA256.fullmatch(text) is not None


def problem_with(url: str) -> str | None:
    """
    Say what is wrong with an address.

    Parameters
    ----------
    url : str
        The address.

    Returns
    -------
    str or None
        A sentence's end such as "has no host", which never repeats a password; None where the
        address is fine.

    """
    if any(char <= ' ' or char > '~' for char in url):
        return 'holds a blank or a character beyond ASCII; write it percent-encoded, like %20'
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        return f'is no address ({error})'
    if parts.scheme not in SCHEMES:
        return f'begins with {parts.scheme!r}; allowed are {", ".join(SCHEMES)}'
    if '@' in parts.netloc:
        return ('holds a user name or a password, which belong into no file: remove them and set '
                'ROS2_CLASSIFY_HTTP_TOKEN or ROS2_CLASSIFY_HTTP_HEADER in the environment')
    if parts.scheme == 'file':
        if parts.netloc not in ('', 'localhost') or not parts.path.startswith('/'):
            return 'must name an absolute path, like file:///home/me/model.onnx'
        return None
    if not parts.hostname:
        return 'names no server; write it like https://example.com/model.onnx'
    if port == 0:
        return 'has the port 0'
    return None


def origin_of(url: str) -> Origin:
    """Return the server of an http or https address without problems."""
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    return Origin(scheme, (parts.hostname or '').lower(), parts.port or _DEFAULT_PORTS[scheme])


def redact(url: str) -> str:
    """
    Return an address for people to read.

    What may be secret is left out: a user and password, and the query and fragment, in which
    servers put signatures and users put tokens.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return 'an address that cannot be read'
    host = parts.netloc.rpartition('@')[2]
    return f'{parts.scheme}://{host}{parts.path}{"?…" if parts.query else ""}'


def file_name(url: str) -> str:
    """Return the last part of an address's path as a harmless file name, or ``'file'``."""
    last = unquote(urlsplit(url).path.rstrip('/').rpartition('/')[2])
    return safe_name(last)


def safe_name(name: str) -> str:
    """Return a name with nothing in it but letters, digits and ``._+-``, not hidden, not long."""
    return re.sub(r'[^A-Za-z0-9._+-]+', '_', name).lstrip('.')[-120:] or 'file'


def local_path(url: str) -> Path:
    """Return the path that a file address names."""
    # Imported where it is used: it brings all of HTTP and TLS.
    from urllib.request import url2pathname

    return Path(url2pathname(urlsplit(url).path))


def split_facts(url: str) -> tuple[str, str | None, str | None]:
    """
    Take off what follows an address: ``https://host/all.tar.gz#sha256=…&member=all/m.onnx``.

    Parameters
    ----------
    url : str
        The address as a person gave it.

    Returns
    -------
    address : str
        Without its fragment.
    sha256 : str or None
        The hash in lower case, where there is one; what it is worth is for `is_sha256` to say.
    member : str or None
        What to take from an archive.

    """
    address, _, fragment = url.partition('#')
    facts = dict(part.partition('=')[::2] for part in fragment.split('&'))
    sha256, member = facts.get('sha256'), unquote(facts.get('member', ''))
    return address, None if sha256 is None else sha256.lower(), member or None


SUFFIXES = ('.tar.gz', '.tgz', '.tar.bz2', '.tar.xz', '.tar', '.zip')


def is_archive_name(name: str) -> bool:
    """Tell whether a file's name says that it is an archive."""
    return name.lower().endswith(SUFFIXES)
