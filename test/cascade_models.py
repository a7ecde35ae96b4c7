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

"""A cascade of tiny models: two boxes in every image, and the strongest colour in each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ros2_classify.testing import save_color_classifier, save_constant_model

# In parts of the image: x1, y1, x2, y2; of a cup, a ball and another cup.
BOXES = np.array([[0.1, 0.2, 0.4, 0.7], [0.5, 0.5, 0.93, 0.97], [0.6, 0.05, 0.9, 0.3]], np.float32)
SCORES = (0.9, 0.8, 0.7)
NAMES = ('cup', 'ball')


def save_colors(directory: Path, name: str = 'colors', labels: str = 'red, green, blue') -> Path:
    """Write the classifier; it takes one image at a time."""
    save_color_classifier(directory / f'{name}.onnx')
    path = directory / f'{name}.yaml'
    path.write_text(
        f'name: {name}\nsource: {{path: {name}.onnx}}\nlabels: [{labels}]\n'
        'input: {color: rgb, scale: 1/255, resize: stretch}\n'
        'output: {decoder: classification, activation: none}\n')
    return path


def save_cascade(directory: Path, stages: str, name: str = 'cascade') -> Path:
    """Write the detector, and a descriptor of it with these stages."""
    scores = np.zeros((1, 3, 2), np.float32)
    scores[0, 0, 0], scores[0, 1, 1], scores[0, 2, 0] = SCORES
    save_constant_model(directory / 'boxes.onnx', {'boxes': BOXES[None], 'scores': scores})
    path = directory / f'{name}.yaml'
    path.write_text(
        f'name: {name}\nsource: {{path: boxes.onnx}}\nlabels: [{", ".join(NAMES)}]\n'
        'input: {color: rgb, resize: stretch}\n'
        'output: {decoder: boxes_scores, outputs: {boxes: boxes, scores: scores}, '
        'box_format: xyxy, normalized: true}\n'
        f'defaults: {{score_threshold: 0.5}}\nstages: {stages}\n')
    return path
