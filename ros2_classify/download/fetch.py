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
From what a descriptor's ``source`` says to a file or directory on this machine, verified.

Downloads and archives are imported where they are used: most starts find the file on the disk.
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
    """
    What is to be fetched.

    Parameters
    ----------
    label : str
        The model's name, for messages.
    origin : str
        The descriptor's file, or what else named the source; errors begin with it.
    model : str
        What a command line calls the model.
    url : str or None
        An address, or None where ``path`` counts.
    path : Path or None
        A file or directory that exists.
    sha256 : str or None
        Of the file or directory that ``url`` or ``path`` names: the archive, where it is one.
    size : int or None
        Its bytes, where declared.
    member : str or None
        The file or directory to take from the archive or directory.

    """

    label: str
    origin: str
    model: str
    url: str | None = None
    path: Path | None = None
    sha256: str | None = None
    size: int | None = None
    member: str | None = None


def fetch(request: Request, options: FetchOptions | None = None) -> Path:
    """
    Return a source's file or directory, fetched, verified and unpacked as need be.

    Parameters
    ----------
    request : Request
        What is wanted.
    options : FetchOptions, optional
        How.

    Returns
    -------
    Path
        A file or directory that is not to be changed.

    Raises
    ------
    IntegrityError
        If it isn't what its sha256 says, or an address has none.
    ArchiveError
        If the archive is broken or harmful.
    ModelNotFoundError
        If the archive or directory lacks the member.
    FetchError
        If it can't be had: no network, offline mode, no such file, a full disk.

    """
    options = options or FetchOptions()
    path, sha256 = fetch_whole(request, options)
    if request.member is None:
        if is_archive_name(path.name) and not path.is_dir():
            from ros2_classify.download.archive import list_members

            listed = _listed([member.name for member in list_members(path)])
            raise DescriptorError(
                f'{request.origin}: source.member is missing: {path.name} is an archive; it holds '
                f'{listed}; say member: and one of them')
        return path
    if path.is_dir():
        return _below(path, request)
    return _verified_member(path, sha256, request, Cache(options.cache_directory()), options)


def cached(request: Request, options: FetchOptions | None = None) -> Path | None:
    """Return the file that an address's download would give, where the cache has it; unchecked."""
    if request.url is None or request.sha256 is None:
        return None
    return Cache((options or FetchOptions()).cache_directory()).find(request.sha256)


def fetch_whole(request: Request, options: FetchOptions) -> tuple[Path, str | None]:
    """
    Return the file or directory that a path or an address names: the archive, where it is one.

    Parameters
    ----------
    request : Request
        What is wanted; its member is not looked at.
    options : FetchOptions
        How.

    Returns
    -------
    tuple of Path and (str or None)
        The file or directory, and its sha256; None where nobody had to know it.

    Raises
    ------
    IntegrityError, FetchError
        As `fetch` does.

    """
    if request.url is None:
        return _local(request, options)
    problem = problem_with(request.url)
    if problem is None and request.sha256 is not None and not is_sha256(request.sha256):
        problem = f'has a sha256 {request.sha256!r} that is not 64 hexadecimal digits'
    if problem:
        raise FetchError(f'{request.origin}: the address {redact(request.url)} {problem}')
    return _remote(request, request.url, options)


def _local(request: Request, options: FetchOptions) -> tuple[Path, str | None]:
    path = request.path
    assert path is not None, 'a request has a path or an address'
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
            # Whoever held the lock before us may have fetched it.
            found = cache.get(sha256, options.cancel)
            if found is None:
                cache.drop_stale()
                part, _ = download(url, sha256, request.size, request.label, sha256, cache,
                                   options)
                found = cache.publish(part, sha256, file_name(url))
    return found, sha256


