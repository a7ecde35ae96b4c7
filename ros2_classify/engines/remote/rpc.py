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

"""The protocol over gRPC; needs the package ``grpcio``."""

from __future__ import annotations

from importlib import import_module
import os
from pathlib import Path
import re
import threading
from typing import Any, NamedTuple

from ros2_classify.download.http import private_headers
from ros2_classify.engines.base import Tensors
from ros2_classify.engines.remote import messages
from ros2_classify.engines.remote.problems import BrokenError, NoRegionError, or_tls, problem
from ros2_classify.engines.remote.protocol import (
    Deadline, ModelFacts, refusal, Request, shown)
from ros2_classify.engines.remote.shared_memory import Block
from ros2_classify.engines.remote.tls import is_about_tls, untrusted
from ros2_classify.errors import EngineError, RemoteError
from ros2_classify.model.remote_url import RemoteUrl
from ros2_classify.protobuf import header

_SERVICE = '/inference.GRPCInferenceService'
_OPTIONS = (
    # Messages are as large as tensors; a response is in memory before it can be looked at.
    ('grpc.max_send_message_length', -1), ('grpc.max_receive_message_length', 1 << 30),
    # Each connection is one of its own, and what broke is known here.
    ('grpc.use_local_subchannel_pool', 1), ('grpc.enable_retries', 0),
    ('grpc.enable_http_proxy', 0))
_CLOSED_AFTER = 1.0


class _Prepared(NamedTuple):
    head: bytes  # the same for each request
    tensors: list[Any]  # field headers and arrays that follow it
    output_block: Block | None


def import_grpc() -> Any:
    """Return the package, or say how to get it."""
    try:
        return import_module('grpc')
    except ImportError as error:
        raise EngineError(
            'a model server with grpc:// needs the package grpcio: pip install grpcio, or apt '
            'install python3-grpcio; http:// needs no package'
        ) from error


