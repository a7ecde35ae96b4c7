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

"""Model servers by TLS: what is trusted, what is refused and why, and where tokens go."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
import logging
import ssl

from certificates import make_certificate
import numpy as np
import pytest
from remote_server import FakeServer, serving
from ros2_classify.engines.remote.engine import RemoteEngine
from ros2_classify.engines.settings import EngineSettings
from ros2_classify.errors import RemoteError
from ros2_classify.model.remote_url import RemoteUrl

IMAGE = np.random.default_rng(1).random((1, 3, 8, 8), np.float32)


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    """Return certificates by what is to be said of them."""
    directory = tmp_path_factory.mktemp('tls')
    authority = make_certificate(directory, 'authority')
    return {'authority': authority, 'own': make_certificate(directory),
            'good': make_certificate(directory, 'good', authority=authority),
            'host': make_certificate(directory, 'host', host='DNS:gpu', authority=authority),
            'old': make_certificate(directory, 'old', days=-1, authority=authority)}


def field(number, data):
    """Return a field of a protobuf message of less than 128 bytes."""
    return bytes([number << 3 | 2, len(data)]) + data


def tensor(name, *shape):
    return field(1, name) + field(2, b'FP32') + field(3, bytes(shape))


@contextmanager
def grpc_serving(certificate, seen):
    """Serve the mean of each channel by gRPC, from numbers written by hand."""
    grpc = pytest.importorskip('grpc')
    metadata = field(1, b'colors') + field(4, tensor(b'image', 1, 3, 8, 8)) + field(
        5, tensor(b'scores', 1, 3))

    def infer(request, context):
        seen.append(dict(context.invocation_metadata()))
        # The input is the last field of the request.
        image = np.frombuffer(request[-IMAGE.nbytes:], np.float32).reshape(3, 64)
        return field(5, tensor(b'scores', 1, 3)) + field(6, image.mean(axis=1).tobytes())

    class Service(grpc.GenericRpcHandler):

        def service(self, details):
            method = details.method.rpartition('/')[2]
            return grpc.unary_unary_rpc_method_handler({
                'ModelMetadata': lambda request, context: metadata,
                'ServerMetadata': lambda request, context: field(1, b'fake'),
                'ModelInfer': infer}[method])

    server = grpc.server(ThreadPoolExecutor(2), handlers=[Service()])
    port = server.add_secure_port('127.0.0.1:0', grpc.ssl_server_credentials([
        (certificate.key.read_bytes(), certificate.certificate.read_bytes())]))
    server.start()
    try:
        yield f'grpcs://127.0.0.1:{port}'
    finally:
        server.stop(0)


@contextmanager
def http_serving(certificate, seen):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.both)
    fake = FakeServer()
    fake.headers = seen
    with serving(fake, context=context) as (_, url):
        yield url


KINDS = {'https': http_serving, 'grpcs': grpc_serving}


def opened(url, local=None):
    return RemoteEngine(RemoteUrl.parse(f'{url}/colors?shared_memory=false'),
                        EngineSettings(remote_timeout=5.0), local)


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('shown, trusted', [('good', 'authority'), ('own', 'own')])
def test_a_private_authority_can_be_trusted(made, kind, shown, trusted, monkeypatch):
    seen = []
    monkeypatch.setenv('SSL_CERT_FILE', str(made[trusted].certificate))
    with KINDS[kind](made[shown], seen) as url:
        monkeypatch.setenv('ROS2_CLASSIFY_HTTP_TOKEN', f'https{url[len(kind):]} secret-17')
        engine = opened(url)
        found = engine.infer({'image': IMAGE})['scores']
        assert engine.notices() == []
        engine.close()
    assert np.allclose(found, IMAGE.reshape(1, 3, 64).mean(axis=2), atol=1e-6)
    headers = {name.lower(): text for name, text in seen[-1].items()}
    assert headers['authorization'] == 'Bearer secret-17'


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('shown, trusted, cause, cure', [
    ('good', '', 'is not trusted', "set SSL_CERT_FILE to the certificate of the server's"),
    ('own', '', 'is not trusted', 'or to its own if it is self-signed'),
    ('host', 'authority', 'is for another host', 'get one for 127.0.0.1'),
    ('old', 'authority', 'has expired', "renew it, or correct this machine's date")])
def test_what_is_not_trusted(made, kind, shown, trusted, cause, cure, monkeypatch):
    seen = []
    monkeypatch.delenv('SSL_CERT_FILE', raising=False)
    if trusted:
        monkeypatch.setenv('SSL_CERT_FILE', str(made[trusted].certificate))
    with KINDS[kind](made[shown], seen) as url:
        monkeypatch.setenv('ROS2_CLASSIFY_HTTP_TOKEN', f'https{url[len(kind):]} secret-17')
        with pytest.raises(RemoteError) as caught:
            opened(url)
    assert caught.value.kind == 'untrusted' and not seen
    said = str(caught.value)
    assert f'cannot be reached by TLS: its certificate {cause}' in said and cure in said
    assert 'secret' not in said and said.count(':') < 9


@pytest.mark.parametrize('scheme', ['https', 'grpcs'])
def test_a_server_without_tls(scheme):
    if scheme == 'grpcs':
        pytest.importorskip('grpc')
    with serving() as (fake, url):
        with pytest.raises(RemoteError, match=f'not speak TLS .*write {scheme[:-1]}://') as caught:
            opened(url.replace('http', scheme))
    assert caught.value.kind == 'untrusted' and not fake.headers


def test_something_else_at_the_port_of_grpc():
    pytest.importorskip('grpc')
    with serving() as (_, url):
        with pytest.raises(RemoteError, match='no gRPC is spoken .*write http://') as caught:
            opened(url.replace('http', 'grpc'))
    assert caught.value.kind == 'refused'


@pytest.mark.parametrize('kind', KINDS)
def test_a_port_of_tls_without_tls(made, kind):
    if kind == 'grpcs':
        pytest.importorskip('grpc')
    with KINDS[kind](made['good'], []) as url:
        with pytest.raises(RemoteError, match=f'as one of TLS.*write {kind}://') as caught:
            opened(url.replace(kind, kind[:-1]))
    assert caught.value.kind == 'refused'


def test_a_token_without_tls_is_a_warning(monkeypatch, caplog):
    caplog.set_level(logging.WARNING)
    with serving() as (fake, url):
        monkeypatch.setenv('ROS2_CLASSIFY_HTTP_TOKEN', f'{url} secret-17')
        here = opened(url)
        assert here.notices() == [] and not caplog.text
        # As if it were another machine.
        monkeypatch.setattr(RemoteUrl, 'is_here', False)
        engine = opened(url)
        (name, fields), = engine.notices()
        assert name == 'plain_token' and fields['secure'] == 'https'
        assert 'gets its token unencrypted' in caplog.text and 'secret' not in caplog.text
        monkeypatch.delenv('ROS2_CLASSIFY_HTTP_TOKEN')
        assert opened(url).notices() == []


def test_a_channel_is_closed_after_its_thread(made, monkeypatch):
    """An end under the thread of gRPC that watches the connection is a traceback of that."""
    pytest.importorskip('grpc')
    from ros2_classify.engines.remote import rpc

    monkeypatch.setattr(rpc, '_CLOSED_AFTER', 0.01)
    monkeypatch.setenv('SSL_CERT_FILE', str(made['own'].certificate))
    with grpc_serving(made['own'], []) as url:
        engine = opened(url)
        connection, _ = engine._take(engine._deadline())
        done = []
        real = connection._channel.unsubscribe
        monkeypatch.setattr(connection._channel, 'unsubscribe',
                            lambda callback: (done.append('unsubscribe'), real(callback)))
        monkeypatch.setattr(connection._channel, 'close', lambda: done.append('close'))
        connection.close()
        assert done[0] == 'unsubscribe' and not connection.is_usable
        engine.close()
