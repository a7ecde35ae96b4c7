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

"""What a model is known to say of a named image, and whether a result says the same."""

from __future__ import annotations

from dataclasses import dataclass
import re
from typing import Any

from ros2_classify.results.results import Detections, Result
from ros2_classify.yaml_config import as_number, Fields, Where

# Another build of the engine, or of what reads a JPEG, moves scores by less than this.
SCORE_TOLERANCE = 0.03
LEAST_IOU = 0.9

_SHA256 = re.compile(r'[0-9a-fA-F]{64}')


@dataclass(frozen=True)
class ExpectedResult:
    """
    One class or box that must be among the results.

    Parameters
    ----------
    label : str
        The class's name.
    score : float
        From 0 to 1.
    box : tuple of float or None
        For detection: ``x1, y1, x2, y2`` in pixels of the image.

    """

    label: str
    score: float
    box: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class Expected:
    """
    Results that are known for one image, or why there are none.

    Parameters
    ----------
    image : str
        The image's file name; empty where nothing is known.
    image_sha256 : str
        Of the image's file, 64 lower-case hexadecimal digits.
    image_source : str
        Where the image is from, for people.
    results : tuple of ExpectedResult
        Those that must be among the results; for classification the first one is the best class.
    basis : str
        What the results were got with.
    unknown : str
        Why nothing is known; empty where something is.

    """

    image: str = ''
    image_sha256: str = ''
    image_source: str = ''
    results: tuple[ExpectedResult, ...] = ()
    basis: str = ''
    unknown: str = ''

    def problems_with(self, result: Result) -> tuple[str, ...]:
        """
        Compare a result on the image with what is known.

        Parameters
        ----------
        result : Classification or Detections
            What the model said, by its own defaults.

        Returns
        -------
        tuple of str
            A sentence for each expected result that is not there with its score within 0.03
            and, for a box, an intersection over union of 0.9; empty where all are there.

        """
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
    """
    Take the section ``expected`` out of a descriptor.

    Parameters
    ----------
    fields : Fields
        The section; empty where the descriptor says nothing.

    Returns
    -------
    Expected or None
        None where the descriptor says nothing.

    Raises
    ------
    DescriptorError
        If a key is unknown or missing, or a value doesn't fit.

    """
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
                'unknown', f'stands beside {", ".join(given)}; say what is known, or why nothing '
                'is, not both')
        return Expected(unknown=unknown)
    if not given:
        return None
    if name is None or sha256 is None or source is None or not results or basis is None:
        missing = ', '.join(key for key, value in known.items() if value is None)
        raise fields.where.error(
            f'{missing} {"is" if missing in known else "are"} missing; name the image, its '
            'results and what they were got with, or say unknown: and why')
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
            f'{"label" if label is None else "score"} is missing; say {{label: cat, score: 0.9}}, '
            'for detection with box: [x1, y1, x2, y2]')
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
