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

"""The protocol over HTTP/1.1, tensors as bytes (Triton's extension for binary tensors)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
import http.client
import io
import json
import re
import select
import socket
import ssl
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from ros2_classify.download.http import private_headers
from ros2_classify.engines.base import Tensors
from ros2_classify.engines.remote.problems import BrokenError, NoRegionError, problem
from ros2_classify.engines.remote.protocol import (
    Deadline, facts_of, memory_for, ModelFacts, refusal, Request, shown, size_of, spec_of)
from ros2_classify.engines.remote.shared_memory import Block
from ros2_classify.engines.remote.tls import untrusted
from ros2_classify.errors import RemoteError
from ros2_classify.model.remote_url import RemoteUrl

# Bytes of JSON; that of a large model has some thousand.
_MOST_TEXT = 1 << 22
_MOST_LINE, _MOST_HEADERS = 1 << 16, 100
_STATUS = re.compile(rb'HTTP/1\.([01]) ([1-5][0-9]{2})[ \r\n]')
_LENGTH = 'Inference-Header-Content-Length'


class _Prepared(NamedTuple):
    head: bytes  # the same for each request
    tensors: Sequence[NDArray[Any]]  # what follows it
    output_block: Block | None


class _Reader(io.RawIOBase):
    """What a response is read from: `http.client` limits the time of each read only."""

    def __init__(self, connection: socket.socket, deadline: Deadline) -> None:
        self._connection = connection
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._connection.settimeout(self._deadline.left())
        return self._connection.recv_into(buffer)


class _Response(http.client.HTTPResponse):

    def __init__(self, connection: socket.socket, deadline: Deadline, method: str) -> None:
        super().__init__(connection, method=method)
        self.fp.close()
        self.fp = io.BufferedReader(_Reader(connection, deadline))
        self.head: dict[str, str] = {}

    def begin(self) -> None:
        """Read status and headers; `http.client` does it as for mail, half a millisecond long."""
        self.status = 100
        while 100 <= self.status < 200:
            self._read_head()
        self.chunked = self.head.get('transfer-encoding', '').lower() == 'chunked'
        self.chunk_left = None
        length = self.head.get('content-length', '')
        if self.chunked or not length:
            self.length = 0 if self.status in (204, 304) else None
        elif length.isdecimal() and len(length) < 16:
            self.length = int(length)
        else:
            raise http.client.HTTPException('its Content-Length is no number')
        self.will_close = (
            self.version < 11 or 'close' in self.head.get('connection', '').lower()
            or (self.length is None and not self.chunked))

    def _read_head(self) -> None:
        match = _STATUS.match(self._line())
        if match is None:
            raise http.client.BadStatusLine('it does not speak HTTP/1')
        self.version, self.status = 10 + int(match[1]), int(match[2])
        self.head = {}
        for _ in range(_MOST_HEADERS):
            name, colon, text = self._line().partition(b':')
            if not name.strip():
                return
            if not colon:
                raise http.client.HTTPException('it sends a header without a value')
            self.head[name.decode('latin-1').strip().lower()] = text.decode('latin-1').strip()
        raise http.client.HTTPException('it sends too many headers')

    def _line(self) -> bytes:
        line = self.fp.readline(_MOST_LINE)
        if not line.endswith(b'\n'):
            raise http.client.HTTPException(
                'it sends a header that is too long' if line else 'it closed the connection')
        return line


class HttpConnection:
    """See `ros2_classify.engines.remote.protocol.Connection`."""

    def __init__(self, url: RemoteUrl, deadline: Deadline) -> None:
        self._url = url
        version = f'/versions/{url.version}' if url.version else ''
        self._model = f'/v2/models/{url.model}{version}'
        host = f'[{url.host}]' if ':' in url.host else url.host
        self._headers = {'Host': f'{host}:{url.port}', 'User-Agent': 'ros2_classify',
                         'Accept-Encoding': 'identity', **private_headers(url.origin)}
        self._socket = _connect(url, deadline)
        self.ended = False

    @property
    def is_usable(self) -> bool:
        """Whether the server has not closed it meanwhile; it never speaks first."""
        return not self.ended and not select.select([self._socket], [], [], 0.0)[0]

    def metadata(self, deadline: Deadline) -> ModelFacts:
        """Ask what the model takes and gives."""
        found = self._json('GET', self._model, deadline)
        try:
            inputs, outputs = ([spec_of(row['name'], row['datatype'], row['shape'])
                                for row in found[key]] for key in ('inputs', 'outputs'))
            return facts_of(inputs, outputs, found.get('platform') or '',
                            [str(each) for each in found.get('versions') or ()])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._strange('metadata', error) from error

    def server(self, deadline: Deadline) -> str:
        """Ask for the server's name and version."""
        found = self._json('GET', '/v2', deadline)
        if not isinstance(found, dict):
            return 'unknown'
        return shown(f'{found.get("name", "unknown")} {found.get("version", "")}')

    def max_batch(self, deadline: Deadline) -> int | None:
        """Ask how many images the model takes at once; None if the server does not tell."""
        try:
            most = self._json('GET', f'{self._model}/config', deadline).get('max_batch_size')
        except (RemoteError, AttributeError):
            return None
        return most if isinstance(most, int) and most > 0 else None

    def prepare(self, request: Request) -> _Prepared:
        """Return what every inference of a request sends."""
        inputs, tensors = [], []
        for name, array in request.inputs.items():
            shape, datatype = request.described(array)
            row: dict[str, Any] = {'name': name, 'shape': shape, 'datatype': datatype}
            if request.input_block is not None:
                row['parameters'] = _region(request.input_block, name)
            else:
                row['parameters'] = {'binary_data_size': array.nbytes}
                tensors.append(array)
            inputs.append(row)
        outputs = [{'name': spec.name, 'parameters': {'binary_data': True} if (
            request.output_block is None) else _region(request.output_block, spec.name)}
            for spec in request.outputs]
        text = json.dumps({'id': '1', 'inputs': inputs, 'outputs': outputs, **(
            {'parameters': {'binary_data_output': True}} if request.output_block is None else {})
        }).encode()
        kind = 'application/octet-stream' if tensors else 'application/json'
        head = self._head('POST', f'{self._model}/infer', len(text) + sum(
            array.nbytes for array in tensors), {'Content-Type': kind, _LENGTH: len(text)})
        return _Prepared(head + text, tensors, request.output_block)

    def infer(self, prepared: _Prepared, into: Tensors, deadline: Deadline,
              ) -> tuple[Tensors, str]:
        """Run the model."""
        with self._sent('POST', prepared.head, prepared.tensors, deadline) as response:
            length = response.head.get(_LENGTH.lower())
            found = self._read_json(response, int(length) if length and length.isdecimal()
                                    and len(length) < 10 else None)
            try:
                outputs = self._outputs(found, response, prepared.output_block, into)
                version = str(found.get('model_version') or '')
            except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
                raise self._strange('outputs', error) from error
            # What is left would be read as the next response.
            if response.read(1):
                raise self._strange('outputs', 'there are more bytes than it says')
        return outputs, version

    def _outputs(self, found: Any, response: _Response, block: Block | None, into: Tensors,
                 ) -> Tensors:
        outputs: Tensors = {}
        for row in found['outputs']:
            dtype, shape = size_of(row['name'], row['datatype'], row['shape'])
            about = row.get('parameters') or {}
            if block is not None and 'data' not in row and 'binary_data_size' not in about:
                outputs[row['name']] = block.view(row['name'], shape, dtype)
            elif 'data' in row:
                # Slow, but some servers can't do otherwise.
                outputs[row['name']] = np.array(row['data'], dtype).reshape(shape)
            else:
                array = memory_for(into, row['name'], dtype, shape)
                if about['binary_data_size'] != array.nbytes:
                    raise ValueError(f'{row["name"]!r} has {about["binary_data_size"]} bytes')
                _read_into(response, array)
                outputs[row['name']] = array
        return outputs

    def register(self, block: Block, deadline: Deadline) -> None:
        """Let the server open a block of shared memory."""
        self._region('register', block, deadline, {
            'key': f'/{block.name}', 'offset': 0, 'byte_size': block.size})

    def unregister(self, block: Block, deadline: Deadline) -> None:
        """Let the server close it."""
        self._region('unregister', block, deadline, {})

    def _region(self, what: str, block: Block, deadline: Deadline, values: Any) -> None:
        try:
            self._json('POST', f'/v2/systemsharedmemory/region/{block.name}/{what}', deadline,
                       values)
        except RemoteError as error:
            if error.kind in ('slow', 'unauthorized'):
                raise
            raise NoRegionError(str(error)) from error

    def close(self) -> None:
        """End it."""
        self._socket.close()

    def _head(self, method: str, path: str, size: int, more: dict[str, Any]) -> bytes:
        headers = {**self._headers, **more, 'Content-Length': size}
        lines = [f'{method} {path} HTTP/1.1', *(f'{name}: {text}' for name, text in
                                                headers.items()), '', '']
        return '\r\n'.join(lines).encode('latin-1')

    def _json(self, method: str, path: str, deadline: Deadline, values: Any = None) -> Any:
        body = b'' if values is None else json.dumps(values).encode()
        head = self._head(method, path, len(body), {'Content-Type': 'application/json'})
        with self._sent(method, head + body, (), deadline) as response:
            return self._read_json(response, None)

    @contextmanager
    def _sent(self, method: str, head: bytes, tensors: Sequence[NDArray[Any]],
              deadline: Deadline) -> Iterator[_Response]:
        """Send a request; yield its response if it is not a refusal, to be read to its end."""
        if self.ended:
            self._socket.close()
            self._socket, self.ended = _connect(self._url, deadline), False
        try:
            self._socket.settimeout(deadline.left())
            self._socket.sendall(head)
            for array in tensors:
                self._socket.settimeout(deadline.left())
                self._socket.sendall(array.reshape(-1).view(np.uint8).data)
            with _Response(self._socket, deadline, method) as response:
                response.begin()
                if response.status != 200:
                    raise self._refusal(
                        response.status, response.read(_MOST_TEXT).decode('utf-8', 'replace'))
                yield response
                self.ended = response.will_close
        except TimeoutError:
            raise deadline.passed() from None
        except (OSError, http.client.HTTPException) as error:
            raise BrokenError(shown(error) or type(error).__name__) from error

    def _refusal(self, status: int, said: str) -> Exception:
        try:
            found = json.loads(said)
            said = str(found.get('error') or found.get('detail') or said)
        except (ValueError, AttributeError, RecursionError):
            pass
        if status in (401, 403):
            return problem('unauthorized', url=self._url, reason=f'HTTP {status}',
                           origin=self._url.origin)
        if status == 404 and 'shared memory' not in said.lower():
            return problem('wrong_model', url=self._url, reason=shown(
                said) or 'HTTP 404')
        return refusal(self._url, said or f'HTTP {status}')

    def _read_json(self, response: _Response, size: int | None) -> Any:
        """Read a part of a response as JSON, or all of it."""
        most = _MOST_TEXT if size is None else size
        if most > _MOST_TEXT or (size is None and (response.length or 0) > _MOST_TEXT):
            raise self._strange('response', 'it is too long')
        text = response.read(most)
        try:
            return json.loads(text or b'{}')
        except (ValueError, RecursionError) as error:
            raise self._strange('response', error) from error

    def _strange(self, what: str, reason: object) -> RemoteError:
        return problem('failed', url=self._url,
                       reason=f'its {what} cannot be read: {shown(reason)}')


