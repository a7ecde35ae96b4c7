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
Measure what a stream costs above a plain loop of ONNX Runtime, for a model with states.

python test/clips/clip_time.py [FRAMES] prints the medians of both, frame by frame in turns: the
same file, one thread, states of floats and integers, the same pixels.
"""

from __future__ import annotations

from pathlib import Path
import statistics
import sys
import tempfile
import time
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from clip_models import save_descriptor, save_graph  # noqa: E402
import cv2  # noqa: E402
import numpy as np  # noqa: E402
from onnx import helper  # noqa: E402
import onnxruntime  # noqa: E402
from ros2_classify import Pipeline  # noqa: E402

SIDE, CHANNELS, STATES = 172, 32, 12


def save_model(directory: Path) -> Path:
    """Write convolutions of some milliseconds with large states, and a counter."""
    random = np.random.default_rng(0)
    nodes = [helper.make_node('Conv', ['frame', 'first'], ['x0'], strides=[2, 2])]
    names = [f'state{number}' for number in range(STATES)]
    for number, name in enumerate(names):
        nodes += [helper.make_node('Conv', [f'x{number}', 'kernel'], [f'y{number}'],
                                   pads=[1, 1, 1, 1]),
                  helper.make_node('Add', [f'y{number}', name], [f'z{number}']),
                  helper.make_node('Tanh', [f'z{number}'], [f'x{number + 1}']),
                  helper.make_node('Identity', [f'x{number + 1}'], [f'{name}_out'])]
    nodes += [helper.make_node('Add', ['count', 'one'], ['count_out']),
              helper.make_node('ReduceMean', [f'x{STATES}'], ['means'], axes=[2, 3], keepdims=0),
              helper.make_node('MatMul', ['means', 'last'], ['logits'])]
    side = (SIDE - 3) // 2 + 1
    shape = [1, CHANNELS, side, side]
    save_graph(
        directory / 'timed.onnx', nodes,
        [('frame', np.float32, [1, 3, SIDE, SIDE]), ('count', np.int64, [1]),
         *((name, np.float32, shape) for name in names)],
        [('logits', np.float32, [1, 3]), ('count_out', np.int64, [1]),
         *((f'{name}_out', np.float32, shape) for name in names)],
        first=random.normal(0, 0.2, (CHANNELS, 3, 3, 3)).astype(np.float32),
        kernel=random.normal(0, 0.05, (CHANNELS, CHANNELS, 3, 3)).astype(np.float32),
        last=random.normal(0, 1, (CHANNELS, 3)).astype(np.float32), one=np.array([1]))
    states = ', '.join(f'{{input: {name}, output: {name}_out}}' for name in (*names, 'count'))
    return save_descriptor(
        directory, 'timed', 'input: {name: frame, scale: 1/255, interpolation: linear}\n'
        f'state: [{states}]')


def measure(count: int) -> dict[str, float]:
    """Return the medians in milliseconds, and their ratio."""
    random = np.random.default_rng(1)
    frames = [random.integers(0, 256, (480, 640, 3), np.uint8) for _ in range(8)]
    with tempfile.TemporaryDirectory() as directory:
        path = save_model(Path(directory))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session: Any = onnxruntime.InferenceSession(
            str(path.with_suffix('.onnx')), options, providers=['CPUExecutionProvider'])
        kept = {each.name: np.zeros(each.shape, np.int64 if each.name == 'count' else np.float32)
                for each in session.get_inputs() if each.name != 'frame'}
        outputs = ['logits', *(f'{name}_out' for name in kept)]
        times: dict[str, list[float]] = {'plain': [], 'stream': []}
        with Pipeline.load(path, provider='cpu', threads=1) as pipeline:
            stream = pipeline.stream()
            for number in range(count):
                frame = frames[number % len(frames)]
                begun = time.perf_counter()
                small = cv2.resize(frame, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
                tensor = np.ascontiguousarray(
                    small.transpose(2, 0, 1)[None] * np.float32(1 / 255))
                found = session.run(outputs, {'frame': tensor, **kept})
                kept = dict(zip(kept, found[1:]))
                powers = np.exp(found[0][0] - found[0].max())
                best = int((powers / powers.sum()).argmax())
                middle = time.perf_counter()
                result = stream.offer(number / 10, frame)
                end = time.perf_counter()
                assert result is not None and int(result.class_ids[0]) == best
                times['plain'].append(middle - begun)
                times['stream'].append(end - middle)
    warm = count // 5
    plain, ours = (1e3 * statistics.median(each[warm:]) for each in times.values())
    return {'plain loop, ms': plain, 'stream, ms': ours, 'ratio': ours / plain}


if __name__ == '__main__':
    for key, value in measure(int(sys.argv[1]) if len(sys.argv) > 1 else 400).items():
        print(f'{key}: {value:.3f}')
