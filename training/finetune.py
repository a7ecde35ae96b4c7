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


"""
Go on learning from labelled images of one's own, and measure before and after.

``python -m training finetune DIR -o OUT``; see docs/finetune.md.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from dataclasses import replace
import hashlib
import json
from pathlib import Path
import sys
import time
from typing import Any

import numpy as np
from ros2_classify import InputError
from ros2_classify_evaluation.datasets import Dataset
from ros2_classify_evaluation.datasets import open_dataset
import torch
from torch import Tensor
import torch.nn.functional as functional
from torch.utils.data import Dataset as Batches
from training import transfer
from training.batches import loader
from training.batches import to_tensor
from training.cards import NAMES
from training.crops import make_crop
from training.export import export
from training.labelled import all_names
from training.labelled import as_crops
from training.labelled import class_weights
from training.labelled import crop_view
from training.labelled import detector_view
from training.labelled import Draw
from training.labelled import Example
from training.labelled import examples
from training.labelled import split
from training.losses import detector_loss
from training.samples import make_sample
from training.train import fit
import yaml

_MODELS = Path(__file__).resolve().parent.parent / 'models'
#: Sizes of the detector's images in turn, as parts of its input.
_SIZES = (1.0, 0.75, 0.5)
_MEASURES = 4  # shown of each comparison


@dataclass(frozen=True)
class Plan:
    """How to go on learning; see the help."""

    steps: int = 300
    batch: int = 12
    rate: float = 4e-4
    seed: int = 1
    enough: float = 0.1
    weights: bool = False
    flip: bool = False
    replay: float = 0.3


class _Views(Batches):  # type: ignore[type-arg]
    """Batches for the detector, each fixed by the seed and its number."""

    def __init__(self, draw: Draw, plan: Plan, size: tuple[int, int]) -> None:
        self._draw, self._plan, self._size = draw, plan, size

    def __len__(self) -> int:
        return self._plan.steps

    def __getitem__(self, step: int) -> tuple[Tensor, list[Tensor], list[Tensor], list[Tensor]]:
        """Return images uint8 [B, 3, H, W]; boxes, classes and ignored boxes of each."""
        rng = np.random.default_rng([self._plan.seed, 4, step])
        part = _SIZES[step % len(_SIZES)]
        width, height = (round(side * part / 32) * 32 for side in self._size)
        rows: list[tuple[Any, ...]] = []
        for _ in range(self._plan.batch):
            if rng.random() < self._plan.replay:
                made = make_sample(rng, width, height, 17.0, made_up=0.2)
                rows.append((made.image, made.boxes, made.classes, np.zeros((0, 4), np.float32)))
            else:
                rows.append(detector_view(rng, self._draw(rng), width, height, self._plan.flip))
        images, *rest = zip(*rows)
        boxes, classes, ignored = ([torch.from_numpy(np.ascontiguousarray(each))
                                    for each in column] for column in rest)
        return to_tensor(list(images)), boxes, classes, ignored


class _Crops(Batches):  # type: ignore[type-arg]
    """Batches for the classifier."""

    def __init__(self, draw: Draw, plan: Plan, nothing: int | None) -> None:
        self._draw, self._plan, self._nothing = draw, plan, nothing

    def __len__(self) -> int:
        return self._plan.steps

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
        """Return images uint8 [B, 3, S, S] and classes [B]."""
        rng = np.random.default_rng([self._plan.seed, 5, step])
        rows = [make_crop(rng) if rng.random() < self._plan.replay else
                crop_view(rng, self._draw(rng), self._nothing) for _ in range(self._plan.batch)]
        return to_tensor([each[0] for each in rows]), torch.tensor([each[1] for each in rows])


def _pixels(tensor: Tensor) -> Tensor:
    return tensor.float().div_(255).contiguous(memory_format=torch.channels_last)


def learn(model: torch.nn.Module, found: list[Example], plan: Plan, classes: int,
          size: tuple[int, int], nothing: int | None) -> torch.nn.Module:
    """Go on learning; return the averaged model."""
    weights = torch.from_numpy(class_weights(found, classes)) if plan.weights else None

    def of_detector(net: torch.nn.Module, batch: Any) -> tuple[Tensor, dict[str, float]]:
        images, boxes, labels, ignored = batch
        return detector_loss(net(_pixels(images)), boxes, labels, images.shape[3],
                             images.shape[2], ignored, weights)

    def of_classifier(net: torch.nn.Module, batch: Any) -> tuple[Tensor, dict[str, float]]:
        images, labels = batch
        loss = functional.cross_entropy(net(_pixels(images)), labels, weights,
                                        label_smoothing=0.02)
        return loss, {'class': float(loss.detach())}

    detects = isinstance(model, transfer.Detector)
    if not detects:
        found = [each for each in found if len(each.classes) or nothing is not None]
    draw = Draw(found, classes, plan.enough)
    batches = _Views(draw, plan, size) if detects else _Crops(draw, plan, nothing)
    return fit(model, loader(batches, 0), plan.steps, plan.rate, 1.0,
               of_detector if detects else of_classifier, None, frozen=True)


def _descriptor(name: str) -> Path:
    place = Path(name)
    if not place.suffix:
        place = _MODELS / f'{name}.yaml'
    if place.suffix not in ('.yaml', '.yml') or not place.is_file():
        raise InputError(f'{name} is no descriptor: name cards_detector, cards_classifier, or the '
                         'YAML file of a model that was fine-tuned from them')
    return place


def measure(before: Path, after: Path, dataset: Dataset, known: tuple[str, ...],
            ) -> dict[str, Any]:
    """
    Measure both models as `ros2_classify evaluate --against` does.

    Classes that the first model does not have are measured apart, for the second one alone.
    """
    from ros2_classify_evaluation.cli import measure as run
    from ros2_classify_evaluation.compare import compare

    names = all_names(known, dataset.names)[0]
    new = list(names[len(known):])
    options = argparse.Namespace(map=[f'{name}=' for name in new], threads=1)
    one, two = (run(str(each), dataset, options, 'cpu') for each in (before, after))
    result = {
        'images': len(dataset), 'new_classes': new,
        'measures': {name: {'before': one.measures[name].value, 'after': two.measures[name].value,
                            'difference': value.to_dict()}
                     for name, value in compare(one, two).differences.items()}}
    if new:
        options.map = []
        alone = run(str(after), dataset, options, 'cpu')
        result['with_new_classes'] = {name: value.to_dict()
                                      for name, value in alone.measures.items()}
        result['per_class'] = alone.to_dict()['per_class']
    return result


def table(measured: dict[str, Any]) -> str:
    """Return the measures as Markdown."""
    lines = ['| on | measure | before | after | difference (95 %) |', '|---|---|---|---|---|']
    for place, each in measured.items():
        for name, row in list(each['measures'].items())[:_MEASURES]:
            d = row['difference']
            lines.append(f'| {place} ({each["images"]}) | {name} | {row["before"]:.4f} | '
                         f'{row["after"]:.4f} | {d["value"]:+.4f} ({d["low"]:+.4f} to '
                         f'{d["high"]:+.4f}) |')
        for name, value in list(each.get('with_new_classes', {}).items())[:1]:
            lines.append(f'| {place}, with {", ".join(each["new_classes"])} | {name} | | '
                         f'{value["value"]:.4f} | |')
    return '\n'.join(lines) + '\n'


def finetune(source: str, out: Path, model: str = 'cards_detector', plan: Plan = Plan(), *,
             kind: str = 'auto', least: float | None = None, held_out: str = '',
             also: str = '') -> dict[str, Any]:
    """
    Fine-tune a model of the shipped architecture, export it, and measure it.

    Parameters
    ----------
    source
        Labelled images: a directory of `curate` or any other dataset of `evaluate`.
    out
        Directory for the model, its descriptor, its card and finetune.json.
    model
        'cards_detector', 'cards_classifier', or a descriptor.
    plan
        How to learn.
    kind
        The format of `source`.
    least
        Score from which pre-labels count that nobody has checked; None leaves them out.
    held_out
        A dataset to measure on; by default a fifth of the checked images.
    also
        A second one, such as images of the place where the model came from.

    Returns
    -------
    dict
        What finetune.json says.

    Raises
    ------
    InputError
        If the data or the model cannot be used.

    """
    path = _descriptor(model)
    descriptor = yaml.safe_load(path.read_text(encoding='utf-8'))
    task, old = descriptor['task'], tuple(descriptor['labels'])
    dataset = open_dataset(source, kind)
    if dataset.task != task and (dataset.task, task) != ('detection', 'classification'):
        raise InputError(f'{source} has labels for {dataset.task}, but {descriptor["name"]} is '
                         f'for {task}')
    names, positions = all_names(old, dataset.names)
    if len(set(old) & set(NAMES)) < len(NAMES) and plan.replay:
        raise InputError('generated images show the demo cards, which this model does not know: '
                         'give --replay 0')
    found = examples(dataset, positions, least)
    if held_out:
        learned, test = found, open_dataset(held_out)
    else:
        learned, held = split(found, 0.2, plan.seed)
        test = replace(dataset, samples=[each.sample for each in held])
    if not test.samples or not any(each.checked for each in learned):
        raise InputError('there are too few checked images to learn from and to measure with: '
                         'check more, or name other ones with --held-out')
    width, height = descriptor['input']['size']
    try:
        net = transfer.load(path.parent / descriptor['source']['path'], task, len(old))
    except ValueError as error:
        raise InputError(str(error)) from error
    torch.manual_seed(plan.seed)
    if len(names) > len(old):
        net = transfer.grow(net, len(names))
    begin = time.monotonic()
    net = learn(net, learned, plan, len(names), (width, height),
                descriptor['output'].get('background'))
    seconds = time.monotonic() - begin
    out.mkdir(parents=True, exist_ok=True)
    file = out / f'{descriptor["name"].removesuffix("_tuned")}_tuned.onnx'
    export(net, file, width, height, 'output' if task == 'detection' else 'probabilities')
    checked = sum(each.checked for each in learned)
    result: dict[str, Any] = {
        'model': descriptor['name'], 'sha256_before': descriptor['source']['sha256'],
        'sha256': hashlib.sha256(file.read_bytes()).hexdigest(), 'data': source,
        'checked_images': checked, 'prelabelled_images': len(learned) - checked,
        'prelabels_from': least, 'labels': list(names), 'seconds': round(seconds, 1),
        'plan': vars(plan)}
    tuned = file.with_suffix('.yaml')
    _write_descriptor(tuned, descriptor, file, result)
    sets = {'held out': test, **({'also': open_dataset(also)} if also else {})}
    result['measured'] = {
        name: measure(path, tuned, as_crops(each) if task == 'classification' else each, old)
        for name, each in sets.items()}
    (out / 'finetune.json').write_text(json.dumps(result, indent=1) + '\n', encoding='utf-8')
    (out / 'MODEL_CARD.md').write_text(_card(file.stem, result), encoding='utf-8')
    return result


def _write_descriptor(place: Path, before: dict[str, Any], file: Path,
                      result: dict[str, Any]) -> None:
    after = {**before, 'name': file.stem, 'labels': result['labels'],
             'source': {'path': file.name, 'sha256': result['sha256']},
             'provenance': f'Fine-tuned from {before["name"]} by training/; see MODEL_CARD.md'}
    after.pop('notes', None)
    place.write_text('# Written by `python -m training finetune`.\n' + yaml.safe_dump(
        after, sort_keys=False, default_flow_style=None, width=95), encoding='utf-8')


def _card(name: str, result: dict[str, Any]) -> str:
    marked = result['prelabelled_images']
    return (
        f'# {name}\n\nFine-tuned from {result["model"]} (sha256 {result["sha256_before"]}) on '
        f'{result["checked_images"]} images that a person has checked'
        + (f' and {marked} with pre-labels from the score {result["prelabels_from"]}, which '
           'nobody has' if marked else '')
        + f'.\n\nClasses: {", ".join(result["labels"])}.\n\n{table(result["measured"])}\n'
        'Intervals: 200 resamples of the images. The threshold is that of the first model; choose '
        'another with `models threshold`. `finetune.json` has all numbers and options.\n')


def main(arguments: list[str]) -> int:
    """Read the arguments, and do it."""
    plan = Plan()
    parser = argparse.ArgumentParser(
        prog='python -m training finetune', description=__doc__.split('\n')[1],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument('data', metavar='DIR', help='labelled images: a directory of curate, or '
                        'any other dataset of evaluate')
    parser.add_argument('-o', '--output', type=Path, required=True, metavar='OUT')
    parser.add_argument('--model', default='cards_detector',
                        help='cards_detector, cards_classifier, or a descriptor')
    parser.add_argument('--format', default='auto', help='of DIR, as for evaluate')
    parser.add_argument('--prelabels', type=float, metavar='SCORE',
                        help='also learn from pre-labels of this score that nobody has checked')
    parser.add_argument('--held-out', default='', metavar='DIR2',
                        help='measure on these images (default: a fifth of the checked ones)')
    parser.add_argument('--also', default='', metavar='DIR3', help='measure on these as well')
    parser.add_argument('--steps', type=int, default=plan.steps)
    parser.add_argument('--batch', type=int, default=plan.batch, help='images of a step')
    parser.add_argument('--rate', type=float, default=plan.rate, help='highest learning rate')
    parser.add_argument('--seed', type=int, default=plan.seed)
    parser.add_argument('--oversample', type=float, default=plan.enough, metavar='SHARE',
                        help='show classes more often that fewer images have; 0: none')
    parser.add_argument('--class-weights', action='store_true',
                        help='let mistakes with rare classes cost more')
    parser.add_argument('--flip', action='store_true', help='mirror images; not where left and '
                        'right are different classes')
    parser.add_argument('--replay', type=float, default=plan.replay, metavar='SHARE',
                        help='part of generated images of the demo cards, against forgetting')
    parser.add_argument('--threads', type=int, default=1)
    args = parser.parse_args(arguments)
    torch.set_num_threads(args.threads)
    try:
        result = finetune(
            args.data, args.output, args.model,
            Plan(args.steps, args.batch, args.rate, args.seed, args.oversample,
                 args.class_weights, args.flip, args.replay),
            kind=args.format, least=args.prelabels, held_out=args.held_out, also=args.also)
    except InputError as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    print(table(result['measured']), end='')
    print(f'wrote {args.output}')
    return 0
