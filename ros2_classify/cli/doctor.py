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

"""``doctor``: find the problems of this installation and what to do about them."""

from __future__ import annotations

import argparse

from ros2_classify.cli import EXIT_MODEL, EXIT_OK, show, show_json


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its arguments."""
    parser = verbs.add_parser(
        'doctor', help='check this installation and suggest what to do',
        description='Check ROS 2, the middleware and its settings for large images, NumPy, '
                    'OpenCV and cv_bridge, the execution providers, the cache and the models. '
                    'Nothing is changed. The exit code is 1 if something does not work; '
                    'warnings do not count.')
    parser.add_argument(
        '--model', action='append', default=[], metavar='MODEL',
        help='load this model too, and run it once; can be repeated')
    parser.add_argument(
        '--provider', default='auto', metavar='NAME',
        help='the required execution provider: auto (default), cpu, cuda, tensorrt, ...')
    parser.add_argument('--json', action='store_true', help='print one JSON object')
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the issues; 1 if there is an error."""
    from ros2_classify.doctor import examine

    issues = []
    for issue in examine(models=arguments.model, provider=arguments.provider):
        issues.append(issue)
        if not arguments.json:
            # At once: a module on a slow disk takes a while.
            show(f'{issue.level:8} {issue.check}: {issue.text}', style=issue.level, flush=True)
            if issue.cure:
                show(f'{"":11}-> {issue.cure}', flush=True)
    errors = sum(issue.level == 'error' for issue in issues)
    warnings = sum(issue.level == 'warning' for issue in issues)
    if arguments.json:
        show_json({'ok': not errors, 'findings': [issue.to_dict() for issue in issues]})
    else:
        show(f'{errors} {"error" if errors == 1 else "errors"}, '
             f'{warnings} {"warning" if warnings == 1 else "warnings"}')
    return EXIT_MODEL if errors else EXIT_OK
