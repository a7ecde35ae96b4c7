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

"""``doctor``: what is wrong with this installation, and what to do."""

from __future__ import annotations

import argparse
import json

from ros2_classify.cli import EXIT_MODEL, EXIT_OK


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its arguments."""
    parser = verbs.add_parser(
        'doctor', help='check this installation and say what to do',
        description='Check ROS 2, the middleware and its settings for large images, NumPy, '
                    'OpenCV and cv_bridge, the providers, the cache and the models. Nothing is '
                    'changed. The exit code is 1 where anything does not work; warnings do not '
                    'count.')
    parser.add_argument(
        '--model', action='append', default=[], metavar='MODEL',
        help='load this model, too, and run it once; may be given several times')
    parser.add_argument(
        '--provider', default='auto', metavar='NAME',
        help='the provider that is needed: auto (default), cpu, cuda, tensorrt and others')
    parser.add_argument('--json', action='store_true', help='print one JSON object')
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """
    Run the verb.

    Parameters
    ----------
    arguments : Namespace
        As `add_parser` declares them.

    Returns
    -------
    int
        0, or 1 where there is an error among the findings.

    """
    from ros2_classify.doctor import examine

    findings = []
    for finding in examine(models=arguments.model, provider=arguments.provider):
        findings.append(finding)
        if not arguments.json:
            # As they are found: a module on a slow disk takes its time.
            print(f'{finding.level:8} {finding.check}: {finding.text}', flush=True)
            if finding.cure:
                print(f'{"":11}-> {finding.cure}', flush=True)
    errors = sum(finding.level == 'error' for finding in findings)
    warnings = sum(finding.level == 'warning' for finding in findings)
    if arguments.json:
        print(json.dumps({'ok': not errors,
                          'findings': [finding.to_dict() for finding in findings]}))
    else:
        print(f'{errors} {"error" if errors == 1 else "errors"}, '
              f'{warnings} {"warning" if warnings == 1 else "warnings"}')
    return EXIT_MODEL if errors else EXIT_OK
