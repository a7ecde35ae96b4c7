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

"""The model of motions that ships: its accuracy, its video, and what is said of it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest
from ros2_classify import Options, Pipeline
import yaml

MODELS = Path(__file__).resolve().parent.parent.parent / 'models'
FRAMES, RATE = 10, 10.0


@pytest.fixture(scope='module')
def pipeline() -> Pipeline:
    """Return the shipped model."""
    return Pipeline.load('cards_motion', provider='cpu')


def test_unseen_windows_are_named(pipeline: Pipeline) -> None:
    """On backgrounds and cards of no training episode; scores equal those of the bare model."""
    from training import motions
    bare = onnxruntime.InferenceSession(
        str(MODELS / 'cards_motion.onnx'), providers=['CPUExecutionProvider'])
    threshold = pipeline.descriptor.defaults.score_threshold
    right, sure = [], []
    for number in range(150):
        label = number % len(motions.MOTIONS)
        window, _, _ = motions.make_window((31, number), label, unseen=True)
        result = list(pipeline.clips(
            ((5 + i / RATE, frame) for i, frame in enumerate(window)),
            options=Options(score_threshold=0.0, top_k=6)))[-1]
        volume = np.ascontiguousarray(window.transpose(3, 0, 1, 2)[None], np.float32)
        scores = bare.run(None, {'images': volume})[0][0]
        assert (result.t0, result.t1) == pytest.approx((5.0, 5.9))
        for name, score in zip(result.labels, result.scores):
            assert score == pytest.approx(scores[motions.MOTIONS.index(name)], abs=1e-4)
        right.append(int(scores.argmax()) == label)
        if scores.argmax() != motions.NOTHING and scores.max() >= threshold:
            sure.append(right[-1])
    # The report says 91.0 % of all and 97.8 % of those above the threshold; chance is 17 %.
    assert len(sure) >= 30 and np.mean(sure) >= 0.92, f'{np.mean(sure):.3f}'
    assert np.mean(right) >= 0.81, f'{np.mean(right):.3f}'


def test_the_video_shows_what_is_written_of_it(pipeline: Pipeline) -> None:
    """The video runs at 20 Hz, the model at 10 Hz: each motion is named after its end."""
    path = MODELS / 'motions/motions.mp4'
    assert path.stat().st_size <= 300_000
    events = yaml.safe_load(path.with_suffix('.yaml').read_text(encoding='utf-8'))['motions']
    video, frames = cv2.VideoCapture(str(path)), []
    while (found := video.read())[0]:
        frames.append((len(frames) / 20.0, found[1]))
    assert len({event['label'] for event in events}) == 5
    results = list(pipeline.clips(frames, 'bgr'))
    for event in events:
        # Windows that the whole motion is in; of a turn, not all reach the threshold.
        whole = [r for r in results
                 if event['end'] <= r.t1 and r.t0 <= event['begin']]
        names = [r.labels[0] if len(r) else 'nothing' for r in whole]
        if event['label'] == 'turned':
            assert 'turned' in names and set(names) <= {'turned', 'nothing'}, (event, names)
        else:
            assert len(names) >= 2 and set(names) == {event['label']}, (event, names)
    quiet = [r for r in results if all(
        r.t1 <= event['begin'] or r.t0 >= event['end'] for event in events)]
    assert len(quiet) >= 10 and all(len(r) == 0 for r in quiet)


def test_report_repeats_the_file_and_the_card_the_report() -> None:
    """The figures are of the shipped file; way 1 hardly tells left from right."""
    report = json.loads((MODELS / 'cards_report.json').read_text(encoding='utf-8'))['motions']
    assert report['windows'] >= 600
    shipped = report['ways'][report['shipped']]
    assert shipped['accuracy'] >= 0.88 and shipped['reported_right'] >= 0.9
    low, high = shipped['interval']
    assert low < shipped['accuracy'] < high
    digest = hashlib.sha256((MODELS / 'cards_motion.onnx').read_bytes()).hexdigest()
    assert report['sha256'] == digest and report['bytes'] <= 3_000_000
    assert len(report['ways']) == 6
    assert report['ways']['motion_frames']['left_or_right'] < 0.6
    text = (MODELS / 'MODEL_CARD.md').read_text(encoding='utf-8')
    for way in report['ways'].values():
        assert f'{100 * way["accuracy"]:.1f} %' in text
    assert f'| {shipped["accuracy"]:.4f} |' in text
