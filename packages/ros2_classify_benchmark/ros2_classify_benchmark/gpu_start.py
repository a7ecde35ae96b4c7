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
Make the environment of ``scripts/bench_gpu``, once, and start ``gpu.py`` in it.

What is wrong with the words, or with the machine, is said before gigabytes are downloaded. Needs
the standard library only.
"""

from __future__ import annotations

import argparse
import ctypes
import os
from pathlib import Path
import shutil
import subprocess
import sys

ROOT = Path(__file__).resolve().parents[3]
BENCHMARK = ROOT / 'packages' / 'ros2_classify_benchmark'
DEFAULT_MODELS = ('cards_classifier', 'cards_detector')
_DESCRIPTION = """\
Measure models with every provider and precision that this machine has, the bare engine alone.

One line a combination: the first start (engines are built), the second (they come from the cache),
the time of an inference and how many images a second a batch gives, the GPU's memory, and how
far the outputs are from those of the CPU. What is not available here is told in its line. Models
without a variant in 8 bits are quantized for it, measured on the sample images. Last, where ROS 2
can be imported and something ran on a GPU, the node is measured with CUDA.
"""


def parser() -> argparse.ArgumentParser:
    """Return what reads the words."""
    made = argparse.ArgumentParser(
        prog='scripts/bench_gpu', description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument('models', nargs='*', metavar='MODEL', default=list(DEFAULT_MODELS),
                      help=f'as the server takes them (default: {" ".join(DEFAULT_MODELS)})')
    made.add_argument('--device', type=_count(0), default=0, metavar='N', help='which GPU')
    made.add_argument('--runs', type=_count(1), default=300, metavar='N',
                      help='inferences to time')
    made.add_argument('--batch', type=_count(1), default=4, metavar='N',
                      help='images at once, where the model takes batches')
    made.add_argument('--json', action='store_true', help='one JSON object as the last line')
    return made


def missing(device: int, library: str = 'libcuda.so.1') -> str:
    """Say what this machine lacks."""
    try:
        driver = ctypes.CDLL(library)
    except OSError:
        return (f'there is no NVIDIA driver here: {library} cannot be loaded; install the driver '
                '(in a container: start it with --gpus all)')
    # CUDA's driver interface: 0 is success.
    code, count = driver.cuInit(0), ctypes.c_int()
    if code == 0:
        code = driver.cuDeviceGetCount(ctypes.byref(count))
    if code != 0 or count.value == 0:
        return (f'the NVIDIA driver finds no GPU (CUDA error {code}); nvidia-smi may say '
                'why (in a container: start it with --gpus all)')
    if device >= count.value:
        return f'there is no GPU {device}: the driver has {count.value}, counted from 0'
    return ''


def set_up(directory: Path) -> None:
    """Make the environment; one without TensorRT is better than none."""
    python = directory / 'bin' / 'python'
    if not python.exists():
        print('Making an environment with ONNX Runtime for CUDA, some gigabytes, once …',
              file=sys.stderr)
        shutil.rmtree(directory, ignore_errors=True)
        # Where it is broken off nothing is there that looks like an environment.
        half = directory.with_name(f'{directory.name}.half')
        call(sys.executable, '-m', 'venv', '--clear', half, name='venv')
        call(half / 'bin' / 'python', '-m', 'pip', 'install', '.[gpu,tools]', name='pip')
        half.rename(directory)
    if not (directory / 'tensorrt').exists():
        try:
            call(python, '-m', 'pip', 'install', 'tensorrt>=10,<11', name='tensorrt')
        except SystemExit as error:
            print(f'{error}\nTensorRT could not be installed and is skipped; it comes from '
                  'https://pypi.nvidia.com.', file=sys.stderr)
        else:
            (directory / 'tensorrt').touch()


def run() -> int:
    """Make sure of the environment and become the program in it."""
    words = sys.argv[1:]
    problem = missing(parser().parse_args(words).device)
    if problem:
        raise SystemExit(f'error: {problem}. Nothing was measured.')
    directory = ROOT / '.venv' / 'gpu'
    set_up(directory)
    python = directory / 'bin' / 'python'
    path = os.pathsep.join(filter(None, [str(ROOT), str(BENCHMARK), os.environ.get('PYTHONPATH')]))
    os.execve(python, [str(python), '-m', 'ros2_classify_benchmark.gpu', *words],
              {**os.environ, 'PYTHONPATH': path})


def call(*command: str | Path, name: str) -> None:
    """Run a program with its output in a log file; SystemExit if it fails."""
    log = ROOT / '.venv' / 'gpu_log' / f'{name}.log'
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open('w') as output:
        done = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False,
                              cwd=ROOT)
    if done.returncode:
        end = ''.join(f'  | {line}\n' for line in log.read_text().splitlines()[-20:])
        raise SystemExit(f'error: {name} failed with exit code {done.returncode}:\n{end}See {log}')


def _count(least: int):  # type: ignore[no-untyped-def]
    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f'{text!r} is no whole number from {least} on')
        return int(text)

    return parse


if __name__ == '__main__':
    sys.exit(run())
