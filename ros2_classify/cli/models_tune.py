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

"""``models tune``: measure how a model runs best on this machine."""

from __future__ import annotations

import argparse
import re

from ros2_classify.cli import EXIT_OK, say, show, show_json


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its arguments."""
    parser = verbs.add_parser(
        'tune', help='measure how a model runs best on this machine',
        description='Try execution providers, threads and other settings on this machine, in '
                    'separate processes, and compare the results with those of the defaults. '
                    'Print a table and record the best settings; the server and the Python API '
                    'then use them (parameter tuning). Precision and input size change only on '
                    'request.')
    parser.add_argument('model', metavar='MODEL', help='a name from "models list", a descriptor '
                        'file (.yaml), or the path of a model file')
    parser.add_argument('--data', metavar='SOURCE', help='images, a video, a bag or a labelled '
                        'dataset that show what the robot sees (default: sample images)')
    parser.add_argument('--budget', type=float, default=120.0, metavar='SECONDS',
                        help='maximum time (default: 120)')
    parser.add_argument('--cameras', type=int, default=1, metavar='N',
                        help='how many cameras will share the model (default: 1)')
    parser.add_argument('--target', choices=('latency', 'throughput', 'cpu'), metavar='TARGET',
                        help='latency, throughput, or cpu: least processor time without being '
                             'slower (default: latency; throughput with several cameras)')
    parser.add_argument('--precision', action='append', default=[], choices=('int8', 'fp16'),
                        help='also try this variant, made with "models quantize" on the data')
    parser.add_argument('--input-size', action='append', default=[], metavar='WIDTHxHEIGHT',
                        help='also try this input size, if the model accepts it')
    parser.add_argument('--max-drop', type=float, default=0.01, metavar='DROP',
                        help='refuse settings that change a larger part of the results, or '
                             'lower the accuracy on labelled data by more (default: 0.01)')
    parser.add_argument('--use-variants', action='store_true',
                        help='use a variant of --precision from now on, if it is the best')
    parser.add_argument('--runtime', action='append', default=[], metavar='PATH',
                        help='another Python interpreter, or a directory of "pip install '
                             '--target", with another ONNX Runtime, such as '
                             'onnxruntime-openvino')
    parser.add_argument('--json', action='store_true', help='print one JSON object')
    parser.set_defaults(run=run_tune)


def run_tune(arguments: argparse.Namespace) -> int:
    """Measure, print and record; errors are raised."""
    from ros2_classify.tuning import report
    from ros2_classify.tuning.data import read_data
    from ros2_classify.tuning.tune import tune, Request

    target = arguments.target or ('throughput' if arguments.cameras > 1 else 'latency')
    request = Request(
        arguments.model, target, arguments.cameras, arguments.budget, arguments.max_drop,
        tuple(arguments.precision), tuple(map(_size, arguments.input_size)),
        tuple(arguments.runtime), arguments.use_variants, arguments.data or '')
    outcome = tune(request, read_data(arguments.data), lambda text: say('', text))
    if arguments.json:
        show_json({'records': outcome.records, 'paths': [str(path) for path in outcome.paths],
                   'notes': outcome.notes, 'not_tried': outcome.untried})
        return EXIT_OK
    for line in report.lines(outcome, target):
        show(line)
    for text in report.untried_providers(outcome.providers):
        show(text)
    return EXIT_OK


def _size(text: str) -> tuple[int, int]:
    from ros2_classify.errors import OptionsError

    found = re.fullmatch(r'(\d{1,5})x(\d{1,5})', text)
    if not found:
        raise OptionsError(f'--input-size is {text!r} but must be like 320x320')
    return int(found.group(1)), int(found.group(2))
