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

"""The two models: a small grid detector and a smaller classifier."""

from __future__ import annotations

import torch
from torch import nn
from torch import Tensor
import torch.nn.functional as functional

#: Cell sizes of the detector's three grids, in pixels of its input.
STRIDES = (8, 16, 32)


class ConvUnit(nn.Sequential):
    """Convolution, batch normalisation, ReLU (which runtimes fuse into one step)."""

    def __init__(self, inside: int, outside: int, kernel: int = 3, stride: int = 1,
                 groups: int = 1, activation: bool = True) -> None:
        padding = (kernel - stride + 1) // 2 if stride > 1 else kernel // 2
        super().__init__(
            nn.Conv2d(inside, outside, kernel, stride, padding, groups=groups, bias=False),
            nn.BatchNorm2d(outside, momentum=0.03),
            nn.ReLU(inplace=True) if activation else nn.Identity())


class Residual(nn.Module):
    """Narrow 1x1, then 3x3 back to full width, added to the input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(ConvUnit(width, width // 2, 1), ConvUnit(width // 2, width))

    def forward(self, x: Tensor) -> Tensor:
        """Return x plus its correction."""
        return x + self.body(x)


class Context(nn.Module):
    """
    Pool over ever larger windows, so that a card as large as the image is seen whole.

    The pooling pyramid of SPPF as in YOLOv5 (https://github.com/ultralytics/yolov5).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.narrow = ConvUnit(width, width // 2, 1)
        self.pool = nn.MaxPool2d(5, 1, 2)
        self.mix = ConvUnit(width * 2, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return a map of the same size that has seen its neighbourhood."""
        x = self.narrow(x)
        a = self.pool(x)
        b = self.pool(a)
        return self.mix(torch.cat([x, a, b, self.pool(b)], 1))


class Separable(nn.Sequential):
    """Depthwise convolution followed by a 1x1 mix."""

    def __init__(self, inside: int, outside: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__(ConvUnit(inside, inside, kernel, stride, inside, activation=False),
                         ConvUnit(inside, outside, 1))


class Detector(nn.Module):
    """
    Cards in an image, on three grids, without anchors.

    Backbone and top-down neck feed a head with separate ways for class and box, which all
    grids share in form but not in weights (YOLOX: https://arxiv.org/abs/2107.08430).
    """

    def __init__(self, classes: int, width: int = 48) -> None:
        super().__init__()
        self.classes = classes
        a, b, c, d = width * 2 // 3, width, width * 2, width * 3
        self.stem = ConvUnit(3, a, 6, 4)
        self.stage8 = nn.Sequential(ConvUnit(a, b, 3, 2), Residual(b))
        self.stage16 = nn.Sequential(ConvUnit(b, c, 3, 2), Residual(c), Residual(c))
        self.stage32 = nn.Sequential(ConvUnit(c, d, 3, 2), Residual(d), Context(d), Residual(d))
        n = width + width // 3
        self.lateral = nn.ModuleList(ConvUnit(k, n, 1) for k in (b, c, d))
        self.smooth = nn.ModuleList(Separable(n, n) for _ in STRIDES)
        self.class_way = nn.ModuleList(
            nn.Sequential(Separable(n, n), Separable(n, n)) for _ in STRIDES)
        self.box_way = nn.ModuleList(
            nn.Sequential(Separable(n, n), Separable(n, n)) for _ in STRIDES)
        self.to_class = nn.ModuleList(nn.Conv2d(n, classes, 1) for _ in STRIDES)
        self.to_box = nn.ModuleList(nn.Conv2d(n, 5, 1) for _ in STRIDES)
        for to_class, to_box in zip(self.to_class, self.to_box):
            nn.init.constant_(to_class.bias, -4.0)
            nn.init.constant_(to_box.bias, 0.0)
            with torch.no_grad():
                to_box.bias[4] = -5.0
                to_box.bias[2:4] = 1.0

    def forward(self, x: Tensor) -> Tensor:
        """
        Run the model.

        Parameters
        ----------
        x
            float32 [B, 3, H, W], RGB 0..1; H and W multiples of 32.

        Returns
        -------
        Tensor
            float32 [B, N, 5 + classes], rows of the grids in the order of STRIDES, row by row:
            centre offset x, y in cells, log of width and height in cells, and the logits of
            objectness and classes.

        """
        c8 = self.stage8(self.stem(x))
        c16 = self.stage16(c8)
        c32 = self.stage32(c16)
        p32 = self.lateral[2](c32)
        p16 = self.lateral[1](c16) + functional.interpolate(p32, scale_factor=2.0)
        p8 = self.lateral[0](c8) + functional.interpolate(p16, scale_factor=2.0)
        rows = []
        for i, level in enumerate((p8, p16, p32)):
            level = self.smooth[i](level)
            box = self.to_box[i](self.box_way[i](level))
            label = self.to_class[i](self.class_way[i](level))
            rows.append(torch.cat([box, label], 1).flatten(2))
        return torch.cat(rows, 2).permute(0, 2, 1)


class Classifier(nn.Module):
    """One card, or nothing, in a small image."""

    def __init__(self, outputs: int, width: int = 32) -> None:
        super().__init__()
        a, b, c = width, width * 2, width * 4
        self.body = nn.Sequential(
            ConvUnit(3, a, 4, 2), ConvUnit(a, b, 3, 2), Residual(b), Residual(b),
            ConvUnit(b, c, 3, 2), Residual(c), Residual(c), ConvUnit(c, c, 3, 2), Residual(c))
        self.drop = nn.Dropout(0.1)
        self.to_class = nn.Linear(c, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits float32 [B, outputs] for images float32 [B, 3, S, S], RGB 0..1."""
        return self.to_class(self.drop(self.body(x).mean((2, 3))))


class Shipped(nn.Module):
    """
    A model as it ships: takes pixels 0..255, gives probabilities.

    The factor 1/255 goes into the first convolution, which has no bias, so nothing is lost.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        first = next(m for m in model.modules() if isinstance(m, nn.Conv2d))
        with torch.no_grad():
            first.weight /= 255

    def forward(self, x: Tensor) -> Tensor:
        """Return boxes raw with objectness and classes in 0..1, or class probabilities."""
        y = self.model(x)
        if y.dim() == 3:
            return torch.cat([y[..., :4], y[..., 4:].sigmoid()], -1)
        return y.softmax(-1)
