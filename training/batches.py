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

"""Batches made while the model learns; each is fixed by the seed and its number alone."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset

from training.crops import make_crop
from training.samples import make_sample

#: Sizes of the training images, and how many make a batch.
SIZES = ((256, 192), (384, 288), (512, 384))
_BATCH = (32, 24, 16)
#: Size of the smallest card trained on, in pixels of the model's input.
_SMALLEST = 17.0


@dataclass(frozen=True)
class Round:
    """
    One round of the detector's training.

    Attributes
    ----------
    steps : int
        Number of batches.
    rate : float
        Highest learning rate.
    often : tuple of float
        How often each of SIZES is used.
    empty, fine, made_up, others : float
        As in `make_sample`.
    full : float
        Last part of the steps, in full precision.

    """

    steps: int
    rate: float
    often: tuple[float, float, float]
    empty: float
    fine: float
    made_up: float
    others: float
    full: float


#: First what cards look like; then more large cards, and more and more of what is no card.
ROUNDS = (Round(3000, 1.5e-3, (0.45, 0.3, 0.25), 0.1, 36.0, 0.0, 0.25, 0.12),
          Round(2000, 8e-4, (0.35, 0.3, 0.35), 0.16, 27.0, 0.4, 0.25, 0.05),
          Round(1300, 6e-4, (0.35, 0.3, 0.35), 0.16, 24.0, 0.2, 0.55, 0.05))


def to_tensor(images: list[np.ndarray]) -> Tensor:
    """Return uint8 [B, 3, H, W] from images uint8 [H, W, 3]."""
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)


class SampleBatches(Dataset):  # type: ignore[type-arg]
    """Images for one round of the detector; all of one batch have one size."""

    def __init__(self, seed: int, first: int, setting: Round) -> None:
        self.seed = seed
        self.first = first
        self.setting = setting

    def __len__(self) -> int:
        """Return the number of batches."""
        return self.setting.steps

    def __getitem__(self, step: int) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """Return images uint8 [B, 3, H, W], boxes [M, 4] and classes [M] per image."""
        setting = self.setting
        rng = np.random.default_rng([self.seed, 0, self.first + step])
        kind = rng.choice(len(SIZES), p=setting.often)
        samples = [make_sample(rng, *SIZES[kind], _SMALLEST, setting.empty, setting.fine,
                               setting.made_up, setting.others) for _ in range(_BATCH[kind])]
        return (to_tensor([s.image for s in samples]),
                [torch.from_numpy(s.boxes) for s in samples],
                [torch.from_numpy(s.classes) for s in samples])


class CropBatches(Dataset):  # type: ignore[type-arg]
    """Crops for the classifier."""

    def __init__(self, seed: int, steps: int, batch: int = 64) -> None:
        self.seed = seed
        self.steps = steps
        self.batch = batch

    def __len__(self) -> int:
        """Return the number of batches."""
        return self.steps

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
        """Return images uint8 [B, 3, S, S] and classes [B]."""
        rng = np.random.default_rng([self.seed, 1, step])
        crops = [make_crop(rng) for _ in range(self.batch)]
        return to_tensor([c[0] for c in crops]), torch.tensor([c[1] for c in crops])


def _one_thread(_: int) -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def loader(batches: Dataset, workers: int) -> DataLoader:  # type: ignore[type-arg]
    """Return the batches in order, made by other processes in advance."""
    # Fresh processes: a fork inherits OpenCV's thread pool without its threads, and hangs.
    return DataLoader(batches, batch_size=None, num_workers=workers, worker_init_fn=_one_thread,
                      prefetch_factor=4 if workers else None,
                      multiprocessing_context='spawn' if workers else None)
