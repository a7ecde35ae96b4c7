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

"""Draw, train, export, test: `python -m training` does it all."""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
import sys
import time
from typing import Any

import torch

from training import descriptors
from training import evaluate
from training import motion_evaluate
from training import motion_export
from training import motion_sample
from training import report
from training import sample_images
from training import sheet
from training.crops import SIDE
from training.export import export
from training.motion_train import train_motions
from training.train import train_classifier
from training.train import train_detector

_PARTS = ('sheet', 'images', 'classifier', 'detector', 'motions', 'report', 'motions_report')
_ROOT = Path(__file__).resolve().parent.parent


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='python -m training', description='Train the demo card models from nothing; '
                                               '"finetune --help" goes on.',
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument('--output', type=Path, default=_ROOT / 'models',
                        help='directory for everything that ships')
    parser.add_argument('--only', nargs='+', choices=_PARTS, default=_PARTS, metavar='PART',
                        help=f'do these parts only: {", ".join(_PARTS)}')
    parser.add_argument('--seed', type=int, default=1, help='the one source of chance')
    parser.add_argument('--shorten', type=float, default=1.0, metavar='FACTOR',
                        help='train for this part of the steps only, for a trial')
    parser.add_argument('--start', type=Path, metavar='WEIGHTS',
                        help='weights (.pt) of the detector to go on from')
    parser.add_argument('--done', type=int, default=0, metavar='ROUNDS',
                        help='rounds that the weights of --start have behind them')
    parser.add_argument('--threads', type=int, default=2, help='threads that learn')
    parser.add_argument('--workers', type=int, default=2, help='processes that make images')
    parser.add_argument('--snapshots', action='store_true',
                        help='write the weights (.pt) every 500 steps')
    parser.add_argument('--images', type=int, default=1000, help='unseen images in the report')
    parser.add_argument('--crops', type=int, default=5000, help='unseen crops in the report')
    parser.add_argument('--windows', type=int, default=600,
                        help='unseen windows in the report on motions')
    parser.add_argument('--motions', type=Path, default=_ROOT / 'training/runs/motions',
                        help='directory for the models of motions that do not ship')
    parser.add_argument('--photographs', type=Path,
                        help='directory of photographs without cards, to count false alarms on')
    return parser.parse_args()


def _train_detector(args: argparse.Namespace) -> None:
    path = args.output / 'cards_detector.onnx'
    model = train_detector(args.seed, args.shorten, args.workers, args.start,
                           args.done, path.with_suffix('.pt') if args.snapshots else None)
    export(model, path, *descriptors.DETECTOR_SIZE, 'output')
    descriptors.write_detector(path)


def _train_classifier(args: argparse.Namespace) -> None:
    path = args.output / 'cards_classifier.onnx'
    model = train_classifier(args.seed, args.shorten, args.workers,
                             path.with_suffix('.pt') if args.snapshots else None)
    export(model, path, SIDE, SIDE, 'probabilities')
    descriptors.write_classifier(path)


def _report(args: argparse.Namespace) -> None:
    detector, classifier = (args.output / f'cards_{name}.onnx'
                            for name in ('detector', 'classifier'))
    threshold = descriptors.DETECTOR_THRESHOLD
    measured: dict[str, Any] = {
        'detector': evaluate.measure_detector(detector, args.seed, args.images, threshold),
        'card_free': evaluate.count_false_alarms(detector, args.seed, args.images, threshold),
        'classifier': evaluate.measure_classifier(classifier, args.seed, args.crops)}
    for part, file in (('detector', detector), ('classifier', classifier)):
        measured[part]['bytes'] = file.stat().st_size
        measured[part]['sha256'] = hashlib.sha256(file.read_bytes()).hexdigest()
    if args.photographs:
        measured['photographs'] = evaluate.count_on_photographs(
            detector, args.photographs, threshold)
    report.write(measured, args.output / 'cards_report.json', args.output / 'MODEL_CARD.md')
    print(report.figures(measured))


def _train_motions(args: argparse.Namespace) -> None:
    trained = train_motions(args.seed, args.shorten, args.workers, args.motions)
    motion_export.export_motions(trained, args.motions)
    thresholds = motion_evaluate.choose_thresholds(args.motions, args.seed, args.windows)
    motion_export.set_thresholds(args.motions, thresholds)
    motion_export.ship(args.motions, args.output, thresholds[motion_export.SHIPPED])


def _report_motions(args: argparse.Namespace) -> None:
    measured = motion_evaluate.measure_motions(args.motions, args.seed, args.windows)
    motion_evaluate.measure_shipped(args.output, measured)
    report.write_motions(measured, args.output / 'cards_report.json',
                         args.output / 'MODEL_CARD.md')
    print(motion_evaluate.figures(measured))


def main() -> None:
    """Run the parts that were asked for, or fine-tune."""
    if sys.argv[1:2] == ['finetune']:
        # Needs the product, unlike the rest; the checkout has both of its packages.
        sys.path.append(str(_ROOT / 'packages/ros2_classify_evaluation'))
        from training.finetune import main as finetune
        sys.exit(finetune(sys.argv[2:]))
    args = _arguments()
    args.output.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(args.threads)
    steps = {
        'sheet': lambda: (sheet.write_pdf(args.output / 'cards_sheet.pdf'),
                          sheet.write_png(args.output / 'cards_sheet.png')),
        'images': lambda: (
            sample_images.write_sample_images(args.output / 'scenes'),  # words: old
            motion_sample.write_video(args.output / 'motions')),
        'classifier': lambda: _train_classifier(args),
        'detector': lambda: _train_detector(args),
        'motions': lambda: _train_motions(args),
        'report': lambda: _report(args),
        'motions_report': lambda: _report_motions(args)}
    for part in _PARTS:
        if part in args.only:
            begin = time.monotonic()
            print(f'{part} ...', flush=True)
            steps[part]()
            print(f'{part} done in {time.monotonic() - begin:.0f} s', flush=True)


if __name__ == '__main__':
    main()
