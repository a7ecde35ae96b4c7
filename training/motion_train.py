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

"""Train the five models of motions on episodes made beforehand."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
import multiprocessing

import cv2
import numpy as np
import torch
from torch import nn
from torch import Tensor
import torch.nn.functional as functional

from training import motion_models
from training import motions
from training.train import fit

_Batch = tuple[Tensor, Tensor]
_Loss = tuple[Tensor, dict[str, float]]

#: Episodes, and batches of each part of the training.
EPISODES = 4200
STEPS = {'volume': 700, 'frames': 300, 'poses': 1000, 'heads': 1000}
_BATCH = 32
_FRAME_BATCH = 96
#: What becomes of each class when left and right are exchanged, and when time goes back.
_MIRRORED = torch.tensor([0, 1, 3, 2, 4, 5])
_REVERSED = torch.tensor([1, 0, 3, 2, 4, 5])


@dataclass(frozen=True)
class Episodes:
    """
    Many episodes.

    Attributes
    ----------
    frames : Tensor
        uint8 [N, T, H, W, 3].
    labels : Tensor
        int64 [N, T].
    poses : Tensor
        float32 [N, T, 6].
    wanted : Tensor
        int64 [N], the class that each episode was made for.

    """

    frames: Tensor
    labels: Tensor
    poses: Tensor
    wanted: Tensor


@dataclass(frozen=True)
class Models:
    """The trained models."""

    voting: nn.Module
    encoder: nn.Module
    recurrent_head: nn.Module
    dense_head: nn.Module
    recurrent: nn.Module
    volume: nn.Module


def _episode(seed: tuple[int, ...], number: int) -> motions.Episode:
    cv2.setNumThreads(1)
    return motions.sample_episode((*seed, number), number % len(motions.MOTIONS))


def make_episodes(seed: tuple[int, ...], count: int, workers: int) -> Episodes:
    """Make episodes for training, as many of each class; number n is the same in each run."""
    make, numbers = partial(_episode, seed), range(count)
    if workers:
        context = multiprocessing.get_context('spawn')
        with ProcessPoolExecutor(workers, context) as pool:
            episodes = list(pool.map(make, numbers, chunksize=16))
    else:
        episodes = [make(number) for number in numbers]
    return Episodes(torch.from_numpy(np.stack([s.frames for s in episodes])),
                    torch.from_numpy(np.stack([s.labels for s in episodes])),
                    torch.from_numpy(np.stack([s.poses for s in episodes])),
                    torch.tensor([n % len(motions.MOTIONS) for n in numbers]))


def _light(rng: np.random.Generator, images: Tensor) -> Tensor:
    """Return float32 0..1 of uint8, each clip with another gain."""
    size = (len(images), *[1] * (images.dim() - 1))
    gain = torch.from_numpy(np.exp(rng.normal(0, 0.2, size)).astype(np.float32))
    return (images.float() * (gain / 255)).clamp_(0, 1)


def windows(rng: np.random.Generator, episodes: Episodes,
            batch: int = _BATCH) -> Iterator[_Batch]:
    """Yield windows float32 [B, T, H, W, 3] and classes [B], mirrored and reversed at random."""
    usable = (episodes.labels == episodes.wanted[:, None]).numpy()
    while True:
        chosen = rng.integers(len(usable), size=batch)
        ends = [rng.choice(np.flatnonzero(usable[i])) for i in chosen]
        parts, labels = [], episodes.wanted[chosen].clone()
        for row, (i, end) in enumerate(zip(chosen, ends)):
            part = episodes.frames[i, end - motions.FRAMES + 1:end + 1]
            if rng.random() < 0.5:
                part, labels[row] = part.flip(2), _MIRRORED[labels[row]]
            if rng.random() < 0.5:
                part, labels[row] = part.flip(0), _REVERSED[labels[row]]
            parts.append(part)
        yield _light(rng, torch.stack(parts)), labels


def _single_frames(rng: np.random.Generator, episodes: Episodes) -> Iterator[_Batch]:
    """Yield frames float32 [B, 3, H, W] and the class of a window that each is in."""
    rows, ends = np.nonzero((episodes.labels == episodes.wanted[:, None]).numpy())
    while True:
        chosen = rng.integers(len(rows), size=_FRAME_BATCH)
        row = torch.from_numpy(rows[chosen])
        time = torch.from_numpy(ends[chosen] - rng.integers(motions.FRAMES, size=_FRAME_BATCH))
        yield _light(rng, episodes.frames[row, time]).permute(0, 3, 1, 2), episodes.wanted[row]


def _posed_frames(rng: np.random.Generator, episodes: Episodes) -> Iterator[_Batch]:
    """Yield frames float32 [B, 3, H, W] and poses [B, 6]."""
    count, length = episodes.labels.shape
    while True:
        row = torch.from_numpy(rng.integers(count, size=_FRAME_BATCH))
        time = torch.from_numpy(rng.integers(length, size=_FRAME_BATCH))
        images = _light(rng, episodes.frames[row, time])
        yield images.permute(0, 3, 1, 2), episodes.poses[row, time]


def _classes(model: nn.Module, batch: _Batch) -> _Loss:
    logits = model(batch[0]).float()
    if logits.dim() == 3:
        logits = logits[:, -1]
    loss = functional.cross_entropy(logits, batch[1], label_smoothing=0.03)
    right = (logits.argmax(-1) == batch[1]).float().mean()
    return loss, {'class': float(loss.detach()), 'right': float(right)}


def _poses(model: nn.Module, batch: _Batch) -> _Loss:
    found, true = model(batch[0]).float(), batch[1]
    there = (true[:, :1] > 0.5).float()
    seen = functional.binary_cross_entropy_with_logits(found[:, 0], true[:, 0])
    place = (functional.smooth_l1_loss(found[:, 1:3], true[:, 1:3], reduction='none',
                                       beta=0.05) * there).mean()
    rest = (functional.smooth_l1_loss(found[:, 3:], true[:, 3:], reduction='none',
                                      beta=0.3) * there).mean()
    return seen + 10 * place + rest, {
        'seen': float(seen.detach()), 'place': float(place.detach()), 'rest': float(rest.detach())}


def _take(batches: Iterator[_Batch],
          steps: int) -> Iterator[_Batch]:
    return (next(batches) for _ in range(steps))


@torch.no_grad()
def _both_ways(frames: nn.Module, episodes: Episodes) -> tuple[Tensor, Tensor]:
    """Return the features float32 [N, T, F] of all frames, and of their mirror images."""
    frames.eval()
    return tuple(torch.stack([  # type: ignore[return-value]
        frames((images.flip(2) if mirror else images).permute(0, 3, 1, 2).float() / 255)
        for images in episodes.frames]) for mirror in (False, True))


def _feature_windows(rng: np.random.Generator, features: tuple[Tensor, Tensor],
                     episodes: Episodes) -> Iterator[_Batch]:
    """Yield windows of features [B, T, F] and classes; features of both ways round are given."""
    usable = (episodes.labels == episodes.wanted[:, None]).numpy()
    offsets = torch.arange(-motions.FRAMES + 1, 1)
    while True:
        chosen = torch.from_numpy(rng.integers(len(usable), size=64))
        ends = torch.tensor([int(rng.choice(np.flatnonzero(usable[i]))) for i in chosen])
        mirrored = bool(rng.random() < 0.5)
        labels, steps = episodes.wanted[chosen], offsets
        if mirrored:
            labels = _MIRRORED[labels]
        if rng.random() < 0.5:
            labels, steps = _REVERSED[labels], offsets.flip(0)
        yield features[mirrored][chosen[:, None], ends[:, None] + steps], labels


class _Each(nn.Module):
    """A recurrent head's logits at every frame."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, features: Tensor) -> Tensor:
        return self.head(features)[0]