def _unverified(request: Request, url: str, cache: Cache,
                options: FetchOptions) -> tuple[Path, str]:
    """Fetch a file that nobody vouches for, and refuse it unless this is a trial."""
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
    facts = (f'{"" if bare else f"{request.origin}: "}{redact(url)} has no sha256 to be checked '
             f'by; what came has {human_size(found.stat().st_size)} and the sha256 {sha256}')
    keep = (f'write "#sha256={sha256}" after the address' if bare else
            f'write "sha256: {sha256}" beside its url in the descriptor')
    if not options.allow_unverified:
        raise IntegrityError(f'{facts}; nothing unverified is run: if you trust this file, '
                             f'{keep}; for a trial, servers run it with the parameter '
                             'allow_unverified and infer with --allow-unverified')
    _log.warning('UNVERIFIED MODEL: %s. It is used all the same, and anybody could have changed '
                 'it; to be safe, %s', facts, keep)
    return found, sha256


def _check_online(request: Request, url: str, cache: Cache, options: FetchOptions) -> None:
    """Refuse what would need the network in offline mode, and say what to do instead."""
    if url.startswith('file:') or not options.is_offline():
        return
    why = f'{OFFLINE} is set' if options.offline is None else 'offline mode is on'
    model = shlex.quote(request.model)
    if request.sha256 is None:
        raise FetchError(
            f'{request.label} has no sha256, so it is to be had over the network only, and {why}; '
            f'on a machine with a network "python3 -m ros2_classify models fetch {model}" tells '
            'the sha256, to be written into a descriptor, which "models bundle" and "models '
            'import" carry over')
    damaged = request.sha256 is not None and cache.find(request.sha256) is not None
    raise FetchError(
        f'{request.label} is {"damaged" if damaged else "not"} in the cache {cache.directory}, and '
        f'{why}; on a machine with a network run "python3 -m ros2_classify models bundle {model} '
        '--output bundle.tar", copy the file here and run "python3 -m ros2_classify models import '
        'bundle.tar"')


def _verified_member(path: Path, sha256: str | None, request: Request, cache: Cache,
                     options: FetchOptions) -> Path:
    """Return a member of an archive from its unpacked tree, checked file by file."""
    assert sha256 is not None, 'an archive is hashed'
    home = cache.directory / 'unpacked' / sha256
    place = _intact(home, request, cache, options)
    if place is None:
        with cache.lock(f'{sha256}-unpacked', f'and unpacking {path.name}', options.cancel):
            place = _intact(home, request, cache, options)
            if place is None:
                _unpack(path, sha256, home, cache, options)
                place = _intact(home, request, cache, options)
    if place is None:
        raise FetchError(f'{home} was changed while it was used; remove it and try again')
    return place


def _unpack(path: Path, sha256: str, home: Path, cache: Cache, options: FetchOptions) -> None:
    """Unpack a whole archive beside its place, then move it there."""
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
    """Return the member where the tree is there and what is taken of it is unchanged."""
    try:
        files = json.loads((home / 'files.json').read_text(encoding='utf-8'))
    except (FileNotFoundError, ValueError):
        return None
    # A network may keep its weights in files beside it, so the member's directory is looked at.
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
            _log.warning('%s is damaged: its sha256 is %s; it is unpacked anew',
                         home / 'tree' / name, actual)
            return None
    return place


def _below(top: Path, request: Request, names: list[str] | None = None) -> Path:
    """Return a member of a directory; what is not there is answered with what is."""
    member = (request.member or '').strip('/')
    parts = [part for part in member.split('/') if part != '.']
    if '..' in parts or (request.member or '').startswith('/'):
        raise DescriptorError(f'{request.origin}: source.member {request.member!r} must lead into '
                              'the archive or directory, without ".." and "/" at its beginning')
    place = top.joinpath(*parts)
    if place.exists():
        return place
    there = sorted(names or [path.relative_to(top).as_posix() for path in top.rglob('*')])
    if names and any(name.startswith(f'{member}/') or name == member for name in names):
        return place  # damaged, which the caller finds out
    close = difflib.get_close_matches(member, there, n=1, cutoff=0.5)
    near = f' (did you mean {close[0]!r}?)' if close else ''
    raise ModelNotFoundError(
        f'{request.origin}: source.member {request.member!r} is not there{near}; there are '
        f'{_listed(there)}')


def _listed(names: list[str]) -> str:
    more = f' and {len(names) - _LISTED} more' if len(names) > _LISTED else ''
    return f'{", ".join(names[:_LISTED]) or "no files"}{more}'
