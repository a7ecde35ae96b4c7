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

"""Serve an ONNX model with KServe: `python kserve_server.py MODEL.onnx HTTP_PORT GRPC_PORT`."""

from pathlib import Path
import sys

from kserve import InferOutput, InferResponse, Model, ModelServer
import onnxruntime

DATATYPES = {'tensor(float)': 'FP32', 'tensor(float16)': 'FP16', 'tensor(uint8)': 'UINT8',
             'tensor(int32)': 'INT32', 'tensor(int64)': 'INT64'}


class OnnxModel(Model):
    """The model of a file, under the file's name."""

    def __init__(self, path):
        super().__init__(Path(path).stem)
        self.session = onnxruntime.InferenceSession(path)
        self.ready = True

    async def get_input_types(self):
        return [self.described(each) for each in self.session.get_inputs()]

    async def get_output_types(self):
        return [self.described(each) for each in self.session.get_outputs()]

    def described(self, tensor):
        shape = [dim if isinstance(dim, int) else -1 for dim in tensor.shape]
        return {'name': tensor.name, 'datatype': DATATYPES[tensor.type], 'shape': shape}

    def predict(self, payload, headers=None, response_headers=None):
        arrays = self.session.run(None, {
            each.name: each.as_numpy() for each in payload.inputs})
        outputs = []
        for tensor, array in zip(self.session.get_outputs(), arrays):
            output = InferOutput(tensor.name, list(array.shape), DATATYPES[tensor.type])
            output.set_data_from_numpy(array, binary_data=True)
            outputs.append(output)
        # Bytes where the request asks for them; else numbers as text, which take a second.
        return InferResponse(payload.id, self.name, outputs,
                             requested_outputs=payload.request_outputs,
                             use_binary_outputs=payload.use_binary_outputs)


if __name__ == '__main__':
    model = OnnxModel(sys.argv[1])
    ModelServer(http_port=int(sys.argv[2]), grpc_port=int(sys.argv[3]), workers=1).start([model])
