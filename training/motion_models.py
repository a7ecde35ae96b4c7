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

"""Five small models of motions: the classic ways to classify a clip."""

from __future__ import annotations

import torch
from torch import nn
from torch import Tensor

from training.models import ConvUnit
from training.motions import FRAMES
from training.motions import MOTIONS

#: Length of a frame's features, and of the state of the recurrent models.
FEATURES = 64
STATE = 64
#: Numbers of a pose (see Episode).
POSE = 6
#: Numbers of the change of a pose in a window: how much of the card each frame shows, then the
#: change of x, y and log size, and the cosine and sine of the turn.
CHANGE = FRAMES + 5


class Frames(nn.Module):
    """CNN over one frame; its last layer keeps places apart, which pooling would not."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            ConvUnit(3, 16, 5, 2), ConvUnit(16, 32, 3, 2), ConvUnit(32, 48, 3, 2),
            ConvUnit(48, 64, 3, 2), nn.Flatten(), nn.Linear(64 * 4 * 5, FEATURES), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        """Return float32 [B, FEATURES] for frames float32 [B, 3, 60, 80], RGB 0..1."""
        return self.body(x)


class FrameClassifier(nn.Module):
    """Way 1: each frame by itself; the frames of a window vote."""

    def __init__(self) -> None:
        super().__init__()
        self.frames = Frames()
        self.to_class = nn.Linear(FEATURES, len(MOTIONS))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits float32 [B, C] for frames float32 [B, 3, H, W]."""
        return self.to_class(self.frames(x))


class PoseModel(nn.Module):
    """Learns where a card is in one frame; its features serve ways 2 and 4."""

    def __init__(self) -> None:
        super().__init__()
        self.frames = Frames()
        self.to_pose = nn.Linear(FEATURES, POSE)

    def forward(self, x: Tensor) -> Tensor:
        """Return poses float32 [B, POSE]; the first number is a logit."""
        return self.to_pose(self.frames(x))


class RecurrentHead(nn.Module):
    """Ways 2 and 3, after the CNN: a GRU over the features of frames."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(FEATURES, STATE, batch_first=True)
        self.to_class = nn.Linear(STATE, len(MOTIONS))

    def forward(self, features: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return logits [B, T, C] for features [B, T, F], and the state [1, B, STATE]."""
        out, state = self.gru(features, state)
        return self.to_class(out), state


class DenseHead(nn.Module):
    """Way 4, after the CNN: an MLP over the features of all frames."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(FRAMES * FEATURES, 96), nn.ReLU(),
                                  nn.Dropout(0.3), nn.Linear(96, len(MOTIONS)))

    def forward(self, features: Tensor) -> Tensor:
        """Return logits [B, C] for features [B, FRAMES, F]."""
        return self.body(features)


class RecurrentModel(nn.Module):
    """Way 3: CNN and GRU in one."""

    def __init__(self) -> None:
        super().__init__()
        self.frames = Frames()
        self.head = RecurrentHead()

    def forward(self, x: Tensor) -> Tensor:
        """Return logits [B, C] for windows float32 [B, T, 3, H, W]."""
        features = self.frames(x.flatten(0, 1)).unflatten(0, (-1, FRAMES))
        return self.head(features)[0][:, -1]


def _unit3d(inside: int, outside: int, kernel: tuple[int, int, int],
            stride: tuple[int, int, int]) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(inside, outside, kernel, stride, tuple(k // 2 for k in kernel), bias=False),
        nn.BatchNorm3d(outside, momentum=0.03), nn.ReLU(inplace=True))


class VolumeModel(nn.Module):
    """Way 5: convolutions over height and width, and over time, in turns."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv3d(3, 24, (1, 7, 7), (1, 4, 4), (0, 3, 3), bias=False)
        self.body = nn.Sequential(
            nn.BatchNorm3d(48, momentum=0.03), nn.ReLU(inplace=True),
            _unit3d(48, 48, (3, 1, 1), (1, 1, 1)), _unit3d(48, 64, (1, 3, 3), (1, 2, 2)),
            _unit3d(64, 64, (3, 1, 1), (2, 1, 1)), _unit3d(64, 96, (1, 3, 3), (1, 2, 2)),
            _unit3d(96, 96, (3, 1, 1), (1, 1, 1)))
        self.hidden = nn.Sequential(nn.Linear(2 * 96 * (FRAMES // 2), 128), nn.ReLU())
        self.to_class = nn.Sequential(nn.Dropout(0.2), nn.Linear(128, len(MOTIONS)))
        # Only for training: what a card's pose does says more than the name of a motion.
        self.to_change = nn.Linear(128, CHANGE)

    def features(self, x: Tensor) -> Tensor:
        """Return float32 [B, 128] for windows float32 [B, 3, T, H, W]."""
        y = self.first(x)
        later = y[:, :, 1:] - y[:, :, :-1]
        y = self.body(torch.cat([y, torch.cat([torch.zeros_like(y[:, :, :1]), later], 2)], 1))
        # Where a card is does not matter, only how it moves.
        return self.hidden(torch.cat([y.amax((3, 4)), y.mean((3, 4))], 1).flatten(1))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits [B, C] for windows float32 [B, 3, T, H, W]."""
        return self.to_class(self.features(x))


class ShippedFrames(nn.Module):
    """A model of single frames as it ships: pixels 0..255; probabilities, or features as is."""

    def __init__(self, model: nn.Module, softmax: bool) -> None:
        super().__init__()
        self.model, self.softmax = model, softmax

    def forward(self, x: Tensor) -> Tensor:
        """Return probabilities or features [B, ...] for frames float32 [B, 3, H, W]."""
        y = self.model(x / 255)
        return y.softmax(-1) if self.softmax else y


class ShippedWindow(nn.Module):
    """A model of windows as it ships: pixels 0..255 [B, T, H, W, 3]; or [B, 3, T, H, W]."""

    def __init__(self, model: nn.Module, channels_last: bool) -> None:
        super().__init__()
        self.model, self.channels_last = model, channels_last

    def forward(self, x: Tensor) -> Tensor:
        """Return probabilities [B, C]."""
        x = x / 255
        return self.model(x.permute(0, 1, 4, 2, 3) if self.channels_last else x).softmax(-1)


class ShippedStream(nn.Module):
    """Way 3 as it ships with a state: one frame a run, pixels 0..255."""

    def __init__(self, frames: Frames, head: RecurrentHead) -> None:
        super().__init__()
        self.frames, self.head = frames, head

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return probabilities [B, C] and the state [B, S] for frames [B, 1, H, W, 3]."""
        features = self.frames(x[:, 0].permute(0, 3, 1, 2) / 255)
        logits, state = self.head(features[:, None], state[None])
        return logits[:, 0].softmax(-1), state[0]


class ShippedHead(nn.Module):
    """A head as it ships: features float32 [B, FRAMES, F] to probabilities."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, features: Tensor) -> Tensor:
        """Return probabilities [B, C]."""
        if isinstance(self.head, RecurrentHead):
            return torch.softmax(self.head(features)[0][:, -1], -1)
        return torch.softmax(self.head(features), -1)
