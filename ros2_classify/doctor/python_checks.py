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

"""Check that NumPy, OpenCV and cv_bridge are compatible: often they are not."""

from __future__ import annotations

from collections.abc import Iterator
import json

from ros2_classify.doctor.machine import Installed, Issue, Machine, Ran

OPENCVS = ('opencv-python', 'opencv-python-headless', 'opencv-contrib-python',
           'opencv-contrib-python-headless')
_SYSTEM = '/usr/lib/python3'

# Errors of extensions that were built for another major version of NumPy.
_BUILT_FOR_OTHER = ('compiled using NumPy 1', '_ARRAY_API not found',
                    'numpy.core.multiarray failed to import', 'numpy.dtype size changed')

_NUMPY = """
import json, numpy
print(json.dumps({'version': numpy.__version__, 'file': numpy.__file__}))
"""
_OPENCV = """
import json, cv2, numpy
cv2.resize(numpy.zeros((4, 4, 3), numpy.uint8), (2, 2))
print(json.dumps({'version': cv2.__version__, 'file': cv2.__file__}))
"""
# The import alone may succeed, and so may most conversions.
_CV_BRIDGE = 'from ros2_classify.ros.messages.cv_bridge_probe import main; main()'
_REMOVE = 'pip uninstall numpy opencv-python opencv-python-headless'


def check_python(machine: Machine) -> Iterator[Issue]:
    """Import NumPy, OpenCV and cv_bridge, each in a process of its own."""
    yield from _check_numpy(machine)
    yield from _check_opencv(machine)
    yield from _check_cv_bridge(machine)
    if machine.run_python('import yaml').code:
        yield Issue('python', 'error', 'the module yaml cannot be imported',
                    'sudo apt install python3-yaml, or pip install PyYAML')


def _check_numpy(machine: Machine) -> Iterator[Issue]:
    ran = machine.run_python(_NUMPY)
    if ran.code:
        yield Issue('python', 'error', f'NumPy cannot be imported: {ran.last_line}',
                    'sudo apt install python3-numpy, or pip install --force-reinstall numpy')
        return
    result = json.loads(ran.out or '{}')
    yield Issue('python', 'ok', f'NumPy {result.get("version", "?")} ({result.get("file")})')
    found = machine.distributions('numpy')
    if len(found) > 1:
        yield Issue(
            'python', 'warning',
            f'several installations of NumPy: {_named(found)}; the first is used',
            'run pip uninstall numpy to keep that of the system, for which cv_bridge and other '
            'packages from apt were built')


def _check_opencv(machine: Machine) -> Iterator[Issue]:
    ran = machine.run_python(_OPENCV)
    if ran.code:
        yield _no_opencv(ran)
        return
    result = json.loads(ran.out or '{}')
    version = str(result.get('version', '?'))
    yield Issue('python', 'ok', f'OpenCV {version} ({result.get("file")})')
    if version.partition('.')[0].isdigit() and int(version.partition('.')[0]) >= 5:
        yield Issue(
            'python', 'warning', f'OpenCV {version}: cv_bridge depends on constants that OpenCV 5 '
            'changed', 'pip install "opencv-python-headless<5"')
    by_pip = [each for name in OPENCVS for each in machine.distributions(name)]
    places = machine.places_of('cv2')
    if len({each.name for each in by_pip}) > 1:
        yield Issue(
            'python', 'error',
            f'several packages of OpenCV overwrite each other: {_named(by_pip)}',
            f'pip uninstall {" ".join(sorted({each.name for each in by_pip}))}, then install one')
    elif len(places) > 1:
        yield Issue(
            'python', 'warning',
            f'several installations of OpenCV, in {" and ".join(places)}; the first is used',
            f'run {_REMOVE} to keep that of the system, for which cv_bridge was built')


def _no_opencv(ran: Ran) -> Issue:
    if _is_clash(ran):
        return Issue('python', 'error', f'OpenCV was built for another NumPy: {ran.last_line}',
                     f'run {_REMOVE} to use those of the system')
    if 'libGL' in ran.err or 'libgthread' in ran.err:
        return Issue(
            'python', 'error', f'OpenCV lacks a library of the system: {ran.last_line}',
            'pip uninstall opencv-python; pip install "opencv-python-headless<5"')
    return Issue('python', 'error', f'OpenCV cannot be used: {ran.last_line}',
                 'sudo apt install python3-opencv, or pip install "opencv-python-headless<5"')


