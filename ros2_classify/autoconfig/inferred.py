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
Settings of a model without a descriptor, inferred from its names, shapes and metadata.

The rules are the conventions of each family's published models. They are likely, not certain, so
each setting comes with a sentence that says why.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TYPE_CHECKING

from ros2_classify.autoconfig.detectors import (
    infer_detector, InferredOutput, PYTORCH_INPUT, resizes_itself, usual_size)
from ros2_classify.errors import LabelsError
from ros2_classify.model.descriptor import InputSpec, Size, Task
from ros2_classify.model.labels import Labels

if TYPE_CHECKING:
    from ros2_classify.engines.base import TensorSpec

_YOLOX_STRIDES = (8, 16, 32)
# Words in the names of softmax outputs; others are taken for logits.
_PROBABILITY_WORDS = ('softmax', 'prob', 'predictions')
_MAX_METADATA = 1 << 20
_MAX_NAME = 100
_NAME_KEYS = ('names', 'class_names', 'classes', 'labels', 'id2label', 'categories')
_SIZE_KEYS = ('imgsz', 'img_size', 'image_size', 'input_size')
_TASK_WORDS: dict[str, Task] = {
    'classify': 'classification', 'classification': 'classification',
    'image-classification': 'classification', 'detect': 'detection', 'detection': 'detection',
    'object-detection': 'detection',
    'semantic-segmentation': 'segmentation', 'image-segmentation': 'segmentation'}
# https://docs.pytorch.org/vision/stable/models.html: mean and std of ImageNet for pixels 0 to 1.
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)


def infer_output(
    outputs: Sequence[TensorSpec], spec: InputSpec, metadata: Mapping[str, str],
    task: Task | None, labels: Labels | None = None, *, one_image: bool = False,
) -> InferredOutput | None:
    """
    Infer what a model's outputs mean; None if no family fits.

    Labels tell the number of classes. With ``one_image``, the batch dimension is fixed to 1, so
    rows of an output are boxes.
    """
    found = []
    if task in (None, 'detection'):
        found += [_tf_detection(outputs), infer_detector(
            outputs, spec, len(labels) if labels else None, metadata.get('task', ''),
            one_image=one_image)]
    if task in (None, 'detection') and not is_ultralytics(metadata):
        found += [_yolox(outputs, spec), _boxes_scores(outputs)]
    if task in (None, 'classification'):
        found += [_classification(outputs, metadata)]
    if task in (None, 'segmentation'):
        found += [_segmentation(outputs, spec, labels)]
    return next((output for output in found if output), None)


def _tf_detection(outputs: Sequence[TensorSpec]) -> InferredOutput | None:
    """Recognize TensorFlow Object Detection and the post-processing of TFLite by their names."""
    by_name = {_plain(tensor.name): tensor.name for tensor in outputs}
    keys = {'boxes': 'detection_boxes', 'classes': 'detection_classes',
            'scores': 'detection_scores', 'count': 'num_detections'}
    if all(name in by_name for name in keys.values()):
        names = {key: by_name[name] for key, name in keys.items()}
        if 'detection_masks' in by_name:
            names['masks'] = by_name['detection_masks']
        return InferredOutput(
            'tf_detection', {'outputs': names, 'class_offset': 0}, 'detection',
            ('output.decoder: tf_detection, because the outputs have the names of TensorFlow '
             'Object Detection',
             'output.class_offset: 0, because label maps of TensorFlow begin at 1 as well'))
    tflite = sorted(name for name in (tensor.name for tensor in outputs)
                    if name.startswith('TFLite_Detection_PostProcess'))
    if len(outputs) == len(tflite) == 4:
        names = dict(zip(('boxes', 'classes', 'scores', 'count'), tflite))
        return InferredOutput(
            'tf_detection', {'outputs': names, 'class_offset': 0}, 'detection',
            ('output.decoder: tf_detection, because the outputs have the names of the '
             'detection post-processing of TFLite',
             'output.class_offset: 0, because label files of TFLite begin at 0 as well'))
    return None


