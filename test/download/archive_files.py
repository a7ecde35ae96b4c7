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

"""Archives made for tests, harmless and hostile."""

from __future__ import annotations

from collections.abc import Callable
import io
from pathlib import Path
import stat
import tarfile
import zipfile

Files = dict[str, bytes]
MODES = {'.tar.gz': 'w:gz', '.tgz': 'w:gz', '.tar.bz2': 'w:bz2', '.tar.xz': 'w:xz', '.tar': 'w'}


def make(path: Path, files: Files) -> Path:
    """Write an archive of the kind that its name says."""
    if path.suffix == '.zip':
        with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
            for name, body in files.items():
                archive.writestr(name, body)
        return path
    mode = next(mode for suffix, mode in MODES.items() if path.name.endswith(suffix))
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name, body in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
    return path


def tar_with(path: Path, change: Callable[[tarfile.TarInfo], None], name: str = 'evil',
             body: bytes = b'') -> Path:
    """Write a tar archive with a harmless file and a member that was tampered with."""
    with tarfile.open(path, 'w:gz') as tar:
        good = tarfile.TarInfo('good.txt')
        good.size = 4
        tar.addfile(good, io.BytesIO(b'good'))
        info = tarfile.TarInfo(name)
        info.size = len(body)
        change(info)
        tar.addfile(info, io.BytesIO(body))
    return path


def zip_with(path: Path, change: Callable[[zipfile.ZipInfo], None], name: str = 'evil',
             body: bytes = b'evil') -> Path:
    """Write a zip archive with a harmless file and a member that was tampered with."""
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('good.txt', b'good')
        info = zipfile.ZipInfo(name)
        change(info)
        archive.writestr(info, body)
    return path


def of_type(kind: bytes, target: str = '') -> Callable[[tarfile.TarInfo], None]:
    """Return a change that makes a tar member a link, a device, …."""
    def change(info: tarfile.TarInfo) -> None:
        info.type = kind
        info.linkname = target
    return change


def of_mode(kind: int) -> Callable[[zipfile.ZipInfo], None]:
    """Return a change that makes a zip member a link, a device, …."""
    def change(info: zipfile.ZipInfo) -> None:
        info.create_system = 3
        info.external_attr = (kind | 0o777) << 16
    return change


TAR_ATTACKS: dict[str, Callable[[Path], Path]] = {
    'absolute path': lambda path: tar_with(path, lambda info: None, '/tmp/evil'),
    'parent': lambda path: tar_with(path, lambda info: None, '../evil'),
    'parent inside': lambda path: tar_with(path, lambda info: None, 'a/../../evil'),
    'parent at the end': lambda path: tar_with(path, of_type(tarfile.DIRTYPE), 'a/..'),
    'symbolic link': lambda path: tar_with(path, of_type(tarfile.SYMTYPE, '/etc/passwd')),
    'symbolic link inside': lambda path: tar_with(path, of_type(tarfile.SYMTYPE, 'good.txt')),
    'hard link': lambda path: tar_with(path, of_type(tarfile.LNKTYPE, '../../etc/passwd')),
    'hard link inside': lambda path: tar_with(path, of_type(tarfile.LNKTYPE, 'good.txt')),
    'character device': lambda path: tar_with(path, of_type(tarfile.CHRTYPE)),
    'block device': lambda path: tar_with(path, of_type(tarfile.BLKTYPE)),
    'pipe': lambda path: tar_with(path, of_type(tarfile.FIFOTYPE)),
    'backslash': lambda path: tar_with(path, lambda info: None, '..\\evil'),
    'drive': lambda path: tar_with(path, lambda info: None, 'C:/evil'),
    'terminal codes': lambda path: tar_with(path, lambda info: None, '\x1b[2Jevil'),
    'no text': lambda path: tar_with(path, lambda info: None, 'ev\udcffil'),
    'long name': lambda path: tar_with(path, lambda info: None, 'x' * 300),
    'deep path': lambda path: tar_with(path, lambda info: None, 'x/' * 100 + 'x'),
    'twice': lambda path: tar_with(path, lambda info: None, 'good.txt'),
    'file as directory': lambda path: tar_with(path, lambda info: None, 'good.txt/evil'),
    'directory as file': lambda path: tar_with(path, of_type(tarfile.DIRTYPE), './good.txt'),
}

ZIP_ATTACKS: dict[str, Callable[[Path], Path]] = {
    'absolute path': lambda path: zip_with(path, lambda info: None, '/tmp/evil'),
    'parent': lambda path: zip_with(path, lambda info: None, '../evil'),
    'parent inside': lambda path: zip_with(path, lambda info: None, 'a/../../evil'),
    'symbolic link': lambda path: zip_with(path, of_mode(stat.S_IFLNK), body=b'/etc/passwd'),
    'device': lambda path: zip_with(path, of_mode(stat.S_IFCHR)),
    'pipe': lambda path: zip_with(path, of_mode(stat.S_IFIFO)),
    'backslash': lambda path: zip_with(path, lambda info: None, '..\\evil'),
    'drive': lambda path: zip_with(path, lambda info: None, 'C:/evil'),
    'twice': lambda path: zip_with(path, lambda info: None, './good.txt'),
    'file as directory': lambda path: zip_with(path, lambda info: None, 'good.txt/evil'),
    'packed by method 14': lambda path: zip_with(
        path, lambda info: setattr(info, 'compress_type', zipfile.ZIP_LZMA)),
}
