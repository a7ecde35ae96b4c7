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

"""Decoders: from model outputs to classes, boxes or pixel classes, by name in one table."""

from __future__ import annotations

from ros2_classify.decoders.base import (
    Candidates, ClassScores, DecodeContext, Decoded, Decoder, Outputs, PixelClasses,
    Vector)
from ros2_classify.decoders.boxes_scores import BOXES_SCORES
from ros2_classify.decoders.centerface import CENTERFACE
from ros2_classify.decoders.classification import CLASSIFICATION
from ros2_classify.decoders.detr import DETR
from ros2_classify.decoders.embedding import EMBEDDING
from ros2_classify.decoders.end_to_end import END_TO_END
from ros2_classify.decoders.fastestdet import FASTESTDET
from ros2_classify.decoders.nanodet import NANODET
from ros2_classify.decoders.scrfd import SCRFD
from ros2_classify.decoders.segmentation import SEGMENTATION
from ros2_classify.decoders.selected_indices import SELECTED_INDICES
from ros2_classify.decoders.ssd import SSD
from ros2_classify.decoders.tf_detection import TF_DETECTION
from ros2_classify.decoders.yolo import YOLO
from ros2_classify.decoders.yolo_anchors import YOLO_ANCHORS
from ros2_classify.decoders.yolo_fastestv2 import YOLO_FASTESTV2
from ros2_classify.decoders.yolox import YOLOX
from ros2_classify.decoders.yunet import YUNET

__all__ = [
    'DECODERS', 'Candidates', 'ClassScores', 'DecodeContext', 'Decoded', 'Decoder', 'Outputs',
    'PixelClasses', 'Vector']

# One row for each family; the names are what descriptors say under output.decoder.
DECODERS: dict[str, Decoder] = {
    'classification': CLASSIFICATION,
    'yolox': YOLOX,
    'tf_detection': TF_DETECTION,
    'boxes_scores': BOXES_SCORES,
    'yolo': YOLO,
    'end_to_end': END_TO_END,
    'selected_indices': SELECTED_INDICES,
    'detr': DETR,
    'nanodet': NANODET,
    'yunet': YUNET,
    'ssd': SSD,
    'yolo_anchors': YOLO_ANCHORS,
    'yolo_fastestv2': YOLO_FASTESTV2,
    'fastestdet': FASTESTDET,
    'scrfd': SCRFD,
    'centerface': CENTERFACE,
    'segmentation': SEGMENTATION,
    'embedding': EMBEDDING,
}
