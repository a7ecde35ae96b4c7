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
import itertools
import multiprocessing
from pathlib import Path
from typing import Any

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
_PARTS = ('frames', 'labels', 'poses')

#: Episodes, and batches of each part of the training.
EPISODES = 9000
STEPS = {'volume': 600, 'volume again': 500, 'volume at last': 700, 'volume finely': 600,
         'frames': 100, 'poses': 600, 'heads': 500, 'recurrent': 600}
_BATCH = 32
_FRAME_BATCH = 96
_EPISODE_BATCH = 16
_EPISODES_OF_HEADS = 3000
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

    """

    frames: Tensor
    labels: Tensor
    poses: Tensor


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


def make_episodes(seed: tuple[int, ...], count: int, workers: int,
                  cache: Path | None = None) -> Episodes:
    """Make or read episodes for training, as many of each class; number n is always the same."""
    if cache and cache.exists():
        with np.load(cache) as parts:
            return Episodes(*(torch.from_numpy(parts[name]) for name in _PARTS))
    make, numbers = partial(_episode, seed), range(count)
    if workers:
        context = multiprocessing.get_context('spawn')
        with ProcessPoolExecutor(workers, context) as pool:
            episodes = list(pool.map(make, numbers, chunksize=16))
    else:
        episodes = [make(number) for number in numbers]
    arrays = {name: np.stack([getattr(each, name) for each in episodes]) for name in _PARTS}
    if cache:
        cache.parent.mkdir(parents=True, exist_ok=True)
        np.savez(cache, **arrays)
    return Episodes(*(torch.from_numpy(array) for array in arrays.values()))


def _light(rng: np.random.Generator, images: Tensor) -> Tensor:
    """Return float32 0..1 of uint8 [B, ..., 3], each clip in another light and other colours."""
    count = len(images)
    gain = np.exp(rng.normal(0, 0.2, (count, 1)) + rng.normal(0, 0.1, (count, 3)))
    negative = rng.random((count, 1)) < 0.15
    scale, shift = (torch.from_numpy(each.astype(np.float32)).view(
        count, 3, *[1] * (images.dim() - 2)) for each in (
            np.where(negative, -gain, gain) / 255, np.where(negative, gain, 0.0 * gain)))
    found = torch.empty(count, 3, *images.shape[1:-1])
    for to, channel in enumerate(rng.permutation(3)):
        torch.mul(images[..., channel], scale[:, to], out=found[:, to]).add_(shift[:, to])
    return found.clamp_(0, 1).movedim(1, -1)


def _by_class(labels: np.ndarray) -> list[np.ndarray]:
    """Return for each class the episodes and last frames of its windows, int [N, 2]."""
    return [np.argwhere(labels == label) for label in range(len(motions.MOTIONS))]


def _change(poses: Tensor) -> Tensor:
    """Return what poses [T, 6] do from the first to the last (see CHANGE)."""
    first, last = poses[0], poses[-1]
    turn = torch.stack([(last[4:] * first[4:]).sum(), last[5] * first[4] - last[4] * first[5]])
    return torch.cat([poses[:, 0], last[1:4] - first[1:4], turn])


def windows(rng: np.random.Generator, episodes: Episodes,
            batch: int = _BATCH) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """
    Yield windows, mirrored, upside down and reversed at random.

    Each time the windows float32 [B, T, H, W, 3], classes [B], and changes of poses [B, CHANGE].
    """
    places = _by_class(episodes.labels.numpy())
    while True:
        labels = torch.from_numpy(rng.integers(len(places), size=batch))
        parts, changes = [], []
        for row, label in enumerate(labels.tolist()):
            i, end = places[label][rng.integers(len(places[label]))]
            frames = slice(end - motions.FRAMES + 1, end + 1)
            part, change = episodes.frames[i, frames], episodes.poses[i, frames]
            reverse, mirror, upside_down = rng.random(3) < 0.5
            if reverse:
                part, change, labels[row] = part.flip(0), change.flip(0), _REVERSED[labels[row]]
            change = _change(change)
            if mirror:
                part, labels[row] = part.flip(2), _MIRRORED[labels[row]]
                change[[-5, -1]] *= -1
            if upside_down:
                part = part.flip(1)
                change[[-4, -1]] *= -1
            parts.append(part)
            changes.append(change)
        yield _light(rng, torch.stack(parts)), labels, torch.stack(changes)


def _whole_episodes(rng: np.random.Generator, episodes: Episodes) -> Iterator[_Batch]:
    """Yield as `windows` [B, T, H, W, 3], longer ones with a class for each frame [B, T] or -1."""
    length = episodes.labels.shape[1]
    while True:
        # The first frames of a stream, or a window: a state begins anywhere.
        begin = int(rng.integers(0, length - motions.FRAMES + 1))
        parts, labels = [], []
        for i in rng.integers(len(episodes.labels), size=_EPISODE_BATCH):
            part, label = episodes.frames[i, begin:], episodes.labels[i, begin:].clone()
            label[:motions.FRAMES - 1] = -1
            if rng.random() < 0.5:
                # A window that ended at e begins there now.
                part = part.flip(0)
                label = torch.cat([label[:motions.FRAMES - 1], label[motions.FRAMES - 1:].flip(0)])
                label = torch.where(label < 0, label, _REVERSED[label])
            if rng.random() < 0.5:
                part, label = part.flip(2), torch.where(label < 0, label, _MIRRORED[label])
            if rng.random() < 0.5:
                part = part.flip(1)
            parts.append(part)
            labels.append(label)
        yield _light(rng, torch.stack(parts)), torch.stack(labels)


def _single_frames(rng: np.random.Generator, episodes: Episodes) -> Iterator[_Batch]:
    """Yield frames float32 [B, 3, H, W] and the class of a window that each is in."""
    places = _by_class(episodes.labels.numpy())
    while True:
        labels = rng.integers(len(places), size=_FRAME_BATCH)
        chosen = torch.from_numpy(np.stack(
            [places[label][rng.integers(len(places[label]))] for label in labels]))
        time = chosen[:, 1] - torch.from_numpy(rng.integers(motions.FRAMES, size=_FRAME_BATCH))
        images = _light(rng, episodes.frames[chosen[:, 0], time])
        yield images.permute(0, 3, 1, 2), torch.from_numpy(labels)


def _posed_frames(rng: np.random.Generator, episodes: Episodes) -> Iterator[_Batch]:
    """Yield frames float32 [B, 3, H, W] and poses [B, 6]."""
    count, length = episodes.labels.shape
    while True:
        row = torch.from_numpy(rng.integers(count, size=_FRAME_BATCH))
        time = torch.from_numpy(rng.integers(length, size=_FRAME_BATCH))
        images = _light(rng, episodes.frames[row, time])
        yield images.permute(0, 3, 1, 2), episodes.poses[row, time]


def _weights(labels: Tensor) -> Tensor:
    """Return what windows of each class count, so that a frequent class counts no more."""
    counts = torch.stack([(labels == label).sum() for label in range(len(motions.MOTIONS))])
    return counts.sum() / (len(counts) * counts.clamp(min=1).float())


def _classes(model: nn.Module, batch: _Batch, weight: Tensor | None = None) -> _Loss:
    """Return the loss of one class for each window; or for each frame, where it is not -1."""
    logits, labels = model(batch[0]).float(), batch[1]
    if logits.dim() == 3 and labels.dim() == 1:
        logits = logits[:, -1]
    logits, labels = logits.flatten(0, -2), labels.flatten()
    logits, labels = logits[labels >= 0], labels[labels >= 0]
    loss = functional.cross_entropy(logits, labels, weight, label_smoothing=0.03)
    right = (logits.argmax(-1) == labels).float().mean()
    return loss, {'class': float(loss.detach()), 'right': float(right)}


def _changes(model: nn.Module, batch: tuple[Tensor, Tensor, Tensor]) -> _Loss:
    """Return the loss of the classes and of the changes of the poses."""
    features = model.features(batch[0].permute(0, 4, 1, 2, 3))  # type: ignore[operator]
    logits, found = model.to_class(features).float(), model.to_change(features).float()
    true, labels = batch[2], batch[1]
    there = ((true[:, :1] > 0.5) & (true[:, motions.FRAMES - 1:motions.FRAMES] > 0.5)).float()
    count = motions.FRAMES
    seen = functional.binary_cross_entropy_with_logits(found[:, :count], true[:, :count])
    change = (functional.smooth_l1_loss(found[:, count:], true[:, count:], reduction='none',
                                        beta=0.1) * there).mean()
    loss = functional.cross_entropy(logits, labels, label_smoothing=0.03)
    right = (logits.argmax(-1) == labels).float().mean()
    return loss + seen + 3 * change, {
        'class': float(loss.detach()), 'right': float(right), 'seen': float(seen.detach()),
        'change': float(change.detach())}


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


@torch.no_grad()
def _both_ways(frames: nn.Module, episodes: Episodes) -> tuple[Tensor, Tensor]:
    """Return the features float32 [N, T, F] of all frames, and of their mirror images."""
    frames.eval()
    found = []
    for mirror in (False, True):
        parts = []
        for images in episodes.frames.split(16):
            flat = (images.flip(3) if mirror else images).flatten(0, 1).permute(0, 3, 1, 2)
            with torch.autocast('cpu', torch.bfloat16):
                features = frames(flat.float() / 255)
            parts.append(features.float().unflatten(0, images.shape[:2]))
        found.append(torch.cat(parts))
    return found[0], found[1]


def _feature_windows(rng: np.random.Generator, features: tuple[Tensor, Tensor],
                     episodes: Episodes) -> Iterator[_Batch]:
    """Yield windows of features [B, T, F] and classes; features of both ways round are given."""
    places = _by_class(episodes.labels.numpy())
    offsets = torch.arange(-motions.FRAMES + 1, 1)
    while True:
        labels = rng.integers(len(places), size=64)
        chosen = torch.from_numpy(np.stack(
            [places[label][rng.integers(len(places[label]))] for label in labels]))
        mirrored, steps = bool(rng.random() < 0.5), offsets
        found = torch.from_numpy(labels)
        if mirrored:
            found = _MIRRORED[found]
        if rng.random() < 0.5:
            found, steps = _REVERSED[found], offsets.flip(0)
        yield features[mirrored][chosen[:, :1], chosen[:, 1:] + steps], found


class _Each(nn.Module):
    """A recurrent head's logits at every frame."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, features: Tensor) -> Tensor:
        return self.head(features)[0]


