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

"""Models in one file, for machines without a network: how it is brought in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
import hashlib
import json
import os
from pathlib import Path

from ros2_classify.bundle import FORMAT, INDEX, local_files, same
from ros2_classify.download.archive import Member, Opener, read_member, walk
from ros2_classify.download.cache import Cache, remove
from ros2_classify.download.copying import copy_whole
from ros2_classify.download.hashing import check_cancel, files_below
from ros2_classify.download.options import FetchOptions
from ros2_classify.download.url import is_sha256
from ros2_classify.errors import ArchiveError, DescriptorError, FetchError
from ros2_classify.model.catalog import entries
from ros2_classify.model.descriptor import load_descriptor
from ros2_classify.progress import default_progress, Meter

_MAX_INDEX = 4 * 1024 * 1024

_Members = Iterator[tuple[Member, Opener]]


@dataclass(frozen=True)
class Imported:
    """
    What an import brought.

    Parameters
    ----------
    models : tuple of Path
        The bundle's descriptors where they are now: those that this machine's catalogue has
        already, letter for letter, stay where they were, so that they don't hide a later release.
    files : tuple of Path
        The files that came into the cache, or were there already.
    converted : tuple of Path
        Directories of the cache with what TensorFlow models were converted into.
    replaced : tuple of Path
        Files in the directory of imported models that were other ones before.

    """

    models: tuple[Path, ...]
    files: tuple[Path, ...]
    converted: tuple[Path, ...]
    replaced: tuple[Path, ...]


def import_bundle(path: Path, directory: Path, options: FetchOptions | None = None) -> Imported:
    """
    Put a bundle's files where this machine looks for them, each checked first.

    Parameters
    ----------
    path : Path
        The bundle.
    directory : Path
        Where descriptors and the files beside them go.
    options : FetchOptions, optional
        Which cache, and cancelling.

    Returns
    -------
    Imported
        What came.

    Raises
    ------
    ArchiveError
        If it is no bundle, or a file in it isn't what its index says; nothing of it was used.
    FetchError
        If the cache or the directory can't be written, or the disk is full.

    """
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
                problem = (f'its format is {index["format"]!r}, and {FORMAT} is the one that is '
                           'known here')
            elif isinstance(files, dict) and all(map(_is_entry, files.items())):
                return files
            else:
                problem = 'its index is damaged'
        except (ValueError, KeyError, TypeError, RecursionError):
            problem = 'its index is damaged'
    raise ArchiveError(f'{path} is no bundle that can be imported: {problem}; make it with '
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
    """Write all files beside the cache, each with the hash that the index says."""
    meter = Meter(f'importing {path.name}', options.progress or default_progress())
    meter.start(0, path.stat().st_size)
    staged = {}
    for member, opener in members:
        if member.is_directory:
            continue
        if member.name not in index:
            raise ArchiveError(f'{path}: {member.name} does not stand in its index; make the '
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
    """Return where each descriptor will be; those known already, and their files, are unstaged."""
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
    """Move conversions, directory by directory, to where the converter would have put them."""
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
    """Move files to where the catalogue finds them; return those that were other ones before."""
    replaced = []
    names = sorted(files_below(source)) if source.is_dir() else []
    # Descriptors last: one that is there finds its files.
    for name in sorted(names, key=lambda name: name.endswith('.yaml')):
        target = directory / name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.exists() and not same(source / name, target):
                replaced.append(target)
            copy_whole(source / name, target)
        except OSError as error:
            raise FetchError(f'{target} cannot be written ({error.strerror or error}); name '
                             'another directory') from error
    return tuple(replaced)
