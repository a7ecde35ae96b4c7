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

"""The examples of docs/clips.md: each descriptor, with a tiny model, against a plain loop."""

import re

from clip_models import (
    IN_RNN, RNN, save_mlp, save_rnn, save_streaming, save_votes, save_window, SIZE, softmax,
    WEIGHTS)
import numpy as np
import pytest
from ros2_classify import Pipeline
from shared_data import ROOT

PAGE = (ROOT / 'docs/clips.md').read_text(encoding='utf-8')
EXAMPLES = {re.search('name: (.*)', text)[1]: text
            for text in re.findall(r'^```yaml\n(.*?)^```', PAGE, re.M | re.S)}
random = np.random.default_rng(2)
FRAMES = [random.integers(0, 256, (SIZE, SIZE, 3), np.uint8) // (1 + number % 4)
          for number in range(8)]
STAMPS = [number / 10 for number in range(8)]


def plain(name):
    """Return the scores after the last frame."""
    pixels = [frame.astype(np.float32) / 255 for frame in FRAMES]
    colours = [frame.mean(axis=(0, 1)) for frame in pixels]
    if name == 'votes':
        return np.mean([softmax(each) for each in colours[-4:]], axis=0)
    if name == 'mlp':
        return softmax(np.concatenate(colours[-4:]) @ WEIGHTS[12])
    if name == 'rnn':
        hidden = np.zeros(3, np.float32)
        for each in colours:
            hidden = np.tanh(each @ IN_RNN + hidden @ RNN)
        return softmax(hidden)
    if name == 'streaming':
        memory = np.zeros(2)
        for each in pixels:
            memory = memory / 2 + each.mean() * np.array([1, -2])
        return softmax(np.array([*memory, np.sin(len(pixels))]))
    return softmax(np.array([each.mean() for each in pixels[-4:]]) @ WEIGHTS[4])


def save_all(directory):
    for save in (save_mlp, save_rnn, save_streaming, save_votes, save_window):
        save(directory)
    save_window(directory, name='volume', layout='ncthw')
    for name, text in EXAMPLES.items():
        (directory / f'{name}.yaml').write_text(text)


@pytest.mark.parametrize('name', [name for name in EXAMPLES if name != 'encoder'])
def test_each_way_of_the_page(tmp_path, name):
    save_all(tmp_path)
    with Pipeline.load(tmp_path / f'{name}.yaml', task='classification') as pipeline:
        last = list(pipeline.clips(zip(STAMPS, FRAMES)))[-1]
    scores = last.scores[np.argsort(last.class_ids)]
    np.testing.assert_allclose(scores, plain(name), atol=2e-6)
    assert last.t1 == STAMPS[-1]


def test_the_page_has_all_five_ways():
    assert [*EXAMPLES] == ['votes', 'rnn', 'encoder', 'window', 'streaming', 'mlp', 'volume']


def test_the_program_of_the_page(tmp_path, capsys):
    save_all(tmp_path)
    names = {}
    exec(re.search(r'^```python\n(.*?)^```', PAGE, re.M | re.S)[1], names)
    names['classify'](tmp_path / 'window.yaml', zip(STAMPS, FRAMES))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5 and lines[0].startswith('0.0 to 0.3 s: ')
