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

"""https against a server with a certificate of its own."""

from __future__ import annotations

from collections.abc import Iterator
import ssl
from typing import Any

from cache_files import request
from certificates import Certificate, make_certificate
import pytest
from ros2_classify.download.fetch import fetch
from ros2_classify.errors import FetchError
from web_server import redirect, Web, web_server

BODY = b'weights' * 1000


@pytest.fixture(scope='module')
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """Return a fresh certificate for 127.0.0.1."""
    return make_certificate(tmp_path_factory.mktemp('tls'))


@pytest.fixture
def secure(certificate: Certificate) -> Iterator[Web]:
    """Run a server that speaks TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.both)
    with web_server(context) as server:
        yield server


def test_an_unknown_authority_is_refused_at_once(secure: Web, options: Any) -> None:
    with pytest.raises(FetchError, match='certificate that is not trusted .*date.*SSL_CERT_FILE'):
        fetch(request(secure.serve('/m.onnx', BODY), BODY), options())
    assert not secure.requests


def test_a_private_authority_can_be_trusted(
        secure: Web, options: Any, certificate: Certificate,
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('SSL_CERT_FILE', str(certificate.certificate))
    monkeypatch.setenv('ROS2_CLASSIFY_HTTP_TOKEN', f'{secure.url.partition("//")[2]} abc')
    assert fetch(request(secure.serve('/m.onnx', BODY), BODY), options()).read_bytes() == BODY
    assert secure.requests[0][1]['Authorization'] == 'Bearer abc'


def test_https_is_not_left(secure: Web, web: Web, options: Any, certificate: Certificate,
                           monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('SSL_CERT_FILE', str(certificate.certificate))
    url = secure.serve('/m.onnx', redirect(web.serve('/m.onnx', BODY)))
    with pytest.raises(FetchError, match='would leave https'):
        fetch(request(url, BODY), options())
    assert not web.requests


def test_https_may_be_entered(secure: Web, web: Web, options: Any, certificate: Certificate,
                              monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('SSL_CERT_FILE', str(certificate.certificate))
    url = web.serve('/m.onnx', redirect(secure.serve('/m.onnx', BODY)))
    assert fetch(request(url, BODY), options()).read_bytes() == BODY


def test_plain_http_on_an_https_url(web: Web, options: Any) -> None:
    url = web.serve('/m.onnx', BODY).replace('http:', 'https:')
    with pytest.raises(FetchError, match='does not speak TLS'):
        fetch(request(url, BODY), options(attempts=1))
