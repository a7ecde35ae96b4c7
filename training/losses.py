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

"""Which grid cells predict which card, and what a wrong prediction costs."""

from __future__ import annotations

import torch
from torch import Tensor
import torch.nn.functional as functional

from training.models import STRIDES

_RADIUS = 1.5
_TOP = 10


def grid(width: int, height: int) -> tuple[Tensor, Tensor]:
    """Return the cells' corners [N, 2] in cells and their sizes [N, 1] in pixels."""
    corners, strides = [], []
    for stride in STRIDES:
        y, x = torch.meshgrid(torch.arange(height // stride), torch.arange(width // stride),
                              indexing='ij')
        corners.append(torch.stack([x, y], -1).reshape(-1, 2).float())
        strides.append(torch.full((corners[-1].shape[0], 1), float(stride)))
    return torch.cat(corners), torch.cat(strides)


def decode(raw: Tensor, corners: Tensor, strides: Tensor) -> Tensor:
    """Turn raw boxes [..., 4] into centre x, y, width, height in pixels."""
    return torch.cat([(raw[..., :2] + corners) * strides,
                      raw[..., 2:4].clamp(max=6.0).exp() * strides], -1)


def overlap(a: Tensor, b: Tensor) -> Tensor:
    """Return the IoU of boxes cx, cy, w, h that broadcast against each other."""
    low = torch.maximum(a[..., :2] - a[..., 2:] / 2, b[..., :2] - b[..., 2:] / 2)
    high = torch.minimum(a[..., :2] + a[..., 2:] / 2, b[..., :2] + b[..., 2:] / 2)
    common = (high - low).clamp(min=0).prod(-1)
    return common / (a[..., 2:].prod(-1) + b[..., 2:].prod(-1) - common + 1e-6)


@torch.no_grad()
def assign(boxes: Tensor, logits: Tensor, centers: Tensor, strides: Tensor, truth: Tensor,
           classes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """
    Choose the cells that predict each card of one image.

    SimOTA of YOLOX (https://arxiv.org/abs/2107.08430, section 2.1): among the cells near a
    card's centre, as many of the cheapest as their overlaps add up to.

    Parameters
    ----------
    boxes
        float32 [N, 4], predicted cx, cy, w, h in pixels.
    logits
        float32 [N, 1 + C], objectness and classes.
    centers
        float32 [N, 2], the cells' centres in pixels.
    strides
        float32 [N, 1], the cells' sizes in pixels.
    truth
        float32 [M, 4], true cx, cy, w, h in pixels.
    classes
        int64 [M].

    Returns
    -------
    tuple of Tensor
        Chosen cells int64 [K], the card each predicts int64 [K], and the overlaps [K].

    """
    near = ((centers - truth[:, None, :2]).abs() < _RADIUS * strides).all(-1)
    cells = near.any(0).nonzero().squeeze(1)
    near = near[:, cells]
    iou = overlap(truth[:, None], boxes[None, cells])
    score = (logits[cells, :1].sigmoid() * logits[cells, 1:].sigmoid()).sqrt()
    score = score.clamp(1e-6, 1 - 1e-6)
    no = -(1 - score).log()
    class_cost = no.sum(1)[None] - no[:, classes].T - score[:, classes].T.log()
    cost = class_cost - 3 * (iou + 1e-8).log() + 1e6 * ~near
    top = min(_TOP, cells.numel())
    wanted = (iou * near).topk(top, 1).values.sum(1).int().clamp(min=1)
    chosen = torch.zeros_like(near)
    for m in range(truth.shape[0]):
        chosen[m, cost[m].topk(min(int(wanted[m]), cells.numel()), largest=False).indices] = True
    chosen &= near
    cost = torch.where(chosen, cost, torch.inf)
    best = cost.argmin(0)
    used = chosen.any(0)
    return cells[used], best[used], iou[best[used], used.nonzero().squeeze(1)]


def detector_loss(raw: Tensor, truths: list[Tensor], labels: list[Tensor], width: int,
                  height: int, ignored: list[Tensor] | None = None,
                  weights: Tensor | None = None) -> tuple[Tensor, dict[str, float]]:
    """
    Return the loss of a batch and its parts.

    Parameters
    ----------
    raw
        float32 [B, N, 5 + C], as the model gives it.
    truths
        Per image float32 [M, 4], x1, y1, x2, y2 in pixels.
    labels
        Per image int64 [M].
    width, height
        The images' size in pixels.
    ignored
        Per image float32 [M, 4], where nobody knows whether there is a card: finding one costs
        nothing.
    weights
        float32 [C], how much the class of a card counts.

    Returns
    -------
    tuple
        The loss, and the parts named box, objectness and class.

    """
    corners, strides = grid(width, height)
    centers = (corners + 0.5) * strides
    free = raw.detach()
    boxes = decode(free[..., :4], corners, strides)
    found = []
    for i, (truth, label) in enumerate(zip(truths, labels)):
        if len(truth):
            target = torch.cat([(truth[:, :2] + truth[:, 2:]) / 2, truth[:, 2:] - truth[:, :2]],
                               1)
            cells, cards, iou = assign(boxes[i], free[i, :, 4:], centers, strides, target, label)
            found.append((torch.full_like(cells, i), cells, target[cards], label[cards], iou))
    objectness = torch.zeros(raw.shape[:2])
    counted = torch.ones(raw.shape[:2])
    for i, boxes_there in enumerate(ignored or ()):
        if len(boxes_there):
            inside = ((centers[:, None] > boxes_there[None, :, :2])
                      & (centers[:, None] < boxes_there[None, :, 2:])).all(2).any(1)
            counted[i, inside] = 0.0
    if not found:
        loss = functional.binary_cross_entropy_with_logits(raw[..., 4], objectness, counted,
                                                           reduction='sum')
        return loss, {'objectness': float(loss)}
    # One look into the large tensor for the whole batch: each one costs its size backwards.
    images, cells, goal, label, iou = (torch.cat(parts) for parts in zip(*found))
    objectness[images, cells] = 1.0
    counted[images, cells] = 1.0
    chosen, corner, stride = raw[images, cells], corners[cells], strides[cells]
    plain = torch.cat([goal[:, :2] / stride - corner, (goal[:, 2:] / stride + 1e-6).log()], 1)
    box_loss = (5 * (1 - overlap(decode(chosen[:, :4], corner, stride), goal) ** 2).sum()
                + 0.5 * functional.l1_loss(chosen[:, :4], plain, reduction='sum'))
    wanted = functional.one_hot(label, raw.shape[2] - 5) * iou[:, None]
    class_loss = functional.binary_cross_entropy_with_logits(
        chosen[:, 5:], wanted, None if weights is None else weights[label][:, None],
        reduction='sum')
    object_loss = functional.binary_cross_entropy_with_logits(raw[..., 4], objectness, counted,
                                                              reduction='sum')
    parts = {'box': box_loss / len(cells), 'objectness': object_loss / len(cells),
             'class': class_loss / len(cells)}
    return sum(parts.values(), raw.new_zeros(())), {k: float(v.detach()) for k, v in parts.items()}