def _check_cv_bridge(machine: Machine) -> Iterator[Issue]:
    if not machine.places_of('cv_bridge'):
        yield Issue('python', 'ok', 'cv_bridge is not installed; OpenCV converts images')
        return
    ran = machine.run_python(_CV_BRIDGE)
    if not ran.code and not _is_clash(ran):
        yield Issue('python', 'ok', 'cv_bridge converts; the server uses OpenCV where it knows an '
                    'encoding, which is as quick or quicker')
        return
    if _is_clash(ran):
        yield Issue(
            'python', 'warning',
            'cv_bridge was built for another NumPy than the installed one'
            f'{_crash(ran)}: the server uses OpenCV, but other nodes crash', _older_numpy(machine))
    else:
        yield Issue(
            'python', 'warning', f'cv_bridge does not work: {_reason(ran)}{_crash(ran)}; the '
            'server uses OpenCV, but other nodes need it',
            'sudo apt install --reinstall ros-$ROS_DISTRO-cv-bridge')


def _older_numpy(machine: Machine) -> str:
    """Return the command that brings back the NumPy that apt's cv_bridge was built for."""
    if any(each.directory.startswith(_SYSTEM) for each in machine.distributions('numpy')):
        return f'run {_REMOVE} to use those of the system'
    return 'pip install "numpy<2"'


def _reason(ran: Ran) -> str:
    lines = ran.out.strip().splitlines()
    last = json.loads(lines[-1]) if lines and lines[-1].startswith('{') else {}
    return str(last.get('problem') or ran.last_line)


def _crash(ran: Ran) -> str:
    """Return at which encoding it crashed, if it did."""
    lines = ran.out.strip().splitlines()
    if ran.code >= 0 or not lines or not lines[-1].startswith('{"trying"'):
        return ''
    return f' (it crashes at {json.loads(lines[-1])["trying"]})'


def _is_clash(ran: Ran) -> bool:
    return any(text in ran.err for text in _BUILT_FOR_OTHER)


def _named(found: tuple[Installed, ...] | list[Installed]) -> str:
    return ', '.join(f'{each.name} {each.version} '
                     f'({"the system" if each.directory.startswith(_SYSTEM) else each.directory})'
                     for each in found)


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
# The first ONNX Runtime that keeps the weights of local functions below the model's directory.
_FLOOR = (1, 24)
_DRIVER = '/proc/driver/nvidia/version'


def check_providers(machine: Machine, provider: str = 'auto') -> Iterator[Issue]:
    """Start every provider that the installed ONNX Runtime has."""
    # They need NumPy; another check reports if it is missing.
    from ros2_classify.engines.providers import DISTRIBUTIONS, how_to_get, PROVIDERS

    found = [each for name in DISTRIBUTIONS for each in machine.distributions(name)]
    places = {each.directory: [other for other in found if other.directory == each.directory]
              for each in found}
    for together in places.values():
        if len({each.name for each in together}) > 1:
            yield _clash(together)
    if len(places) > 1:
        yield Issue(
            'providers', 'ok', f'several installations of ONNX Runtime: {_named(found)}; a '
            'process uses one, the first in its import path')
    ran = machine.run_python(_AVAILABLE)
    if ran.code:
        yield _no_runtime(found, ran)
        return
    result = json.loads(ran.out or '{}')
    available = [str(name) for name in result.get('providers', [])]
    package = ', '.join(each.name for each in found) or 'an unknown build'
    yield Issue('providers', 'ok', f'ONNX Runtime {result.get("version", "?")} ({package})')
    yield from _check_floor(str(result.get('version', '')))
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


def _check_floor(version: str) -> Iterator[Issue]:
    parts = version.split('.')
    if len(parts) > 1 and parts[0].isdigit() and parts[1].isdigit() and (
            int(parts[0]), int(parts[1])) < _FLOOR:
        yield Issue(
            'providers', 'warning',
            f'ONNX Runtime {version} reads files outside of the directory of a model that asks '
            'for it in a local function: this package refuses such models, other programs do not',
            f'install {_FLOOR[0]}.{_FLOOR[1]} or later, which needs Python 3.11, or run models of '
            'known origin only')


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
            'pip install onnxruntime, or "onnxruntime-gpu[cuda,cudnn]" on a machine with an '
            'NVIDIA GPU; on a robot: rosdep install')
    return Issue('providers', 'error',
                 f'{found[0].name} is installed but cannot be imported: {ran.last_line}',
                 f'pip install --force-reinstall {found[0].name}')
