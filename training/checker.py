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
Play the person who checks pre-labels: copy the truth of generated images.

``python -m training.checker CURATED POOL --checked 60``, for the example of docs/finetune.md.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import cv2


def check(curated: Path, pool: Path, count: int) -> int:
    """
    Give the first images of a curated directory their true labels; return how many.

    Parameters
    ----------
    curated
        Of `curate --to coco`; its instances.json is changed.
    pool
        Of `training.dataset`: the images that were chosen from.
    count
        How many are checked; the others keep their pre-labels.

    """
    file = curated / 'instances.json'
    data = json.loads(file.read_text(encoding='utf-8'))
    truth = json.loads((pool / 'instances.json').read_text(encoding='utf-8'))
    names = {each['id']: each['name'] for each in truth['categories']}
    numbers = {each['name']: each['id'] for each in data['categories']}
    rows: dict[str, list[dict[str, Any]]] = {
        _digest(pool / 'images' / each['file_name']): [] for each in truth['images']}
    digest_of = dict(zip((each['id'] for each in truth['images']), rows))
    for each in truth['annotations']:
        rows[digest_of[each['image_id']]].append(each)
    checked = data['images'][:count]
    ids = {image['id'] for image in checked}
    annotations = [each for each in data['annotations'] if each['image_id'] not in ids]
    for image in checked:
        image['checked'] = True
        for each in rows[_digest(curated / 'images' / image['file_name'])]:
            annotations.append({**each, 'image_id': image['id'],
                                'category_id': numbers[names[each['category_id']]]})
    for number, each in enumerate(annotations, 1):
        each['id'] = number
    file.write_text(json.dumps({**data, 'annotations': annotations}), encoding='utf-8')
    return len(checked)


def _digest(image: Path) -> str:
    """Return what tells images apart, whatever their names."""
    return hashlib.sha256(cv2.imread(str(image)).tobytes()).hexdigest()


def main() -> None:
    """Read the arguments, and do it."""
    parser = argparse.ArgumentParser(
        prog='python -m training.checker',
        description='Copy true labels into a curated directory.')
    parser.add_argument('curated', type=Path)
    parser.add_argument('pool', type=Path)
    parser.add_argument('--checked', type=int, default=60, metavar='N')
    arguments = parser.parse_args()
    count = check(arguments.curated, arguments.pool, arguments.checked)
    print(f'{count} images have their true labels')


if __name__ == '__main__':
    main()
