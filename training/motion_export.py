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

"""Write the models of motions as ONNX with descriptors; assert that they are as in torch."""

from __future__ import annotations

from collections.abc import Callable
import copy
from dataclasses import dataclass
import hashlib
import os
from pathlib import Path
import shutil

import numpy as np
import onnx
import torch
from torch import nn

from training import motion_models as models
from training import motions
from training.descriptors import LICENSE
from training.motion_train import Models
from training.runner import open_session

#: The way that ships, and the name of its files.
SHIPPED = 'motion_3dcnn'
SHIPPED_AS = 'cards_motion'
#: Lower scores are not reported: a card at rest and one that turns are told apart badly.
_TOLERANCE = 2e-4
_WIDTH, _HEIGHT = motions.SIZE
_FRAME = (3, _HEIGHT, _WIDTH)

_DESCRIPTOR = """{license}

# Written by `python -m training`; see training/README.md.

name: {name}
task: {task}
source:
  path: {name}.onnx
  sha256: {sha256}
{body}license: Apache-2.0
provenance: Trained from scratch by training/ on generated episodes; see MODEL_CARD.md
notes: >-
  {notes}
"""
_LABELS = f'labels: [{", ".join(motions.MOTIONS)}]\n'
_IMAGES = """input:
  size: [{width}, {height}]
  layout: {layout}
  dtype: float32
  color: rgb
  resize: stretch
  interpolation: pyramid
"""
_CLASSES = f"""output:
  decoder: classification{{output}}
  activation: none
  background: {motions.NOTHING}
defaults:
  score_threshold: {{threshold}}
  top_k: 1
"""


@dataclass(frozen=True)
class Way:
    """
    One exported model.

    Attributes
    ----------
    name : str
        Of its files.
    title : str
        What it is, in the report.
    shape : tuple of int
        Of the input, without the batch; the features of FRAMES frames where it begins with T.
    layout : str
        Of images; empty where the input is features.
    clip : str
        The descriptor's lines on time.
    notes : str
        One sentence for the descriptor.

    """

    name: str
    title: str
    shape: tuple[int, ...]
    layout: str
    clip: str
    notes: str


_T = motions.FRAMES
_RATE = f'{motions.RATE:g}'
_WINDOW = 'A motion of one demo card in a second of video'
WAYS = {way.name: way for way in (
    Way('motion_frames', '1 CNN on single frames, which vote', _FRAME, 'nchw',
        f'clip: {{frames: {_T}, rate: {_RATE}, vote: mean}}\n',
        f'{_WINDOW}; it cannot tell left from right, since no single frame shows it'),
    Way('motion_features', 'CNN features of ways 2 and 4', _FRAME, 'nchw', '',
        'Where a demo card is in one frame, as a vector for motion_rnn and motion_mlp'),
    Way('motion_rnn', '2 CNN features → GRU', (_T, models.FEATURES), '',
        f'clip: {{rate: {_RATE}, encoder: motion_features.yaml}}\n', _WINDOW),
    Way('motion_cnn_rnn', '3 CNN and GRU in one, window', (_T, _HEIGHT, _WIDTH, 3), 'nthwc',
        f'clip: {{rate: {_RATE}}}\n', _WINDOW),
    Way('motion_stream', '3 CNN and GRU in one, with state', (1, _HEIGHT, _WIDTH, 3), 'nthwc',
        f'clip: {{frames: {_T}, rate: {_RATE}}}\nstate: [{{input: state, output: next_state}}]\n',
        f'{_WINDOW}, frame by frame'),
    Way('motion_mlp', '4 CNN features → MLP', (_T, models.FEATURES), '',
        f'clip: {{rate: {_RATE}, encoder: motion_features.yaml}}\n', _WINDOW),
    Way('motion_3dcnn', '5 3D CNN', (3, _T, _HEIGHT, _WIDTH), 'ncthw',
        f'clip: {{rate: {_RATE}}}\n', _WINDOW))}


