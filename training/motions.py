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

"""Short episodes in which one card is shown, hidden, moved or turned; what a window shows."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field
import itertools

import cv2
import numpy as np

from training import backgrounds
from training.boards import Board
from training.boards import single
from training.camera import photograph
from training.cards import NAMES

#: The classes; the last one means a window without a motion of a card, and is never reported.
MOTIONS = ('shown', 'hidden', 'moved_left', 'moved_right', 'turned', 'nothing')
NOTHING = MOTIONS.index('nothing')
#: Frames of a window and their rate in Hz; frames of a whole episode.
FRAMES = 10
RATE = 10.0
EPISODE_FRAMES = 20
#: Width and height of a frame in pixels.
SIZE = (80, 60)
#: Cards that only the unseen episodes show.
UNSEEN_CARDS = ('u_turn', 'speed_60', 'home')

_STILL, _EMPTY, _OTHER = 'still', 'empty', 'other'
_SEEN = tuple(i for i, name in enumerate(NAMES) if name not in UNSEEN_CARDS)
_HELD_OUT = tuple(i for i, name in enumerate(NAMES) if name in UNSEEN_CARDS)


@dataclass
class _Change:
    """A smooth change between two times: of place (image heights), log of size, angle, cover."""

    begin: float
    end: float
    by: np.ndarray

    def at(self, time: float) -> np.ndarray:
        part = min(1.0, max(0.0, (time - self.begin) / (self.end - self.begin)))
        return self.by * (part * part * (3 - 2 * part))


@dataclass
class _Script:
    """Where the card is at each time: x, y in image heights, log of size, degrees, uncovered."""

    start: np.ndarray
    changes: list[_Change] = field(default_factory=list)

    def at(self, time: float) -> np.ndarray:
        return sum((change.at(time) for change in self.changes), self.start)


@dataclass(frozen=True)
class Episode:
    """
    An episode of two seconds.

    Attributes
    ----------
    frames : ndarray
        uint8 [T, H, W, 3], RGB, at RATE.
    labels : ndarray
        int [T], the class of the window of FRAMES frames that ends here; -1 for none that is
        clear.
    poses : ndarray
        float32 [T, 6], as seen: visible part 0..1, centre x and y (0..1 of the image), log2 of
        the side in image heights, cosine and sine of the angle.
    card : int
        Index of the card.

    """

    frames: np.ndarray
    labels: np.ndarray
    poses: np.ndarray
    card: int


def window_label(visible: np.ndarray, x: np.ndarray, angle: np.ndarray) -> int:
    """
    Return what a window shows.

    Parameters
    ----------
    visible
        float [T], visible part of the card, 0..1.
    x
        float [T], centre before the shake of the camera, in widths of the image.
    angle
        float [T], degrees in the image plane.

    Returns
    -------
    int
        Index into MOTIONS, or -1 if the window shows part of a motion, or two.

    """
    moved, turned = abs(x[-1] - x[0]), abs(angle[-1] - angle[0])
    if visible.max() <= 0.05:
        return NOTHING
    if visible[0] <= 0.1 and visible[-1] >= 0.8:
        return 0
    if visible[0] >= 0.8 and visible[-1] <= 0.1:
        return 1
    if visible.min() < 0.7:
        return -1
    if moved >= 0.2 and turned < 20 and np.ptp(x) < moved + 0.05:
        return 2 if x[-1] < x[0] else 3
    if turned >= 45 and np.ptp(x) < 0.1:
        return 4
    return NOTHING if np.ptp(x) < 0.05 and np.ptp(angle) < 10 else -1


def _outside(rng: np.random.Generator, aspect: float, margin: float) -> np.ndarray:
    """Return a place beyond one of the four borders."""
    along = rng.uniform(0.2, 0.8)
    return np.array([(-margin, along), (aspect + margin, along), (along * aspect, -margin),
                     (along * aspect, 1 + margin)][rng.integers(4)])


def _write_script(rng: np.random.Generator, wanted: str, aspect: float,
                  size: float) -> _Script:
    """Return the script of one motion and maybe a second."""
    covers = wanted in ('shown', 'hidden') and rng.random() < 0.3
    place = rng.uniform((0.5 * size, 0.5 * size), (aspect - 0.5 * size, 1 - 0.5 * size))
    upright = rng.normal(0, 12)
    script = _Script(np.array([*place, np.log(size), upright, 1.0]))
    away = _outside(rng, aspect, 0.85 * size) - place
    if wanted in ('shown', _EMPTY):
        if covers:
            script.start[4] = 0.0
        else:
            script.start[:2] += away
    begin = rng.uniform(0.0, 0.7)
    kinds = [wanted]
    if wanted != _EMPTY and rng.random() < 0.4:
        kinds.append(str(rng.choice(['hidden', 'moved_left', 'moved_right', 'turned', _STILL])))
    gone = False
    for kind in kinds:
        end = begin + rng.uniform(0.35, 0.95)
        by = np.zeros(5)
        x = script.at(10.0)[0]
        if kind in ('shown', 'hidden') and not gone:
            if covers:
                by[4] = 1.0 if kind == 'shown' else -1.0
            else:
                by[:2] = -away if kind == 'shown' else away
            gone = kind == 'hidden'
        elif kind in ('moved_left', 'moved_right') and not gone:
            room = x - 0.45 * size if kind == 'moved_left' else aspect - 0.45 * size - x
            travel = min(rng.uniform(0.22, 0.65) * aspect, room)
            by[0] = -travel if kind == 'moved_left' else travel
            by[1] = rng.normal(0, 0.03)
            by[3] = rng.normal(0, 5)
        elif kind == 'turned' and not gone:
            by[3] = rng.choice([-1, 1]) * rng.uniform(50, 185)
        elif kind == _OTHER:
            if rng.random() < 0.5:
                by[1] = rng.uniform(0.5 * size, 1 - 0.5 * size) - script.at(10.0)[1]
            else:
                by[2] = rng.choice([-1, 1]) * rng.uniform(0.2, 0.5)
        script.changes.append(_Change(begin, end, by))
        begin = end + rng.uniform(0.05, 0.5)
    return script


def _shake(rng: np.random.Generator, times: np.ndarray) -> np.ndarray:
    """Return the camera's own motion at each time [T, 3]: x, y in image heights, degrees."""
    strength = rng.choice([0.0, 1.0, 1.0, 2.0])
    total = np.zeros((len(times), 3))
    for scale in (np.array([0.012, 0.012, 0.8]), np.array([0.006, 0.006, 0.4])):
        rates, phases = rng.uniform(0.3, 4.0, 3), rng.uniform(0, 2 * np.pi, 3)
        total += strength * scale * np.sin(2 * np.pi * rates * times[:, None] + phases)
    if rng.random() < 0.3:
        total[:, :2] += times[:, None] * rng.normal(0, 0.02, 2)
    return total


