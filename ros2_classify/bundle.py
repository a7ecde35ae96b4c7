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
Models in one file, for machines without a network: how it is written.

A bundle is a plain tar archive::

    bundle.json                 its format, and the sha256 of each file below
    models/<name>.yaml          descriptors, and beside them the files they name by path
    files/<sha256>/<name>       what addresses name, as the cache keeps it
    converted/<key>/<versions>/ what TensorFlow models were converted into, likewise

`ros2_classify.unbundle` reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
import io
import json
import logging
import os
from pathlib import Path
import tarfile
from typing import IO

from ros2_classify.download.fetch import fetch, fetch_whole
from ros2_classify.download.hashing import check_cancel, files_below, sha256_of_file
from ros2_classify.download.options import FetchOptions
from ros2_classify.errors import ConversionError, DescriptorError, FetchError
from ros2_classify.model.descriptor import ModelDescriptor
from ros2_classify.model.files import locate, request_for
from ros2_classify.progress import default_progress, Meter

FORMAT = 1
INDEX = 'bundle.json'

_log = logging.getLogger('ros2_classify')

_Files = list[tuple[str, Path]]


def write_bundle(descriptors: Sequence[ModelDescriptor], output: Path,
                 options: FetchOptions | None = None) -> list[str]:
    """
    Fetch models and write all they need into one file.

    Parameters
    ----------
    descriptors : sequence of ModelDescriptor
        Read from descriptor files, or bare addresses; two of one name must be the same file.
    output : Path
        The bundle; it gets its name when it is complete.
    options : FetchOptions, optional
        How to fetch what is not there yet. A source without a sha256 is refused, trial or not:
        the other machine could not know the file again.

    Returns
    -------
    list of str
        The members of the bundle.

    Raises
    ------
    DescriptorError
        If a model was not read from a file, or names a file that another machine won't have.
    FetchError
        If a file can't be fetched, or the bundle can't be written.
    IntegrityError, ArchiveError, ModelNotFoundError
        As `fetch` does.

    """
    options = replace(options or FetchOptions(), allow_unverified=False)
    members: dict[str, Path] = {}
    for descriptor in descriptors:
        for member, path in [*_own_files(descriptor), *_fetched_files(descriptor, options)]:
            if members.setdefault(member, path) != path and not same(members[member], path):
                raise DescriptorError(f'{members[member]} and {path} would both be {member} in '
                                      'the bundle; bundle them one by one')
    hashes = {member: sha256_of_file(path, options.cancel) for member, path in members.items()}
    index = json.dumps({'format': FORMAT, 'files': hashes}, indent=1).encode()
    part = output.with_name(f'{output.name}.part')
    try:
        _write(part, index, members, options)
        os.replace(part, output)
    except OSError as error:
        raise FetchError(f'the bundle {output} cannot be written ({error.strerror or error}); '
                         'free some space or name another place') from error
    finally:
        part.unlink(missing_ok=True)
    return list(members)


def _own_files(descriptor: ModelDescriptor) -> _Files:
    """Return a descriptor and what it names by path; a bare address has nothing of its own."""
    source = Path(descriptor.origin)
    if source.suffix in ('.yaml', '.yml') and source.is_file():
        return [(f'models/{source.stem}.yaml', source), *local_files(descriptor)]
    if descriptor.source.url is None:
        raise DescriptorError(
            f'{descriptor.origin or descriptor.name} has no descriptor file to carry over; write '
            'one (.yaml), which "models describe" begins, and bundle that')
    return []


def local_files(descriptor: ModelDescriptor) -> _Files:
    """Return the files that a descriptor names by path, with their places in the bundle."""
    named = [(descriptor.source.path, 'model file')] if descriptor.source.path else []
    if isinstance(descriptor.labels, str):
        named.append((descriptor.labels, 'label file'))
    found = []
    for text, what in named:
        relative = Path(text)
        if relative.is_absolute() or '..' in relative.parts or text.startswith('~'):
            raise DescriptorError(
                f"{descriptor.origin}: the {what} {text} is not below the descriptor's directory, "
                'so it cannot be carried over; name it by a path relative to the descriptor')
        path = locate(text, descriptor.directory, what=what, origin=descriptor.origin,
                      or_directory=what == 'model file')
        place = f'models/{relative.as_posix()}'
        if path.is_dir():
            found += [(f'{place}/{below}', path / below) for below in sorted(files_below(path))]
        else:
            found.append((place, path))
    return found


def _fetched_files(descriptor: ModelDescriptor, options: FetchOptions) -> _Files:
    """Return what has to be in the other machine's cache, with its places in the bundle."""
    request = request_for(descriptor)
    # All that is checked before use is checked before the journey.
    model = fetch(request, options)
    files = _converted_files(descriptor, model, options)
    if request.url is not None:
        path, sha256 = fetch_whole(request, options)
        files.append((f'files/{sha256}/{path.name}', path))
    return files


def _converted_files(descriptor: ModelDescriptor, model: Path, options: FetchOptions) -> _Files:
    """Convert a TensorFlow model here, so that the other machine needs no TensorFlow."""
    if descriptor.format == 'onnx':
        return []
    from ros2_classify.convert.api import convert
    from ros2_classify.convert.options import ConvertOptions

    try:
        done = convert(descriptor, model, ConvertOptions.like(options))
    except ConversionError as error:
        _log.warning('%s is carried over as it is, and needs TensorFlow on the other machine: %s',
                     descriptor.name, error)
        return []
    place = '/'.join(('converted', *done.model.parent.parts[-2:]))
    # The log stays here: it names this machine's directories.
    return [(f'{place}/{path.name}', path) for path in (done.model, done.report)]


def same(one: Path, other: Path) -> bool:
    """Tell whether two files have the same content."""
    return sha256_of_file(one) == sha256_of_file(other)


def _write(part: Path, index: bytes, members: dict[str, Path], options: FetchOptions) -> None:
    meter = Meter(f'writing {part.stem}', options.progress or default_progress())
    meter.start(0, sum(path.stat().st_size for path in members.values()))
    with open(part, 'wb') as raw, tarfile.open(fileobj=raw, mode='w') as tar:
        _add(tar, INDEX, len(index), io.BytesIO(index))
        for member, path in members.items():
            check_cancel(options.cancel)
            with open(path, 'rb') as stream:
                size = os.fstat(stream.fileno()).st_size
                _add(tar, member, size, stream)
            meter.add(size)
        tar.close()
        raw.flush()
        os.fsync(raw.fileno())
    meter.finish()


def _add(tar: tarfile.TarFile, name: str, size: int, stream: IO[bytes]) -> None:
    """Add a file with nothing of this machine in it: no dates, owners or permissions."""
    info = tarfile.TarInfo(name)
    info.size = size
    info.mode = 0o644
    tar.addfile(info, stream)
