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

"""Measure models with every provider and precision that this machine has; see the parser."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
import json
from pathlib import Path
import platform
import subprocess
import sys
import tempfile
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
import onnxruntime
from ros2_classify.engines import bind, Engine, EngineSettings, open_engine
from ros2_classify.engines.hardware import gpu_name, tensorrt_version
from ros2_classify.engines.providers import choose_providers
from ros2_classify.errors import ModelNotFoundError, Ros2ClassifyError
from ros2_classify.image_io import read_image
from ros2_classify.model.catalog import resolve
from ros2_classify.model.files import model_file
from ros2_classify.quantize import quantize_model
from ros2_classify_benchmark.gpu_start import parser

# Provider, precision, CUDA graphs.
COMBINATIONS = (
    ('cpu', 'fp32', False),
    ('cuda', 'fp32', False), ('cuda', 'fp32', True), ('cuda', 'tf32', False),
    ('cuda', 'tf32', True),
    ('tensorrt', 'fp32', False), ('tensorrt', 'fp16', False), ('tensorrt', 'int8', False),
)
_HEAD = ('model', 'provider', 'precision', 'graphs', 'start 1', 'start 2', 'p50 ms', 'p95 ms',
         'p99 ms', 'images/s', 'GPU MiB', 'difference')
_SAMPLES = Path(__file__).resolve().parents[3] / 'models' / 'scenes'  # words: old


def main(words: list[str] | None = None) -> int:
    """Measure and print; the exit code is 1 where no combination but the CPU's could run."""
    arguments = parser().parse_args(words)
    rows = []
    print(' | '.join(_HEAD), flush=True)
    with tempfile.TemporaryDirectory(prefix='ros2_classify_bench_') as cache:
        for row in measure_all(arguments, Path(cache)):
            rows.append(row)
            print(line_of(row), flush=True)
    facts = machine_facts(arguments.device)
    print('; '.join(f'{key}: {value}' for key, value in facts.items()), flush=True)
    on_gpu = [row for row in rows if row['provider'] != 'cpu' and not row['error']]
    node: dict[str, Any] = {}
    if on_gpu:
        node = measure_node(arguments.device)
        print(node.get('error') or node['table'], flush=True)
    else:
        print('nothing ran on a GPU', file=sys.stderr)
    if arguments.json:
        print(json.dumps({
            'machine': facts, 'batch': arguments.batch, 'rows': rows, 'node': node or None}))
    return 0 if on_gpu else 1


def measure_all(arguments: argparse.Namespace, cache: Path) -> Iterator[dict[str, Any]]:
    """Yield a row for each model and combination."""
    idle = gpu_memory(arguments.device)
    for name in arguments.models:
        reference: list[NDArray[Any]] = []
        for provider, precision, graphs in COMBINATIONS:
            row: dict[str, Any] = {'model': name, 'provider': provider, 'precision': precision,
                                   'cuda_graphs': graphs, 'error': ''}
            try:
                settings = EngineSettings(
                    provider=provider, device_id=arguments.device, cuda_graphs=graphs,
                    cache_directory=cache, max_batch=arguments.batch).replace(precision=precision)
                # Before a model is quantized for a provider that is not available.
                choose_providers(settings, onnxruntime.get_available_providers())
                path = in_8_bits(name, cache) if precision == 'int8' else model_file(resolve(name))
                row.update(measure(path, settings, arguments.runs, reference, idle))
            except Ros2ClassifyError as error:
                row['error'] = str(error)
            except Exception as error:  # noqa: B902 -- one combination doesn't end the others
                row['error'] = f'{type(error).__name__}: {error}'
            yield row


def in_8_bits(name: str, cache: Path) -> Path:
    """Return a model in 8 bits: the catalogue's NAME:int8, or one that is made."""
    try:
        return model_file(resolve(f'{name}:int8'))
    except ModelNotFoundError:
        made = cache / f'{Path(name).stem}-int8.onnx'
    if not made.exists():
        quantize_model(name, lambda: map(read_image, sorted(_SAMPLES.glob('*.jpg'))), made,
                       target='tensorrt')
    return made