def _hand(rng: np.random.Generator, board: Board) -> tuple[np.ndarray, np.ndarray]:
    """Return pixels and alpha of a board, held by a hand from below or bare."""
    pixels, alpha = board.pixels, board.alpha
    if rng.random() < 0.5:
        return pixels, alpha
    h, w = alpha.shape
    below = int(rng.uniform(0.15, 0.5) * h)
    tone = rng.uniform(0.35, 1.0) * np.array((236, 188, 160)) + rng.normal(0, 8, 3)
    pixels = cv2.copyMakeBorder(pixels, 0, below, 0, 0, cv2.BORDER_CONSTANT,
                                value=[int(v) for v in np.clip(tone, 0, 255)])
    alpha = cv2.copyMakeBorder(alpha, 0, below, 0, 0, cv2.BORDER_CONSTANT, value=0)
    middle = int(rng.uniform(0.25, 0.75) * w)
    axes = (int(rng.uniform(0.1, 0.25) * w) + 1, below)
    hand = np.zeros_like(alpha)
    cv2.ellipse(hand, (middle, h + below // 2), axes, float(rng.normal(0, 15)), 0, 360, 255, -1)
    hand[:h] = 0
    return pixels, np.maximum(alpha, hand)


class _Stage:
    """Draws the frames of one episode."""

    def __init__(self, rng: np.random.Generator, card: int, width: int, height: int, size: float,
                 kinds: tuple[backgrounds._Kind, ...]) -> None:
        self.width, self.height = width, height
        self.margin = height // 5
        self.ground = backgrounds.background(rng, width + 2 * self.margin,
                                             height + 2 * self.margin, kinds)
        board = single(rng, card, 1.3 * size * height)
        self.sign = (board.alpha.shape[1] / 2, board.alpha.shape[0] / 2, board.side)
        self.card_alpha = board.alpha
        self.pixels, self.alpha = _hand(rng, board)
        self.lean = rng.normal(0, 0.12, 2)
        self.cover = backgrounds.background(rng, 48, 48, kinds)
        self.from_side = _outside(rng, width / height, 1.2 * size)

    def _matrix(self, pose: np.ndarray, shake: np.ndarray) -> np.ndarray:
        """Return the board's pixels to the frame's, 3x3."""
        cx, cy, side = self.sign
        scale = np.exp(pose[2]) * self.height / side
        turn = np.deg2rad(pose[3])
        c, s = scale * np.cos(turn), scale * np.sin(turn)
        lean = np.array([[1, 0, 0], [0, 1, 0], [*(self.lean / (2 * max(cx, cy))), 1]])
        place = np.array([[c, -s, pose[0] * self.height], [s, c, pose[1] * self.height],
                          [0, 0, 1]])
        centred = np.array([[1, 0, -cx], [0, 1, -cy], [0, 0, 1]])
        return self._camera(shake) @ place @ lean @ centred

    def _camera(self, shake: np.ndarray) -> np.ndarray:
        turn = np.deg2rad(shake[2])
        c, s = np.cos(turn), np.sin(turn)
        cx, cy = self.width / 2, self.height / 2
        x, y = shake[:2] * self.height
        return np.array([[c, -s, cx - c * cx + s * cy + x], [s, c, cy - s * cx - c * cy + y],
                         [0, 0, 1]])

    def _over(self, frame: np.ndarray, pixels: np.ndarray, alpha: np.ndarray) -> np.ndarray:
        weight = alpha[..., None].astype(np.uint16)
        return ((frame * (255 - weight) + pixels * weight + 127) // 255).astype(np.uint8)

    def draw(self, pose: np.ndarray, shake: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return a frame and the card's pose as seen (see Episode)."""
        size = (self.width, self.height)
        camera, matrix = self._camera(shake), self._matrix(pose, shake)
        shift = np.array([[1, 0, -self.margin], [0, 1, -self.margin], [0, 0, 1]])
        frame = cv2.warpPerspective(self.ground, camera @ shift, size,
                                    borderMode=cv2.BORDER_REFLECT)
        frame = self._over(frame, cv2.warpPerspective(self.pixels, matrix, size,
                                                      borderMode=cv2.BORDER_REPLICATE),
                           cv2.warpPerspective(self.alpha, matrix, size))
        seen = cv2.warpPerspective(self.card_alpha, matrix, size)
        if pose[4] < 1.0:
            side = 2.2 * np.exp(pose[2]) * self.height
            centre = (pose[4] * self.from_side + (1 - pose[4]) * pose[:2]) * self.height
            scale = side / len(self.cover)
            place = np.array([[scale, 0, centre[0] - side / 2], [0, scale, centre[1] - side / 2],
                              [0, 0, 1]])
            mask = cv2.warpPerspective(np.full(self.cover.shape[:2], 255, np.uint8),
                                       camera @ place, size)
            frame = self._over(frame, cv2.warpPerspective(
                self.cover, camera @ place, size, borderMode=cv2.BORDER_REPLICATE), mask)
            seen = np.minimum(seen, 255 - mask)
        return frame, self._as_seen(seen, matrix, pose[3] + shake[2])

    def _as_seen(self, seen: np.ndarray, matrix: np.ndarray, angle: float) -> np.ndarray:
        cx, cy, side = self.sign
        h, w = self.card_alpha.shape
        corners = np.array([[[0, 0], [w, 0], [w, h], [0, h]]], np.float32)
        area = cv2.contourArea(cv2.perspectiveTransform(corners, matrix)[0])
        whole = area * self.card_alpha.mean()
        x, y = cv2.perspectiveTransform(np.array([[[cx, cy]]]), matrix)[0, 0]
        height = np.sqrt(area / (w * h)) * side / self.height
        turn = np.deg2rad(angle)
        return np.array([min(1.0, seen.sum() / max(whole, 1.0)), x / self.width, y / self.height,
                         np.log2(height), np.cos(turn), np.sin(turn)], np.float32)


def _photograph(rng: np.random.Generator, frames: list[np.ndarray], size: float) -> np.ndarray:
    """Give all frames one camera and one light, and each its own noise and flicker."""
    state = int(rng.integers(2 ** 32))
    taken = np.stack([photograph(np.random.default_rng(state), f, size) for f in frames])
    sigma = float(rng.choice([0, 2, 4, 7]))
    if not sigma:
        return taken
    flicker = rng.normal(1, 0.01 * rng.integers(0, 3), (len(frames), 1, 1, 1))
    noise = rng.standard_normal(taken.shape, np.float32) * sigma
    return np.clip(taken * flicker.astype(np.float32) + noise, 0, 255).astype(np.uint8)


def make_episode(rng: np.random.Generator, wanted: str, unseen: bool = False,
                 size: tuple[int, int] = SIZE, frames: int = EPISODE_FRAMES) -> Episode:
    """
    Make one episode.

    Parameters
    ----------
    rng
        The only source of chance.
    wanted
        One of MOTIONS; other motions may follow.
    unseen
        Show backgrounds of kinds that training never shows, and UNSEEN_CARDS in half the episodes.
    size
        Width and height of a frame in pixels.
    frames
        Length of the episode.

    """
    width, height = size
    held_out = unseen and rng.random() < 0.5
    card = int(rng.choice(_HELD_OUT if held_out else _SEEN))
    kinds = backgrounds.UNSEEN_KINDS if unseen else backgrounds.SEEN_KINDS
    if wanted == 'nothing':
        wanted = str(rng.choice([_STILL, _EMPTY, _OTHER]))
    side = rng.uniform(0.24, 0.55)
    script = _write_script(rng, wanted, width / height, side)
    stage = _Stage(rng, card, width, height, side, kinds)
    times = np.arange(frames) / RATE + rng.normal(0, 0.006, frames)
    drawn, labels, seen = _play(script, stage, times, _shake(rng, times))
    return Episode(_photograph(rng, drawn, side * height), labels, seen, card)


def _play(script: _Script, stage: _Stage, times: np.ndarray,
          shake: np.ndarray) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Return the frames, and the labels and poses of an Episode."""
    poses = [script.at(time) for time in times]
    drawn = [stage.draw(pose, shaken) for pose, shaken in zip(poses, shake)]
    seen = np.stack([pose for _, pose in drawn])
    x = np.array([pose[0] for pose in poses]) * stage.height / stage.width
    angle = np.array([pose[3] for pose in poses])
    labels = np.full(len(times), -1)
    for end in range(FRAMES - 1, len(times)):
        part = slice(end - FRAMES + 1, end + 1)
        labels[end] = window_label(seen[part, 0], x[part], angle[part])
    return [frame for frame, _ in drawn], labels, seen


def sample_episode(seed: tuple[int, ...], wanted: int, unseen: bool = False) -> Episode:
    """Return the first episode of a seed that has a window of the wanted class."""
    for attempt in itertools.count():
        episode = make_episode(np.random.default_rng([*seed, attempt]), MOTIONS[wanted], unseen)
        if (episode.labels == wanted).any():
            return episode
    raise AssertionError('count() does not end')


def make_window(seed: tuple[int, ...], wanted: int,
                unseen: bool = False) -> tuple[np.ndarray, Episode, int]:
    """Return one window uint8 [FRAMES, H, W, 3] of a class, its episode, and its last frame."""
    episode = sample_episode(seed, wanted, unseen)
    ends = np.flatnonzero(episode.labels == wanted)
    end = int(ends[np.random.default_rng(seed).integers(len(ends))])
    return episode.frames[end - FRAMES + 1:end + 1], episode, end


def film(rng: np.random.Generator, card: str, size: tuple[int, int], rate: float,
         pause: float = 1.3) -> tuple[list[np.ndarray], list[tuple[str, float, float]]]:
    """
    Draw one long episode with each motion once, as from a steady camera.

    Parameters
    ----------
    rng
        The only source of chance.
    card
        One of NAMES.
    size
        Width and height of a frame in pixels.
    rate
        Frames a second.
    pause
        Seconds of rest between two motions.

    Returns
    -------
    tuple
        Frames uint8 [H, W, 3] RGB; and each motion with its begin and end in seconds.

    """
    width, height = size
    aspect, side, long = width / height, 0.4, 0.6
    motions: tuple[tuple[str, tuple[float, ...]], ...] = (
        ('shown', (0, -0.9, 0, 0, 0)), ('moved_left', (-0.45, 0, 0, 0, 0)),
        ('turned', (0, 0, 0, 120, 0)), ('moved_right', (0.5, 0, 0, 0, 0)),
        ('turned', (0, 0, 0, -120, 0)), ('hidden', (0, 0.95, 0, 0, 0)))
    script = _Script(np.array([0.55 * aspect, 1.4, np.log(side), 0.0, 1.0]))
    events, begin = [], 1.0
    for name, by in motions:
        script.changes.append(_Change(begin, begin + long, np.array(by)))
        events.append((name, round(begin, 3), round(begin + long, 3)))
        begin += long + pause
    stage = _Stage(rng, NAMES.index(card), width, height, side, backgrounds.SEEN_KINDS)
    times = np.arange(round((begin + 0.3) * rate)) / rate
    shake = 0.15 * _shake(rng, times)
    return _play(script, stage, times, shake)[0], events
