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

"""Run models on remote model servers by the Open Inference Protocol v2."""

from __future__ import annotations

from pathlib import Path

from ros2_classify.engines.base import Engine
from ros2_classify.engines.settings import EngineSettings
from ros2_classify.errors import DescriptorError
from ros2_classify.model.descriptor import ModelDescriptor
from ros2_classify.model.remote_url import RemoteUrl


def remote_url_of(descriptor: ModelDescriptor, settings: EngineSettings) -> RemoteUrl | None:
    """Return which remote model runs a descriptor's; None if the file runs here."""
    source = descriptor.source
    url = RemoteUrl.parse(settings.remote) if settings.remote else source.remote_url
    if url is not None and settings.remote_fallback == 'local' and not source.has_file:
        raise DescriptorError(
            f'{descriptor.origin or descriptor.name}: remote_fallback is local, but source has no '
            'path or url of a model file; add one, or set remote_fallback to none')
    if url is not None and url.jpeg and descriptor.input.color not in (None, 'rgb'):
        raise DescriptorError(
            f'{descriptor.origin or descriptor.name}: input.color is {descriptor.input.color}, '
            'but a server that is sent JPEG (?jpeg) decodes it to rgb; let it change the order, '
            'and set input.color to rgb')
    return None if url is None else url.of(descriptor.name)


def needs_file(url: RemoteUrl | None, settings: EngineSettings) -> bool:
    """Whether the model file runs on this machine, always or as a fallback."""
    return url is None or settings.remote_fallback == 'local'


def describe_remote(engine: Engine) -> str:
    """Return what is at the other end; empty if the model runs here."""
    from ros2_classify.engines.remote.engine import RemoteEngine

    return f'{engine.server}, {engine.transport}' if isinstance(engine, RemoteEngine) else ''


def open_remote(url: RemoteUrl, settings: EngineSettings, path: Path | None) -> Engine:
    """Open a remote model; with its file it runs here while the server fails."""
    from ros2_classify.engines import open_engine
    from ros2_classify.engines.remote.engine import RemoteEngine

    local = None if path is None else open_engine(path, settings=settings.replace(remote=''))
    try:
        return RemoteEngine(url, settings, local)
    except BaseException:
        if local is not None:
            local.close()
        raise
