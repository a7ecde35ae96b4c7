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
The floor: the same pre-processing, model and decoding in a plain loop, without ROS.

It runs what the server runs (`ros2_classify.pipeline`) on the same images, saturated (one after
the other) or paced (at a camera's rate, which is slower for each image: caches and clocks cool
down in between).
"""

from __future__ import annotations

import json
import signal
import sys
import time
from typing import Any

from ros2_classify.download.hashing import sha256_of_file
from ros2_classify.engines import EngineSettings
from ros2_classify.errors import Ros2ClassifyError
from ros2_classify.model.catalog import resolve
from ros2_classify.model.files import model_file
from ros2_classify.options import Options
from ros2_classify.pipeline import Pipeline
from ros2_classify.results.results import Result
from ros2_classify.ros.node import process as runtime
from ros2_classify.sources.image_messages import compressed_to_array, to_array
from ros2_classify_benchmark.nodes.frames import Frames
from ros2_classify_benchmark.nodes.helper import result as tell, serve


class Bare:
    """
    A model in a loop.

    Parameters
    ----------
    pipeline : Pipeline
        The model.
    frames : Frames
        The images.
    options : Options, optional
        Thresholds and limits; None means the model's.

    """

    def __init__(
        self, pipeline: Pipeline[Result], frames: Frames, options: Options | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._options = options
        self._frames = frames
        compressed = frames.index['transport'] == 'compressed'
        self._to_array = compressed_to_array if compressed else to_array
        self._next = 0

    def run(self, rate: float, seconds: float, warm: float = 0.0) -> dict[str, Any]:
        """Run for a while."""
        latencies: list[float] = []
        inferences: list[float] = []
        begun = due = time.perf_counter()
        counting = begun + warm
        used = None
        while True:
            if rate:
                now = time.perf_counter()
                if now < due:
                    time.sleep(due - now)
                due = max(due + 1.0 / rate, now - 1.0 / rate)
            start = time.perf_counter()
            if start >= begun + seconds:
                break
            if used is None and start >= counting:
                used, counting = time.process_time(), start
            message = self._frames.like_message(self._next)
            self._next += 1
            result = self._pipeline(*self._to_array(message), self._options)
            if used is not None:
                latencies.append((time.perf_counter() - start) * 1e3)
                inferences.append(result.timing.inference * 1e3)
        elapsed = time.perf_counter() - counting
        cpu = (time.process_time() - used) / elapsed if used is not None else 0.0
        return {'latencies': latencies, 'inferences': inferences,
                'rate': len(latencies) / elapsed, 'cpu': cpu}


def main() -> None:
    """Run the loop: the argument is JSON with ``frames``, ``model``, ``engine``, ``options``."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    settings = json.loads(sys.argv[1])
    runtime.tune_malloc()
    runtime.calm_opencv()
    try:
        _serve(settings)
    except Ros2ClassifyError as error:
        tell({'error': str(error)})


def _serve(settings: dict[str, Any]) -> None:
    frames = Frames(settings['frames'])
    begun = time.perf_counter()
    with Pipeline.load(
            settings['model'], engine=EngineSettings(**settings['engine'])) as pipeline:
        pipeline.warm_up()
        bare = Bare(pipeline, frames, pipeline.options.replace(**settings['options']))
        serve({'run': bare.run}, {
            'ready': 'bare', 'task': pipeline.task, 'name': pipeline.descriptor.name,
            'provider': pipeline.engine.provider,
            'file': str(model_file(resolve(settings['model']), None)),
            'load_s': time.perf_counter() - begun,
            # Of the file that runs, which was taken out of an archive, or converted.
            'sha256': sha256_of_file(pipeline.file) if pipeline.file else None})


if __name__ == '__main__':
    main()