def _region(block: Block, name: str) -> dict[str, Any]:
    offset, size = block.places[name]
    return {'shared_memory_region': block.name, 'shared_memory_offset': offset,
            'shared_memory_byte_size': size}


def _read_into(response: _Response, array: NDArray[Any]) -> None:
    memory = array.reshape(-1).view(np.uint8).data
    done = 0
    while done < len(memory):
        count = response.readinto(memory[done:])
        if not count:
            raise ValueError('the response ends within an output')
        done += count


def tls_context() -> ssl.SSLContext:
    """Return how servers are verified; SSL_CERT_FILE counts, as it does for downloads."""
    return ssl.create_default_context()


def _connect(url: RemoteUrl, deadline: Deadline) -> socket.socket:
    try:
        connection = socket.create_connection((url.host, url.port), deadline.left())
    except TimeoutError:
        raise deadline.passed() from None
    except OSError as error:
        raise problem('refused', url=url,
                      reason=error.strerror or shown(error)) from error
    try:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not url.is_secure:
            return connection
        connection.settimeout(deadline.left())
        return tls_context().wrap_socket(connection, server_hostname=url.host)
    except TimeoutError:
        connection.close()
        raise deadline.passed() from None
    except OSError as error:
        connection.close()
        raise untrusted(url, getattr(error, 'verify_message', '') or error.strerror or shown(
            error)) from error
    except BaseException:
        connection.close()
        raise
