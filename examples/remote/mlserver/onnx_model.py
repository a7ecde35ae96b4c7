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

"""An MLServer runtime for ONNX models."""

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse
import onnxruntime


class OnnxModel(MLModel):
    """The model of the file in model-settings.json."""

    async def load(self):
        self.session = onnxruntime.InferenceSession(self.settings.parameters.uri)
        return True

    async def predict(self, payload):
        arrays = self.session.run(None, {
            each.name: NumpyCodec.decode_input(each) for each in payload.inputs})
        return InferenceResponse(model_name=self.name, outputs=[
            NumpyCodec.encode_output(each.name, array)
            for each, array in zip(self.session.get_outputs(), arrays)])