def _modules(trained: Models) -> dict[str, nn.Module]:
    modules = {
        'motion_frames': models.ShippedFrames(trained.voting, True),
        'motion_features': models.ShippedFrames(trained.encoder, False),
        'motion_rnn': models.ShippedHead(trained.recurrent_head),
        'motion_cnn_rnn': models.ShippedWindow(trained.recurrent, True),
        'motion_stream': models.ShippedStream(trained.recurrent.frames, trained.recurrent.head),
        'motion_mlp': models.ShippedHead(trained.dense_head),
        'motion_3dcnn': models.ShippedWindow(trained.volume, False)}
    return {name: copy.deepcopy(module).eval() for name, module in modules.items()}


def _write_model(module: nn.Module, path: Path, way: Way) -> None:
    given = (torch.zeros(1, *way.shape),)
    inputs = ['images' if way.layout else 'features']
    outputs = ['probabilities' if way.name != 'motion_features' else 'features']
    if way.name == 'motion_stream':
        given += (torch.zeros(1, models.STATE),)
        inputs, outputs = [*inputs, 'state'], [*outputs, 'next_state']
    part = path.with_suffix('.part')
    torch.onnx.export(
        module, given, str(part), dynamo=False, opset_version=13, input_names=inputs,
        output_names=outputs, dynamic_axes={name: {0: 'batch'} for name in inputs + outputs})
    model = onnx.load(str(part))
    model.producer_name = 'ros2_classify training'
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(part))
    os.replace(part, path)


@torch.no_grad()
def _assert_equal(module: nn.Module, path: Path, rng: np.random.Generator) -> None:
    """Compare the file in ONNX Runtime with torch, one input at a time and three."""
    session = open_session(path)
    for batch in (1, 3):
        given = {}
        for spec in session.get_inputs():
            high = 255 if spec.name == 'images' else 1
            given[spec.name] = rng.uniform(0, high, (batch, *spec.shape[1:])).astype(np.float32)
        wanted = module(*(torch.from_numpy(array) for array in given.values()))
        wanted = wanted if isinstance(wanted, tuple) else (wanted,)
        for one, other in zip(session.run(None, given), wanted):
            np.testing.assert_allclose(one, other.numpy(), atol=_TOLERANCE, rtol=_TOLERANCE)


def _write_descriptor(path: Path, way: Way, threshold: float) -> None:
    body = '' if way.name == 'motion_features' else _LABELS
    if way.layout:
        body += _IMAGES.format(width=_WIDTH, height=_HEIGHT, layout=way.layout)
    body += way.clip
    if way.name == 'motion_features':
        body += 'output:\n  decoder: embedding\n'
    else:
        output = '\n  output: probabilities' if way.name == 'motion_stream' else ''
        body += _CLASSES.format(output=output, threshold=threshold)
    path.with_suffix('.yaml').write_text(_DESCRIPTOR.format(
        license=LICENSE, name=path.stem, body=body, notes=way.notes,
        task='embedding' if way.name == 'motion_features' else 'classification',
        sha256=hashlib.sha256(path.read_bytes()).hexdigest()), encoding='utf-8')


def export_motions(trained: Models, directory: Path,
                   choose: Callable[[str], bool] = lambda name: True) -> None:
    """
    Write the ONNX files and descriptors of all ways.

    Parameters
    ----------
    trained
        The models.
    directory
        Where to; made if missing.
    choose
        Takes the name of a way; False leaves it out.

    Raises
    ------
    AssertionError
        If ONNX Runtime's results differ from torch's.

    """
    directory.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for name, module in _modules(trained).items():
        if choose(name):
            path = directory / f'{name}.onnx'
            _write_model(module, path, WAYS[name])
            _assert_equal(module, path, rng)
            _write_descriptor(path, WAYS[name], 0.5)


def set_thresholds(directory: Path, thresholds: dict[str, float]) -> None:
    """Write the descriptors again, each with the threshold of its way."""
    for name, threshold in thresholds.items():
        _write_descriptor(directory / f'{name}.onnx', WAYS[name], threshold)


def ship(directory: Path, output: Path, threshold: float) -> None:
    """Copy the way that ships to where models ship."""
    output.mkdir(parents=True, exist_ok=True)
    path = output / f'{SHIPPED_AS}.onnx'
    shutil.copyfile(directory / f'{SHIPPED}.onnx', path)
    _write_descriptor(path, WAYS[SHIPPED], threshold)
