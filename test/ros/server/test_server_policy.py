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

"""What may be set at run time: `model_changes` and `trusted_models` of real servers."""

from __future__ import annotations

from collections.abc import Iterator
import hashlib
from pathlib import Path
from typing import Any

from fake_converter import FakeConverter
import graphs
import pytest
from ros2_classify.convert.process import PYTHON
from ros2_classify.testing import save_known_classifier
from ros_process import Peer, Process
from web_server import Web, web_server


def sha256(path: Path) -> str:
    """Return a file's sha256."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def web() -> Iterator[Web]:
    """Run a web server."""
    with web_server() as server:
        yield server


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    """Return the operator's directory with the models ants and bees, and wasps in `other`."""
    for name, directory, score in (
            ('ants', 'ours', 0.75), ('bees', 'ours', 0.625), ('wasps', 'other', 0.5)):
        (tmp_path / directory).mkdir(exist_ok=True)
        save_known_classifier(tmp_path / directory, name, (score, 1 - score))
    return tmp_path / 'ours'


@pytest.fixture
def serve(start: Any, tmp_path: Path) -> Any:
    """Return a function that starts a server with a cache of its own, and waits for it."""
    def serve(model: Any, **parameters: Any) -> Process:
        environment = {
            'ROS2_CLASSIFY_CACHE': str(tmp_path / 'cache'), 'ROS2_CLASSIFY_OFFLINE': None,
            'http_proxy': None, 'HTTP_PROXY': None, 'all_proxy': None, 'ALL_PROXY': None,
            **parameters.pop('environment', {})}
        server: Process = start('server', {'model': model, **parameters}, environment=environment)
        return server
    return serve


def refused(peer: Peer, model: Any) -> str:
    """Set the model; return why it is refused."""
    reasons = peer.set_values(model=str(model))
    assert len(reasons) == 1
    return reasons[0]


def test_by_default_only_the_catalogue_the_roots_and_listed_urls_are_taken(
        serve: Any, peer: Peer, ours: Path, web: Web) -> None:
    wasps = ours.parent / 'other/wasps.yaml'
    model = wasps.with_suffix('.onnx')
    url = web.serve('/wasps.onnx', model.read_bytes())
    trusted = ours.parent / 'trusted.txt'
    trusted.write_text(f'# our models\n{"0" * 64}  gone.onnx\n')
    start = ours / 'ants.yaml'
    server = serve(start, model_path=ours, trusted_models=f'[{trusted}]')
    server.wait_for_line('active:')
    for path in (wasps, model, f'{ours}/../other/wasps.yaml', '/no/such/model.onnx'):
        reason = refused(peer, path)
        assert reason.startswith(f'model_changes is verified: {path} is neither a name of the '
                                 'catalogue nor below model_roots (which is empty)'), reason
        assert 'at run time this server takes names of the catalogue' in reason
    assert 'wasps.onnx has no sha256' in refused(peer, url)
    named = f'{url}#sha256={sha256(model)}'
    assert 'which is not in trusted_models' in refused(peer, named)
    assert not web.requests
    assert "there is no model named 'bee' (did you mean bees?)" in refused(peer, 'bee')
    assert peer.get('model') == str(start)
    # A name, its descriptor's path, and what the operator started with.
    for known in ('bees', ours / 'bees.yaml', start):
        assert peer.set_values(model=str(known)) == []
    # The list is read at every change; the URL's model needs settings that a file can't tell.
    trusted.write_text(f'{sha256(model)} *wasps.onnx\n')
    assert peer.set_values(model=named) == []
    assert peer.get('model') == named


def test_below_the_roots_files_are_taken_links_do_not_lead_out(
        serve: Any, peer: Peer, ours: Path) -> None:
    wasps = ours.parent / 'other/wasps.yaml'
    (ours / 'link.yaml').symlink_to(wasps)
    server = serve(ours / 'ants.yaml', model_roots=ours)
    server.wait_for_line('active:')
    for path in (wasps, ours / 'link.yaml', ours / '../other/wasps.yaml'):
        assert f'nor below model_roots ({ours})' in refused(peer, path)
    assert peer.set_values(model=str(ours / 'bees.yaml')) == []
    assert peer.set_values(model=str(ours / 'bees.onnx')) == []


