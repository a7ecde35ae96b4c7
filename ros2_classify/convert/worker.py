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
The program that converts: the only one that imports TensorFlow and tf2onnx.

It runs in a process of its own, in a Python that may lack this package, and so imports nothing
of it. It reads ``request.json`` in the working directory and writes the ONNX model and
TensorFlow's outputs for the test input there. Standard output carries its progress and its
report, one JSON object a line; the messages of TensorFlow and tf2onnx go to standard error.

It limits itself before anything else (`sandbox`). What could not be limited is in the report and
in the messages.
"""

from __future__ import annotations

import json
import os
import resource
import runpy
import sys
import threading
import time
import traceback
from typing import Any

REQUEST = 'request.json'
FEEDS = 'feeds.npz'
RESULTS = 'results.npz'
MODEL = 'model.onnx'
# The variable with the limits of the process: names of ``resource``, as in {"RLIMIT_CPU": 60}.
LIMITS = 'ROS2_CLASSIFY_CONVERTER_LIMITS'


def main() -> int:
    """Convert what the request says; return 0 if the model was written."""
    try:
        # By its path: the package itself may not be there.
        sandbox = runpy.run_path(os.path.join(os.path.dirname(__file__), 'sandbox.py'))
        missing = sandbox['confine'](json.loads(os.environ.get(LIMITS, '{}')))
    except (OSError, ValueError) as error:
        missing = [f'limits ({error})']
    for what in missing:
        print(f'not available here: {what}', file=sys.stderr, flush=True)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # Libraries print to standard output too; keep it for this program's own lines.
    with os.fdopen(os.dup(1), 'w', encoding='utf-8', buffering=1) as reports:
        os.dup2(2, 1)

        def tell(**report: Any) -> None:
            reports.write(json.dumps(report) + '\n')

        try:
            with open(REQUEST, encoding='utf-8') as file:
                result = _work(json.load(file), tell)
            tell(result={**result, 'not_limited': missing})
        except Exception as error:  # noqa: BLE001 -- the parent reports it, whatever it is
            traceback.print_exc()
            tell(error=f'{type(error).__name__}: {getattr(error, "message", None) or error}')
            return 1
    return 0


def _end_with_parent() -> None:
    """Exit when the parent closes the pipe, or dies."""
    while os.read(0, 1024):
        pass
    os._exit(3)


def _work(request: dict[str, Any], tell: Any) -> dict[str, Any]:
    seconds: dict[str, float] = {}
    started = time.monotonic()

    def done(step: str) -> None:
        nonlocal started
        seconds[step] = round(time.monotonic() - started, 2)
        started = time.monotonic()

    tell(stage='starting TensorFlow')
    import numpy as np
    import onnx
    import tensorflow as tf
    import tf2onnx.convert
    done('start')
    tell(stage='converting')
    sys.argv = ['tf2onnx', *_arguments(request), '--opset', str(request['opset']),
                '--output', MODEL]
    tf2onnx.convert.main()
    done('convert')
    tell(stage='running TensorFlow on a test image', converted=True)
    with np.load(FEEDS, allow_pickle=False) as file:
        feeds = [file[f'arr_{place}'] for place in range(len(request['inputs']))]
    if request['format'] == 'saved_model':
        results = _run_saved_model(tf, request, feeds)
    else:
        results = _run_frozen_graph(tf, request, feeds)
    np.savez(RESULTS, *results.values())
    done('reference')
    return {
        'outputs': list(results),
        'seconds': seconds,
        # Kilobytes on Linux (getrusage(2)).
        'memory_mb': round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        'versions': {
            'python': sys.version.split()[0], 'tensorflow': tf.__version__,
            'tf2onnx': tf2onnx.__version__, 'onnx': onnx.__version__, 'numpy': np.__version__},
    }


def _arguments(request: dict[str, Any]) -> list[str]:
    if request['format'] == 'saved_model':
        return ['--saved-model', request['source'], '--tag', request['tag'],
                '--signature_def', request['signature']]
    return ['--graphdef', request['source'], '--inputs', ','.join(request['inputs']),
            '--outputs', ','.join(request['outputs'])]


def _run_frozen_graph(tf: Any, request: dict[str, Any], feeds: list[Any]) -> dict[str, Any]:
    graph_def = tf.compat.v1.GraphDef()
    with open(request['source'], 'rb') as file:
        graph_def.ParseFromString(file.read())
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name='')
        with tf.compat.v1.Session(graph=graph) as session:
            values = session.run(request['outputs'], dict(zip(request['inputs'], feeds)))
    return dict(zip(request['outputs'], values))


def _run_saved_model(tf: Any, request: dict[str, Any], feeds: list[Any]) -> dict[str, Any]:
    tags = request['tag'].split(',') if request['tag'] else []
    model = tf.saved_model.load(request['source'], tags=tags)
    function = model.signatures[request['signature']]
    values = function(**{name: tf.constant(feed)
                         for name, feed in zip(request['inputs'], feeds)})
    return {name: value.numpy() for name, value in values.items()}


if __name__ == '__main__':
    sys.exit(main())
