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
Stands in for a Python that has TensorFlow: reports as the worker does, at once.

``plan.json`` beside it says what to do: ``versions`` of tf2onnx and TensorFlow, ``model`` and
``results`` to copy, and ``does``, one of convert, fail, end, wait, nonsense,
list, flood and silence: no report, too many, and no end.
"""

import json
import os
from pathlib import Path
import shutil
import sys
import time

PLAN = json.loads((Path(sys.argv[0]).parent / 'plan.json').read_text())


def tell(**report: object) -> None:
    """Write one line for the parent."""
    print(json.dumps(report), flush=True)


def work() -> int:
    """Follow the plan."""
    (Path(PLAN['calls']) / f'{time.monotonic_ns()}').write_text(Path('request.json').read_text())
    tell(stage='converting')
    print(PLAN.get('log', ''), file=sys.stderr, flush=True)
    does = PLAN['does']
    if does == 'wait':
        sys.stdin.read()
    if does == 'list':
        print('[1, 2]', flush=True)
    if does == 'flood':
        while True:
            sys.stdout.write('x' * (1 << 20))
    if does == 'silence':
        os.close(1)
        time.sleep(60.0)
    if does == 'end':
        return 7
    if does == 'fail':
        tell(error='ValueError: quint8', **PLAN.get('more', {}))
        return 1
    shutil.copy(PLAN['model'], 'model.onnx')
    if does == 'nonsense':
        Path('model.onnx').write_text('not a model')
    shutil.copy(PLAN['results'], 'results.npz')
    tell(result={'outputs': PLAN['outputs'], 'not_limited': PLAN.get('not_limited', []),
                 'seconds': {'start': 1.0, 'convert': 2.0},
                 'memory_mb': 100, 'versions': {
                     'python': '3.11.0', 'tensorflow': PLAN['versions'][1],
                     'tf2onnx': PLAN['versions'][0], 'onnx': '1.0', 'numpy': '2.0'}})
    return 0


if __name__ == '__main__':
    if 'metadata' in sys.argv[2]:
        print(json.dumps(PLAN['versions']))
    else:
        sys.exit(work())
