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

"""Check that the execution providers of ONNX Runtime really start."""

from __future__ import annotations

from collections.abc import Iterator
import json

from ros2_classify.doctor.machine import Installed, Issue, Machine, Ran

# An ONNX model with the one node Identity on one float: enough to see whether a provider starts.
# (IR version 8, opset 13; in base64.)
IDENTITY = (
    'CAg6NwoQCgF4EgF5IghJZGVudGl0eRIBZ1oPCgF4EgoKCAgBEgQKAggBYg8KAXkSCgoICAESBAoCCAFCBAoAEA0=')

_AVAILABLE = """
import json, onnxruntime
print(json.dumps({'version': onnxruntime.__version__,
                  'providers': onnxruntime.get_available_providers()}))
"""
_TRIAL = """
import base64, json, numpy, onnxruntime as ort
getattr(ort, 'preload_dlls', lambda: None)()
options = ort.SessionOptions()
options.log_severity_level = 4
session = ort.InferenceSession(base64.b64decode({model!r}), options, providers=[{name!r}])
session.run(None, {{'x': numpy.ones(1, numpy.float32)}})
print('\\n' + json.dumps({{'runs': session.get_providers()[0]}}))
"""
_DRIVER = '/proc/driver/nvidia/version'


def check_providers(machine: Machine, provider: str = 'auto') -> Iterator[Issue]:
    """Start every provider that the installed ONNX Runtime has."""
    # They need NumPy; another check reports if it is missing.
    from ros2_classify.engines.providers import DISTRIBUTIONS
    from ros2_classify.engines.providers import how_to_get, PROVIDERS

    found = [each for name in DISTRIBUTIONS for each in machine.distributions(name)]
    if len({each.name for each in found}) > 1:
        yield _clash(found)
    ran = machine.run_python(_AVAILABLE)
    if ran.code:
        yield _no_runtime(found, ran)
        return
    result = json.loads(ran.out or '{}')
    available = [str(name) for name in result.get('providers', [])]
    package = ', '.join(each.name for each in found) or 'an unknown build'
    yield Issue('providers', 'ok', f'ONNX Runtime {result.get("version", "?")} ({package})')
    wanted = PROVIDERS.get(provider.lower(), provider)
    if provider != 'auto' and wanted not in available:
        yield Issue(
            'providers', 'error', f'the provider {provider!r} is not in the installed ONNX '
            f'Runtime, which has {", ".join(available)}', how_to_get(provider))
    for short, name in PROVIDERS.items():
        if name in available:
            yield _try(machine, short, name, needed=name == wanted or short == 'cpu')
    if machine.has_file(_DRIVER) and 'CUDAExecutionProvider' not in available:
        yield Issue(
            'providers', 'warning', 'there is an NVIDIA driver, but ONNX Runtime has no CUDA: '
            'models run on the CPU', how_to_get('cuda'))


def _try(machine: Machine, short: str, name: str, needed: bool) -> Issue:
    from ros2_classify.engines.providers import how_to_get

    ran = machine.run_python(_TRIAL.format(model=IDENTITY, name=name))
    lines = ran.out.strip().splitlines()
    runs = json.loads(lines[-1]).get('runs', name) if not ran.code and lines else ''
    if runs == name:
        return Issue('providers', 'ok', f'{short} works')
    reason = f'{runs} would run instead' if runs else ran.last_line
    return Issue(
        'providers', 'error' if needed else 'warning',
        f'{short} is in the installed ONNX Runtime but does not start: {reason}',
        f'{how_to_get(short)}; or use the provider cpu')


def _clash(found: list[Installed]) -> Issue:
    names = ' '.join(dict.fromkeys(each.name for each in found))
    return Issue(
        'providers', 'error',
        f'{names.replace(" ", " and ")} are installed together and overwrite each other',
        f'pip uninstall {names}, then install the one that fits this machine')


def _no_runtime(found: list[Installed], ran: Ran) -> Issue:
    if not found:
        return Issue(
            'providers', 'error', 'ONNX Runtime is not installed',
            'pip install "ros2_classify[cpu]", or "ros2_classify[gpu]" on a machine with an '
            'NVIDIA GPU; on a robot: rosdep install')
    return Issue('providers', 'error',
                 f'{found[0].name} is installed but cannot be imported: {ran.last_line}',
                 f'pip install --force-reinstall {found[0].name}')
