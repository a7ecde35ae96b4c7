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

"""Train one of the models on images made on the way."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterable
import copy
from dataclasses import replace
import math
from pathlib import Path
import time
from typing import Any

import torch
from torch import nn
from torch import Tensor
import torch.nn.functional as functional

from training.batches import CropBatches
from training.batches import loader
from training.batches import ROUNDS
from training.batches import SampleBatches
from training.boards import CLASSES
from training.losses import detector_loss
from training.models import Classifier
from training.models import Detector

#: Batches the classifier sees, and the last part of them in full precision.
CLASSIFIER_STEPS = 1400
_CLASSIFIER_FULL = 0.12


class Average:
    """Moving average of the weights: what is tested and shipped."""

    def __init__(self, model: nn.Module) -> None:
        self.model = copy.deepcopy(model).eval()
        self.steps = 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move a little towards the model's present weights."""
        self.steps += 1
        keep = min(0.998, (1 + self.steps) / (10 + self.steps))
        for mine, new in zip(self.model.state_dict().values(), model.state_dict().values()):
            if mine.dtype.is_floating_point:
                mine.mul_(keep).add_(new, alpha=1 - keep)
            else:
                mine.copy_(new)


def _rate(step: int, steps: int) -> float:
    """Return the learning rate's factor: a short rise, then half a cosine."""
    warm = min(300, steps // 10)
    if step < warm:
        return (step + 1) / warm
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def fit(model: nn.Module, batches: Iterable[Any], steps: int, rate: float, full: float,
        loss_of: Callable[[nn.Module, Any], tuple[Tensor, dict[str, float]]],
        snapshot: Path | None, frozen: bool = False) -> nn.Module:
    """
    Train a model.

    Parameters
    ----------
    model
        Trained in place.
    batches
        As many as `steps`.
    steps
        Number of updates.
    rate
        Highest learning rate.
    full
        Last part of the steps, in full precision instead of bfloat16.
    loss_of
        Takes the model and a batch; returns the loss and its parts for the log.
    snapshot
        Where the averaged weights are written every 500 steps, if anywhere.
    frozen
        Keep the statistics of batch normalisation, and drop nothing.

    Returns
    -------
    Module
        The averaged model.

    """
    model.train(not frozen)
    over_time = any(p.dim() == 5 for p in model.parameters())
    model.to(memory_format=torch.channels_last_3d if over_time else torch.channels_last)
    decay = [p for p in model.parameters() if p.dim() > 1]
    rest = [p for p in model.parameters() if p.dim() <= 1]
    optimizer = torch.optim.AdamW([{'params': decay, 'weight_decay': 0.02},
                                   {'params': rest, 'weight_decay': 0.0}], lr=rate)
    average = Average(model)
    begin, seen = time.monotonic(), {}
    for step, batch in enumerate(batches):
        for group in optimizer.param_groups:
            group['lr'] = rate * _rate(step, steps)
        low = step < steps * (1 - full)
        with torch.autocast('cpu', torch.bfloat16, enabled=low):
            loss, parts = loss_of(model, batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimizer.step()
        average.update(model)
        for name, value in parts.items():
            seen[name] = 0.98 * seen.get(name, value) + 0.02 * value
        if (step + 1) % 50 == 0:
            words = '  '.join(f'{name} {value:.3f}' for name, value in seen.items())
            print(f'step {step + 1}/{steps}  {time.monotonic() - begin:.0f} s  {words}',
                  flush=True)
        if snapshot and (step + 1) % 500 == 0:
            torch.save(average.model.state_dict(), snapshot)
    return average.model


def _images(tensor: Tensor) -> Tensor:
    return tensor.float().div_(255).contiguous(memory_format=torch.channels_last)


def _detector_step(model: nn.Module, batch: Any) -> tuple[Tensor, dict[str, float]]:
    images, boxes, classes = batch
    raw = model(_images(images)).float()
    with torch.autocast('cpu', enabled=False):
        return detector_loss(raw, boxes, classes, images.shape[3], images.shape[2])


def _classifier_step(model: nn.Module, batch: Any) -> tuple[Tensor, dict[str, float]]:
    images, classes = batch
    loss = functional.cross_entropy(model(_images(images)).float(), classes,
                                    label_smoothing=0.02)
    return loss, {'class': float(loss)}


def train_detector(seed: int, shorten: float, workers: int, start: Path | None = None,
                   done: int = 0, snapshot: Path | None = None) -> nn.Module:
    """
    Train the detector in rounds.

    Parameters
    ----------
    seed
        The source of chance.
    shorten
        Factor for the number of steps; 1 but for trials.
    workers
        Processes that make images.
    start
        Weights to go on from; None starts from nothing.
    done
        Number of rounds that these weights have behind them.
    snapshot
        Where weights are written on the way, if anywhere.

    Returns
    -------
    Module
        The averaged model.

    """
    torch.manual_seed(seed)
    model: nn.Module = Detector(CLASSES)
    if start:
        model.load_state_dict(torch.load(start))
    first = 0
    for number, setting in enumerate(ROUNDS):
        part = replace(setting, steps=max(1, round(setting.steps * shorten)))
        if number >= done:
            model = fit(model, loader(SampleBatches(seed, first, part), workers), part.steps,
                        part.rate, part.full, _detector_step, snapshot)
        first += setting.steps
    return model


def train_classifier(seed: int, shorten: float, workers: int,
                     snapshot: Path | None = None) -> nn.Module:
    """Train the classifier, whose last class is 'nothing'; return its averaged weights."""
    torch.manual_seed(seed)
    steps = max(1, round(CLASSIFIER_STEPS * shorten))
    return fit(Classifier(CLASSES + 1), loader(CropBatches(seed, steps), workers), steps, 2e-3,
               _CLASSIFIER_FULL, _classifier_step, snapshot)
