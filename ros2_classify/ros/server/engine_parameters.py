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

"""How a node's parameters set the engine that runs its model."""

from __future__ import annotations

from typing import get_args

from ros2_classify.engines.settings import (
    Arena, EngineSettings, MAX_DEVICE, MAX_MEMORY, MAX_PARALLEL, MAX_THREADS, Precision, Spinning)
from ros2_classify.ros.node.parameters import Parameters, Spec

ENGINE_PARAMETERS = (
    Spec('provider', 'auto', 'What runs the model: auto, cpu, cuda, tensorrt or another '
         'execution provider of ONNX Runtime', read_only=True),
    Spec('require_provider', True, 'Whether it is an error when the provider cannot be had; else '
         'the CPU runs the model, with a warning, as it always may with auto', read_only=True),
    Spec('device_id', 0, 'Which of several GPUs', minimum=0, maximum=MAX_DEVICE, read_only=True),
    Spec('precision', 'fp32', 'What the provider may compute in: cuda tf32, tensorrt fp16 and '
         'int8, openvino fp16; fp32 is as the model says', choices=get_args(Precision),
         read_only=True),
    Spec('threads', 0, 'CPU threads for one inference; 0: all physical cores but one, shared by '
         'those side by side, at most 4', minimum=0, maximum=MAX_THREADS, read_only=True),
    Spec('parallel', 1, 'How many inferences may run side by side on a CPU: more results a '
         'second, for several cameras above all, and each takes longer', minimum=1,
         maximum=MAX_PARALLEL, read_only=True),
    Spec('spinning', 'auto', "When the model's threads wait for each other at full load: never, "
         'during an inference, which is faster, or always, which costs a core for each; auto: '
         'during an inference where a core is left beside them', choices=get_args(Spinning),
         read_only=True),
    Spec('memory_limit', 0, 'MiB that the model may take for its work, on the CPU or the GPU; '
         '0 sets no limit', minimum=0, maximum=MAX_MEMORY, read_only=True),
    Spec('arena', 'exact', "How the model's memory grows: by what is asked for, or by doubling",
         choices=get_args(Arena), read_only=True),
    Spec('shrink_memory', False, 'Whether the model gives memory back after each image; '
         'slower', read_only=True),
    Spec('cuda_graphs', False, 'Whether CUDA records the work once and plays it back; refused '
         'with tensorrt', read_only=True),
    Spec('engine_cache', True, 'Whether what is costly to build, such as TensorRT engines, is '
         'kept on disk', read_only=True),
    Spec('custom_operators', '', 'Libraries with operators of your own, separated by ":"; no '
         'other one is ever loaded', read_only=True),
    Spec('external_data', '', "Directories, separated by \":\", that a model's weights may lie in, "
         'beside its own', read_only=True),
)


def engine_settings(parameters: Parameters) -> EngineSettings:
    """
    Return how a model shall be run.

    Parameters
    ----------
    parameters : Parameters
        With those of ENGINE_PARAMETERS.

    Returns
    -------
    EngineSettings
        The settings.

    Raises
    ------
    EngineError
        If a value is wrong.

    """
    same = {spec.name: parameters[spec.name] for spec in ENGINE_PARAMETERS
            if spec.name in EngineSettings.__dataclass_fields__}
    lists = {name: tuple(filter(None, same[name].split(':')))
             for name in ('custom_operators', 'external_data')}
    return EngineSettings(**{**same, **lists, 'cache': parameters['engine_cache']})
