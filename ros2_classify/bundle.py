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
Bundles: models in one file, for machines without internet access.

A bundle is a plain tar archive::

    bundle.json                 its format, and the sha256 of each file below
    models/<name>.yaml          descriptors, and beside them the files they name by path
    files/<sha256>/<name>       downloaded files, as in the cache
    converted/<key>/<versions>/ converted TensorFlow models, as in the cache
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
import hashlib
import io
import json
import logging
import os
from pathlib import Path, PurePosixPath
import tarfile
from typing import IO

from ros2_classify.download.archive import Member, Opener, read_member, walk
from ros2_classify.download.cache import Cache, remove
from ros2_classify.download.fetch import fetch, fetch_whole
from ros2_classify.download.hashing import check_cancel, copy_whole, files_below, sha256_of_file
from ros2_classify.download.options import FetchOptions
from ros2_classify.download.url import is_sha256
from ros2_classify.engines.external_data import check_weights, weight_files
from ros2_classify.engines.onnx_file import read_onnx
from ros2_classify.errors import (
    ArchiveError, ConversionError, DescriptorError, EngineError, FetchError, ModelNotFoundError)
from ros2_classify.limits import check_replaceable
from ros2_classify.model.catalog import entries, with_stages
from ros2_classify.model.descriptor import load_descriptor, ModelDescriptor
from ros2_classify.model.files import request_for
from ros2_classify.paths import locate
from ros2_classify.progress import default_progress, Meter

FORMAT = 1
INDEX = 'bundle.json'

_log = logging.getLogger('ros2_classify')

_Files = list[tuple[str, Path]]


def write_bundle(descriptors: Sequence[ModelDescriptor], output: Path,
                 options: FetchOptions | None = None) -> list[str]:
    """Fetch models and write all their files into a bundle; return its members."""
    options = replace(options or FetchOptions(), allow_unverified=False)
    members: dict[str, Path] = {}
    for descriptor in descriptors:
        if below := next((stage.model for stage in descriptor.stages
                          if '://' not in stage.model and '/' in stage.model), None):
            raise DescriptorError(
                f'{descriptor.origin}: the model {below} of a stage is in another directory, so '
                'it cannot be bundled; put its descriptor beside this one')
    for descriptor in with_stages(descriptors):
        for member, path in [*_own_files(descriptor), *_fetched_files(descriptor, options)]:
            if members.setdefault(member, path) != path and not same(members[member], path):
                raise DescriptorError(f'{members[member]} and {path} would both be {member} in '
                                      'the bundle; make a bundle for each')
    hashes = {member: sha256_of_file(path, options.cancel) for member, path in members.items()}
    index = json.dumps({'format': FORMAT, 'files': hashes}, indent=1).encode()
    part = output.with_name(f'{output.name}.part')
    try:
        check_replaceable(output)
        _write(part, index, members, options)
        os.replace(part, output)
    except OSError as error:
        raise FetchError(f'the bundle {output} cannot be written ({error.strerror or error}); '
                         'free some space or choose another path') from error
    finally:
        part.unlink(missing_ok=True)
    return list(members)


def _own_files(descriptor: ModelDescriptor) -> _Files:
    """Return a descriptor and the files it names by path; a URL alone has none."""
    source = Path(descriptor.origin)
    if source.suffix in ('.yaml', '.yml') and source.is_file():
        return [(f'models/{source.stem}.yaml', source), *local_files(descriptor)]
    if descriptor.source.url is None:
        raise DescriptorError(
            f'{descriptor.origin or descriptor.name} has no descriptor file to bundle; write '
            'one (.yaml), for example with "models describe", and bundle that')
    return []


def local_files(descriptor: ModelDescriptor) -> _Files:
    """Return the files that a descriptor names by path, with their paths in the bundle."""
    named = [(descriptor.source.path, 'model file')] if descriptor.source.path else []
    for head in descriptor.heads or (descriptor,):
        if isinstance(head.labels, str):
            named.append((head.labels, 'label file'))
        if head.output.decoder is not None:
            # Imported here because the decoders import OpenCV.
            from ros2_classify.decoders import DECODERS

            decoder = DECODERS[head.output.decoder]
            file = decoder.file_of(decoder.parse_options(head.output.options))
            if file is not None:
                named.append((file, f'{decoder.file_key} file'))
    found = []
    for text, what in named:
        relative = Path(text)
        if relative.is_absolute() or '..' in relative.parts or text.startswith('~'):
            raise DescriptorError(
                f"{descriptor.origin}: the {what} {text} is not below the descriptor's directory, "
                'so it cannot be bundled; use a path relative to the descriptor')
        path = locate(text, descriptor.directory, what=what, origin=descriptor.origin,
                      or_directory=what == 'model file')
        place = f'models/{relative.as_posix()}'
        if path.is_dir():
            found += [(f'{place}/{below}', path / below) for below in sorted(files_below(path))]
        else:
            found.append((place, path))
        if what == 'model file' and descriptor.format == 'onnx' and path.is_file():
            found += _weights(path, Path(place))
    return found


