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

"""How the families of detectors are fed: settings, the reason in words, and what stays open."""

from __future__ import annotations

from ros2_classify.autoconfig.evidence import InputSettings
from ros2_classify.model.input_spec import PIXELS

ALL = ('input.color', 'input.scale', 'input.mean', 'input.std')
_YOLO_FIELDS = {'scale': 1 / 255, 'resize': 'letterbox', 'anchor': 'center', 'pad_value': 114.0}
_YOLO_WORDS = 'pixels from 0 to 1, letterbox in the centre padded with 114, as the YOLO family is'
YOLO = InputSettings(_YOLO_FIELDS, f'{_YOLO_WORDS} trained', ALL)
ULTRALYTICS = InputSettings(_YOLO_FIELDS, f'{_YOLO_WORDS} trained, and Ultralytics exports')
YOLOX = InputSettings(
    {'color': 'bgr', 'resize': 'letterbox', 'anchor': 'top_left', 'pad_value': 114.0},
    'bgr, pixels from 0 to 255, letterbox at the top left padded with 114, as YOLOX was '
    'published; its first versions were fed rgb with the mean and standard deviation of ImageNet',
    ('input.mean', 'input.std'))
RTDETR = InputSettings(
    {'scale': 1 / 255}, 'pixels from 0 to 1, stretched, as RT-DETR is fed')
SSD = InputSettings(
    PIXELS['signed'],
    'pixels from -1 to 1, stretched, as SSD detectors take them', ALL)
# Mean and standard deviation in blue, green, red: the published configurations of NanoDet.
NANODET = InputSettings(
    {'color': 'bgr', 'mean': (103.53, 116.28, 123.675), 'std': (57.375, 57.12, 58.395)},
    'bgr with the mean and standard deviation of ImageNet, stretched, as NanoDet is trained',
    ALL)
YUNET = InputSettings(
    {'color': 'bgr', 'resize': 'letterbox', 'anchor': 'top_left', 'pad_value': 0.0},
    'bgr, pixels from 0 to 255, letterbox at the top left padded with 0, as OpenCV feeds YuNet')
YOLOV3 = InputSettings(
    {'scale': 1 / 255, 'resize': 'letterbox', 'anchor': 'center', 'pad_value': 128.0},
    'pixels from 0 to 1, letterbox in the centre padded with 128, as YOLOv3 is trained', ALL)
DETR = InputSettings(
    PIXELS['imagenet'],
    'rgb with the mean and standard deviation of ImageNet, stretched, as DETR is trained', ALL)
MMDET = InputSettings(
    {**PIXELS['imagenet'], 'resize': 'letterbox', 'anchor': 'top_left', 'pad_value': 0.0},
    'rgb with the mean and standard deviation of ImageNet, letterbox at the top left, as '
    'most configurations of MMDetection have it', (*ALL, 'input.resize'))
TF = InputSettings({}, 'rgb, whole pixels, stretched, as TensorFlow feeds detectors')
TORCHVISION = InputSettings(
    {'scale': 1 / 255}, 'pixels from 0 to 1, as torchvision feeds its detectors')
SCRFD = InputSettings(
    {'mean': (127.5,) * 3, 'std': (128.0,) * 3, 'resize': 'letterbox', 'anchor': 'top_left',
     'pad_value': 0.0},
    'rgb, pixels from -1 to 1, letterbox at the top left, as InsightFace feeds SCRFD', ALL)
CENTERFACE = InputSettings(
    {}, 'rgb, pixels from 0 to 255, stretched, as CenterFace was published', ALL)
FASTESTDET = InputSettings(
    {'color': 'bgr', 'scale': 1 / 255},
    'bgr, pixels from 0 to 1, stretched, as FastestDet is trained', ALL)
UNKNOWN = InputSettings({}, 'pixels from 0 to 255, stretched', ALL)
