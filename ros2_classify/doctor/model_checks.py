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
import json
from pathlib import Path
from typing import TYPE_CHECKING

from ros2_classify.doctor.machine import Issue, Loaded, Machine
from ros2_classify.download.options import CACHE, default_cache_directory
from ros2_classify.errors import FetchError, Ros2ClassifyError
from ros2_classify.progress import human_size

if TYPE_CHECKING:
    from ros2_classify.model.files import Verified

# The largest model of the catalogue, twice: once while it is downloaded.
_LITTLE = 500 * 10**6
_NOTHING = 20 * 10**6


def check_cache(machine: Machine) -> Iterator[Issue]:
    """Check the cache's directory and its disk."""
    try:
        directory = default_cache_directory(machine.env)
    except FetchError as error:
        yield Issue('cache', 'error', str(error), f'set {CACHE} to a directory')
        return
    try:
        machine.write_trial(directory)
        disk = machine.disk(directory)
        size = machine.size_of(directory)
    except OSError as error:
        yield Issue(
            'cache', 'error', f'the cache {directory} cannot be written: {error.strerror}',
            f'correct its permissions, free some space, or set {CACHE} to another directory; '
            'local model files work anyway')
        return
    if disk.free < _LITTLE:
        yield Issue(
            'cache', 'error' if disk.free < _NOTHING else 'warning',
            f'the disk of the cache {directory} has {human_size(disk.free)} left',
            f'delete {directory} ({human_size(size)}; models are downloaded again if needed), or '
            f'set {CACHE} to a directory on another disk')
        return
    yield Issue('cache', 'ok', f'the cache {directory} has {human_size(size)}, its disk '
                               f'{human_size(disk.free)} left')


def check_catalogue(
    machine: Machine, entries: Callable[[], Mapping[str, Path]] | None = None,
) -> Iterator[Issue]:
    """Check the sha256 of all local files of the catalogue."""
    # They need NumPy; another check reports if it is missing.
    from ros2_classify.engines.external_data import verify_entry
    from ros2_classify.model import catalog

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
    # Without a sha256 nothing tells whether a file is intact, and one at a URL may not be here.
    unknown = [row.name for row in rows if row.state == 'no sha256']
    missing = [row.name for row in rows if row.state == 'missing']
    if missing:
        yield Issue(
            'models', 'warning', f'the files of {", ".join(missing)} are missing',
            'put them where the descriptors say, or remove these from the directory')
    if not wrong:
        here = sum(row.state == 'ok' for row in rows)
        more = f'; {len(unknown)} have no sha256 to check ({", ".join(unknown)})'
        remote = sum(row.state == 'remote' for row in rows)
        rest = len(rows) - here - len(unknown) - len(missing) - remote
        yield Issue('models', 'ok', f'the catalogue has {len(rows)} models; the files of {here} '
                                    'are here and intact' + (
                                        ', the others are downloaded when used' if rest else ''
                                    ) + (more if unknown else ''))


def _wrong(row: Verified) -> Issue:
    if row.state == 'unusable':
        return Issue('models', 'warning', f'{row.name} has a wrong descriptor: {row.error}',
                     'correct it, or remove it from the directory')
    return Issue(
        'models', 'error', f'{row.name} is damaged: the sha256 of {row.model} is wrong',
        f'delete {row.model}, then run python3 -m ros2_classify models fetch {row.name}; if it '
        'belongs to the package, install that again')


_SANDBOX = """
import os, runpy, sys, tempfile
from ros2_classify.convert import sandbox
os.chdir(tempfile.gettempdir())
runpy.run_path(sandbox.__file__, run_name='__main__')
"""


def check_conversion(machine: Machine) -> Iterator[Issue]:
    """Enter the sandbox in which TensorFlow models are converted, in a process of its own."""
    from ros2_classify.convert.process import PYTHON

    ran = machine.run_python(_SANDBOX)
    if ran.code:
        yield Issue('conversion', 'warning', 'the sandbox in which TensorFlow models are '
                    f'converted does not start: {ran.last_line}',
                    'convert models on another machine')
        return
    missing = json.loads(ran.out.strip() or '[]') or []
    if not missing:
        yield Issue('conversion', 'ok', 'TensorFlow models are converted in a sandbox: no '
                    'network, no writing outside of its directory, no other programs')
        return
    converts = machine.places_of('tf2onnx') or machine.env.get(PYTHON)
    text = f'this machine limits conversions less: {"; ".join(missing)} is not available'
    if converts:
        yield Issue('conversion', 'warning', text,
                    'convert TensorFlow models of unknown origin on a machine with Linux 6.7 or '
                    'later, outside of a container that forbids namespaces')
    else:
        yield Issue('conversion', 'ok', f'{text}; TensorFlow is not installed')


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
        yield _tuning(model, loaded)


def _tuning(model: str, loaded: Loaded) -> Issue:
    """Return whether the model was measured on this machine."""
    again = f'python3 -m ros2_classify models tune {model} takes 2 minutes'
    if loaded.remote:
        return Issue('models', 'ok', f'{model}: at the other end is {loaded.remote}')
    if not loaded.tuning:
        return Issue('models', 'ok', f'{model} was never tuned here', again)
    if not loaded.tuning_fits:
        return Issue('models', 'warning', loaded.tuning, again)
    return Issue('models', 'ok', f'{model}: {loaded.tuning}')