def _weights(path: Path, place: Path) -> _Files:
    """Return the files of weights beside a model file, with their paths in the bundle."""
    try:
        model = read_onnx(path)
    except EngineError:
        return []  # an archive, or nothing that can be loaded
    found = []
    for name, file in weight_files(path, model).items():
        relative = PurePosixPath(name.replace('\\', '/'))
        if relative.is_absolute() or '..' in relative.parts:
            raise DescriptorError(
                f"{path}: its weights {name} are not below the model's directory, so they cannot "
                'be bundled; export the model again')
        if not file.is_file():
            raise ModelNotFoundError(
                f'{path}: its weights are in a second file that is missing: put {file} back')
        found.append(((place.parent / relative).as_posix(), file))
    return found


def _fetched_files(descriptor: ModelDescriptor, options: FetchOptions) -> _Files:
    """Return the files for the cache of the other machine, with their paths in the bundle."""
    request = request_for(descriptor)
    # Verify everything before it is bundled.
    model = fetch(request, options)
    check_weights(descriptor, model)
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
        _log.warning('%s is bundled unconverted, and needs TensorFlow on the other machine: %s',
                     descriptor.name, error)
        return []
    place = '/'.join(('converted', *done.model.parent.parts[-2:]))
    # The log stays here: it names this machine's directories.
    return [(f'{place}/{path.name}', path) for path in (done.model, done.report)]


def same(one: Path, other: Path) -> bool:
    """Return whether two files have the same content."""
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
    """Add a file without dates, owners or permissions of this machine."""
    info = tarfile.TarInfo(name)
    info.size = size
    info.mode = 0o644
    tar.addfile(info, stream)


_MAX_INDEX = 4 * 1024 * 1024

_Members = Iterator[tuple[Member, Opener]]


@dataclass(frozen=True)
class Imported:
    """The result of an import."""

    # Descriptors; those that the catalogue has already, byte for byte, are not imported again, so
    # that they don't hide a later release.
    models: tuple[Path, ...]
    files: tuple[Path, ...]  # downloaded files in the cache
    converted: tuple[Path, ...]  # directories of converted models in the cache
    replaced: tuple[Path, ...]  # overwritten files in the directory of imported models


def import_bundle(path: Path, directory: Path, options: FetchOptions | None = None) -> Imported:
    """Verify a bundle's files and move them to the cache and the directory of imported models."""
    options = options or FetchOptions()
    cache = Cache(options.cache_directory())
    staging = cache.part(f'import-{os.getpid()}-{os.urandom(4).hex()}').with_suffix('.unpack')
    try:
        with cache.errors(), walk(path) as members:
            index = _read_index(path, members)
            cache.check_space(path.stat().st_size)
            staged = _stage(path, members, index, staging, options)
        models = _known_or_new(path, index, staging, directory)
        files = tuple(_to_cache(staged[name], name, cache, options)
                      for name in staged if name.startswith('files/'))
        converted = _converted_to_cache(staging / 'converted', cache, options)
        replaced = _to_directory(staging / 'models', directory)
    finally:
        with cache.errors():
            remove(staging)
    return Imported(models, files, converted, replaced)


def _read_index(path: Path, members: _Members) -> dict[str, str]:
    """Return the sha256 of each file by its name, from the bundle's first member."""
    first = next(members, None)
    problem = None
    if first is None or first[0].name != INDEX or first[0].size > _MAX_INDEX:
        problem = f'it does not begin with {INDEX}'
    else:
        try:
            index = json.loads(b''.join(read_member(path, *first)))
            files = index['files']
            if index['format'] != FORMAT:
                problem = (f'its format is {index["format"]!r}, but {FORMAT} is supported')
            elif isinstance(files, dict) and all(map(_is_entry, files.items())):
                return files
            else:
                problem = 'its index is damaged'
        except (ValueError, KeyError, TypeError, RecursionError):
            problem = 'its index is damaged'
    raise ArchiveError(f'{path} cannot be imported as a bundle: {problem}; create it with '
                       '"python3 -m ros2_classify models bundle"')