class GrpcConnection:
    """See `ros2_classify.engines.remote.protocol.Connection`."""

    def __init__(self, url: RemoteUrl, deadline: Deadline) -> None:
        self._grpc = grpc = import_grpc()
        self._url = url
        host = f'[{url.host}]' if ':' in url.host else url.host
        target = f'{host}:{url.port}'
        self._channel = grpc.secure_channel(target, grpc.ssl_channel_credentials(
            _authorities()), _OPTIONS) if url.is_secure else grpc.insecure_channel(
                target, _OPTIONS)
        self._headers = tuple((name.lower(), value)
                              for name, value in private_headers(url.origin).items())
        self._was_ready = False
        self._ended = False
        # A channel connects again by itself: another server may be there then.
        self._channel.subscribe(self._note_state)

    def _note_state(self, state: Any) -> None:
        if state is self._grpc.ChannelConnectivity.READY:
            self._was_ready = True
        elif self._was_ready:
            self._ended = True

    @property
    def is_usable(self) -> bool:
        """Whether it is still the connection that was opened."""
        return not self._ended

    def metadata(self, deadline: Deadline) -> ModelFacts:
        """Ask what the model takes and gives."""
        data = self._call('ModelMetadata', messages.model_request(
            self._url.model, self._url.version), deadline)
        try:
            return messages.read_metadata(data)
        except ValueError as error:
            raise self._strange('metadata', error) from error

    def server(self, deadline: Deadline) -> str:
        """Ask for the server's name and version."""
        try:
            return shown(messages.read_server(self._call('ServerMetadata', b'', deadline)))
        except (ValueError, RemoteError):
            return 'unknown'

    def max_batch(self, deadline: Deadline) -> int | None:
        """Ask how many images the model takes at once; None if the server does not tell."""
        try:
            return messages.read_max_batch(self._call('ModelConfig', messages.model_request(
                self._url.model, self._url.version), deadline)) or None
        except (ValueError, RemoteError):
            return None

    def prepare(self, request: Request) -> _Prepared:
        """Return what every inference of a request sends."""
        tensors: list[Any] = []
        if request.input_block is None:
            for array in request.inputs.values():
                tensors += [header(7, array.nbytes), array]
        return _Prepared(messages.infer_request(self._url.model, self._url.version, request),
                         tensors, request.output_block)

    def infer(self, prepared: _Prepared, into: Tensors, deadline: Deadline,
              ) -> tuple[Tensors, str]:
        """Run the model."""
        # grpcio takes bytes only.
        data = self._call('ModelInfer', b''.join([prepared.head, *prepared.tensors]), deadline)
        try:
            return messages.read_outputs(data, prepared.output_block, into)
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise self._strange('outputs', error) from error

    def register(self, block: Block, deadline: Deadline) -> None:
        """Let the server open a block of shared memory."""
        self._region('Register', messages.register_request(block), deadline)

    def unregister(self, block: Block, deadline: Deadline) -> None:
        """Let the server close it."""
        self._region('Unregister', messages.unregister_request(block), deadline)

    def _region(self, what: str, data: bytes, deadline: Deadline) -> None:
        try:
            self._call(f'SystemSharedMemory{what}', data, deadline)
        except RemoteError as error:
            if error.kind in ('slow', 'unauthorized'):
                raise
            raise NoRegionError(str(error)) from error

    def close(self) -> None:
        """End it."""
        self._ended = True
        self._channel.unsubscribe(self._note_state)
        # Its thread looks every 0.2 s whether it is still wanted, and raises in a closed channel.
        timer = threading.Timer(_CLOSED_AFTER, self._channel.close)
        timer.daemon = True
        timer.start()

    def _call(self, method: str, data: bytes, deadline: Deadline) -> memoryview:
        grpc = self._grpc
        try:
            reply = self._channel.unary_unary(f'{_SERVICE}/{method}')(
                data, timeout=deadline.left(), metadata=self._headers)
        except grpc.RpcError as error:
            raise self._failure(error.code(), str(error.details() or ''), deadline) from None
        except ValueError as error:  # it was closed meanwhile
            raise BrokenError(shown(error)) from error
        self._was_ready = True
        return memoryview(reply)

    def _failure(self, code: Any, said: str, deadline: Deadline) -> Exception:
        """Return the error of a status."""
        codes = self._grpc.StatusCode
        if code is codes.DEADLINE_EXCEEDED:
            return deadline.passed()
        if code in (codes.UNAUTHENTICATED, codes.PERMISSION_DENIED):
            return problem('unauthorized', url=self._url, reason=code.name.lower(),
                           origin=self._url.origin)
        found = refusal(self._url, said or code.name)
        # The second is of a port where something else listens.
        if code is codes.UNAVAILABLE and (not (
                isinstance(found, RemoteError) and found.kind == 'wrong_model')
                or said.startswith('failed to connect')):
            if self._was_ready:
                return BrokenError(shown(said))
            if self._url.is_secure and is_about_tls(said):
                return untrusted(self._url, shown(said))
            return problem('refused', url=self._url, reason=self._cause(said))
        if code is codes.NOT_FOUND and isinstance(found, RemoteError):
            return problem('wrong_model', url=self._url, reason=shown(said))
        return found

    def _cause(self, said: str) -> str:
        """Return the cause at the end of a message of gRPC, and what else the port may be of."""
        cause = re.sub(r' \(\d+\)$', '', shown(said).rpartition(': ')[2] or 'unavailable')
        if 'HTTP/2' in said:
            scheme = self._url.scheme.replace('grpc', 'http')
            return f'no gRPC is spoken at this port ({cause}): write {scheme}:// if it speaks HTTP'
        return cause + or_tls(self._url) if any(
            words in said for words in ('reset by peer', 'Socket closed')) else cause

    def _strange(self, what: str, reason: object) -> RemoteError:
        return problem('failed', url=self._url,
                       reason=f'its {what} cannot be read: {shown(reason)}')


def _authorities() -> bytes | None:
    """Return the certificates of SSL_CERT_FILE, as for HTTP; None means those of gRPC."""
    path = os.environ.get('SSL_CERT_FILE', '')
    if not path:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise EngineError(f'SSL_CERT_FILE: {path} cannot be read: {error.strerror}') from error