class _EachFrame(nn.Module):
    """The logits of CNN and GRU at every frame of episodes [B, T, H, W, 3]."""

    def __init__(self, model: motion_models.RecurrentModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        features = self.model.frames(x.flatten(0, 1).permute(0, 3, 1, 2))
        return self.model.head(features.unflatten(0, x.shape[:2]))[0]


def _from_encoder(encoder: nn.Module, head: nn.Module) -> nn.Module:
    """Return way 3 with the weights of way 2 to begin with."""
    model = motion_models.RecurrentModel()
    model.frames.load_state_dict(encoder.state_dict())
    model.head.load_state_dict(head.state_dict())
    return _EachFrame(model)


@dataclass(frozen=True)
class _Run:
    """How long to train, and from which source of chance."""

    seed: int
    shorten: float
    threads: int
    cache: Path | None

    def episodes(self, workers: int) -> Episodes:
        return make_episodes((self.seed, 5), max(6, round(EPISODES * self.shorten)), workers,
                             self.cache)

    def __call__(self, number: int, name: str, model: Callable[[], nn.Module],
                 make: Callable[..., Iterator[Any]], loss: Callable[..., _Loss],
                 *inputs: object, rate: float = 2e-3, full: float = 0.02) -> nn.Module:
        """Train one model, or read it; its chance does not depend on the ones before."""
        torch.set_num_threads(self.threads)
        steps = max(1, round(STEPS[name] * self.shorten))
        saved = self.cache and self.cache.with_name(
            f'{number}_{name.replace(" ", "_")}_{self.seed}_{steps}.pt')
        if saved and saved.exists():
            found = model().eval()
            found.load_state_dict(torch.load(saved))
            return found
        print(f'motions: {name}', flush=True)
        torch.manual_seed(1000 * self.seed + number)
        batches = itertools.islice(
            make(np.random.default_rng((self.seed, 6, number)), *inputs), steps)
        found = fit(model(), batches, steps, rate, full, loss, None)
        if saved:
            torch.save(found.state_dict(), saved)
        return found


def _train_volume(run: _Run, episodes: Episodes | None = None) -> nn.Module:
    episodes = episodes or run.episodes(0)
    first = run(0, 'volume', motion_models.VolumeModel, windows, _changes, episodes, rate=3e-3,
                full=0.1)
    second = run(6, 'volume again', lambda: first, windows, _changes, episodes, full=0.1)
    third = run(7, 'volume at last', lambda: second, windows, _changes, episodes, full=0.1)
    return run(8, 'volume finely', lambda: third, windows, _changes, episodes, full=0.1)


def _train_others(run: _Run, episodes: Episodes) -> tuple[nn.Module, ...]:
    voting = run(1, 'frames', motion_models.FrameClassifier, _single_frames, _classes, episodes)
    encoder = run(2, 'poses', motion_models.PoseModel, _posed_frames, _poses, episodes).frames
    part = Episodes(*(each[:_EPISODES_OF_HEADS] for each in (
        episodes.frames, episodes.labels, episodes.poses)))
    both = _both_ways(encoder, part)
    recurrent_head = run(3, 'heads', lambda: _Each(motion_models.RecurrentHead()),
                         _feature_windows, _classes, both, part, full=1.0).head
    dense_head = run(4, 'heads', motion_models.DenseHead, _feature_windows, _classes, both, part,
                     full=1.0)
    recurrent = run(5, 'recurrent', lambda: _from_encoder(encoder, recurrent_head),
                    _whole_episodes, partial(_classes, weight=_weights(episodes.labels)),
                    episodes).model
    return voting, encoder, recurrent_head, dense_head, recurrent


def train_motions(seed: int, shorten: float, workers: int, directory: Path | None = None,
                  ) -> Models:
    """
    Train all the models; the 3D CNN beside the others, if there are two workers.

    Parameters
    ----------
    seed
        The source of chance.
    shorten
        Factor for the number of episodes and steps; 1 but for trials.
    workers
        Processes that make episodes; 0 makes them here.
    directory
        Where the episodes and what is trained already stay for the next time, if anywhere.

    """
    count = max(6, round(EPISODES * shorten))
    run = _Run(seed, shorten, torch.get_num_threads(),
               directory and directory / f'episodes_{seed}_{count}.npz')
    episodes = run.episodes(workers)
    print(f'{len(episodes.frames)} episodes', flush=True)
    if workers < 2 or not run.cache:
        return Models(*_train_others(run, episodes), _train_volume(run, episodes))
    with ProcessPoolExecutor(1, multiprocessing.get_context('spawn')) as pool:
        volume = pool.submit(_train_volume, run)
        return Models(*_train_others(run, episodes), volume.result())
