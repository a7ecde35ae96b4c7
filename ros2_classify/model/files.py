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

"""The file of a model: found, downloaded and verified."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ros2_classify.download.cache import Cache
from ros2_classify.download.fetch import cached, fetch, Request
from ros2_classify.download.options import FetchOptions
from ros2_classify.download.url import is_url
from ros2_classify.errors import ArchiveError, IntegrityError, ModelNotFoundError
from ros2_classify.model.catalog import entries
from ros2_classify.model.descriptor import ModelDescriptor
from ros2_classify.paths import check_directory, locate


def request_for(descriptor: ModelDescriptor) -> Request:
    """Return the request for a descriptor's source; paths are resolved, nothing is downloaded."""
    source = descriptor.source
    origin = descriptor.origin or descriptor.name
    if not source.has_file:
        raise ModelNotFoundError(
            f'{origin}: there is no model file, for {source.remote} runs the model; add '
            'source.path or source.url for what needs the file')
    path = None if source.url else locate(
        source.path, descriptor.directory, what='model file', origin=descriptor.origin,
        or_directory=source.member is not None or descriptor.format != 'onnx')
    return Request(
        label=descriptor.name, origin=origin, model=_command_line_name(descriptor),
        url=source.url, path=path, sha256=source.sha256, size=source.size, member=source.member)


def _command_line_name(descriptor: ModelDescriptor) -> str:
    """Return what names this model on any machine: its catalogue name, URL or file."""
    if is_url(descriptor.origin):
        member = f'&member={descriptor.source.member}' if descriptor.source.member else ''
        return f'{descriptor.origin}#sha256={descriptor.source.sha256}{member}'
    path = entries().get(Path(descriptor.origin).stem)
    known = path is not None and str(path) == descriptor.origin
    return Path(descriptor.origin).stem if known else descriptor.origin or descriptor.name


def model_file(descriptor: ModelDescriptor, options: FetchOptions | None = None) -> Path:
    """Return the model's file or directory, downloaded if necessary, and verified."""
    request = request_for(descriptor)
    path = fetch(request, options)
    if request.path is not None and request.path.is_dir():
        # Unpacked archives need no check: they are in the cache and have no links.
        check_directory(path, 'model file')
    return path


# States of models that can't be used.
FAILURES = ('damaged', 'missing', 'not fetched')


@dataclass(frozen=True)
class Verified:
    """The state of one model's file."""

    name: str  # the model's name
    # 'ok', one of FAILURES, 'no sha256', 'remote', or 'unusable' if the descriptor is wrong
    state: str
    model: str | None = None  # the file, if there is one
    error: str = ''  # what is wrong with the descriptor or the weights


def verify_file(descriptor: ModelDescriptor) -> Verified:
    """Verify the model file itself; `ros2_classify.engines.external_data.verify` is for all."""
    name = descriptor.name
    model = None
    if not descriptor.source.has_file:
        return Verified(name, 'remote')
    try:
        request = request_for(descriptor)
        path = request.path or cached(request)
        if request.sha256 is None:
            return Verified(name, 'no sha256', str(path) if path else None)
        if path is None:
            return Verified(name, 'not fetched')
        model = str(path)
        if request.url is not None and not _is_intact(request.sha256):
            return Verified(name, 'damaged', model)
        model = str(fetch(request, FetchOptions(offline=True)))
    except (ArchiveError, IntegrityError):
        return Verified(name, 'damaged', model)
    except ModelNotFoundError:
        return Verified(name, 'missing', model)
    return Verified(name, 'ok', model)


def _is_intact(sha256: str) -> bool:
    return Cache(FetchOptions().cache_directory()).get(sha256) is not None
