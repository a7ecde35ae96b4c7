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
Triton's Python backend runs an ONNX model: the file model.onnx beside this one.

The parameter `threads` of config.pbtxt is for ONNX Runtime; without it, it takes all cores.
"""

import json
from pathlib import Path

import onnxruntime
import triton_python_backend_utils as triton

DATATYPES = {'tensor(float)': 'TYPE_FP32', 'tensor(float16)': 'TYPE_FP16',
             'tensor(uint8)': 'TYPE_UINT8', 'tensor(int32)': 'TYPE_INT32',
             'tensor(int64)': 'TYPE_INT64'}


def opened(threads=0):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(
        str(Path(__file__).with_name('model.onnx')), options)


def described(tensor):
    dims = [dim if isinstance(dim, int) else -1 for dim in tensor.shape]
    return {'name': tensor.name, 'data_type': DATATYPES[tensor.type], 'dims': dims}


class TritonPythonModel:
    """See Triton's python_backend."""

    @staticmethod
    def auto_complete_config(config):
        session = opened()
        for tensor in session.get_inputs():
            config.add_input(described(tensor))
        for tensor in session.get_outputs():
            config.add_output(described(tensor))
        config.set_max_batch_size(0)
        return config

    def initialize(self, args):
        parameters = json.loads(args['model_config']).get('parameters', {})
        self.session = opened(int(parameters.get('threads', {}).get('string_value', 0)))
        self.inputs = [each.name for each in self.session.get_inputs()]
        self.outputs = [each.name for each in self.session.get_outputs()]

    def execute(self, requests):
        responses = []
        for request in requests:
            arrays = self.session.run(self.outputs, {
                name: triton.get_input_tensor_by_name(request, name).as_numpy()
                for name in self.inputs})
            responses.append(triton.InferenceResponse([
                triton.Tensor(name, array) for name, array in zip(self.outputs, arrays)]))
        return responses
