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


"""From the ONNX files that ship back to PyTorch, so that learning can go on from them."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
import torch
from torch import nn

from training.models import Classifier
from training.models import Detector
from training.models import Shipped
from training.runner import open_session

_SIDE = 96
_TOLERANCE = 2e-3


def load(path: Path, task: str, classes: int) -> nn.Module:
    """
    Return a model of the shipped architecture with the weights of a file.

    Parameters
    ----------
    path
        ONNX, as `export` writes it: batch normalisation is part of the convolutions.
    task
        'detection' or 'classification'.
    classes
        Number of the file's classes.

    Raises
    ------
    ValueError
        If the file is of another architecture.

    """
    model: nn.Module = Detector(classes) if task == 'detection' else Classifier(classes)
    graph = onnx.load(str(path)).graph
    values = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    layers = [[values.get(name) for name in node.input[1:]] for node in graph.node
              if node.op_type in ('Conv', 'Gemm')]
    units = _in_order(model)
    if len(layers) != len(units):
        raise ValueError(_other(path, f'{len(layers)} layers with weights, not {len(units)}'))
    with torch.no_grad():
        for (layer, norm), (weight, bias) in zip(units, layers):
            if weight is None or bias is None or weight.shape != tuple(layer.weight.shape):
                raise ValueError(_other(path, f'no weights of shape {list(layer.weight.shape)}'))
            layer.weight.copy_(torch.from_numpy(weight.copy()))
            if norm is None:
                layer.bias.copy_(torch.from_numpy(bias.copy()))
            else:
                # The statistics went into the weights: what is left changes nothing but the bias.
                norm.running_mean.zero_()
                norm.running_var.fill_(1 - norm.eps)
                norm.weight.fill_(1.0)
                norm.bias.copy_(torch.from_numpy(bias.copy()))
        units[0][0].weight.mul_(255)
    _check(model, path)
    return model.eval()


def _in_order(model: nn.Module) -> list[tuple[nn.Module, nn.BatchNorm2d | None]]:
    """Return the layers with weights in the order in which they run, and what follows each."""
    order: list[nn.Module] = []
    hooks = [each.register_forward_hook(lambda module, *_: order.append(module))
             for each in model.modules()
             if isinstance(each, (nn.Conv2d, nn.Linear, nn.BatchNorm2d))]
    with torch.no_grad():
        model.eval()(torch.zeros(1, 3, _SIDE, _SIDE))
    for hook in hooks:
        hook.remove()
    pairs: list[tuple[nn.Module, nn.BatchNorm2d | None]] = []
    for each in order:
        if isinstance(each, nn.BatchNorm2d):
            pairs[-1] = (pairs[-1][0], each)
        else:
            pairs.append((each, None))
    return pairs


def _check(model: nn.Module, path: Path) -> None:
    """Compare results: the same layers may be joined in another way."""
    session = open_session(path)
    spec = session.get_inputs()[0]
    pixels = np.random.default_rng(0).uniform(0, 255, (1, *spec.shape[1:])).astype(np.float32)
    with torch.no_grad():
        mine = Shipped(copy.deepcopy(model).eval())(torch.from_numpy(pixels)).numpy()
    theirs = session.run(None, {spec.name: pixels})[0]
    if mine.shape != theirs.shape or np.abs(mine - theirs).max() > _TOLERANCE:
        raise ValueError(_other(path, 'the same layers, but other results'))


def _other(path: Path, found: str) -> str:
    return (f'{path} is not of the shipped architecture: it has {found}; fine-tune '
            'cards_detector, cards_classifier, or what was fine-tuned from them')


def grow(model: nn.Module, classes: int) -> nn.Module:
    """Give a model more classes behind those that it has, with small weights of chance."""
    heads = model.to_class if isinstance(model, Detector) else [model.to_class]
    grown = []
    for head in heads:
        old = head.weight.shape[0]
        new: nn.Module = nn.Conv2d(head.in_channels, classes, 1) if (
            isinstance(head, nn.Conv2d)) else nn.Linear(head.in_features, classes)
        with torch.no_grad():
            nn.init.normal_(new.weight, std=0.01)
            new.bias.fill_(-4.0 if isinstance(head, nn.Conv2d) else float(head.bias.min()))
            new.weight[:old], new.bias[:old] = head.weight, head.bias
        grown.append(new)
    if isinstance(model, Detector):
        model.to_class, model.classes = nn.ModuleList(grown), classes
    else:
        model.to_class = grown[0]
    return model