class Volumes(nn.Module):
    """Turns windows [B, T, H, W, 3] to what a model takes: [B, 3, T, H, W] or [B, T, 3, H, W]."""

    def __init__(self, model: nn.Module, order: tuple[int, ...]) -> None:
        super().__init__()
        self.model, self.order = model, order

    def forward(self, x: Tensor) -> Tensor:
        """Return the model's logits."""
        return self.model(x.permute(self.order))


def train_motions(seed: int, shorten: float, workers: int) -> Models:
    """
    Train all the models.

    Parameters
    ----------
    seed
        The source of chance.
    shorten
        Factor for the number of episodes and steps; 1 but for trials.
    workers
        Processes that make episodes; 0 makes them here.

    """
    episodes = make_episodes((seed, 5), max(6, round(EPISODES * shorten)), workers)
    print(f'{len(episodes.frames)} episodes', flush=True)

    def run(number: int, name: str, model: Callable[[], nn.Module],
            make: Callable[..., Iterator[_Batch]], loss: Callable[..., _Loss],
            *inputs: object, rate: float = 2e-3) -> nn.Module:
        """Train one model; its chance does not depend on the ones before."""
        print(f'motions: {name}', flush=True)
        torch.manual_seed(1000 * seed + number)
        steps = max(1, round(STEPS[name] * shorten))
        rng = np.random.default_rng((seed, 6, number))
        batches = _take(make(rng, *inputs, episodes), steps)
        return fit(model(), batches, steps, rate, 1.0, loss, None)

    volume = run(0, 'volume', lambda: Volumes(motion_models.VolumeModel(), (0, 4, 1, 2, 3)),
                 windows, _classes).model
    voting = run(1, 'frames', motion_models.FrameClassifier, _single_frames, _classes)
    encoder = run(2, 'poses', motion_models.PoseModel, _posed_frames, _poses).frames
    both = _both_ways(encoder, episodes)
    recurrent_head = run(3, 'heads', lambda: _Each(motion_models.RecurrentHead()),
                         _feature_windows, _classes, both).head
    dense_head = run(4, 'heads', motion_models.DenseHead, _feature_windows, _classes, both)
    recurrent = motion_models.RecurrentModel()
    recurrent.frames.load_state_dict(encoder.state_dict())
    recurrent.head.load_state_dict(recurrent_head.state_dict())
    return Models(voting, encoder, recurrent_head, dense_head, recurrent, volume)
