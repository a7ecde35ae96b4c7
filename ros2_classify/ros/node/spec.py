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

"""A parameter as data, without ROS: `parameters` declares it, `parameter_pages` documents it."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
import math
from typing import Any

from ros2_classify.errors import OptionsError

Value = Any


@dataclass(frozen=True)
class Spec:
    """
    One parameter.

    The type follows from `default`; `minimum` and `maximum` are inclusive. With `from_model`, the
    model's descriptor supplies the default. With `or_number`, a string may be given as a whole
    number, as in ``source:=0``, which the command line can't tell from a number. With `or_off`,
    the string ``off`` may come as false, which is how YAML reads it. With `per_stream`, each
    stream of a server may have its own. `parse` raises OptionsError if a value is wrong.
    """

    name: str
    default: Value
    description: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    read_only: bool = False
    from_model: bool = False
    or_number: bool = False
    or_off: bool = False
    per_stream: bool = False
    parse: Callable[[Value], Any] | None = None


# Parameters under their headings.
Groups = Sequence[tuple[str, Sequence[Spec]]]


def problem(spec: Spec, value: Value) -> str:
    """Return what is wrong with a value, and which are allowed; '' if nothing is."""
    if value is None:
        return ''
    value = with_off(spec, value)
    if spec.or_off and not isinstance(value, str):
        return f'{spec.name} is {value!r} but must be one of: {", ".join(spec.choices)}'
    if spec.or_number and type(value) not in (str, int):
        # The parser says best what is allowed, of true and 1.5 as well.
        return _refusal(spec, str(value).lower()) or (
            f'{spec.name} is {value!r} but must be a string or a whole number')
    if spec.choices and value not in spec.choices:
        return f'{spec.name} is {value!r} but must be one of: {", ".join(spec.choices)}'
    if isinstance(value, float) and not math.isfinite(value):
        return f'{spec.name} is {value} but must be a finite number'
    if reason := _refusal(spec, list(value) if isinstance(value, array) else value):
        return reason
    low, high = spec.minimum, spec.maximum
    if low is not None and high is not None and not low <= value <= high:
        return f'{spec.name} is {value} but must be from {low} to {high}'
    return ''


def _refusal(spec: Spec, value: Value) -> str:
    try:
        if spec.parse is not None:
            spec.parse(value)
    except OptionsError as error:
        # That of a stream has the stream in its name, which the parser doesn't know.
        stream, _, name = spec.name.rpartition('.')
        of_stream = stream and str(error).startswith(f'{name} ')
        return f'{stream}.{error}' if of_stream else str(error)
    return ''


def with_off(spec: Spec, value: Value) -> Value:
    return 'off' if spec.or_off and value is False else value


def is_numbers(default: Value) -> bool:
    return isinstance(default, list) and isinstance(default[0], float)


def type_of(spec: Spec) -> str:
    """Return the type as ROS calls it."""
    return 'double[]' if is_numbers(spec.default) else {
        bool: 'bool', int: 'int', float: 'double', str: 'string', list: 'string[]',
    }[type(spec.default)]