def test_listed_takes_only_what_the_list_has(serve: Any, peer: Peer, ours: Path) -> None:
    listed = sha256(ours / 'bees.onnx')
    server = serve('ants', model_path=ours, model_changes='listed', trusted_models=f'[{listed}]')
    server.wait_for_line('active:')
    reason = refused(peer, 'ants')
    assert reason.startswith('model_changes is listed: the sha256 of ants, '), reason
    assert sha256(ours / 'ants.onnx') in reason and 'add it there' in reason
    assert peer.set_values(model='bees') == []
    # A descriptor that lies about the sha256 is found out when the file is read.
    (ours / 'liar.yaml').write_text(
        (ours / 'ants.yaml').read_text().replace(sha256(ours / 'ants.onnx'), listed))
    assert listed in (ours / 'liar.yaml').read_text()
    assert 'sha256' in refused(peer, 'liar')
    assert peer.get('model') == 'bees'


def test_off_leaves_the_model_alone(serve: Any, peer: Peer, ours: Path) -> None:
    server = serve('ants', model_path=ours, model_changes='off')
    server.wait_for_line('active:')
    for name in ('bees', 'ants', 'cards_detector'):
        assert 'model_changes is off: the model is not changed at run time' in refused(peer, name)
    for step in ('deactivate', 'cleanup'):
        assert peer.transition(step)
    assert 'model_changes is off' in refused(peer, 'bees')
    assert peer.transition('configure') and peer.get('model') == 'ants'


def test_a_model_set_before_configure_obeys_too(serve: Any, peer: Peer, ours: Path) -> None:
    wasps = ours.parent / 'other/wasps.yaml'
    server = serve('ants', model_path=ours, model_changes='listed', autostart=False)
    server.wait_for_line('waiting to be configured')
    assert 'model_changes is listed' in refused(peer, wasps)
    assert peer.set_values(model='bees') == []
    assert not peer.transition('configure')
    server.wait_for_line('configure failed: model_changes is listed: the sha256 of bees')


def test_any_takes_every_path(serve: Any, peer: Peer, ours: Path) -> None:
    serve('ants', model_path=ours, model_changes='any').wait_for_line('active:')
    assert peer.set_values(model=str(ours.parent / 'other/wasps.yaml')) == []


@pytest.mark.parametrize(('policy', 'converts'), [('verified', False), ('any', True)])
def test_a_tensorflow_model_is_converted_by_a_parameter_only_where_any_is_allowed(
        serve: Any, peer: Peer, ours: Path, tmp_path: Path, policy: str, converts: bool) -> None:
    converter = FakeConverter(tmp_path / 'converter')
    (ours / 'tiny.pb').write_bytes(graphs.classifier())
    server = serve('ants', model_path=ours, model_roots=ours, model_changes=policy,
                   environment={PYTHON: str(converter.python)})
    server.wait_for_line('active:')
    if converts:
        assert peer.set_values(model=str(ours / 'tiny.pb')) == []
        assert converter.requests()
    else:
        reason = refused(peer, ours / 'tiny.pb')
        assert 'is not converted from TensorFlow' in reason and 'models convert' in reason
        assert not converter.requests()


def test_a_list_that_is_wrong_is_a_sentence(serve: Any, ours: Path) -> None:
    (ours / 'list.txt').write_text('bees.onnx\n')
    for value, words in (
            (ours / 'list.txt', 'line 1 of .* does not begin with a sha256'),
            (ours / 'gone.txt', 'cannot be read \\(No such file or directory\\)'),
            ('/dev/zero', 'cannot be read \\(not a regular file\\)'),
            ('abc', 'each value must be a sha256 .*or a file with one in each line')):
        server = serve('ants', model_path=ours, trusted_models=f'[{value}]')
        assert server.wait() != 0
        server.wait_for_line(words)
        assert 'Traceback' not in server.output
