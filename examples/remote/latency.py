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
Measure what each transport adds: `python latency.py MODEL.onnx HTTP_PORT GRPC_PORT`.

A server on this machine serves MODEL under the name of its file. Both get the same numbers.
"""

from pathlib import Path
import sys
import time

import numpy as np
from ros2_classify import EngineSettings
from ros2_classify.engines import bind, open_engine
from ros2_classify.engines.remote import open_remote
from ros2_classify.model.remote_url import RemoteUrl

ROUNDS = 100


def main():
    path, settings = Path(sys.argv[1]), EngineSettings(threads=1, remote_timeout=10.0)
    local = open_engine(path, settings=settings)
    image, = local.inputs
    array = np.random.default_rng(0).random(image.shape, np.float32)
    runs = {'local': bind(local, {image.name: array})}
    for scheme, port in zip(('http', 'grpc'), sys.argv[2:4]):
        for shared in ('true', 'false'):
            url = f'{scheme}://127.0.0.1:{port}/{path.stem}?shared_memory={shared}'
            runs[url] = bind(open_remote(RemoteUrl.parse(url), settings, None),
                             {image.name: array})
    wanted = {name: output.copy() for name, output in runs['local']().items()}
    times = {name: [] for name in runs}
    for name, run in runs.items():
        for output, numbers in run().items():
            assert np.array_equal(numbers, wanted[output]), name
    for _ in range(ROUNDS):
        for name, run in runs.items():
            begun = time.perf_counter()
            run()
            times[name].append(1e3 * (time.perf_counter() - begun))
    for name, spent in times.items():
        print(f'{name}: median {np.median(spent):.2f} ms')


if __name__ == '__main__':
    main()
