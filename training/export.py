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

"""From PyTorch to the ONNX files that ship."""

from __future__ import annotations

import copy
import os
from pathlib import Path

import onnx
import torch
from torch import nn

from training.models import Shipped


def export(module: nn.Module, path: Path, width: int, height: int, output: str) -> None:
    """
    Write a model as ONNX for any number of images at once.

    Parameters
    ----------
    module
        Takes float32 [N, 3, height, width], RGB 0..1; left unchanged.
    path
        The file to write; replaced only when the new one passes ONNX's own check.
    width, height
        Size of the input in pixels.
    output
        Name of the output tensor.

    """
    shipped = Shipped(copy.deepcopy(module).eval())
    part = path.with_suffix('.part')
    torch.onnx.export(
        shipped, (torch.zeros(1, 3, height, width),), str(part), dynamo=False, opset_version=13,
        input_names=['images'], output_names=[output],
        dynamic_axes={'images': {0: 'batch'}, output: {0: 'batch'}})
    model = onnx.load(str(part))
    model.producer_name = 'ros2_classify training'
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(part))
    os.replace(part, path)
