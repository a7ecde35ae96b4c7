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

"""Known results of a model for one image, which the tests of the catalogue compare."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from ros2_classify.keys import about, key, Kind, listed, number, Schema, Section, SHA256
from ros2_classify.yaml_config import as_list, as_number, Fields, Where


def _read_box(value: Any, where: Where) -> tuple[float, ...]:
    """Return the corners of a box, in order."""
    box = as_list(value, where)
    if len(box) != 4:
        raise where.error(f'has {len(box)} numbers but must be [x1, y1, x2, y2]')
    x1, y1, x2, y2 = (as_number(item, place, low=-1e6, high=1e6) for item, place in box)
    if x1 >= x2 or y1 >= y2:
        raise where.error('must have x1 < x2 and y1 < y2, as in [x1, y1, x2, y2]')
    return x1, y1, x2, y2


_MISSING = 'write {label: cat, score: 0.9}, for detection with box: [x1, y1, x2, y2]'
_IMAGE = Section(
    'image', "the image's file name, the sha256 of the file, and its origin", 'needed')


@dataclass(frozen=True)
class ExpectedResult:
    """One class or box that must be among the results."""

    label: str = field(metadata=about("the class's name", missing=_MISSING))
    score: float = field(metadata=about('the score', low=0, high=1, missing=_MISSING))
    box: tuple[float, float, float, float] | None = key(
        None, 'x1, y1, x2, y2 in pixels of the image', unset='none', kind=Kind(
            _read_box, {**listed(number(-1e6, 1e6)).schema, 'minItems': 4, 'maxItems': 4},
            '`[x1, y1, x2, y2]`'))


@dataclass(frozen=True)
class Expected:
    """Results that are known for one image, or why there are none."""

    SCHEMA: ClassVar[Schema] = {'oneOf': [
        {'required': ['unknown'], 'maxProperties': 1},
        {'required': ['image', 'results', 'basis'], 'not': {'required': ['unknown']},
         'properties': {'image': {'required': ['name', 'sha256', 'source']}}}]}

    image: str = key('', "the image's file name", name='name', under=_IMAGE)
    image_sha256: str = key(
        '', 'the sha256 of the file', name='sha256', under=_IMAGE, kind=SHA256)
    image_source: str = key('', 'where the image is from', name='source', under=_IMAGE)
    results: tuple[ExpectedResult, ...] = key(
        (), 'what must be among the results; `box` is x1, y1, x2, y2 in pixels of the image; for '
        'classification the first is the best class', unset='needed',
        empty='give one result at least',
        value='list of `{label, score}` or `{label, score, box}`')
    basis: str = key('', 'how the results were obtained', unset='needed')
    unknown: str = key(
        '', 'why no result is known; replaces the other keys', unset='none')

    def checked(self, fields: Fields) -> Expected | None:
        """Refuse half of what is needed; None if nothing is given."""
        known = {'image.name': self.image, 'image.sha256': self.image_sha256,
                 'image.source': self.image_source, 'results': self.results, 'basis': self.basis}
        given = [name for name, value in known.items() if value]
        missing = [name for name, value in known.items() if not value]
        if self.unknown and given:
            raise fields.error(
                'unknown', f'is given with {", ".join(given)}; give what is known, or '
                'unknown: and why, not both')
        if given and missing:
            raise fields.where.error(
                f'{", ".join(missing)} {"is" if len(missing) == 1 else "are"} missing; give the '
                'image, its results and how they were obtained, or unknown: and why')
        return self if given or self.unknown else None
