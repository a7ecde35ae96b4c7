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

"""Whether the files of models are there and the ones that their sha256 say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ros2_classify.download.cache import Cache
from ros2_classify.download.fetch import cached, fetch
from ros2_classify.download.options import FetchOptions
from ros2_classify.errors import ArchiveError, DescriptorError, IntegrityError, ModelNotFoundError
from ros2_classify.model.descriptor import load_descriptor, ModelDescriptor
from ros2_classify.model.files import request_for

# The states in which a model can't be used as it is.
FAILURES = ('damaged', 'missing', 'not fetched')


@dataclass(frozen=True)
class Verified:
    """
    What became of one model's file.

    Parameters
    ----------
    name : str
        The model.
    state : str
        ``ok``, ``damaged``, ``missing``, ``not fetched``, ``no sha256``, or ``unusable`` where
        the descriptor is wrong.
    model : str or None
        The file, where there is one.
    error : str
        What is wrong with the descriptor.

    """

    name: str
    state: str
    model: str | None = None
    error: str = ''


def verify(descriptor: ModelDescriptor) -> Verified:
    """
    Hash a model's file again; the model is left alone.

    Parameters
    ----------
    descriptor : ModelDescriptor
        The model.

    Returns
    -------
    Verified
        Its state.

    """
    name = descriptor.name
    model = None
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


def verify_entry(name: str, path: Path) -> Verified:
    """
    Hash the file of a catalogue's entry again, whose descriptor may be wrong.

    Parameters
    ----------
    name : str
        Its name.
    path : Path
        Its descriptor file.

    Returns
    -------
    Verified
        Its state.

    """
    try:
        return verify(load_descriptor(path))
    except DescriptorError as error:
        return Verified(name, 'unusable', error=str(error))


def _is_intact(sha256: str) -> bool:
    return Cache(FetchOptions().cache_directory()).get(sha256) is not None
