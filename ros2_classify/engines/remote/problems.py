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

"""All that may be wrong with a remote model server, in words that diagnostics use, too."""

from __future__ import annotations

from typing import Any

from ros2_classify.errors import RemoteError
from ros2_classify.model.remote_url import RemoteUrl

SENTENCES = {
    'refused': '{url} cannot be reached: {reason}; start the model server, or correct the '
               'URL',
    'slow': '{url} has not replied within {seconds:g} s (remote_timeout): the server hangs, '
            'is overloaded or far away; raise remote_timeout if it needs longer',
    'wrong_model': '{url} does not serve the model that is wanted: {reason}; load it there, '
                   'or correct the URL or the descriptor',
    'changed': '{url} serves another model than at start: {reason}; load the wanted one '
               'there, or set the parameter model again',
    'unauthorized': '{url} refuses access ({reason}): set ROS2_CLASSIFY_HTTP_TOKEN to '
                    '"{origin} TOKEN" in the environment',
    'untrusted': '{url} cannot be reached by TLS: {reason}; {cure}',
    'failed': '{url} failed to run the model: {reason}; see the log of the model server',
    'plain_token': '{url} gets its token unencrypted: others in the LAN can read it; '
                   'write {secure}:// if the server speaks TLS, or use a tunnel',
    'fallback': 'the model runs on this machine ({provider}) and not on {url}, which is tried '
                'again in {seconds:.0f} s: {reason}',
    'restarted': '{url} was restarted or closed the connection {count} times, the last time '
                 '{seconds:.0f} s ago; the images were sent again',
    'version': '{url} runs version {new} of the model now, not {old}: nobody has compared it '
               'with the descriptor; add ?version={old} to the URL to keep to one',
    'differs': '{url} does not give what the local model gives ({reason}): it may be another '
               'model, or run in less precision; compare the two files',
}


def problem(kind: str, **fields: Any) -> RemoteError:
    """Return an error with its sentence, filled in."""
    return RemoteError(SENTENCES[kind].format(**fields), kind, fields)


def or_tls(url: RemoteUrl) -> str:
    """Return what else it may be if a server ends a connection before the first response."""
    others = {'http': ('TLS or gRPC', 'https:// or grpc://'), 'grpc': ('TLS', 'grpcs://')}
    if url.scheme not in others:
        return ''
    kinds, schemes = others[url.scheme]
    return f', as one of {kinds} would: write {schemes} if it is one'


class BrokenError(Exception):
    """The connection ended before the reply: the server restarted, or was tired of it."""


class NoRegionError(Exception):
    """The server doesn't know shared memory, or has forgotten it."""
