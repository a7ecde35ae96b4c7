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

"""Files of datasets come from anywhere: they are read with limits."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
import xml.etree.ElementTree as ElementTree
from xml.parsers import expat

from ros2_classify import InputError, read_image
from ros2_classify.errors import DescriptorError
from ros2_classify.limits import open_plain
from ros2_classify.yaml_config import read_yaml as read_plain_yaml

# Labels of one image, names of classes, lists of images; COCO's largest file has 450 MB.
MAX_TEXT = 64 << 20
MAX_XML = 1 << 20
MAX_TABLE = 512 << 20
MAX_JSON = 1 << 30
# Values of JSON, which take 60 bytes each and more; COCO's largest file has 40 million.
MAX_VALUES = 50_000_000
# Elements of an XML file in each other; labels have four.
_MAX_DEPTH = 32


def read_bytes(path: Path, most: int = MAX_TEXT) -> bytes:
    """Return the content of a plain file; InputError if it is none, or larger."""
    try:
        with open_plain(path, most) as file:
            # Room for `most` would be taken at once.
            return file.read(os.fstat(file.fileno()).st_size)
    except OSError as error:
        raise InputError(f'{path} cannot be read: {error.strerror}') from error


def read_text(path: Path, most: int = MAX_TEXT) -> str:
    """Return the text of a plain file in UTF-8."""
    try:
        return read_bytes(path, most).decode('utf-8-sig')
    except UnicodeDecodeError as error:
        raise InputError(f'{path} is not text in UTF-8: {error}') from error


def read_json(path: Path) -> Any:
    """Return what a JSON file holds, after its values were counted."""
    data = read_bytes(path, MAX_JSON)
    count = sum(map(data.count, (b',', b'[', b'{')))
    if count > MAX_VALUES:
        raise InputError(
            f'{path} has {count} values, more than the {MAX_VALUES} that are allowed; split it')
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(f'{path} is not valid JSON: {error}') from error


def read_yaml(path: Path) -> Any:
    """Return what a YAML file holds: no aliases, which multiply, and no tags."""
    try:
        return read_plain_yaml(read_text(path), str(path))[0]
    except DescriptorError as error:
        raise InputError(str(error)) from error


def read_xml(path: Path) -> ElementTree.Element:
    """Return the root of an XML file without a document type, whose entities multiply."""
    builder, depth = ElementTree.TreeBuilder(), 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _MAX_DEPTH:
            raise InputError(f'{path} has more than the {_MAX_DEPTH} elements in each other that '
                             'are allowed')
        builder.start(name, attributes)

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(name)

    def refuse(*_: Any) -> None:
        raise InputError(f'{path} has a document type (DOCTYPE), which labels do not need; '
                         'remove it')

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(read_bytes(path, MAX_XML), True)
    except expat.ExpatError as error:
        raise InputError(f'{path} is no XML: {error}') from error
    return builder.close()


def image_size(path: Path) -> tuple[int, int]:
    """Return width and height as the image is shown, its orientation applied."""
    height, width = read_image(str(path)).shape[:2]
    return int(width), int(height)
