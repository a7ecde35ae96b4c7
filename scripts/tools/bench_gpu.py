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
Measure networks with every provider and precision that this machine has, the bare engine alone.

One line a combination: the first start (engines are built), the second (they come from the cache),
the time of an inference and how many pictures a second a batch gives, and how far the outputs are
from those of the CPU. What a provider can't do here is told in its line.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
import json
from pathlib import Path
import platform
import sys
import tempfile
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ros2_classify.catalog import resolve
from ros2_classify.engines import bind, Engine, EngineSettings, open_engine
from ros2_classify.engines.machine import gpu_name, tensorrt_version
from ros2_classify.errors import Ros2ClassifyError
from ros2_classify.store import model_file

DEFAULT_MODELS = ('cards_classifier', 'cards_detector')
# Provider, precision, CUDA graphs.
COMBINATIONS = (
    ('cpu', 'fp32', False),
    ('cuda', 'fp32', False), ('cuda', 'fp32', True), ('cuda', 'tf32', False),
    ('cuda', 'tf32', True),
    ('tensorrt', 'fp32', False), ('tensorrt', 'fp16', False), ('tensorrt', 'fp16', True),
    ('tensorrt', 'int8', True),
)
_HEAD = ('model', 'provider', 'precision', 'graphs', 'start 1', 'start 2', 'p50 ms', 'p95 ms',
         'p99 ms', 'pictures/s', 'difference')


def main(words: list[str] | None = None) -> int:
    """Measure and print; the exit code is 1 where no combination but the CPU's could run."""
    arguments = _parser().parse_args(words)
    rows = []
    print(' | '.join(_HEAD), flush=True)
    with tempfile.TemporaryDirectory(prefix='ros2_classify_bench_') as cache:
        for row in measure_all(arguments, Path(cache)):
            rows.append(row)
            print(line_of(row), flush=True)
    facts = machine_facts(arguments.device)
    if arguments.json:
        print(json.dumps({'machine': facts, 'batch': arguments.batch, 'rows': rows}))
    else:
        print('; '.join(f'{key}: {value}' for key, value in facts.items()))
    on_gpu = [row for row in rows if row['provider'] != 'cpu' and not row['error']]
    if not on_gpu:
        print('nothing ran on a GPU', file=sys.stderr)
    return 0 if on_gpu else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='scripts/bench_gpu', description=__doc__)
    parser.add_argument('models', nargs='*', metavar='MODEL', default=list(DEFAULT_MODELS),
                        help=f'as the server takes them (default: {" ".join(DEFAULT_MODELS)})')
    parser.add_argument('--device', type=int, default=0, metavar='N', help='which GPU')
    parser.add_argument('--runs', type=int, default=300, metavar='N', help='inferences to time')
    parser.add_argument('--batch', type=int, default=4, metavar='N',
                        help='pictures at once, where the network takes batches')
    parser.add_argument('--json', action='store_true', help='one JSON object as the last line')
    return parser


def measure_all(arguments: argparse.Namespace, cache: Path) -> Iterator[dict[str, Any]]:
    """Yield a row for each model and combination."""
    for name in arguments.models:
        reference: list[NDArray[Any]] = []
        for provider, precision, graphs in COMBINATIONS:
            row: dict[str, Any] = {'model': name, 'provider': provider, 'precision': precision,
                                   'cuda_graphs': graphs, 'error': ''}
            try:
                # 8 bits take a network that was quantized: NAME:int8 in the catalogue.
                path = model_file(resolve(f'{name}:int8' if precision == 'int8' else name))
                settings = EngineSettings(
                    provider=provider, device_id=arguments.device, cuda_graphs=graphs,
                    cache_folder=cache, max_batch=arguments.batch).replace(precision=precision)
                row.update(measure(path, settings, arguments.runs, reference))
            except Ros2ClassifyError as error:
                row['error'] = str(error)
            yield row


def measure(
    path: Path, settings: EngineSettings, runs: int, reference: list[NDArray[Any]],
) -> dict[str, Any]:
    """Return the numbers of one combination; the first call fills the reference."""
    starts = []
    for _ in range(2):
        begun = time.perf_counter()
        engine = open_engine(path, settings=settings)
        starts.append(time.perf_counter() - begun)
    single = bind(engine, inputs_of(engine, 1))
    outputs = [array.copy() for array in single().values()]
    reference.extend(outputs if not reference else [])
    times = timed(single, runs)
    batch = settings.max_batch if engine.inputs[0].shape[:1] == ('batch',) else 1
    many = timed(bind(engine, inputs_of(engine, batch)), max(10, runs // batch))
    engine.close()
    return {
        'start_first_s': starts[0], 'start_again_s': starts[1],
        'p50_ms': float(np.percentile(times, 50)), 'p95_ms': float(np.percentile(times, 95)),
        'p99_ms': float(np.percentile(times, 99)), 'batch': batch,
        'pictures_per_s': batch * 1000 / float(np.median(many)),
        'difference': max(float(np.abs(want.astype(np.float64) - have).max())
                          for want, have in zip(reference, outputs))}


def inputs_of(engine: Engine, batch: int) -> dict[str, NDArray[Any]]:
    """Return random inputs, the same for every engine of a network."""
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
        f'{row["pictures_per_s"]:.0f} (batch {row["batch"]})', f'{row["difference"]:.1e}'])


def machine_facts(device: int) -> dict[str, str]:
    """Return what the numbers were taken on."""
    import onnxruntime

    return {'GPU': gpu_name(device), 'TensorRT': tensorrt_version(),
            'ONNX Runtime': onnxruntime.__version__, 'Python': platform.python_version(),
            'machine': platform.machine()}


if __name__ == '__main__':
    sys.exit(main())
