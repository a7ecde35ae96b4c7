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

"""Conversions that are kept: where they lie, and whether they are still what was checked."""

from __future__ import annotations

from dataclasses import dataclass
import json
import logging
from pathlib import Path
import re

from ros2_classify.convert import worker
from ros2_classify.convert.plan import Plan
from ros2_classify.convert.process import Converter, LOG
from ros2_classify.download.cache import Cache
from ros2_classify.download.copying import copy_whole
from ros2_classify.download.hashing import sha256_of_file
from ros2_classify.errors import ConversionError

MODEL = worker.MODEL
REPORT = 'report.json'

_log = logging.getLogger('ros2_classify')


@dataclass(frozen=True)
class Conversion:
    """
    A converted model.

    Parameters
    ----------
    model, report, log : Path
        The ONNX file, the report on how it came about, and the converter's log.
    fresh : bool
        Whether it was converted just now and not found in the cache.
    found : tuple of str
        A sentence for each tensor name that was found and not declared.

    """

    model: Path
    report: Path
    log: Path
    fresh: bool
    found: tuple[str, ...] = ()


def find_conversion(plan: Plan, cache: Cache, converter: Converter | None) -> Conversion | None:
    """
    Look for a conversion in the cache.

    Parameters
    ----------
    plan : Plan
        What was to be converted.
    cache : Cache
        Where it may be.
    converter : Converter or None
        The TensorFlow there is; only its own work counts. None takes the newest there is.

    Returns
    -------
    Conversion or None
        None where there is none, or the file isn't the one that was checked.

    """
    directory = cache.directory / 'converted' / plan.key
    if converter is not None:
        places = [directory / converter.name]
    else:
        places = sorted((path.parent for path in directory.glob(f'*/{REPORT}')),
                        key=lambda place: _version_key(place.name), reverse=True)
    for place in places:
        if not (place / REPORT).is_file():
            continue
        with cache.errors():
            try:
                expected = json.loads((place / REPORT).read_text(encoding='utf-8'))['model_sha256']
                actual = sha256_of_file(place / MODEL)
            except (FileNotFoundError, ValueError, KeyError, TypeError):
                expected, actual = 'a report and a model', 'missing or broken'
        if actual == expected:
            return conversion_in(place, plan, fresh=False)
        _log.warning('%s is damaged: its sha256 is %s and not %s; it is not used', place / MODEL,
                     actual, expected)
    return None


def export(conversion: Conversion, output: Path) -> tuple[Path, Path]:
    """
    Copy a converted model out of the cache, with its report beside it.

    Parameters
    ----------
    conversion : Conversion
        The model.
    output : Path
        The ONNX file to write; the report gets its name with ``.report.json`` added.

    Returns
    -------
    model, report : Path
        What was written, each as a whole or not at all.

    Raises
    ------
    ConversionError
        If it can't be written.

    """
    report = output.with_name(f'{output.stem}.report.json')
    try:
        for source, target in ((conversion.report, report), (conversion.model, output)):
            copy_whole(source, target)
    except OSError as error:
        raise ConversionError(
            f'{output}: cannot be written: {error.strerror}; name another file') from error
    return output, report


def conversion_in(directory: Path, plan: Plan, *, fresh: bool) -> Conversion:
    """Return the conversion that a directory holds."""
    return Conversion(directory / MODEL, directory / REPORT, directory / LOG, fresh, plan.interface.found)


def _version_key(name: str) -> list[tuple[int, str]]:
    """Return what sorts 1.17 after 1.9."""
    return [(int(piece), '') if piece.isdigit() else (0, piece)
            for piece in re.split(r'(\d+)', name)]
