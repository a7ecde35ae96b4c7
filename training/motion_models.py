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

#: Length of a frame's features, channels of the first layer, and length of the state of the recurrent models.
FEATURES = 64
STEM = 16
STATE = 64
#: Numbers of a pose (see Episode).
POSE = 6


class Frames(nn.Module):
    """CNN over one frame; its last layer keeps places apart, which pooling would not."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            ConvUnit(3, STEM, 6, 4), ConvUnit(STEM, 32, 3, 2), ConvUnit(32, 48, 3, 2),
            nn.Flatten(), nn.Linear(48 * 4 * 5, FEATURES), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        """Return float32 [B, FEATURES] for frames float32 [B, 3, 60, 80], RGB 0..1."""
        return self.body(x)


class Changes(nn.Module):
    """The first layer of ways 3 and 5: edges in each frame, and how they differ from before."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, STEM, 6, 4, 1, bias=False)
        self.norm = nn.BatchNorm2d(2 * STEM, momentum=0.03)

    def windows(self, x: Tensor) -> Tensor:
        """Return [B * FRAMES, 2 * STEM, 15, 20] for [B, FRAMES, 3, 60, 80]; first frame: none."""
        edges = self.conv(x.flatten(0, 1)).unflatten(0, (-1, FRAMES))
        before = torch.cat([edges[:, :1], edges[:, :-1]], 1)
        return self.joined(edges.flatten(0, 1), before.flatten(0, 1))

    def joined(self, edges: Tensor, before: Tensor) -> Tensor:
        """Return both after their activation, [B, 2 * STEM, 15, 20]."""
        return self.norm(torch.cat([edges, edges - before], 1)).relu()


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
    """Way 3: CNN and GRU in one; the CNN sees each frame and what changed in it."""

    def __init__(self) -> None:
        super().__init__()
        self.changes = Changes()
        self.frames = nn.Sequential(
            ConvUnit(2 * STEM, 32, 3, 2), ConvUnit(32, 48, 3, 2), nn.Flatten(),
            nn.Linear(48 * 4 * 5, FEATURES), nn.ReLU())
        self.head = RecurrentHead()

    @torch.no_grad()
    def start(self, encoder: Frames, head: RecurrentHead) -> None:
        """Begin as way 2, whose results this model then has: what changed is ignored at first."""
        first, *rest = encoder.body
        self.changes.conv.load_state_dict(first[0].state_dict())
        for mine, theirs in zip(self.changes.norm.state_dict().values(),
                                first[1].state_dict().values()):
            if mine.dim():
                mine[:STEM] = theirs
        for mine, theirs in zip(list(self.frames)[1:], rest[1:]):
            mine.load_state_dict(theirs.state_dict())
        self.frames[0][1].load_state_dict(rest[0][1].state_dict())
        self.frames[0][0].weight[:, :STEM] = rest[0][0].weight
        self.frames[0][0].weight[:, STEM:] *= 0.1
        self.head.load_state_dict(head.state_dict())

    def forward(self, x: Tensor) -> Tensor:
        """Return logits [B, C] for windows float32 [B, T, 3, H, W]."""
        features = self.frames(self.changes.windows(x)).unflatten(0, (-1, FRAMES))
        return self.head(features)[0][:, -1]


def _unit3d(inside: int, outside: int, kernel: tuple[int, int, int],
            stride: tuple[int, int, int]) -> nn.Sequential:
    padding = tuple((k - s + 1) // 2 if s > 1 else k // 2 for k, s in zip(kernel, stride))
    return nn.Sequential(nn.Conv3d(inside, outside, kernel, stride, padding, bias=False),
                         nn.BatchNorm3d(outside, momentum=0.03), nn.ReLU(inplace=True))


class VolumeModel(nn.Module):
    """Way 5: convolutions over time, height and width of frames and of what changed in them."""

    def __init__(self) -> None:
        super().__init__()
        self.changes = Changes()
        self.body = nn.Sequential(
            _unit3d(2 * STEM, 32, (1, 3, 3), (1, 2, 2)), _unit3d(32, 48, (3, 3, 3), (2, 2, 2)),
            nn.Flatten(), nn.Dropout(0.2), nn.Linear(48 * 5 * 4 * 5, 64), nn.ReLU(),
            nn.Linear(64, len(MOTIONS)))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits [B, C] for windows float32 [B, 3, T, H, W]."""
        maps = self.changes.windows(x.transpose(1, 2)).unflatten(0, (-1, FRAMES))
        return self.body(maps.transpose(1, 2))


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

    def __init__(self, model: RecurrentModel, head: nn.Module) -> None:
        super().__init__()
        self.changes, self.frames, self.head = model.changes, model.frames, head

    def forward(self, x: Tensor, state: Tensor, before: Tensor,
                count: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """
        Run on one frame of each stream.

        Parameters
        ----------
        x
            float32 [B, 1, H, W, 3], 0..255.
        state
            float32 [B, STATE], of the GRU.
        before
            float32 [B, STEM, 15, 20], edges in the frame before.
        count
            int64 [B], frames so far: in the first one nothing has changed.

        Returns
        -------
        tuple
            Probabilities [B, C], and the next three states.

        """
        edges = self.changes.conv(x[:, 0].permute(0, 3, 1, 2) / 255)
        begun = (count > 0).to(edges.dtype)[:, None, None, None]
        maps = self.changes.joined(edges, begun * before + (1 - begun) * edges)
        logits, state = self.head(self.frames(maps)[:, None], state[None])
        return logits[:, 0].softmax(-1), state[0], edges, count + 1


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
