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
Record the results of many models on many images, and compare two records byte for byte.

Uses the public API alone, so that the same file records the results of two versions:
`python equality.py record before.json --models DIR --images DIR`, then again with the other
version, then `python equality.py compare before.json after.json`. Timing is ignored.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from hashlib import sha256
import json
from pathlib import Path
import sys
from typing import Any

_MODEL_SUFFIXES = ('.yaml', '.onnx', '.pb')
_IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp')


def models_in(directories: list[Path]) -> Iterator[Path]:
    """Yield descriptors, model files and SavedModel directories, sorted by path."""
    for directory in directories:
        for path in sorted(directory.iterdir()):
            if path.suffix in _MODEL_SUFFIXES or (path / 'saved_model.pb').is_file():
                yield path


def record(models: list[Path], images: list[Path]) -> dict[str, Any]:
    """Return the results by model and image; a refusal is recorded as its error's type."""
    from ros2_classify import Pipeline, read_image, Ros2ClassifyError

    pixels = {path.name: read_image(path) for directory in images
              for path in sorted(directory.iterdir()) if path.suffix.lower() in _IMAGE_SUFFIXES}
    found: dict[str, Any] = {}
    for model in models_in(models):
        name = f'{model.parent.name}/{model.name}'
        print(name, file=sys.stderr)
        try:
            with Pipeline.load(model, provider='cpu') as pipeline:
                found[name] = {
                    image: _without_timing(pipeline(array)) for image, array in pixels.items()}
        except Ros2ClassifyError as error:
            found[name] = type(error).__name__
    return found


def compare(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Return what differs, a line each: `model image`."""
    differing = []
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            differing += [f'{name} {image}' for image in sorted(old.keys() | new.keys())
                          if json.dumps(old.get(image)) != json.dumps(new.get(image))]
        elif old != new:
            differing.append(name)
    return differing


def _without_timing(result: Any) -> dict[str, Any]:
    row = dict(result.to_dict())
    row.pop('timing_ms', None)
    # Classes as an image, and masks: every pixel counts.
    for name in ('label_image', 'masks'):
        value: Any = getattr(result, name, None)
        arrays = [value] if hasattr(value, 'tobytes') else getattr(value, '__dict__', {}).values()
        row[name] = [sha256(each.tobytes()).hexdigest() for each in arrays
                     if hasattr(each, 'tobytes')]
    return row


def main(words: list[str] | None = None) -> int:
    """Run the program; return 0 if nothing differs, else 1."""
    parser = argparse.ArgumentParser(description=__doc__.strip().partition('\n')[0])
    verbs = parser.add_subparsers(dest='verb', required=True)
    making = verbs.add_parser('record', help='write the results of models on images')
    making.add_argument('file', type=Path)
    making.add_argument('--models', type=Path, nargs='+', required=True, metavar='DIRECTORY')
    making.add_argument('--images', type=Path, nargs='+', required=True, metavar='DIRECTORY')
    comparing = verbs.add_parser('compare', help='compare two records')
    comparing.add_argument('before', type=Path)
    comparing.add_argument('after', type=Path)
    asked = parser.parse_args(words)
    if asked.verb == 'record':
        found = record(asked.models, asked.images)
        asked.file.write_text(json.dumps(found, indent=1, sort_keys=True) + '\n')
        print(f'{len(found)} models, {sum(isinstance(each, dict) for each in found.values())} run')
        return 0
    before, after = (json.loads(path.read_text()) for path in (asked.before, asked.after))
    differing = compare(before, after)
    results = sum(len(each) for each in before.values() if isinstance(each, dict))
    print('\n'.join([*differing, f'{results} results of {len(before)} models, '
                                 f'{len(differing)} differ']))
    return 1 if differing else 0


if __name__ == '__main__':
    sys.exit(main())
