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

"""Write the descriptors of the two models, so that the classes are named in one place."""

from __future__ import annotations

import hashlib
from pathlib import Path

from training.cards import NAMES
from training.crops import SIDE

#: Input of the detector: width and height in pixels.
DETECTOR_SIZE = (512, 384)
#: Scores below these are not reported, tuned on generated images and photographs.
DETECTOR_THRESHOLD = 0.45
CLASSIFIER_THRESHOLD = 0.5

#: Comment at the head of each descriptor.
LICENSE = (Path(__file__).read_text(encoding='utf-8').split('\n\n', 1)[0])

_DETECTOR = """{license}

# Written by `python -m training`; see training/README.md.

name: cards_detector
task: detection
source:
  path: cards_detector.onnx
  sha256: {sha256}
labels: [{names}]
colors: {{red_light: red, green_light: green}}
input:
  size: [{width}, {height}]
  layout: nchw
  dtype: float32
  color: rgb
  resize: letterbox
  anchor: top_left
  pad_value: 114
  interpolation: pyramid
output:
  decoder: yolox
  strides: [8, 16, 32]
defaults:
  score_threshold: {threshold}
  nms_iou: 0.5
license: Apache-2.0
provenance: Trained from scratch by training/ on generated images; see MODEL_CARD.md
notes: >-
  The demo cards of cards_sheet.pdf, from 24 pixels in an image of 640x480 to the full image
"""

_CLASSIFIER = """{license}

# Written by `python -m training`; see training/README.md.

name: cards_classifier
task: classification
source:
  path: cards_classifier.onnx
  sha256: {sha256}
labels: [{names}, nothing]
colors: {{red_light: red, green_light: green}}
input:
  size: [{width}, {height}]
  layout: nchw
  dtype: float32
  color: rgb
  resize: stretch
  interpolation: pyramid
output:
  decoder: classification
  activation: none
  background: {background}
defaults:
  score_threshold: {threshold}
  top_k: 3
license: Apache-2.0
provenance: Trained from scratch by training/ on generated crops; see MODEL_CARD.md
notes: >-
  One demo card of cards_sheet.pdf that fills the image or a third of it
"""


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _names() -> str:
    """Return the names as a YAML list's inside; a bare yes, no or on would be a truth value."""
    return ', '.join(NAMES[:6]) + ',\n         ' + ', '.join(NAMES[6:])


def write_detector(model: Path) -> None:
    """Write the descriptor beside the detector's file."""
    model.with_suffix('.yaml').write_text(_DETECTOR.format(
        license=LICENSE, sha256=_digest(model), names=_names(), width=DETECTOR_SIZE[0],
        height=DETECTOR_SIZE[1], threshold=DETECTOR_THRESHOLD), encoding='utf-8')


def write_classifier(model: Path) -> None:
    """Write the descriptor beside the classifier's file."""
    model.with_suffix('.yaml').write_text(_CLASSIFIER.format(
        license=LICENSE, sha256=_digest(model), names=_names(), width=SIDE, height=SIDE,
        background=len(NAMES), threshold=CLASSIFIER_THRESHOLD), encoding='utf-8')
