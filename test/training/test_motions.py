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

"""The episodes of motions: the same for the same seed, and they show what their labels say."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
import pytest


def changed(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return where two frames differ by more than noise, bool [H, W]."""
    found = np.abs(one.astype(int) - other).max(2) > 60
    return np.asarray(found)


def test_a_episode_is_determined_by_its_seed() -> None:
    """The same seed gives the same pixels and labels, another seed others."""
    from training import motions
    one, again, other = (motions.sample_episode((3, seed), 2) for seed in (1, 1, 2))
    assert np.array_equal(one.frames, again.frames) and np.array_equal(one.labels, again.labels)
    assert one.frames.shape == (motions.EPISODE_FRAMES, *motions.SIZE[::-1], 3)
    assert not np.array_equal(one.frames, other.frames)


@pytest.mark.parametrize(('label', 'visible', 'x', 'angle'), [
    ('shown', (0.0, 1.0), (0.5, 0.5), (0, 0)), ('hidden', (1.0, 0.0), (0.5, 1.2), (0, 0)),
    ('moved_left', (1, 1), (0.7, 0.4), (0, 5)), ('moved_right', (1, 1), (0.3, 0.6), (0, 5)),
    ('turned', (1, 1), (0.5, 0.52), (10, -60)), ('nothing', (1, 1), (0.5, 0.51), (0, 3)),
    ('nothing', (0, 0), (0.5, 0.5), (0, 0)), (None, (1, 1), (0.5, 0.6), (0, 0)),
    (None, (0, 0.5), (0.5, 0.5), (0, 0)), (None, (1, 1), (0.3, 0.7), (0, 90))])
def test_what_a_window_shows(label: str | None, visible: tuple[float, float],
                             x: tuple[float, float], angle: tuple[float, float]) -> None:
    """The label follows from where the card is; half a motion has none."""
    from training import motions
    found = motions.window_label(*(np.linspace(*each, motions.FRAMES)
                                   for each in (visible, x, angle)))
    assert found == (-1 if label is None else motions.MOTIONS.index(label))


def test_windows_show_what_they_say() -> None:
    """A card that the label says is there is where the pose says, in the pixels themselves."""
    from training import motions
    for number in range(12):
        label = number % 4
        window, episode, end = motions.make_window((4, number), label, unseen=number > 5)
        poses = episode.poses[end - motions.FRAMES + 1:end + 1]
        assert episode.labels[end] == label and len(window) == motions.FRAMES
        first, last = poses[0], poses[-1]
        if label < 2:
            there, absent = (last, first) if label == 0 else (first, last)
            assert there[0] >= 0.8 and absent[0] <= 0.1
            x, y = (there[1:3] * motions.SIZE).astype(int)
            middle = changed(window[0], window[-1])[max(0, y - 5):y + 6, max(0, x - 5):x + 6]
            assert middle.mean() > 0.1 or window.mean() < 60 or window.mean() > 200, number
        else:
            assert (last[1] < first[1]) == (label == 2)
            assert abs(last[1] - first[1]) > 0.12


def test_unseen_windows_show_cards_that_training_never_shows() -> None:
    """Half of the unseen episodes have held-out cards, the others none of them."""
    from training import motions
    from training.cards import NAMES
    held_out = {NAMES.index(name) for name in motions.UNSEEN_CARDS}
    seen = {motions.make_episode(np.random.default_rng((5, i)), 'shown').card for i in range(12)}
    unseen = {motions.make_episode(np.random.default_rng((5, i)), 'shown', True).card
              for i in range(12)}
    assert not seen & held_out and unseen & held_out


def test_training_reduces_the_loss() -> None:
    """A few steps on a few episodes make the loss of each way smaller."""
    torch = pytest.importorskip('torch', reason='the training environment has it')
    from training import motion_models, motion_train
    torch.manual_seed(0)
    episodes = motion_train.make_episodes((6, 0), 12, 0)
    images, labels, changes = next(motion_train.windows(np.random.default_rng(0), episodes, 16))
    assert changes.shape == (16, motion_models.CHANGE)
    for model, order in ((motion_models.RecurrentModel(), (0, 1, 4, 2, 3)),
                         (motion_models.VolumeModel(), (0, 4, 1, 2, 3))):
        optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
        losses = []
        for _ in range(12):
            loss = torch.nn.functional.cross_entropy(
                model(images.permute(order)), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        assert losses[-1] < 0.7 * losses[0]


def test_mirrored_and_reversed_windows_have_the_label_of_what_they_show() -> None:
    """Left becomes right in the mirror; shown becomes hidden when time goes back."""
    pytest.importorskip('torch', reason='the training environment has it')
    from training import motion_train
    from training.motions import MOTIONS
    pairs = dict(zip(MOTIONS, [MOTIONS[i] for i in motion_train._MIRRORED]))
    assert pairs['moved_left'] == 'moved_right' and pairs['shown'] == 'shown'
    pairs = dict(zip(MOTIONS, [MOTIONS[i] for i in motion_train._REVERSED]))
    assert pairs['moved_left'] == 'moved_right' and pairs['shown'] == 'hidden'


def test_changes_follow_the_pixels_when_a_window_is_mirrored_or_reversed() -> None:
    """What moves right has a change of x to the right, and what is shown ends visible."""
    pytest.importorskip('torch', reason='the training environment has it')
    from training import motion_train
    from training.motions import FRAMES, MOTIONS
    episodes = motion_train.make_episodes((6, 0), 12, 0)
    batches = motion_train.windows(np.random.default_rng(0), episodes, 64)
    seen = set()
    for label, change in zip(*next(batches)[1:]):
        visible, (x, _, _, cosine, _) = change[:FRAMES], change[FRAMES:]
        name = MOTIONS[label]
        seen.add(name)
        if name in ('shown', 'hidden'):
            assert (visible[-1] > visible[0]) == (name == 'shown')
        elif name in ('moved_left', 'moved_right'):
            assert (x > 0) == (name == 'moved_right') and abs(x) > 0.1
        elif name == 'turned':
            assert cosine < 0.85
    assert seen == set(MOTIONS)


def test_a_threshold_leaves_the_part_of_results_right_that_is_wanted() -> None:
    """The lowest such; the interval of a part holds it."""
    pytest.importorskip('torch', reason='the training environment has it')
    from training import motion_evaluate
    from training.motions import MOTIONS
    count, nothing = 200, MOTIONS.index('nothing')
    rng = np.random.default_rng(0)
    scores = rng.dirichlet(np.full(len(MOTIONS), 0.3), count)
    labels = np.array([row.argmax() if rng.random() < row.max() else nothing for row in scores])
    chosen = motion_evaluate._choose(scores, labels)

    def right(threshold: float) -> float:
        sure = (scores.argmax(1) != nothing) & (scores.max(1) >= threshold)
        return float((scores.argmax(1) == labels)[sure].mean())

    assert right(chosen) >= motion_evaluate.PRECISION > right(chosen - 0.01) and chosen > 0.31
    low, high = motion_evaluate.interval(90, 100)
    assert (low, high) == pytest.approx((0.8256, 0.9448), abs=1e-3)
