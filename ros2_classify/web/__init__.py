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

"""A page in the browser that shows images with their results, live."""

from __future__ import annotations

import re

from ros2_classify.errors import OptionsError


def host_and_port(text: str) -> tuple[str, int]:
    """Return host and port of ``127.0.0.1:8080`` or ``[::1]:8080``; of ``8080``, local."""
    host, _, port = text.strip().rpartition(':')
    if not port.isdecimal() or int(port) > 65535 or not re.fullmatch(r'\[.+\]|[^:/\s]*', host):
        raise OptionsError(
            f'web is {text!r} but must be host and port, such as 127.0.0.1:8080, or a port alone '
            f'for this machine only, such as 8080{_meant(text.strip())}')
    return host.strip('[]') or '127.0.0.1', int(port)


def _meant(text: str) -> str:
    """Return how a place that was typed is written."""
    if found := re.fullmatch(r'https?://([^/\s]+)(/.*)?', text):
        place = found[1] if re.search(r':\d+$', found[1]) else f'{found[1]}:8080'
        return f'; write {place}'
    if found := re.fullmatch(r'(?:.*:)?(-?\d+)', text.partition('::')[0]):
        return f': the port {found[1]} is not from 0 (a free one) to 65535'
    if re.fullmatch(r'[0-9a-fA-F]*::[0-9a-fA-F:]*', text):
        return f'; write [{text}]:8080'
    if text.lower() != 'true' and re.fullmatch(
            r'[A-Za-z][\w.-]*|\d+(\.\d+){3}|\[.+\]', text):
        return f'; write {text}:8080'
    return ''
