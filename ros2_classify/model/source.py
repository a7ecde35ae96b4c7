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

"""Where a model file is: the section `source` of a descriptor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from ros2_classify.download.url import file_name, problem_with, redact
from ros2_classify.errors import OptionsError
from ros2_classify.frozen_mapping import FrozenMapping
from ros2_classify.keys import key, Kind, read, Schema, SHA256
from ros2_classify.model.remote_url import RemoteUrl
from ros2_classify.yaml_config import as_text, Fields, Where

Certainty = Literal['quoted_with_sha256', 'quoted', 'inferred']


def read_source(value: Any, where: Where) -> Source:
    if isinstance(value, str):
        raise where.error(
            f'{value!r} must be below the key path; write source: {{path: {value}}}')
    return read(Fields(value, where), Source)


def _read_remote(value: Any, where: Where) -> str:
    text = as_text(value, where)
    try:
        RemoteUrl.parse(text)
    except OptionsError as error:
        raise where.error(str(error)) from None
    return text


@dataclass(frozen=True)
class Source:
    """Where the model is: its file at a path or a URL, or a remote model server, or both."""

    SCHEMA: ClassVar[Schema] = {
        'anyOf': [{'required': ['path']}, {'required': ['url']}, {'required': ['remote']}],
        'not': {'required': ['path', 'url']}}

    path: str = key(
        '', "absolute, with `~`, or relative: to the descriptor's directory, then to the "
        'directories of `ROS2_CLASSIFY_MODEL_PATH`', value='path', unset='this or `url`')
    sha256: str | None = key(
        None, 'of the file, archive or directory: one with another sha256 is refused',
        kind=SHA256, unset='not checked; with `url` needed')
    url: str | None = key(
        None, '`https:`, `http:` or `file:`; see [Where model files come from](sources.md)',
        value='URL', unset='this or `path`')
    member: str | None = key(
        None, 'the file or directory to take from an archive or a directory', value='path',
        unset='the file itself')
    size: int | None = key(
        None, 'of the file at `url`: shown before the download; a file of another size is '
        'refused early', low=1, high=10**12, value='bytes', unset='unknown')
    certainty: Certainty | None = key(
        None, 'how certain `url` is if it was not downloaded: a public repository contains it '
        'beside this `sha256`, contains it, or it follows the pattern of similar ones',
        unset='unknown')
    weights: FrozenMapping = key(
        FrozenMapping({}), 'sha256 of the files of weights beside the model file, by the names '
        'that the model has for them; see [Weights outside the model file]'
        '(sources.md#weights-outside-the-model-file)', unset='not checked', kind=Kind(
            lambda value, where: FrozenMapping({
                name: SHA256.read(sha256, where.at(name))
                for name, sha256 in Fields(value, where).rest().items()}),
            {'type': 'object', 'additionalProperties': SHA256.schema},
            'mapping from names to sha256'))
    remote: str | None = key(
        None, 'the model server that runs the model, such as `grpc://gpu:8001/yolox_nano`; see '
        '[Remote model servers](remote.md)', unset='the model runs here', kind=Kind(
            _read_remote, {'type': 'string', 'pattern': '^(http|https|grpc|grpcs)://'},
            'URL'))

    @property
    def has_file(self) -> bool:
        """Whether there is a model file; with `remote` there need not be."""
        return bool(self.path or self.url)

    @property
    def remote_url(self) -> RemoteUrl | None:
        """The remote model server, if one runs the model."""
        return RemoteUrl.parse(self.remote) if self.remote else None

    @property
    def name(self) -> str:
        """The name of the model's file or directory, which shows its format."""
        if self.url and not self.member:
            return file_name(self.url)
        return (self.member or self.path).rstrip('/').rpartition('/')[2]

    def checked(self, fields: Fields) -> Source:
        """Refuse what does not fit together."""
        if self.remote and not self.has_file:
            if given := [name for name in fields if name != 'remote']:
                raise fields.error(given[0], 'is about a model file, but only remote is given; '
                                             'remove it, or add path or url')
            return self
        if bool(self.path) == bool(self.url):
            problem = 'path and url are both given; keep one' if self.url else 'path is missing'
            raise fields.where.error(
                f'{problem}; write path: model.onnx, or url: https://… with its sha256')
        if self.url and (problem_found := problem_with(self.url)):
            raise fields.error('url', f'{redact(self.url)} {problem_found}')
        member = self.member or ''
        if member.startswith('/') or '..' in member.split('/'):
            raise fields.error(
                'member', f'{member!r} must be a relative path inside the archive or directory, '
                'without ".."')
        if self.certainty is not None and self.url is None:
            raise fields.error('certainty', 'is about a URL, but path is given; remove it')
        if self.weights and (self.url or self.member):
            raise fields.error(
                'weights', 'is for a model file at path; the sha256 of an archive or directory is '
                'for all of its files: remove weights')
        return self
