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

"""
Which models may be set at run time: the parameters ``model_changes`` and ``trusted_models``.

Anyone who can reach the node's services can set its parameter ``model``. The operator decides at
start which models that may be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ros2_classify.download.hashing import sha256_of_directory, sha256_of_file
from ros2_classify.download.url import is_sha256, is_url, redact, split_facts
from ros2_classify.errors import NotAllowedError, OptionsError
from ros2_classify.limits import open_plain
from ros2_classify.model.catalog import entries, variant_name
from ros2_classify.model.descriptor import ModelDescriptor
from ros2_classify.model.files import request_for
from ros2_classify.model.remote_url import RemoteUrl
from ros2_classify.paths import allowed_paths, is_allowed, search_path, searching

if TYPE_CHECKING:
    from ros2_classify.ros.node.parameters import Parameters

POLICIES = ('any', 'verified', 'listed', 'off')
# A list of 10,000 models in the format of sha256sum, with long paths.
_MAX_LIST = 1 << 20
_RESTART = 'or start the server with this model'


def read_trusted(values: Sequence[str]) -> frozenset[str]:
    """Return the sha256 of ``trusted_models``: each value is one, or a file with one a line."""
    found = set()
    for value in filter(None, (each.strip() for each in values)):
        if is_sha256(value.lower()):
            found.add(value.lower())
        else:
            found.update(_read_list(value))
    return frozenset(found)


def _read_list(name: str) -> set[str]:
    """Read a file in the format of ``sha256sum``; blank lines and comments (#) are skipped."""
    wanted = 'each value must be a sha256 (64 hexadecimal digits) or a file with one in each line'
    try:
        with open_plain(Path(os.path.expanduser(name))) as stream:
            content = stream.read(_MAX_LIST + 1)
    except OSError as error:
        raise OptionsError(
            f'trusted_models names {name[:200]!r}, which cannot be read '
            f'({error.strerror or error}); {wanted}') from error
    if len(content) > _MAX_LIST:
        raise OptionsError(f'trusted_models: {name} is larger than {_MAX_LIST} bytes; {wanted}')
    found = set()
    for number, line in enumerate(content.decode('utf-8', 'replace').splitlines(), 1):
        word = line.partition('#')[0].split(maxsplit=1)[:1]
        if not word:
            continue
        if not is_sha256(word[0].lower()):
            raise OptionsError(
                f'trusted_models: line {number} of {name} does not begin with a sha256; {wanted}')
        found.add(word[0].lower())
    return found


@dataclass(frozen=True)
class ModelPolicy:
    """What the operator allows; the methods raise `NotAllowedError`."""

    changes: str
    roots: str = ''
    path: str = ''
    trusted: tuple[str, ...] = ()
    remotes: tuple[str, ...] = ()

    @classmethod
    def of(cls, settings: Parameters) -> ModelPolicy:
        """Return what the parameters say."""
        return cls(settings['model_changes'], settings['model_roots'], settings['model_path'],
                   tuple(settings['trusted_models']),
                   tuple(filter(None, settings['trusted_remotes'])))

    @property
    def refuses_conversion(self) -> str:
        """Why no TensorFlow model is converted; empty if it may be."""
        if self.changes == 'any':
            return ''
        return (f'model_changes is {self.changes}: a model chosen at run time is not converted '
                'from TensorFlow, because that runs TensorFlow; convert it before, with python -m '
                f'ros2_classify models convert, {_RESTART}')

    def check_name(self, name: str) -> None:
        """Check what is named, before anything of it is read."""
        if self.changes == 'any':
            return
        if self.changes == 'off':
            raise NotAllowedError(
                'model_changes is off: the model is not changed at run time; restart the server '
                'with another model or another model_changes')
        if is_url(name):
            url, sha256, _ = split_facts(name)
            if sha256 not in read_trusted(self.trusted):
                given = f'has the sha256 {sha256}, which is not in trusted_models' if sha256 else (
                    'has no sha256')
                raise self._refusal(
                    f'the URL {redact(url)} {given}',
                    f'append #sha256=… and add this sha256 to trusted_models, {_RESTART}')
            return
        with searching(self.path), allowed_paths(self.roots):
            if not self._is_known(name):
                where = self.roots or 'which is empty'
                raise self._refusal(
                    f'{name} is neither a name of the catalogue nor below model_roots ({where})',
                    f'put it in the catalogue (model_path) or below model_roots, {_RESTART}')

    def check_model(self, declared: ModelDescriptor) -> None:
        """Check the file that a descriptor names; a file at a URL is checked when it is there."""
        self._check_remote(declared)
        if self.changes != 'listed' or not declared.source.has_file:
            return
        sha256 = declared.source.sha256
        if sha256 is None:
            path = request_for(declared).path
            if path is not None:
                sha256 = (sha256_of_directory if path.is_dir() else sha256_of_file)(path)
        if sha256 not in read_trusted(self.trusted):
            raise self._refusal(
                f'the sha256 of {declared.name}, {sha256 or "unknown"}, is not in trusted_models',
                f'add it there, {_RESTART}')

    def _check_remote(self, declared: ModelDescriptor) -> None:
        """Check where a descriptor sends images."""
        url = declared.source.remote_url
        if url is None or self.changes == 'any':
            return
        url = url.of(declared.name)
        for trusted in map(RemoteUrl.parse, self.remotes):
            if trusted.server == url.server and trusted.model in ('', url.model):
                return
        raise NotAllowedError(
            f'model_changes is {self.changes}: {declared.name} sends images to {url}, which is '
            f'not in trusted_remotes ({", ".join(self.remotes) or "which is empty"}); add '
            f'{url.server} there, {_RESTART}')

    def _is_known(self, name: str) -> bool:
        """Tell whether it is in the catalogue or below the roots."""
        known = entries()
        named = Path(os.path.expanduser(name))
        # What `ros2_classify.model.catalog.resolve` takes for a name, and then for a path.
        is_descriptor = named.suffix.lower() in ('.yaml', '.yml')
        if not is_descriptor and variant_name(name) in known:
            return True
        places = [named] if named.is_absolute() else [
            Path(place, named) for place in (Path.cwd(), *search_path())]
        found = next((place for place in places if is_allowed(place) and os.path.exists(place)),
                     None)
        if found is None:
            # Without a directory or suffix it is a mistyped name, and no path.
            return os.sep not in name and not named.suffix
        ours = {os.path.realpath(path) for path in known.values()}
        return bool(self.roots) or os.path.realpath(found) in ours

    def _refusal(self, found: str, step: str) -> NotAllowedError:
        allowed = 'names of the catalogue, files below model_roots'
        if self.changes == 'listed':
            allowed = f'{allowed} and URLs, if their sha256 is in trusted_models'
        else:
            allowed = f'{allowed}, and URLs with a sha256 that is in trusted_models'
        return NotAllowedError(
            f'model_changes is {self.changes}: {found}; at run time this server takes {allowed}; '
            f'{step}')
