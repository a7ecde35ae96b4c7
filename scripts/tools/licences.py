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
Write docs/licences.md: the licence of every package that the scripts' wheels name.

The licences come from the metadata of the packages installed here, and in the directories given; what
is installed nowhere (some are for other systems or Pythons) keeps what the page says of it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from importlib.metadata import Distribution, distributions
from pathlib import Path
import re
import sys
from typing import Any
import xml.etree.ElementTree as ElementTree

from environment import ROOT

PAGE = ROOT / 'docs' / 'licences.md'
WHEELS = ROOT / 'scripts' / 'wheels'
UNKNOWN = '?'

_INTRODUCTION = """\
# Licences

ros2_classify itself is under the Apache License 2.0 ([LICENSE](../LICENSE)). It ships no other
package; this page names the licences of those that its scripts install from wheels, with the
versions that they pin. On a robot with ROS from its system's packages, NumPy, OpenCV, ONNX Runtime
and PyYAML are all that it needs beside ROS.

The licences are as the packages state them themselves. The page is written by
`python scripts/tools/licences.py`; a test compares it with the pins and with what is installed.

The licences of models are in their descriptors (key `license`), those of the shipped ones in
`models/MODEL_CARD.md`.

| package | pinned | licence |
|---|---|---|
"""
_CLASSIFIER = 'License :: OSI Approved :: '
# Whole licence texts in place of a name, by what they begin with or say.
_TEXTS = (
    (r'Apache License', 'Apache-2.0'), (r'Permission is hereby granted, free of charge', 'MIT'),
    (r'Redistribution and use in source and binary forms', 'BSD-3-Clause'),
    (r'Mozilla Public License', 'MPL-2.0'))


# Packages whose metadata says nothing; stated in their repositories.
_STATED = {
    'namex': 'Apache License 2.0', 'ros-ament-cmake-ros-core': 'Apache License 2.0',
    'ros-fastcdr': 'Apache License 2.0', 'ros-fastdds': 'Apache License 2.0',
    'ros-fastrtps': 'Apache License 2.0', 'ros-rmw-security-common': 'Apache License 2.0',
    'tensorflow': 'Apache License 2.0'}


def pins(files: Iterable[Path]) -> dict[str, list[str]]:
    """Return the pinned versions of each package, in the files' order, names in lower case."""
    found: dict[str, list[str]] = {}
    for path in files:
        for line in path.read_text().splitlines():
            match = re.match(r'([A-Za-z0-9._-]+)(?:\[.*\])?==([^ ;]+)', line)
            if match:
                versions = found.setdefault(match[1].lower(), [])
                if match[2] not in versions:
                    versions.append(match[2])
    return dict(sorted(found.items()))


def licence_of(distribution: Distribution) -> str:
    """Return what a package says of its licence, in as few words as it has."""
    metadata: Any = distribution.metadata
    expression = metadata.get('License-Expression')
    text = (expression or metadata.get('License') or '').strip()
    if not text or '\n' in text or len(text) > 60:
        named = [each.removeprefix(_CLASSIFIER) for each in metadata.get_all('Classifier', [])
                 if each.startswith(_CLASSIFIER)]
        whole = next((name for pattern, name in _TEXTS if re.search(pattern, text)), '')
        text = ', '.join(named) or whole or text.partition('\n')[0][:60]
    return text.replace('|', '/').strip() or UNKNOWN


def licence_of_ros(name: str, prefix: Path = Path(sys.prefix)) -> str:
    """Return what a ROS package's manifest says: its wheel's metadata says nothing."""
    manifest = prefix / 'share' / name.removeprefix('ros-').replace('-', '_') / 'package.xml'
    if not name.startswith('ros-') or not manifest.is_file():
        return UNKNOWN
    found = [each.text or '' for each in ElementTree.parse(manifest).getroot().iter('license')]
    return ', '.join(text.strip() for text in found) or UNKNOWN


def read_page(text: str) -> dict[str, tuple[str, str]]:
    """Return the versions and the licence of each package as a page states them."""
    rows = re.findall(r'^\| `([^`]+)` \| ([^|]+) \| ([^|]+) \|$', text, flags=re.MULTILINE)
    return {name: (versions, licence) for name, versions, licence in rows}


def write_page(directories: list[str], old: str) -> str:
    """Return the page anew."""
    known = {name: licence for name, (_, licence) in read_page(old).items()} | _STATED
    for distribution in [*distributions(path=directories), *distributions()]:
        name = re.sub(r'[-_.]+', '-', distribution.metadata['Name'] or '').lower()
        found = licence_of(distribution)
        found = licence_of_ros(name) if found == UNKNOWN else found
        known[name] = known.get(name, UNKNOWN) if found == UNKNOWN else found
    rows = ''.join(
        f'| `{name}` | {", ".join(versions)} | '
        f'{known.get(re.sub("[-_.]+", "-", name), known.get(name, UNKNOWN))} |\n'
        for name, versions in pins(sorted(WHEELS.glob('*.txt'))).items())
    return _INTRODUCTION + rows


def _main() -> None:
    parser = argparse.ArgumentParser(description='Write docs/licences.md.')
    parser.add_argument('folder', nargs='*', help='a further directory of installed packages')
    directories = parser.parse_args().directory
    PAGE.write_text(write_page(directories, PAGE.read_text() if PAGE.exists() else ''))


if __name__ == '__main__':
    _main()
