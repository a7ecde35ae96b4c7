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
From a descriptor's ``source`` to a verified file or directory on this machine.

Downloads and archives are imported on first use: most starts find the file on disk.
"""

from __future__ import annotations

from dataclasses import dataclass
import difflib
import hashlib
import json
import logging
import os
from pathlib import Path
import shlex

from ros2_classify.download.cache import Cache, remove
from ros2_classify.download.hashing import sha256_of_directory, sha256_of_file
from ros2_classify.download.options import FetchOptions, OFFLINE
from ros2_classify.download.url import file_name, is_archive_name, is_sha256, problem_with, redact
from ros2_classify.errors import DescriptorError, FetchError, IntegrityError, ModelNotFoundError
from ros2_classify.progress import default_progress, human_size, Meter

_log = logging.getLogger('ros2_classify')

_LISTED = 12


@dataclass(frozen=True)
class Request:
    """A source to fetch."""

    label: str  # the model's name, used in messages
    origin: str  # the descriptor's file, or what else named the source; errors begin with it
    model: str  # what a command line calls the model
    url: str | None = None  # a URL, or None if ``path`` counts
    path: Path | None = None  # an existing file or directory
    sha256: str | None = None  # of the file, directory or archive
    size: int | None = None  # its bytes, if declared
    member: str | None = None  # the file or directory to take from the archive or directory


def fetch(request: Request, options: FetchOptions | None = None) -> Path:
    """Return a source's file or directory: downloaded, verified and unpacked. Don't change it."""
    options = options or FetchOptions()
    path, sha256 = fetch_whole(request, options)
    if request.member is None:
        if is_archive_name(path.name) and not path.is_dir():
            from ros2_classify.download.archive import list_members

            listed = _listed([member.name for member in list_members(path)])
            raise DescriptorError(
                f'{request.origin}: source.member is missing: {path.name} is an archive with '
                f'{listed}; add member: and one of them')
        return path
    if path.is_dir():
        return _below(path, request)
    return _verified_member(path, sha256, request, Cache(options.cache_directory()), options)


def cached(request: Request, options: FetchOptions | None = None) -> Path | None:
    """Return the cached file of a URL, unverified, or None."""
    if request.url is None or request.sha256 is None:
        return None
    return Cache((options or FetchOptions()).cache_directory()).find(request.sha256)


def fetch_whole(request: Request, options: FetchOptions) -> tuple[Path, str | None]:
    """Return the file or directory of a path or URL, not unpacked, and its sha256 if known."""
    if request.url is None:
        return _local(request, options)
    problem = problem_with(request.url)
    if problem is None and request.sha256 is not None and not is_sha256(request.sha256):
        problem = f'has a sha256 {request.sha256!r} that is not 64 hexadecimal digits'
    if problem:
        raise FetchError(f'{request.origin}: the URL {redact(request.url)} {problem}')
    return _remote(request, request.url, options)


def _local(request: Request, options: FetchOptions) -> tuple[Path, str | None]:
    path = request.path
    assert path is not None, 'a request has a path or a URL'
    if request.sha256 is None and (request.member is None or path.is_dir()):
        return path, None
    kind = 'directory' if path.is_dir() else 'file'
    try:
        actual = (sha256_of_directory if path.is_dir() else sha256_of_file)(path, options.cancel)
    except OSError as error:
        raise ModelNotFoundError(f'{error.filename or path}: the model {kind} cannot be read: '
                                 f'{error.strerror}') from error
    if request.sha256 not in (None, actual):
        raise IntegrityError(
            f'{path}: the sha256 is {actual}, but {request.origin} declares {request.sha256}; the '
            f'{kind} was changed, cut off, or is another version: get the right {kind}, or '
            'correct the descriptor if you trust this one')
    return path, actual


def _remote(request: Request, url: str, options: FetchOptions) -> tuple[Path, str]:
    cache = Cache(options.cache_directory())
    sha256 = request.sha256
    if sha256 is None:
        return _unverified(request, url, cache, options)
    found = cache.get(sha256, options.cancel)
    if found is None:
        from ros2_classify.download.http import download

        _check_online(request, url, cache, options)
        with cache.lock(sha256, request.label, options.cancel):
            # Another process may have fetched it while this one waited for the lock.
            found = cache.get(sha256, options.cancel)
            if found is None:
                cache.drop_stale()
                part, _ = download(url, sha256, request.size, request.label, sha256, cache,
                                   options)
                found = cache.publish(part, sha256, file_name(url))
    return found, sha256


def _unverified(request: Request, url: str, cache: Cache,
                options: FetchOptions) -> tuple[Path, str]:
    """Fetch a file without sha256; refuse it unless ``allow_unverified`` is set."""
    from ros2_classify.download.http import download

    _check_online(request, url, cache, options)
    key = f'url-{hashlib.sha256(url.encode()).hexdigest()}'
    with cache.lock(key, request.label, options.cancel):
        cache.drop_stale()
        part, sha256 = download(url, None, request.size, request.label, key, cache, options)
        try:
            with cache.lock(sha256, request.label, options.cancel):
                found = cache.get(sha256, options.cancel)
                if found is None:
                    found = cache.publish(part, sha256, file_name(url))
        finally:
            remove(part)
    bare = request.origin == url
    facts = (f'{"" if bare else f"{request.origin}: "}{redact(url)} has no sha256 to verify it; '
             f'the downloaded file has {human_size(found.stat().st_size)} and sha256 {sha256}')
    keep = (f'append "#sha256={sha256}" to the URL' if bare else
            f'add "sha256: {sha256}" next to url: in the descriptor')
    if not options.allow_unverified:
        raise IntegrityError(f'{facts}; unverified models are not run: if you trust this '
                             f'file, {keep}; for a trial, set the parameter allow_unverified of '
                             'the server, or call infer with --allow-unverified')
    _log.warning('UNVERIFIED MODEL: %s. It is used anyway, but anybody could have changed it; '
                 'to be safe, %s', facts, keep)
    return found, sha256


def _check_online(request: Request, url: str, cache: Cache, options: FetchOptions) -> None:
    """Raise FetchError in offline mode, with what to do instead."""
    if url.startswith('file:') or not options.is_offline():
        return
    why = f'{OFFLINE} is set' if options.offline is None else 'offline mode is on'
    model = shlex.quote(request.model)
    if request.sha256 is None:
        raise FetchError(
            f'{request.label} has no sha256, so it must be downloaded each time, but {why}; run '
            f'"python3 -m ros2_classify models fetch {model}" on a machine with internet access '
            'to get the sha256, write it into a descriptor, and transfer the model with "models '
            'bundle" and "models import"')
    damaged = cache.find(request.sha256) is not None
    raise FetchError(
        f'{request.label} is {"damaged" if damaged else "not"} in the cache {cache.directory}, '
        f'and {why}; on a machine with internet access run "python3 -m ros2_classify models '
        f'bundle {model} --output bundle.tar", copy the file here and run "python3 -m '
        'ros2_classify models import bundle.tar"')


def _verified_member(path: Path, sha256: str | None, request: Request, cache: Cache,
                     options: FetchOptions) -> Path:
    """Return a member of an archive from its unpacked tree, verified file by file."""
    assert sha256 is not None, 'archives have a sha256'
    home = cache.directory / 'unpacked' / sha256
    place = _intact(home, request, cache, options)
    if place is None:
        with cache.lock(f'{sha256}-unpacked', f'and unpacking {path.name}', options.cancel):
            place = _intact(home, request, cache, options)
            if place is None:
                _unpack(path, sha256, home, cache, options)
                place = _intact(home, request, cache, options)
    if place is None:
        raise FetchError(f'{home} changed while in use; remove it and try again')
    return place


def _unpack(path: Path, sha256: str, home: Path, cache: Cache, options: FetchOptions) -> None:
    """Unpack an archive into a temporary directory, then move that into place."""
    from ros2_classify.download.archive import list_members, unpack

    total = sum(member.size for member in list_members(path))
    staging = cache.part(sha256).with_suffix('.unpack')
    with cache.errors():
        remove(staging)
        remove(home)
    cache.check_space(total)
    meter = Meter(f'unpacking {path.name}', options.progress or default_progress())
    meter.start(0, total)
    try:
        with cache.errors(total):
            files = unpack(path, staging / 'tree', meter=meter, cancel=options.cancel)
            (staging / 'files.json').write_text(json.dumps(files), encoding='utf-8')
            home.parent.mkdir(exist_ok=True)
            os.replace(staging, home)
        meter.finish()
    finally:
        with cache.errors():
            remove(staging)


def _intact(home: Path, request: Request, cache: Cache, options: FetchOptions) -> Path | None:
    """Return the member if it was unpacked and is unchanged, else None."""
    try:
        files = json.loads((home / 'files.json').read_text(encoding='utf-8'))
    except (FileNotFoundError, ValueError):
        return None
    # A model may have its weights in files beside it: verify the member's directory.
    place = _below(home / 'tree', request, list(files))
    member = place.relative_to(home / 'tree').as_posix()
    is_directory = member not in files
    wanted = member if is_directory else member.rpartition('/')[0]
    for name, (_, declared) in files.items():
        directory = name.rpartition('/')[0]
        below = is_directory and (wanted == '.' or directory.startswith(f'{wanted}/'))
        if directory != wanted and not below:
            continue
        try:
            actual = sha256_of_file(home / 'tree' / name, options.cancel)
        except FileNotFoundError:
            actual = 'missing'
        if actual != declared:
            _log.warning('%s is damaged: its sha256 is %s; unpacking it again',
                         home / 'tree' / name, actual)
            return None
    return place


def _below(top: Path, request: Request, names: list[str] | None = None) -> Path:
    """Return a member of a directory; if there is none, the error lists the members."""
    member = (request.member or '').strip('/')
    parts = [part for part in member.split('/') if part != '.']
    if '..' in parts or (request.member or '').startswith('/'):
        raise DescriptorError(f'{request.origin}: source.member {request.member!r} must be a '
                              'relative path inside the archive or directory, without ".."')
    place = top.joinpath(*parts)
    if place.exists():
        return place
    there = sorted(names or [path.relative_to(top).as_posix() for path in top.rglob('*')])
    if names and any(name.startswith(f'{member}/') or name == member for name in names):
        return place  # damaged; the caller checks
    close = difflib.get_close_matches(member, there, n=1, cutoff=0.5)
    near = f' (did you mean {close[0]!r}?)' if close else ''
    raise ModelNotFoundError(
        f'{request.origin}: source.member {request.member!r} was not found{near}; available '
        f'are {_listed(there)}')


def _listed(names: list[str]) -> str:
    more = f' and {len(names) - _LISTED} more' if len(names) > _LISTED else ''
    return f'{", ".join(names[:_LISTED]) or "no files"}{more}'