def _is_entry(entry: tuple[object, object]) -> bool:
    name, sha256 = entry
    if not isinstance(name, str) or not isinstance(sha256, str) or not is_sha256(sha256):
        return False
    parts = name.split('/')
    return (parts[0] == 'models' and len(parts) > 1) or (
        parts[0] == 'files' and len(parts) == 3 and parts[1] == sha256) or (
        parts[0] == 'converted' and len(parts) == 4 and is_sha256(parts[1]))


def _stage(path: Path, members: _Members, index: dict[str, str], staging: Path,
           options: FetchOptions) -> dict[str, Path]:
    """Extract all files to the staging directory, each verified against the index."""
    meter = Meter(f'importing {path.name}', options.progress or default_progress())
    meter.start(0, path.stat().st_size)
    staged = {}
    for member, opener in members:
        if member.is_directory:
            continue
        if member.name not in index:
            raise ArchiveError(f'{path}: {member.name} is not in its index; create the '
                               'bundle again')
        place = staging / member.name
        place.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        with open(place, 'xb') as stream:
            for chunk in read_member(path, member, opener):
                check_cancel(options.cancel)
                stream.write(chunk)
                digest.update(chunk)
                meter.add(len(chunk))
        if digest.hexdigest() != index[member.name]:
            raise ArchiveError(f'{path}: {member.name} is damaged; copy the bundle again')
        staged[member.name] = place
    meter.add(path.stat().st_size - sum(place.stat().st_size for place in staged.values()))
    if missing := sorted(index.keys() - staged.keys()):
        raise ArchiveError(f'{path}: {missing[0]} is missing; copy the bundle again')
    meter.finish()
    return staged


def _known_or_new(path: Path, index: dict[str, str], staging: Path,
                  directory: Path) -> tuple[Path, ...]:
    """Return the path of each descriptor; remove known ones, and their files, from staging."""
    known = entries()
    places = []
    unneeded: set[Path] = set()
    needed: set[Path] = set()
    for name in (name for name in index if name.startswith('models/') and name.count('/') == 1
                 and name.endswith('.yaml')):
        staged = staging / name
        try:
            descriptor = load_descriptor(staged)
        except DescriptorError as error:
            raise ArchiveError(f'{path}: {error}; it may need a newer ros2_classify') from error
        own = known.get(staged.stem)
        is_known = own is not None and own.parent != directory and same(own, staged)
        files = {staged, *(staging / member for member, _ in local_files(descriptor))}
        (unneeded if is_known else needed).update(files)
        places.append(own if own is not None and is_known else directory / staged.name)
    for staged in unneeded - needed:
        remove(staged)
    return tuple(places)


def _to_cache(staged: Path, name: str, cache: Cache, options: FetchOptions) -> Path:
    sha256 = name.split('/')[1]
    with cache.lock(sha256, staged.name, options.cancel):
        return cache.get(sha256, options.cancel) or cache.publish(staged, sha256, staged.name)


def _converted_to_cache(staged: Path, cache: Cache, options: FetchOptions) -> tuple[Path, ...]:
    """Move converted models into the cache."""
    places = []
    for name in sorted({str(Path(name).parent) for name in files_below(staged)}
                       if staged.is_dir() else ()):
        source, target = staged / name, cache.directory / 'converted' / name
        with cache.lock(source.parent.name, source.parent.name, options.cancel), cache.errors():
            if not _same_files(source, target):
                remove(target)
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(source, target)
        places.append(target)
    return tuple(places)


def _same_files(one: Path, other: Path) -> bool:
    return all((other / name).is_file() and same(one / name, other / name)
               for name in files_below(one))


def _to_directory(source: Path, directory: Path) -> tuple[Path, ...]:
    """Move files to the directory of imported models; return those that were overwritten."""
    replaced = []
    names = sorted(files_below(source)) if source.is_dir() else []
    # Descriptors last: their files must exist.
    for name in sorted(names, key=lambda name: name.endswith('.yaml')):
        target = directory / name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.exists() and not same(source / name, target):
                replaced.append(target)
            copy_whole(source / name, target)
        except OSError as error:
            raise FetchError(f'{target} cannot be written ({error.strerror or error}); choose '
                             'another directory') from error
    return tuple(replaced)
