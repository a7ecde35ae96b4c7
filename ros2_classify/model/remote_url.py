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

"""Where a model runs on a remote model server: `grpc://gpu:8001/yolox_nano`."""

from __future__ import annotations

from dataclasses import dataclass, replace
import ipaddress
import re
from typing import Union
from urllib.parse import parse_qsl, urlsplit

from ros2_classify.download.url import host_problem
from ros2_classify.errors import OptionsError

SCHEMES = ('http', 'https', 'grpc', 'grpcs')
_FORM = 'write it like grpc://gpu:8001/yolox_nano'
# Part of paths of HTTP.
_NAME = re.compile(r'[A-Za-z0-9_][A-Za-z0-9._-]{0,199}')
_QUALITY = re.compile('[1-9][0-9]{0,2}')
_VERSION = re.compile('[0-9]{1,18}')
_FLAGS = {'true': True, 'false': False}


@dataclass(frozen=True)
class RemoteUrl:
    """A server of the Open Inference Protocol, and its model."""

    scheme: str
    host: str
    port: int
    model: str = ''  # empty: the descriptor's name
    version: str = ''  # empty: the server's choice
    # None: tried if the server is on this machine
    shared_memory: Union[bool, None] = None
    jpeg: int = 0  # quality of images that the server decodes; 0: tensors

    @classmethod
    def parse(cls, text: str) -> RemoteUrl:
        """Read a URL; OptionsError ends a sentence that has begun with its key."""
        if not isinstance(text, str) or any(char <= ' ' or char > '~' for char in text):
            raise OptionsError(f'is no URL of a model server; {_FORM}')
        try:
            parts = urlsplit(text)
            host, port = parts.hostname or '', parts.port
        except ValueError as error:
            raise OptionsError(f'is no valid URL ({error}); {_FORM}') from None
        if parts.scheme not in SCHEMES:
            raise OptionsError(
                f'begins with {parts.scheme!r}; allowed are {", ".join(SCHEMES)}; {_FORM}')
        if '@' in parts.netloc:
            raise OptionsError(
                'has a user name or a password, which must not be in a file; set '
                'ROS2_CLASSIFY_HTTP_TOKEN in the environment')
        if not host or host_problem(host):
            raise OptionsError(f'{host_problem(host) if host else "has no host"}; {_FORM}')
        if not port:
            raise OptionsError(f'has no port; {_FORM}')
        name = parts.path.strip('/')
        if name and not _NAME.fullmatch(name):
            raise OptionsError(
                f'{name!r} is no name of a model: letters, digits, ".", "_" and "-"; {_FORM}')
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        version, shared = options.pop('version', ''), options.pop('shared_memory', '')
        jpeg = options.pop('jpeg', '')
        if jpeg and not (_QUALITY.fullmatch(jpeg) and int(jpeg) <= 100 and shared != 'true'):
            raise OptionsError(
                'has a wrong ?jpeg: it is the quality from 1 to 100, and shared memory is not '
                'used with it')
        if options or parts.fragment or (version and not _VERSION.fullmatch(version)) or (
                shared and shared not in _FLAGS):
            raise OptionsError(
                'has unknown options; allowed are ?version=NUMBER, ?jpeg=QUALITY, and '
                '?shared_memory=true or false')
        return cls(parts.scheme, host, port, name, version,
                   False if jpeg else _FLAGS.get(shared), int(jpeg or 0))

    def of(self, model: str) -> RemoteUrl:
        """Return the URL of a model; its own if it names one."""
        return replace(self, model=self.model or model)

    @property
    def server(self) -> str:
        """The server without a model, such as ``grpc://gpu:8001``."""
        host = f'[{self.host}]' if ':' in self.host else self.host
        return f'{self.scheme}://{host}:{self.port}'

    @property
    def is_grpc(self) -> bool:
        """Whether gRPC is spoken, and not HTTP."""
        return self.scheme.startswith('grpc')

    @property
    def is_secure(self) -> bool:
        """Whether by TLS."""
        return self.scheme.endswith('s')

    @property
    def origin(self) -> str:
        """The server as the URL under which its tokens are set."""
        return f'http{"s" if self.is_secure else ""}{self.server[len(self.scheme):]}'

    @property
    def is_here(self) -> bool:
        """Whether it names this machine."""
        try:
            return self.host == 'localhost' or ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        """Return it for messages; it holds no secrets."""
        version = f'?version={self.version}' if self.version else ''
        return f'{self.server}/{self.model}{version}' if self.model else self.server
