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

"""From what a user typed to a source."""

from __future__ import annotations

import glob
import logging
from pathlib import Path
import re

from ros2_classify.errors import InputError
from ros2_classify.image_io import read_image, VIDEO_SUFFIXES
from ros2_classify.limits import kind_of
from ros2_classify.sources.bag import Bag, is_bag
from ros2_classify.sources.base import KINDS, Size, Source, SourceError, Warn
from ros2_classify.sources.capture import Webcam
from ros2_classify.sources.files import IMAGE_SUFFIXES, ImageFiles, natural_order, Several, Video
from ros2_classify.sources.image_messages import Scale
from ros2_classify.sources.stream import is_stream, SCHEMES, Stream

_LOGGER = logging.getLogger(__name__)


def open_source(
    text: str, size: Size = Size(), warn: Warn = _LOGGER.warning, topic: str = '',
    to_8_bits: Scale | None = None,
) -> Source:
    """
    Open the source that a user named; raise `SourceError` if it can't be read.

    ``size`` is what a webcam is asked for; ``topic`` is that of a bag; ``to_8_bits`` scales 16-bit
    images.
    """
    source = _open(text, size, warn, topic, to_8_bits)
    if topic and not isinstance(source, Bag):
        raise SourceError(f'a topic belongs to a bag, but {source.name} is none; remove --topic')
    return source


def _open(text: str, size: Size, warn: Warn, topic: str, to_8_bits: Scale | None) -> Source:
    if re.fullmatch(r'\d+', text):
        return Webcam(int(text), size)
    if re.fullmatch(r'/dev/(video|v4l).*', text):
        return Webcam(text, size)
    if is_stream(text):
        return Stream(text)
    path = Path(text).expanduser()
    if not text.strip() or not _exists(path):
        if matches := glob.glob(str(path), recursive=True) if glob.has_magic(text) else []:
            return _all_of(text, matches, warn, to_8_bits)
        raise SourceError(f'there is no {text!r}; {_meant(text)}{KINDS}')
    if is_bag(path):
        return Bag(path, topic, warn, to_8_bits)
    if path.is_dir():
        found = [each for each in path.iterdir()
                 if each.suffix.lower() in IMAGE_SUFFIXES and each.is_file()]
        if not found:
            raise SourceError(
                f'directory {path} has no images ({", ".join(IMAGE_SUFFIXES)}); {KINDS}')
        found.sort(key=natural_order)
        return ImageFiles(f'{len(found)} images of {path}', found, warn, to_8_bits)
    if not path.is_file():
        # Reading a device such as /dev/zero would never end.
        raise SourceError(
            f'{path} is neither a file nor a directory, but {kind_of(path)}; {KINDS}')
    if is_image(path):
        return ImageFiles(f'image {path}', [path], warn, to_8_bits)
    return Video(path)


def is_image(path: Path) -> bool:
    """Return whether a file is an image; `SourceError` if only its name says so."""
    try:
        read_image(path)
    except InputError as error:
        if path.suffix.lower() in IMAGE_SUFFIXES:
            raise SourceError(str(error)) from error
        return False
    return True


def is_one_image(text: str) -> bool:
    """Return whether a text names one image file, or nothing that another source would be."""
    if re.fullmatch(r'\d+|/dev/(video|v4l).*', text) or is_stream(text):
        return _exists(Path(text)) and not text.startswith('/dev/')
    path = Path(text).expanduser()
    if not _exists(path):
        return not glob.has_magic(text) and not _meant(text)
    if path.is_dir() or is_bag(path):
        return False
    if path.suffix.lower() in IMAGE_SUFFIXES or not path.is_file():
        return True
    try:
        Video(path)
    except SourceError:
        # Of a damaged video it is said that it is no video.
        return path.suffix.lower() not in ('.mp4', '.avi', '.mov', '.mkv', '.webm')
    return path.suffix.lower() not in VIDEO_SUFFIXES and is_image(path)


def _meant(text: str) -> str:
    """Return how a webcam or a stream that was typed is written."""
    if re.fullmatch(r'((web)?cam(era)?|video)[ _:]?\d*', text, re.IGNORECASE):
        number = re.sub(r'\D', '', text) or '0'
        return f'a webcam is named by its number, such as {number}; '
    scheme, separator, rest = text.partition('://')
    if scheme == 'file':
        return f'a file is named by its path, such as {rest}; '
    if separator:
        return f'{scheme}:// is no scheme of streams: they are {", ".join(SCHEMES)}; '
    if text[0:1] in '–—':
        return f'did you mean --{text.lstrip("–—-")}? an option begins with two hyphens; '
    if re.match(r'www\.|localhost[:/]|\d+(\.\d+){3}([:/]|$)', text):
        return f'a stream is named with its scheme, such as http://{text}; '
    return ''


def _all_of(
    pattern: str, matches: list[str], warn: Warn, to_8_bits: Scale | None,
) -> Source:
    """Return the files of a pattern: images by their suffix, videos and bags by what they are."""
    paths = sorted((Path(match) for match in matches), key=natural_order)
    images = [path for path in paths if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()]
    if len(images) == len(paths):
        return ImageFiles(f'{len(images)} images of {pattern}', images, warn, to_8_bits)
    sources: list[Source] = [ImageFiles(
        f'{len(images)} images of {pattern}', images, warn, to_8_bits)] if images else []
    sources += [_open(str(path), Size(), warn, '', to_8_bits)
                for path in paths if path not in images]
    if len(sources) == 1:
        return sources[0]
    return Several(f'{len(paths)} files of {pattern}', sources)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        # A text too long for a name.
        return False
