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

"""``models quantize``: write a model with 8-bit or 16-bit numbers."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from importlib import import_module
import itertools
import os
from pathlib import Path
from typing import Any, TYPE_CHECKING

from ros2_classify.cli import (
    EXIT_MODEL, EXIT_OK, models_files as fetching, say, show, show_json, with_old_keys)

if TYPE_CHECKING:
    from ros2_classify.quantize import Images, Pixels

_SUFFIXES = ('.bmp', '.jpeg', '.jpg', '.png', '.tif', '.tiff', '.webp')
_BAGS = 'ros2_classify_benchmark.nodes.bag'
# What measures two models on labelled images, of another package: a function of the dataset, its
# format and names, which returns a function of both models.
_COMPARISONS = 'ros2_classify.comparisons'
# What a share of equal results doesn't tell, by task.
_UNKNOWN = {'detection': 'average precision (AP)', 'classification': 'F1',
            'segmentation': 'mean IoU'}


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its arguments."""
    parser = verbs.add_parser(
        'quantize', help='write a model with 8-bit or 16-bit numbers',
        description='Calibrate a model on images of what the robot will see, write it with '
                    '8-bit or 16-bit numbers and a descriptor, and report how often both '
                    'agree. Needs the package onnx (pip install onnx).')
    parser.add_argument('model', metavar='MODEL', help='a name from "models list", a descriptor '
                        'file (.yaml), or the path or URL of a model file')
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument('--images', metavar='DIRECTORY', help='a directory of images')
    given.add_argument('--bag', metavar='BAG', help='a bag with images (needs ROS 2)')
    parser.add_argument('--topic', default='', metavar='NAME',
                        help="the bag's topic (default: the first one with images)")
    parser.add_argument('--limit', type=int, default=200, metavar='N',
                        help='maximum number of images (default: 200)')
    parser.add_argument('-o', '--output', metavar='FILE', required=True,
                        help='the .onnx file to write, such as NAME-int8.onnx')
    parser.add_argument('--precision', choices=('int8', 'fp16'), default='int8',
                        help='number type of the new model (default: int8)')
    parser.add_argument('--target', choices=('cpu', 'tensorrt'), default='cpu',
                        help='the execution provider of the int8 model (default: cpu)')
    parser.add_argument(
        '--data', metavar='DATA', help='labelled images, on which both models are measured (needs '
        'the package ros2_classify_evaluation; formats as in evaluate)')
    parser.add_argument('--format', default='auto', metavar='FORMAT',
                        help='format of --data (default: detected)')
    parser.add_argument('--map', action='append', default=[], metavar='NAME=NAME',
                        help='class of --data, and its name in the model')
    parser.add_argument('--max-drop', type=float, metavar='DROP',
                        help='with --data: exit code 1 if the first measure falls by more')
    parser.add_argument('--force', action='store_true', help='overwrite existing files')
    parser.add_argument('--json', action='store_true', help='print one JSON object')
    fetching.add_arguments(parser)
    parser.set_defaults(run=run_quantize)


def run_quantize(arguments: argparse.Namespace) -> int:
    """Quantize one model; errors are raised."""
    from ros2_classify.errors import OptionsError
    from ros2_classify.quantize import quantize_model

    if arguments.limit < 1:
        raise OptionsError(f'--limit is {arguments.limit} but must be at least 1')
    if arguments.max_drop is not None and not arguments.data:
        raise OptionsError('--max-drop needs labelled images: give --data')
    measure = _comparison(arguments) if arguments.data else None
    source = (_bag(arguments.bag, arguments.topic) if arguments.bag
              else _directory(arguments.images))
    done = quantize_model(
        arguments.model, lambda: itertools.islice(source(), arguments.limit),
        Path(os.path.expanduser(arguments.output)), target=arguments.target,
        precision=arguments.precision, fetch=fetching.options_of(arguments), force=arguments.force)
    compared = measure(arguments.model, str(done.descriptor)) if measure else None
    if arguments.json:
        measured = {'labelled': compared.to_dict()} if compared else {}
        show_json(with_old_keys({
            'model': str(done.model), 'descriptor': str(done.descriptor),
            'images': done.images, 'agreement': round(done.agreement, 4),
            'bytes_before': done.bytes_before, 'bytes_after': done.bytes_after, **measured}))
    else:
        show(f'{done.model} ({done.bytes_after / 1e6:.1f} MB, was {done.bytes_before / 1e6:.1f} '
             f'MB) and {done.descriptor}')
        verb = 'compared' if arguments.precision == 'fp16' else 'measured'
        show(f'{verb} on {done.images} images; {done.agreement:.0%} of the results are the same')
        unknown = _UNKNOWN.get(done.task, 'accuracy')
        show(compared.sentence if compared else
             f'how much {unknown} it loses is unknown: that takes labelled images (--data)')
    if compared and arguments.max_drop is not None and not compared.drop <= arguments.max_drop:
        say('error', f'{compared.measure} falls by {compared.drop:.4f}, more than '
                     f'{arguments.max_drop:g}: keep the original')
        return EXIT_MODEL
    return EXIT_OK


def _comparison(arguments: argparse.Namespace) -> Any:
    """Return what measures both models, of the package that is installed for it."""
    from importlib.metadata import entry_points

    from ros2_classify.errors import OptionsError

    for point in entry_points(group=_COMPARISONS):
        return point.load()(arguments.data, arguments.format, arguments.map)
    raise OptionsError(
        '--data needs the package ros2_classify_evaluation, which is not installed; build '
        'packages/ with colcon too, or install it from there with pip')


def _directory(name: str) -> Images:
    """Return the images of a directory, in the order of their names."""
    from ros2_classify.errors import InputError
    from ros2_classify.image_io import read_image

    directory = Path(os.path.expanduser(name))
    try:
        paths = sorted(path for path in directory.iterdir() if path.suffix.lower() in _SUFFIXES)
    except OSError as error:
        raise InputError(f'{directory}: not a directory of images: {error.strerror}') from error
    if not paths:
        raise InputError(f'{directory}: no images in it; supported are {", ".join(_SUFFIXES)}')

    def images() -> Iterator[Pixels]:
        for path in paths:
            yield read_image(path)

    return images


def _bag(name: str, topic: str) -> Images:
    """Return the images of a bag, in the order they were recorded."""
    from ros2_classify.errors import InputError

    try:
        module = import_module(_BAGS)
    except ImportError as error:
        raise InputError(f'reading the bag {name} needs ROS 2 ({error}); source it, or use '
                         '--images') from error
    return lambda: module.images_of_bag(name, topic)
