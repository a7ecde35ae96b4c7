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

"""Known results of a model for one image, and the comparison with a result."""

from __future__ import annotations

from dataclasses import dataclass
import re
from typing import Any

from ros2_classify.results.results import Detections, Result
from ros2_classify.yaml_config import as_number, Fields, Where

# Builds of the engine and of JPEG decoders change scores by less than this.
SCORE_TOLERANCE = 0.03
LEAST_IOU = 0.9

_SHA256 = re.compile(r'[0-9a-fA-F]{64}')


@dataclass(frozen=True)
class ExpectedResult:
    """One class or box that must be among the results."""

    label: str  # the class's name
    score: float  # from 0 to 1
    # For detection: ``x1, y1, x2, y2`` in pixels of the image.
    box: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class Expected:
    """Results that are known for one image, or why there are none."""

    image: str = ''  # the image's file name; empty if nothing is known
    image_sha256: str = ''  # of the image's file, 64 lower-case hexadecimal digits
    image_source: str = ''  # where the image is from
    # All must be among the results; for classification the first is the best class.
    results: tuple[ExpectedResult, ...] = ()
    basis: str = ''  # how the results were obtained
    unknown: str = ''  # why nothing is known; empty if something is

    def problems_with(self, result: Result) -> tuple[str, ...]:
        """Return the differences between a result and what is known."""
        taken: set[int] = set()
        problems = []
        for place, wanted in enumerate(self.results):
            among = range(len(result)) if wanted.box is not None or place else range(
                min(1, len(result)))
            index = next((index for index in among if index not in taken
                          and _is_the_same(wanted, result, index)), None)
            if index is None:
                problems.append(f'{_in_words(wanted)} is missing; got {result.rows()[:5]}')
            else:
                taken.add(index)
        return tuple(problems)


def read_expected(fields: Fields) -> Expected | None:
    """Read the section ``expected`` of a descriptor."""
    image = fields.section('image')
    name, source = image.text('name', None), image.text('source', None)
    sha256 = image.text('sha256', None)
    image.finish()
    results = tuple(_read_result(value, where)
                    for value, where in fields.sequence('results', []))
    basis = fields.text('basis', None)
    unknown = fields.text('unknown', None)
    fields.finish()
    known = {'image.name': name, 'image.sha256': sha256, 'image.source': source,
             'results': results or None, 'basis': basis}
    given = [key for key, value in known.items() if value is not None]
    if unknown is not None:
        if given:
            raise fields.error(
                'unknown', f'is given with {", ".join(given)}; give what is known, or '
                'unknown: and why, not both')
        return Expected(unknown=unknown)
    if not given:
        return None
    if name is None or sha256 is None or source is None or not results or basis is None:
        missing = ', '.join(key for key, value in known.items() if value is None)
        raise fields.where.error(
            f'{missing} {"is" if missing in known else "are"} missing; give the image, its '
            'results and how they were obtained, or unknown: and why')
    if not _SHA256.fullmatch(sha256):
        raise image.error(
            'sha256', f'{sha256!r} must be 64 hexadecimal digits, as sha256sum prints them')
    return Expected(name, sha256.lower(), source, results, basis)


def _read_result(value: Any, where: Where) -> ExpectedResult:
    fields = Fields(value, where)
    label = fields.text('label', None)
    score = fields.number('score', None, low=0, high=1)
    box = fields.sequence('box', None)
    fields.finish()
    if label is None or score is None:
        raise where.error(
            f'{"label" if label is None else "score"} is missing; write {{label: cat, score: 0.9}}'
            ', for detection with box: [x1, y1, x2, y2]')
    if box is None:
        return ExpectedResult(label, score)
    if len(box) != 4:
        raise fields.error('box', f'has {len(box)} numbers but must be [x1, y1, x2, y2]')
    x1, y1, x2, y2 = (as_number(item, place, low=-1e6, high=1e6) for item, place in box)
    if x1 >= x2 or y1 >= y2:
        raise fields.error('box', 'must have x1 < x2 and y1 < y2, as in [x1, y1, x2, y2]')
    return ExpectedResult(label, score, (x1, y1, x2, y2))


def _is_the_same(wanted: ExpectedResult, result: Result, index: int) -> bool:
    if (result.labels[index] != wanted.label
            or abs(float(result.scores[index]) - wanted.score) > SCORE_TOLERANCE):
        return False
    if wanted.box is None:
        return True
    if not isinstance(result, Detections):
        return False
    x1, y1, x2, y2 = wanted.box
    left, top, right, bottom = (float(side) for side in result.boxes[index])
    both = (max(0.0, min(x2, right) - max(x1, left))
            * max(0.0, min(y2, bottom) - max(y1, top)))
    all_ = (x2 - x1) * (y2 - y1) + (right - left) * (bottom - top) - both
    return both / all_ >= LEAST_IOU


def _in_words(wanted: ExpectedResult) -> str:
    box = '' if wanted.box is None else f' at [{", ".join(f"{side:g}" for side in wanted.box)}]'
    return f'{wanted.label} {wanted.score:.2f}{box}'