def _yolox(outputs: Sequence[TensorSpec], spec: InputSpec) -> InferredOutput | None:
    """Recognize one row of box, objectness and classes for each cell of three strides."""
    if len(outputs) != 1 or len(outputs[0].shape) != 3 or not isinstance(spec.size, tuple):
        return None
    _, rows, columns = outputs[0].shape
    cells = sum((spec.size[0] // stride) * (spec.size[1] // stride) for stride in _YOLOX_STRIDES)
    if rows != cells or not isinstance(columns, int) or columns < 6:
        return None
    return InferredOutput(
        'yolox', {'strides': list(_YOLOX_STRIDES)}, 'detection',
        (f'output.decoder: yolox, because the output {outputs[0]} has a row for each of the '
         f'{cells} cells that strides of 8, 16 and 32 give',))


def _boxes_scores(outputs: Sequence[TensorSpec]) -> InferredOutput | None:
    """Recognize two outputs with the same number of rows, one of them with four columns."""
    if len(outputs) != 2 or any(len(tensor.shape) != 3 for tensor in outputs):
        return None
    named = [tensor for tensor in outputs if 'box' in tensor.name.lower()]
    four = named if len(named) == 1 else [
        tensor for tensor in outputs if tensor.shape[2] == 4]
    if len(four) != 1 or four[0].shape[2] != 4:
        return None
    boxes = four[0]
    scores = next(tensor for tensor in outputs if tensor is not boxes)
    classes = scores.shape[2]
    if boxes.shape[1] != scores.shape[1] or not isinstance(classes, int):
        return None
    background = classes > 1
    return InferredOutput(
        'boxes_scores',
        {'outputs': {'boxes': boxes.name, 'scores': scores.name},
         'background': 0 if background else False},
        'detection',
        (f'output.decoder: boxes_scores, because the outputs {boxes} and {scores} have a row of '
         'coordinates and a row of scores for each box',
         'output.box_format: xyxy, from 0 to 1 of the image, as face detectors of the SSD '
         'family give them; output.background: '
         + ('0, because the first class is the background' if background else 'none')))


def _classification(
    outputs: Sequence[TensorSpec], metadata: Mapping[str, str],
) -> InferredOutput | None:
    """Recognize one output with a score for each class, dimensions of 1 after it ignored."""
    if len(outputs) != 1 or len(outputs[0].shape) not in (2, 4):
        return None
    output = outputs[0]
    classes = output.shape[1]
    if not isinstance(classes, int) or classes < 2 or any(dim != 1 for dim in output.shape[2:]):
        return None
    probabilities = is_ultralytics(metadata) or any(
        word in output.name.lower() for word in _PROBABILITY_WORDS)
    return InferredOutput(
        'classification', {'activation': 'none' if probabilities else 'softmax'}, 'classification',
        (f'output.decoder: classification, because the output {output} has one number for each '
         f'of {classes} classes',
         'output.activation: ' + (
             'none, because the name of the output says probabilities' if probabilities
             else 'softmax, because the name of the output does not say probabilities')))


def _segmentation(
    outputs: Sequence[TensorSpec], spec: InputSpec, labels: Labels | None,
) -> InferredOutput | None:
    """Recognize one output with class scores, or a class, for each cell of a grid."""
    # The segmentation models of torchvision have a second head for training.
    if not outputs or [tensor.name for tensor in outputs[1:]] not in ([], ['aux']):
        return None
    output = outputs[0]
    shape = output.shape[1:] if len(output.shape) == 4 else output.shape
    if len(shape) != 3 or not isinstance(spec.size, tuple):
        return None
    whole = output.dtype.kind in 'iu'
    axes = [name for name, classes, grid in (
        ('channels_first', shape[0], shape[1:]), ('channels_last', shape[2], shape[:2]))
        if isinstance(classes, int) and (classes > 1) != whole and _is_grid(grid, spec.size)]
    if len(axes) != 1:
        return None
    background = labels is not None and labels.name(0).strip('_ ').lower() == 'background'
    return InferredOutput(
        'segmentation',
        {**({} if whole else {'axes': axes[0]}), 'background': 0 if background else False},
        'segmentation',
        (f'output.decoder: segmentation, because the output {output} has '
         + ('a class' if whole else 'a score for each class')
         + ' for each cell of a grid over the image',
         'output.background: ' + ('0, because class 0 has this name' if background else 'none')),
        None if spec.layout == 'nhwc' else PYTORCH_INPUT)


def _is_grid(grid: Sequence[Any], size: tuple[int, int]) -> bool:
    """Tell whether a grid is the image divided by one stride; above 8, it is a detector's."""
    if not all(isinstance(side, int) and side > 1 for side in grid):
        return False
    height, width = grid
    return bool(size[0] * height == size[1] * width and size[0] <= 8 * width <= 8 * size[0])


def infer_input(
    spec: InputSpec, output: InferredOutput, outputs: Sequence[TensorSpec],
    metadata: Mapping[str, str],
) -> tuple[InputSpec, str]:
    """Infer colours, scale and resizing from the family; return the reason as well."""
    decoder = output.decoder
    if decoder != 'classification':
        # Detectors are trained on OpenCV's or TensorFlow's plain bilinear resize.
        spec = replace(spec, interpolation='linear')
    if spec.dtype == 'uint8':
        return spec, f'input: {spec.color}, whole pixels, stretched, as usual for uint8 inputs'
    if output.input_settings is not None and spec.color != 'gray':
        fields = dict(output.input_settings.fields)
        if not isinstance(spec.size, tuple):
            for name in ('resize', 'anchor', 'pad_value'):
                fields.pop(name, None)
        return replace(spec, **fields), f'input: {output.input_settings.sentence}'
    if decoder == 'yolox' and spec.color != 'gray':
        spec = replace(spec, color='bgr', resize='letterbox', anchor='top_left', pad_value=114.0)
        return spec, ('input: bgr, pixels from 0 to 255, letterbox at the top left padded with '
                      '114, as YOLOX was published')
    half = (127.5,) * spec.channels
    if decoder != 'classification':
        return replace(spec, mean=half, std=half), (
            f'input: {spec.color}, pixels from -1 to 1, stretched, as SSD detectors take them')
    crop = replace(spec, resize='center_crop') if isinstance(spec.size, tuple) else spec
    if is_ultralytics(metadata):
        return replace(crop, scale=1 / 255, crop_fraction=1.0 if crop is not spec else 0.875), (
            f'input: {spec.color}, pixels from 0 to 1, centre crop, as Ultralytics exports '
            'classifiers')
    if spec.layout == 'nhwc' or spec.color == 'gray':
        return replace(crop, mean=half, std=half), (
            f'input: {spec.color}, pixels from -1 to 1, centre crop, as classifiers of '
            'TensorFlow take them')
    return replace(crop, scale=1 / 255, mean=_IMAGENET_MEAN, std=_IMAGENET_STD), (
        'input: rgb with the mean and standard deviation of ImageNet, centre crop, as '
        'classifiers of PyTorch take them')


def size_of(outputs: Sequence[TensorSpec], metadata: Mapping[str, str],
            inferred: list[str]) -> Size:
    """Infer the size for a model that takes any, from metadata or outputs; None if unknown."""
    key = next((key for key in _SIZE_KEYS if metadata.get(key)), _SIZE_KEYS[0])
    value = _literal(metadata.get(key, ''))
    sides = [value, value] if isinstance(value, int) else value
    if (isinstance(sides, (list, tuple)) and len(sides) == 2
            and all(isinstance(side, int) and 1 <= side <= 16384 for side in sides)):
        size, stride = (sides[1], sides[0]), _literal(metadata.get('stride', ''))
        if isinstance(stride, int) and 1 < stride <= 256 and any(side % stride for side in size):
            # The grids of such a model fit together only in whole strides.
            size = (-(-size[0] // stride) * stride, -(-size[1] // stride) * stride)
            inferred.append(f'input.size: {size[0]}x{size[1]}, the {key} in the metadata of the '
                            f'file, rounded up to its stride of {stride}')
        else:
            inferred.append(
                f'input.size: {size[0]}x{size[1]}, the {key} in the metadata of the file')
        return size
    if _tf_detection(outputs):
        inferred.append('input.size: source, because TensorFlow Object Detection models resize '
                        'the image themselves')
        return 'source'
    if resizes_itself(outputs):
        inferred.append('input.size: source, because the detectors of torchvision resize the '
                        'image themselves')
        return 'source'
    if usual := usual_size(outputs):
        size, why = usual
        inferred.append(f'input.size: {size[0]}x{size[1]}, because {why}; the model takes any')
        return size
    return None


def labels_of(metadata: Mapping[str, str]) -> Labels | None:
    """
    Return the class names that the exporter wrote into the metadata; None if there are none.

    A list of names, a mapping from ids to names (in Python's or JSON's spelling), or names
    separated by lines or commas; whole numbers are names too.
    """
    for key in _NAME_KEYS:
        text = metadata.get(key, '')
        value = _literal(text)
        if not isinstance(value, (list, tuple, dict)) and len(text) <= _MAX_METADATA:
            value = _listed(text)
        if value is None:
            continue
        try:
            return Labels.from_data(value)
        except LabelsError:
            continue
    return None


def task_of(metadata: Mapping[str, str]) -> Task | None:
    """Return the task that the exporter wrote into the metadata; None if absent or unknown."""
    return _TASK_WORDS.get(metadata.get('task', '').strip().lower().replace('_', '-'))


def is_ultralytics(metadata: Mapping[str, str]) -> bool:
    """Tell whether the exporter of Ultralytics wrote the file; its layout differs."""
    return metadata.get('author', '') == 'Ultralytics'


def _plain(name: str) -> str:
    return name.partition(':')[0].rpartition('/')[2].lower()


def _literal(text: str) -> Any:
    """Return the value of a Python literal, which lists and mappings in JSON are as well."""
    if not text or len(text) > _MAX_METADATA:
        return None
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None


def _listed(text: str) -> list[str] | None:
    """Return names separated by lines or commas; None for anything else."""
    names = [name.strip() for name in (
        text.splitlines() if '\n' in text.strip() else text.split(','))]
    while names and not names[-1]:
        names.pop()
    whole = len(names) > 1 and all(
        0 < len(name) <= _MAX_NAME and not set(name) & set('{}[]=') for name in names)
    return names if whole else None
