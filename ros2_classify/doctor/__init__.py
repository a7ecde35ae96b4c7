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
Checks an installation and says what to do: ``python -m ros2_classify doctor``.

Modules are imported in processes of their own: a broken one is an issue and does not end the
examination.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ros2_classify.doctor import model_checks, python_checks, ros_checks
from ros2_classify.doctor.machine import Issue, Machine, ThisMachine
from ros2_classify.errors import REQUIREMENTS
from ros2_classify.limits import machine_limit, shown

__all__ = ['CHECKS', 'examine', 'Issue', 'Machine', 'ThisMachine']

CHECKS: dict[str, Callable[[Machine], Iterator[Issue]]] = {
    'ros': ros_checks.check_ros,
    'middleware': ros_checks.check_middleware,
    'large images': ros_checks.check_large_images,
    'python': python_checks.check_python,
    'providers': python_checks.check_providers,
    'cache': model_checks.check_cache,
    'models': model_checks.check_catalogue,
    'conversion': model_checks.check_conversion,
}


def examine(
    machine: Machine | None = None, *, models: Sequence[str] = (), provider: str = 'auto',
) -> Iterator[Issue]:
    """Check this machine or another, in the order of `CHECKS`; `models` are loaded, run once."""
    machine = ThisMachine() if machine is None else machine
    for name, check in CHECKS.items():
        try:
            if name == 'providers':
                yield from python_checks.check_providers(machine, provider)
            else:
                yield from check(machine)
            if name == 'models':
                yield from model_checks.check_model(machine, models, provider)
        except ModuleNotFoundError as error:
            if error.name not in REQUIREMENTS:
                yield _failed(name, error)
                continue
            yield Issue(name, 'error', f'the Python module {error.name} is missing for this check',
                        f'pip install {REQUIREMENTS[error.name]}, or on a robot rosdep install')
        except Exception as error:  # noqa: B902 - the other checks go on
            yield _failed(name, error)


def _failed(name: str, error: Exception) -> Issue:
    """Return that a check could not be made, such as beside an OpenCV that does not import."""
    limit = machine_limit(error)
    first = (str(error).strip().splitlines() or [''])[0]
    return Issue(name, 'error', 'this check could not be made: ' + shown(
        limit or f'{type(error).__name__}: {first}'),
        'raise the limit' if limit else 'correct the errors of the check python first')
