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

"""Models whose results are known beforehand, and models that can't be loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ros2_classify.testing import save_known_classifier

_SIZE = (224, 224)
_WORK = 16
_SCORES = {'ants': (0.75, 0.25), 'bees': (0.375, 0.125, 0.5), 'cats': (0.25, 0.5, 0.125, 0.0625)}
# A slow one, of about 50 ms.
_SLOW = ('snails', (0.625, 0.375), 32_000)


@dataclass(frozen=True)
class Known:
    """
    A model.

    Parameters
    ----------
    name : str
        Its name.
    path : Path
        Its descriptor.
    scores : mapping of str to float
        Its result: the scores by label.
    slow : bool
        Whether it takes longer than a camera of 30 images a second gives it.

    """

    name: str
    path: Path
    scores: dict[str, float]
    slow: bool = False


@dataclass(frozen=True)
class Failing:
    """
    A model that can't be loaded.

    Parameters
    ----------
    path : Path
        What to ask for.
    words : str
        A part of the expected reason.

    """

    path: Path
    words: str


def save_models(directory: Path) -> tuple[list[Known], list[Failing]]:
    """Write the models."""
    def save(name: str, scores: tuple[float, ...], **kind: int) -> Known:
        path = save_known_classifier(
            directory, name, scores, size=_SIZE,
            defaults=f'score_threshold: 0.01, top_k: {len(scores)}', **kind)
        return Known(name, path, {
            f'{name} {number}': score for number, score in enumerate(scores)}, 'turns' in kind)

    known = [save(name, scores, work=_WORK) for name, scores in _SCORES.items()]
    known.append(save(*_SLOW[:2], turns=_SLOW[2]))
    good = known[0].path.read_text()
    source = next(line for line in good.splitlines() if line.startswith('source'))
    model = known[0].path.with_suffix('.onnx').read_bytes()
    (directory / 'broken.onnx').write_bytes(model[:len(model) // 2])
    (directory / 'broken.yaml').write_text(good.replace(source, 'source: {path: broken.onnx}'))
    (directory / 'forged.yaml').write_text(
        good.replace(source, f'source: {{path: ants.onnx, sha256: {"f" * 64}}}'))
    (directory / 'other_task.yaml').write_text(
        good.replace('task: classification', 'task: detection').replace(
            'decoder: classification, activation: none', 'decoder: no_such_decoder'))
    return known, [
        Failing(directory / 'broken.yaml', 'broken.onnx'),
        Failing(directory / 'missing.yaml', 'missing.yaml'),
        Failing(directory / 'forged.yaml', 'ffffffff'),
        Failing(directory / 'other_task.yaml', 'no_such_decoder')]


def whose(result: Any, known: list[Known]) -> str:
    """Return the model that a result is from, `nobody` if none matches."""
    said = {each.class_id: each.score for each in result.results}
    for model in known:
        if said and all(model.scores.get(label) == score for label, score in said.items()):
            return model.name
    return 'nobody'
