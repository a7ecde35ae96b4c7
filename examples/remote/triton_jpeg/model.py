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
Triton's Python backend runs an ONNX model on JPEG images: the file model.onnx beside this one.

It does here what the descriptor's `input` tells the node to do with pixels: the parameters `color`
(rgb or bgr), `scale`, `mean` and `std` of config.pbtxt. The node resizes, and sends what the model
sees. `threads` is for ONNX Runtime; without it, it takes all cores.
"""

from io import BytesIO
import json
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image
import triton_python_backend_utils as triton

OUTPUTS = {'tensor(float)': 'TYPE_FP32', 'tensor(float16)': 'TYPE_FP16',
           'tensor(int32)': 'TYPE_INT32', 'tensor(int64)': 'TYPE_INT64'}


def opened(threads=0):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(
        str(Path(__file__).with_name('model.onnx')), options)


class TritonPythonModel:
    """See Triton's python_backend."""

    @staticmethod
    def auto_complete_config(config):
        session = opened()
        image, = session.get_inputs()
        config.add_input({'name': image.name, 'data_type': 'TYPE_STRING', 'dims': [1]})
        for tensor in session.get_outputs():
            dims = [dim if isinstance(dim, int) else -1 for dim in tensor.shape]
            config.add_output({
                'name': tensor.name, 'data_type': OUTPUTS[tensor.type], 'dims': dims})
        config.set_max_batch_size(0)
        return config

    def initialize(self, args):
        told = {name: value['string_value'] for name, value in json.loads(
            args['model_config']).get('parameters', {}).items()}
        self.session = opened(int(told.get('threads', 0)))
        self.image, = self.session.get_inputs()
        self.outputs = [each.name for each in self.session.get_outputs()]
        self.swaps = told.get('color', 'rgb') == 'bgr'
        self.scale, self.mean, self.std = (
            np.array(json.loads(told.get(name, default)), np.float32)
            for name, default in (('scale', '1'), ('mean', '0'), ('std', '1')))

    def prepared(self, data):
        with Image.open(BytesIO(data)) as image:
            pixels = np.asarray(image.convert('RGB'))
        if self.swaps:
            pixels = pixels[..., ::-1]
        tensor = (pixels * self.scale - self.mean) / self.std
        if self.image.shape[1] == 3:
            tensor = tensor.transpose(2, 0, 1)
        return np.ascontiguousarray(tensor[None], np.float32)

    def execute(self, requests):
        responses = []
        for request in requests:
            data = triton.get_input_tensor_by_name(request, self.image.name).as_numpy()
            arrays = self.session.run(
                self.outputs, {self.image.name: self.prepared(data.flat[0])})
            responses.append(triton.InferenceResponse([
                triton.Tensor(name, array) for name, array in zip(self.outputs, arrays)]))
        return responses
