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
Measure what each transport adds: `python latency.py MODEL.onnx HTTP_PORT GRPC_PORT [THREADS]`.

A server on this machine serves MODEL under the name of its file, with as many threads (1) as the
model here. Both get the same numbers, in rounds. Triton tells how long it took itself: what the
model runs there, and what it does before and after.
"""

import json
from pathlib import Path
import sys
import time
import urllib.request

import numpy as np
from ros2_classify import EngineSettings
from ros2_classify.engines import bind, open_engine
from ros2_classify.engines.remote import open_remote
from ros2_classify.model.remote_url import RemoteUrl

ROUNDS = 150


def told(port, model):
    """Return the nanoseconds of Triton so far: of the model, and all."""
    try:
        with urllib.request.urlopen(
                f'http://127.0.0.1:{port}/v2/models/{model}/stats', timeout=5.0) as reply:
            stats = json.load(reply)['model_stats'][0]['inference_stats']
    except OSError:  # only Triton has them
        return np.zeros(2)
    return np.array([stats['compute_infer']['ns'], stats['success']['ns']])


def main():
    path, port = Path(sys.argv[1]), sys.argv[2]
    threads = int(sys.argv[4]) if len(sys.argv) > 4 else 1
    settings = EngineSettings(threads=threads, remote_timeout=10.0, tuning='off')
    local = open_engine(path, settings=settings)
    image, = local.inputs
    array = np.random.default_rng(0).random(image.shape, np.float32)
    runs = {'local': bind(local, {image.name: array})}
    for scheme, there in zip(('http', 'grpc'), sys.argv[2:4]):
        for shared in ('true', 'false'):
            url = f'{scheme}://127.0.0.1:{there}/{path.stem}?shared_memory={shared}'
            name = f'{scheme}{" and shared memory" * (shared == "true")}'
            runs[name] = bind(open_remote(RemoteUrl.parse(url), settings, None),
                              {image.name: array})
    wanted = {name: output.copy() for name, output in runs['local']().items()}
    for name, run in runs.items():
        for output, numbers in run().items():
            assert np.array_equal(numbers, wanted[output]), name
    # Milliseconds: in all, of the model there, and of the server but for the model.
    rows = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, run in runs.items():
            before = told(port, path.stem)
            time.sleep(0.01)
            begun = time.perf_counter()
            run()
            spent = time.perf_counter() - begun
            model, server = (told(port, path.stem) - before) / 1e6
            rows[name].append((1e3 * spent, model, server - model))
    base = np.array(rows['local'])[:, 0]
    print('ms                          median  over local model there  otherwise   transport')
    for name, row in rows.items():
        spent, model, besides = np.array(row).T
        cells = [np.median(spent), np.median(spent - base), np.median(model),
                 np.median(besides), np.median(spent - model - besides)]
        print(f'{name:24}' + ''.join(f'{each:12.2f}' for each in cells[:(
            5 if model.any() else 1 if name == 'local' else 2)]))


if __name__ == '__main__':
    main()
