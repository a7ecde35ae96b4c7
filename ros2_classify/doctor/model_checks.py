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

"""Check the files of the catalogue, and run the models that the caller names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ros2_classify.doctor.machine import Issue, Machine
from ros2_classify.errors import Ros2ClassifyError

if TYPE_CHECKING:
    from ros2_classify.model.files import Verified


def check_catalogue(
    machine: Machine, entries: Callable[[], Mapping[str, Path]] | None = None,
) -> Iterator[Issue]:
    """Check the sha256 of all local files of the catalogue."""
    # They need NumPy; another check reports if it is missing.
    from ros2_classify.model import catalog
    from ros2_classify.model.files import FAILURES, verify_entry

    found = (entries or catalog.entries)()
    if not found:
        yield Issue(
            'models', 'warning', 'the catalogue is empty: the package was installed without its '
            'models, and ROS2_CLASSIFY_MODEL_PATH names none',
            'install it again, or name models by their files')
        return
    rows = [verify_entry(name, path) for name, path in found.items()]
    wrong = [row for row in rows if row.state in ('damaged', 'unusable')]
    for row in wrong:
        yield _wrong(row)
    if not wrong:
        here = sum(row.state not in FAILURES for row in rows)
        yield Issue('models', 'ok', f'the catalogue has {len(rows)} models; the files of {here} '
                                    'are here and intact, the others are downloaded when used')


def _wrong(row: Verified) -> Issue:
    if row.state == 'unusable':
        return Issue('models', 'warning', f'{row.name} has a wrong descriptor: {row.error}',
                     'correct it, or remove it from the directory')
    return Issue(
        'models', 'error', f'{row.name} is damaged: the sha256 of {row.model} is wrong',
        f'delete {row.model}, then run python3 -m ros2_classify models fetch {row.name}; if it '
        'belongs to the package, install that again')


def check_model(machine: Machine, models: Sequence[str], provider: str) -> Iterator[Issue]:
    """Load models and run each once."""
    for model in models:
        try:
            loaded = machine.load_model(model, provider)
        except Ros2ClassifyError as error:
            yield Issue('models', 'error', f'{model} does not run: {error}',
                        f'run python3 -m ros2_classify models check {model} for details')
            continue
        yield Issue(
            'models', 'ok', f'{model} runs on {loaded.provider}: loaded in '
            f'{loaded.load_seconds:.1f} s, the first result after {loaded.first_seconds:.2f} s')
