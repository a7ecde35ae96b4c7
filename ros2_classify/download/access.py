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
Headers and tokens of private servers, from the environment and from nowhere else.

Each is bound to the server it is for, because a catalogue names many servers and only one of them
may read it. A descriptor can't ask for one: it would be asking for anybody's.

``ROS2_CLASSIFY_HTTP_TOKEN='https://models.example.com abc'`` sends ``Authorization: Bearer abc``;
``ROS2_CLASSIFY_HTTP_HEADER='https://models.example.com PRIVATE-TOKEN: abc'`` sends any header.
More of them: any end after an underscore, such as ``ROS2_CLASSIFY_HTTP_TOKEN_2``.
"""

from __future__ import annotations

from collections.abc import Mapping
import os
import re

from ros2_classify.download.url import Origin, origin_of, problem_with
from ros2_classify.errors import FetchError

TOKEN = 'ROS2_CLASSIFY_HTTP_TOKEN'
HEADER = 'ROS2_CLASSIFY_HTTP_HEADER'

_VARIABLE = re.compile(f'({TOKEN}|{HEADER})(_[A-Za-z0-9_]+)?')
# RFC 9110, section 5.6.2 (token) and 5.5 (field values, here without obs-text).
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VALUE = re.compile(r'[\x20-\x7e]+')
# What the download itself needs to set.
_OURS = frozenset({'accept-encoding', 'connection', 'content-length', 'host', 'if-range', 'range',
                   'transfer-encoding'})


def private_headers(url: str, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """
    Return the headers that the environment holds for one address's server.

    Parameters
    ----------
    url : str
        An http or https address.
    environ : mapping of str to str, optional
        The environment; None means the process's own.

    Returns
    -------
    dict of str to str
        Headers by name; empty where there are none for this scheme, host and port.

    Raises
    ------
    FetchError
        If a variable can't be read; the message names it and never its value.

    """
    environ = os.environ if environ is None else environ
    wanted = origin_of(url)
    headers = {}
    for variable in sorted(environ):
        match = _VARIABLE.fullmatch(variable)
        if match and environ[variable].strip():
            origin, name, value = _parse(variable, match[1], environ[variable].strip())
            if origin == wanted:
                headers[name] = value
    return headers


def _parse(variable: str, kind: str, text: str) -> tuple[Origin, str, str]:
    server, _, rest = text.partition(' ')
    if '://' not in server:
        server = f'https://{server}'
    problem = problem_with(server)
    if problem or server.startswith('file:'):
        raise _refused(variable, kind, 'must begin with the server')
    rest = rest.strip()
    if kind == TOKEN:
        name, value = 'Authorization', f'Bearer {rest}' if rest else ''
    else:
        name, _, value = (part.strip() for part in rest.partition(':'))
    if not _NAME.fullmatch(name) or name.lower() in _OURS:
        raise _refused(variable, kind, "has no header's name, or one that is not yours to set,")
    if not _VALUE.fullmatch(value):
        raise _refused(variable, kind, 'has no value, or one with characters no header may hold,')
    return origin_of(server), name, value


def _refused(variable: str, kind: str, problem: str) -> FetchError:
    form = 'https://HOST TOKEN' if kind == TOKEN else 'https://HOST NAME: VALUE'
    return FetchError(f'the environment variable {variable} {problem} after the form {form!r} '
                      '(its value is not shown here); correct it or unset it')
