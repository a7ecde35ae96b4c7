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

"""The benchmark's camera: how many images it sends, and that it stops when nobody listens."""

import threading

import numpy as np
import pytest
from ros2_classify_benchmark.nodes.source import Source


@pytest.mark.parametrize('rate', [30.0, 0.01])
def test_a_run_ends_before_its_time_when_it_is_over(tmp_path, rate):
    over, sent, out = threading.Event(), threading.Event(), tmp_path / 'sent.npy'
    source = Source({'image': lambda number, stamp: sent.set()}, over)
    run = threading.Thread(
        target=source.run, args=(['image'], rate, 600.0, str(out)), daemon=True)
    run.start()
    assert sent.wait(20)
    over.set()
    run.join(20)
    assert not run.is_alive()
    # The rest was not sent in a hurry.
    assert 0 < len(np.load(out)) < 1000


def test_each_topic_gets_its_turn(tmp_path):
    sent = []
    source = Source({name: lambda number, stamp, name=name: sent.append((name, number, stamp))
                     for name in ('a', 'b')})
    source.run(['a', 'b'], 100.0, 0.1, str(tmp_path / 'sent.npy'))
    rows = np.load(tmp_path / 'sent.npy')
    assert rows[:, 0].tolist() == [number % 2 for number in range(len(rows))]
    assert [name for name, _, _ in sent] == ['ab'[camera] for camera in rows[:, 0]]
    assert [number for _, number, _ in sent] == list(range(len(rows)))
    # No two images have the same stamp.
    assert rows[:, 1].tolist() == sorted({stamp for _, _, stamp in sent})


def test_chosen_images_are_sent_once():
    sent = []
    source = Source({'image': lambda number, stamp: sent.append((number, stamp))})
    stamps = source.show('image', [4, 2, 7], 1000.0)
    assert sent == list(zip([4, 2, 7], stamps))
    assert stamps == sorted(set(stamps))
