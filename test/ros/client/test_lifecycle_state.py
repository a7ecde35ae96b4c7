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

"""``health``: the exit code says whether the server is active."""

from rclpy.client import Client
from rclpy.task import Future
from ros2_classify import cli


def test_only_an_active_server_is_healthy(start, peer, classifier, capsys):
    server = start('server', {'model': classifier, 'autostart': False})
    server.wait_for_line('waiting to be configured')
    assert peer.state() == 'unconfigured'
    assert cli.main(['health', '--timeout', '30']) == 1
    assert capsys.readouterr().err == 'error: /server is unconfigured\n'
    assert peer.transition('configure') and peer.transition('activate')
    assert cli.main(['health', '--timeout', '30']) == 0
    assert capsys.readouterr().out == '/server is active\n'


def test_a_response_that_is_lost_is_asked_for_again(
        start, peer, classifier, capsys, monkeypatch):
    start('server', {'model': classifier}).wait_for_line('active:')
    requests = []

    def lose_the_first(client, request):
        requests.append(request)
        return Future() if len(requests) == 1 else call(client, request)

    call = Client.call_async
    monkeypatch.setattr(Client, 'call_async', lose_the_first)
    assert cli.main(['health', '--timeout', '30']) == 0
    assert len(requests) > 1


def test_a_server_that_is_not_there(ros, capsys):
    assert cli.main(['health', '--server', '/front/server', '--timeout', '0.2']) == 1
    said = capsys.readouterr().err
    assert said.startswith('error: /front/server does not respond within 0.2 s')
    assert 'ROS_DOMAIN_ID' in said
