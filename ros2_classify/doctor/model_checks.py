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

"""Whether the models of the catalogue are in order, and those that are asked for run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ros2_classify.doctor.machine import Finding, Machine
from ros2_classify.errors import Ros2ClassifyError

if TYPE_CHECKING:
    from ros2_classify.model.files import Verified


def check_catalogue(
    machine: Machine, entries: Callable[[], Mapping[str, Path]] | None = None,
) -> Iterator[Finding]:
    """Hash the files of all models known by name that are here."""
    # They need NumPy, whose absence is a finding of another check.
    from ros2_classify.model import catalog
    from ros2_classify.model.files import FAILURES, verify_entry

    found = (entries or catalog.entries)()
    if not found:
        yield Finding(
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
        yield Finding('models', 'ok', f'{len(rows)} models are known by name; the files of {here} '
                                      'are here and intact, the others come when they are used')


def _wrong(row: Verified) -> Finding:
    if row.state == 'unusable':
        return Finding('models', 'warning', f'{row.name} has a wrong descriptor: {row.error}',
                       'correct it, or remove it from the directory')
    return Finding(
        'models', 'error', f'{row.name} is damaged: {row.model} is not the file that its sha256 '
        'says', f'delete {row.model}; python3 -m ros2_classify models fetch {row.name} brings '
        'it again, or install the package again where it is shipped')


def check_model(machine: Machine, models: Sequence[str], provider: str) -> Iterator[Finding]:
    """
    Load models and run each once.

    Parameters
    ----------
    machine : Machine
        Where to look.
    models : sequence of str
        Names, descriptors or model files.
    provider : str
        Who shall run them.

    Yields
    ------
    Finding
        One for each model.

    """
    for model in models:
        try:
            loaded = machine.load_model(model, provider)
        except Ros2ClassifyError as error:
            yield Finding('models', 'error', f'{model} does not run: {error}',
                          f'python3 -m ros2_classify models check {model} says more')
            continue
        yield Finding(
            'models', 'ok', f'{model} runs on {loaded.provider}: loaded in '
            f'{loaded.load_seconds:.1f} s, the first answer after {loaded.first_seconds:.2f} s')
