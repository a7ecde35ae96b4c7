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
The process of one candidate: loads the model, gives results for the images, and runs on request.

A process of its own: one can't hold two builds of ONNX Runtime, its processor time and memory are
the candidate's, and what crashes ends nobody else. It reads JSON lines and replies each with one.
"""

from __future__ import annotations

from importlib import import_module
import json
import os
from pathlib import Path
import sys
import threading
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ros2_classify.engines.providers import import_onnxruntime
from ros2_classify.engines.settings import EngineSettings
from ros2_classify.engines.tuning_record import environment
from ros2_classify.model.catalog import resolve
from ros2_classify.pipeline import Pipeline
from ros2_classify.tuning.parity import as_arrays

Image = NDArray[np.uint8]
# Images whose raw outputs are compared, too: they may be large.
_RAW = 4


class Worker:
    """One loaded model; each method replies one request."""

    def __init__(self) -> None:
        self._pipeline: Pipeline[Any] | None = None
        self._images: list[Image] = []

    def facts(self) -> dict[str, Any]:
        """Return what this interpreter's ONNX Runtime is and has."""
        ort = import_onnxruntime()
        return {'environment': environment(), 'providers': ort.get_available_providers()}

    def load(self, model: str, images: str, settings: dict[str, Any],
             size: list[int] | None = None) -> dict[str, Any]:
        """Load the model and the images, and warm up."""
        with np.load(images, allow_pickle=False) as arrays:
            self._images = [arrays[name] for name in arrays.files]
        declared = resolve(model)
        if size:
            from dataclasses import replace
            declared = replace(declared, input=replace(
                declared.input, size=(int(size[0]), int(size[1]))))
        begun = time.monotonic()
        self._pipeline = Pipeline.load(
            declared, engine=EngineSettings(**settings, tuning='off'))
        self._pipeline.warm_up()
        return {'provider': self._pipeline.engine.provider, 'task': self._pipeline.task,
                'parallel': self._pipeline.parallel, 'batch': self._pipeline.max_batch,
                'file': str(self._pipeline.file), 'name': self._pipeline.descriptor.name,
                'load_s': time.monotonic() - begun}

    def results(self, out: str) -> dict[str, Any]:
        """Write the results for all images, and a few raw outputs."""
        pipeline = self._loaded()
        found: dict[str, NDArray[Any]] = {}
        for number, result in enumerate(pipeline.many(self._images, 'bgr')):
            found.update({f'{number}.{name}': array for name, array in as_arrays(result).items()})
        batch = pipeline.new_batch()
        for number, image in enumerate(self._images[:_RAW]):
            batch.clear()
            batch.add(image, 'bgr')
            for name, array in pipeline.infer(batch)[0].items():
                if array.dtype.kind in 'fiub':
                    found[f'raw.{number}.{name}'] = array.astype(np.float32)
        np.savez(out, **found)  # type: ignore[arg-type]
        return {'count': len(self._images), 'threshold': pipeline.options.score_threshold}

    def accuracy(self, evaluator: str, data: str, limit: int) -> dict[str, Any]:
        """Measure on labelled data with the evaluation package, which `evaluator` names."""
        measure, value, count = import_module(evaluator).accuracy(self._loaded(), data, limit)
        return {'measure': measure, 'value': value, 'count': count}

    def run(self, seconds: float) -> dict[str, Any]:
        """Run for a while at full speed; return latency, rate, processor time and memory."""
        pipeline = self._loaded()
        lanes = pipeline.parallel
        times: list[list[float]] = [[] for _ in range(lanes)]
        begun, used = time.monotonic(), time.process_time()
        deadline = begun + seconds
        if lanes == 1:
            self._lane(times[0], 0, deadline)
        else:
            threads = [threading.Thread(target=self._lane, args=(times[lane], lane, deadline))
                       for lane in range(lanes)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        spent, cpu = time.monotonic() - begun, time.process_time() - used
        calls = np.concatenate([np.array(each) for each in times])
        images = len(calls) * pipeline.max_batch
        return {'latency_ms': 1e3 * float(np.median(calls)),
                'p95_ms': 1e3 * float(np.quantile(calls, 0.95)),
                'images_per_second': images / spent, 'cpu_ms': 1e3 * cpu / images,
                'images': images, 'memory_mib': _memory_mib()}

    def _lane(self, times: list[float], lane: int, deadline: float) -> None:
        """Do what a server does with an image, again and again."""
        pipeline = self._loaded()
        batch = pipeline.new_batch()
        images, number = self._images, lane
        while not times or time.monotonic() < deadline:
            start = time.perf_counter()
            batch.clear()
            for _ in range(pipeline.max_batch):
                batch.add(images[number % len(images)], 'bgr')
                number += 1
            for outputs, geometry in zip(pipeline.infer(batch), batch.geometries):
                pipeline.postprocess(outputs, geometry)
            times.append(time.perf_counter() - start)

    def _loaded(self) -> Pipeline[Any]:
        assert self._pipeline is not None, 'load comes first'
        return self._pipeline


def _memory_mib() -> float:
    try:
        pages = int(Path('/proc/self/statm').read_text(encoding='ascii').split()[1])
    except (OSError, ValueError, IndexError):
        return 0.0
    return pages * os.sysconf('SC_PAGE_SIZE') / (1 << 20)


def main() -> None:
    """Reply to requests until there are no more."""
    # Libraries print to standard output, too.
    replies = os.fdopen(os.dup(1), 'w', encoding='utf-8')
    os.dup2(2, 1)
    worker = Worker()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            response = getattr(worker, request.pop('do'))(**request)
        except Exception as error:  # noqa: B902 - the parent goes on without this candidate
            response = {'error': f'{error}' or type(error).__name__}
        replies.write(json.dumps(response) + '\n')
        replies.flush()
    # Some providers crash when the interpreter takes them apart.
    os._exit(0)


if __name__ == '__main__':
    main()
