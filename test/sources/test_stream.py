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

"""Streams: log-ins, failures, and servers that go and come back."""

from pathlib import Path
import shutil
import socket
import subprocess
import threading
import time

from mjpeg_camera import Camera, camera
import pytest
from ros2_classify.sources import open_source, SourceError
from ros2_classify.sources.newest import lasting, Newest
from ros2_classify.sources.stream import LOGIN, shown, Stream, with_login


def test_an_http_stream_delivers_its_images():
    with camera() as served:
        source = open_source(served.url)
        assert source.live and source.length is None
        frames = source.frames()
        values = [int(next(frames).read().mean().round()) for _ in range(3)]
        frames.close()
    assert values[1] - values[0] == 1 and values[2] - values[1] == 1
    assert source.name == f'stream {served.url}'


def test_a_log_in_comes_from_the_environment_and_is_never_shown(monkeypatch, capfd):
    with camera(login='me:p@ss:word/') as served:
        server = f'http://127.0.0.1:{served.port}'
        with pytest.raises(SourceError, match=f'cannot be opened: .* set {LOGIN}="{server} USER'):
            open_source(served.url)
        monkeypatch.setenv(f'{LOGIN}_LAB', f'{server} me:p@ss:word/')
        source = open_source(served.url)
        assert next(source.frames()).read() is not None
        source.close()
        served.stop()
        with pytest.raises(SourceError) as caught:
            Stream(served.url)
    said = ''.join(capfd.readouterr()) + source.name + str(caught.value)
    assert 'p@ss' not in said and 'p%40ss' not in said
    # With a log-in there is no advice to set one.
    assert LOGIN not in str(caught.value)


def test_a_log_in_is_bound_to_its_server():
    environment = {LOGIN: 'rtsp://camera.local:554 u:s'}
    assert with_login('rtsp://camera.local/a?b=c', environment) == 'rtsp://u:s@camera.local/a?b=c'
    for other in ('rtsp://camera.local:8554/a', 'http://camera.local/a', 'rtsp://other/a'):
        assert with_login(other, environment) == other


@pytest.mark.parametrize(('url', 'environment', 'message'), [
    ('rtsp://u:secret@h/a', {}, r'the URL rtsp://h/a has a user name or a password'),
    ('rtsp:///a', {}, 'has no server'),
    ('rtsp://h/a', {LOGIN: 'secret'}, rf'variable {LOGIN} is not "URL USER:PASSWORD"'),
    ('http://[1/a', {}, 'invalid URL'),
])
def test_urls_and_log_ins_that_are_wrong(url, environment, message):
    with pytest.raises(SourceError, match=message) as caught:
        with_login(url, environment)
    assert 'secret' not in str(caught.value)


def test_the_query_is_not_shown():
    assert shown('http://h/a?token=x#y') == 'http://h/a?…'


def test_a_stream_that_was_cut_off_is_opened_again():
    said, ended = [], threading.Event()
    first = Camera()
    source = open_source(first.url)
    source.longest_pause = 0.1
    frames = lasting(source, said.append, ended)
    assert next(frames).read() is not None
    first.stop()
    restarted = []

    def restart():
        time.sleep(1.0)
        restarted.append(Camera(port=first.port))

    threading.Thread(target=restart).start()
    # What was sent before the cut may still be in FFmpeg's buffer.
    deadline = time.monotonic() + 20
    while 'delivers again' not in ' '.join(said):
        assert next(frames).read() is not None
        assert time.monotonic() < deadline, said
    ended.set()
    assert next(frames, None) is None
    restarted[0].stop()
    # One sentence for each kind of failure, not one for each attempt.
    assert 'trying again' in said[0] and len(said) <= 3


def test_a_slow_consumer_gets_the_newest_frame():
    ended = threading.Event()
    with camera(rate=100.0) as served:
        newest = Newest(open_source(served.url), [].append, ended)
        frames = newest.frames()
        before = next(frames).read().mean()
        time.sleep(0.5)
        next(frames)
        after = next(frames).read().mean()
        ended.set()
    assert after - before > 10 and newest.dropped > 10


RTSP = """
import sys
import gi
gi.require_version('Gst', '1.0')
gi.require_version('GstRtspServer', '1.0')
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer
Gst.init(None)
server = GstRtspServer.RTSPServer(service=sys.argv[1])
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch('( videotestsrc is-live=1 pattern=ball ! video/x-raw,width=64,height=48,'
                   'framerate=20/1,format=I420 ! jpegenc ! rtpjpegpay name=pay0 )')
factory.set_shared(True)
if len(sys.argv) > 2:
    # Digest only: this server never takes a password as it is.
    user, _, password = sys.argv[2].partition(':')
    auth = GstRtspServer.RTSPAuth()
    auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
    token = GstRtspServer.RTSPToken()
    token.set_string('media.factory.role', 'viewer')
    auth.add_digest(user, password, token)
    server.set_auth(auth)
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_permission_for_role('viewer', 'media.factory.access', True)
    permissions.add_permission_for_role('viewer', 'media.factory.construct', True)
    factory.set_permissions(permissions)
server.get_mount_points().add_factory('/test', factory)
server.attach(None)
print('ready', flush=True)
GLib.MainLoop().run()
"""


@pytest.fixture
def rtsp():
    """Return a function that starts GStreamer's RTSP server on a port."""
    started = []
    python = '/usr/bin/python3' if Path('/usr/bin/python3').exists() else shutil.which('python3')

    def start(port, *login):
        process = subprocess.Popen([python, '-c', RTSP, str(port), *login], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        started.append(process)
        if process.stdout.readline() != 'ready\n':
            pytest.skip('no GStreamer RTSP server (Debian: gir1.2-gst-rtsp-server-1.0, '
                        'gstreamer1.0-plugins-good, python3-gi): ' + process.stderr.read()[-200:])
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize('login', [(), ('me:p@ss:word/',)], ids=['open', 'digest'])
def test_an_rtsp_server_that_is_killed_and_started_again(rtsp, login, monkeypatch, capfd):
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    server = rtsp(port, *login)
    url = f'rtsp://127.0.0.1:{port}/test'
    if login:
        with pytest.raises(SourceError, match=f'cannot be opened: .* set {LOGIN}='):
            open_source(url)
        for given in ('me:wrong', *login):
            monkeypatch.setenv(LOGIN, f'rtsp://127.0.0.1:{port} {given}')
            if given == 'me:wrong':
                with pytest.raises(SourceError, match='cannot be opened'):
                    open_source(url)
    said, ended = [], threading.Event()
    source = open_source(url)
    assert source.live
    source.longest_pause = 0.2
    frames = lasting(source, said.append, ended)
    assert next(frames).read().shape == (48, 64, 3)
    server.kill()
    server.wait()
    threading.Timer(1.0, rtsp, (port, *login)).start()
    deadline = time.monotonic() + 40
    while 'delivers again' not in ' '.join(said):
        assert next(frames).read() is not None
        assert time.monotonic() < deadline, said
    ended.set()
    assert 'stopped delivering' in said[0]
    assert 'p@ss' not in (shown := ' '.join((*said, *capfd.readouterr()))) and 'p%40' not in shown
