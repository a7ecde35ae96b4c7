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

"""What is wrong with an encrypted connection, and what cures it (HTTP and gRPC)."""

from __future__ import annotations

import re

from ros2_classify.engines.remote.problems import problem
from ros2_classify.errors import RemoteError
from ros2_classify.model.remote_url import RemoteUrl

# Words of OpenSSL and of gRPC, whose BoringSSL has others.
_CAUSES = (
    (r'expired|not yet valid',
     'its certificate has expired or is not valid yet',
     "renew it, or correct this machine's date"),
    (r'host ?name|mismatch|not valid for|peer name',
     'its certificate is for another host',
     'write the URL with a name of the certificate, or get one for {url.host}'),
    (r'self.signed|issuer|authority',
     'its certificate is not trusted',
     "set SSL_CERT_FILE to the certificate of the server's authority, or to its own if it is "
     'self-signed'),
    (r'wrong.version|http.request|record layer',
     'it does not speak TLS',
     'write {plain}:// if nobody else is in this LAN, or switch TLS on there'))
_NOISE = re.compile(
    r'(?i)\[[^]]*\] *|\(_ssl\.c:\d+\)|: ok$|'
    r'^.*(openssl_internal|last error|unauthenticated): ?(unknown: )?')


def is_about_tls(said: str) -> bool:
    """Whether a message of gRPC is about TLS, not the LAN."""
    return bool(re.search(r'(?i)ssl|tls|certificate|handshake|verification check', said))


def untrusted(url: RemoteUrl, said: str) -> RemoteError:
    """Return the error of a connection that can't be encrypted, by a library's message."""
    reason = _NOISE.sub('', said).strip(' .')
    cause, cure = next(
        ((cause, cure) for words, cause, cure in _CAUSES
         if re.search(words, reason.replace('_', ' '), re.IGNORECASE)),
        ('TLS failed',
         'set SSL_CERT_FILE to the certificate of its authority, or correct the URL'))
    plain = url.scheme.removesuffix('s')
    return problem('untrusted', url=url, reason=f'{cause} ({reason})',
                   cure=cure.format(url=url, plain=plain))
