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

"""The texts that define messages, as recordings carry them (schema encoding ``ros2msg``)."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
import re

from ament_index_python.packages import get_package_share_directory

_LINE = '=' * 80
_FIELD = re.compile(r'^([A-Za-z]\w*(?:/\w+)?)(?:\[[^]]*\])?\s+\w', re.MULTILINE)
_STAMPS = {'Header': 'std_msgs/Header'}


@lru_cache
def definition(kind: str) -> str:
    """Return the definition of ``package/msg/Name``, followed by those of all that it holds."""
    package, name = kind.split('/msg/')
    text = _read(package, name)
    texts: dict[str, str] = {}
    _collect(package, text, texts)
    return '\n'.join([text, *(f'{_LINE}\nMSG: {each}\n{found}' for each, found in texts.items())])


def _read(package: str, name: str) -> str:
    return Path(get_package_share_directory(package), 'msg', f'{name}.msg').read_text('utf-8')


def _collect(package: str, text: str, texts: dict[str, str]) -> None:
    for kind in _FIELD.findall(text):
        if kind[0].islower() and '/' not in kind:
            continue  # A number or a string.
        kind = kind if '/' in kind else _STAMPS.get(kind, f'{package}/{kind}')
        if kind not in texts:
            texts[kind] = _read(*kind.split('/'))
            _collect(kind.split('/')[0], texts[kind], texts)