def measure(
    path: Path, settings: EngineSettings, runs: int, reference: list[NDArray[Any]],
    idle: int | None,
) -> dict[str, Any]:
    """Return the numbers of one combination; the first call fills the reference."""
    begun = time.perf_counter()
    open_engine(path, settings=settings).close()
    again = time.perf_counter()
    engine = open_engine(path, settings=settings)
    starts = (again - begun, time.perf_counter() - again)
    with closing(engine):
        single = bind(engine, inputs_of(engine, 1))
        outputs = [array.copy() for array in single().values()]
        reference.extend(outputs if not reference else [])
        times = timed(single, runs)
        batch = batch_of(engine, settings.max_batch)
        many = timed(bind(engine, inputs_of(engine, batch)), max(10, runs // batch))
        used = gpu_memory(settings.device_id)
    return {
        'start_first_s': starts[0], 'start_again_s': starts[1],
        'gpu_mib': None if used is None or idle is None else used - idle,
        'p50_ms': float(np.percentile(times, 50)), 'p95_ms': float(np.percentile(times, 95)),
        'p99_ms': float(np.percentile(times, 99)), 'batch': batch,
        'images_per_s': batch * 1000 / float(np.median(many)),
        'difference': max(float(np.abs(want.astype(np.float64) - have).max())
                          for want, have in zip(reference, outputs))}


def batch_of(engine: Engine, most: int) -> int:
    """Return how many images go through it at once: one where the file says how many."""
    shape = engine.inputs[0].shape
    return most if shape and not isinstance(shape[0], int) else 1


def inputs_of(engine: Engine, batch: int) -> dict[str, NDArray[Any]]:
    """Return random inputs, the same for every engine of a model."""
    generator = np.random.default_rng(11)
    found = {}
    for spec in engine.inputs:
        shape = [batch if index == 0 and not isinstance(size, int) else size
                 for index, size in enumerate(spec.shape)]
        sizes = [size if isinstance(size, int) else 320 for size in shape]
        found[spec.name] = (generator.random(sizes) * 255).astype(spec.dtype)
    return found


def timed(run: Any, runs: int) -> NDArray[np.float64]:
    """Return the milliseconds of each run, after some that warm up."""
    for _ in range(max(3, runs // 10)):
        run()
    times = []
    for _ in range(runs):
        begun = time.perf_counter()
        run()
        times.append((time.perf_counter() - begun) * 1000)
    return np.array(times)


def line_of(row: dict[str, Any]) -> str:
    """Return a row of the table."""
    head = [row['model'], row['provider'], row['precision'], 'yes' if row['cuda_graphs'] else 'no']
    if row['error']:
        return ' | '.join([*head, f'not here: {row["error"]}'])
    return ' | '.join([
        *head, f'{row["start_first_s"]:.2f}', f'{row["start_again_s"]:.2f}',
        *(f'{row[key]:.2f}' for key in ('p50_ms', 'p95_ms', 'p99_ms')),
        f'{row["images_per_s"]:.0f} (batch {row["batch"]})',
        '-' if row['gpu_mib'] is None else str(row['gpu_mib']), f'{row["difference"]:.1e}'])


def gpu_memory(device: int) -> int | None:
    """Return the MiB of a GPU that are taken, by all who use it; None where nobody tells."""
    try:
        done = subprocess.run(
            ['nvidia-smi', f'--id={device}', '--query-gpu=memory.used',
             '--format=csv,noheader,nounits'], capture_output=True, text=True, check=True,
            timeout=30)
        return int(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def measure_node(device: int) -> dict[str, Any]:
    """Return what ``bench --provider cuda --quick`` says, as a table and as JSON; or an error."""
    if find_spec('rclpy') is None:
        return {'error': 'the node is not measured: rclpy cannot be imported; source a ROS 2 of '
                         f'Python {platform.python_version()} before'}
    done = subprocess.run(
        [sys.executable, '-m', 'ros2_classify', 'bench', '--provider', 'cuda', '--quick',
         '-p', f'device_id:={device}', '--json'], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        return {'error': f'bench --provider cuda --quick ended with exit code {done.returncode}'}
    table, _, document = done.stdout.strip().rpartition('\n')
    return {'table': table, 'result': json.loads(document)}


def machine_facts(device: int) -> dict[str, str]:
    """Return what the numbers were taken on."""
    return {'GPU': gpu_name(device), 'TensorRT': tensorrt_version(),
            'ONNX Runtime': onnxruntime.__version__, 'Python': platform.python_version(),
            'machine': platform.machine()}


if __name__ == '__main__':
    sys.exit(main())
