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

from ros2_classify.errors import OptionsError


def host_and_port(text: str) -> tuple[str, int]:
    """Return host and port of ``127.0.0.1:8080``, ``[::1]:8080`` or ``:8080`` (local)."""
    host, colon, port = text.strip().rpartition(':')
    if not colon or not port.isdecimal() or int(port) > 65535 or (
            ':' in host and not host.startswith('[')):
        raise OptionsError(
            f'{text!r} must be host and port, such as 127.0.0.1:8080')
    return host.strip('[]') or '127.0.0.1', int(port)
