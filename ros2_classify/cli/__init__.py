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

"""The command line: verbs, exit codes, messages, and errors in one sentence."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
import logging
import os
import sys
from typing import Any

from ros2_classify import __version__
from ros2_classify.cli.parser import add_old_name, assign_words, Parser
from ros2_classify.cli.terminal import (
    interruptible, paint, say, show, show_json, show_table, with_old_keys)
from ros2_classify.errors import InputError, OptionsError, REQUIREMENTS, Ros2ClassifyError
from ros2_classify.limits import address_space_problem, machine_limit

__all__ = [
    'EXIT_INTERRUPTED', 'EXIT_MODEL', 'EXIT_NO_ROS', 'EXIT_OK', 'EXIT_UNVERIFIED', 'EXIT_USAGE',
    'add_old_name', 'main', 'NODES', 'paint', 'Parser', 'say', 'show', 'show_json', 'show_log',
    'show_table', 'with_old_keys']

EXIT_OK = 0
EXIT_MODEL = 1
EXIT_USAGE = 2
EXIT_NO_ROS = 3
EXIT_UNVERIFIED = 3
# As shells report SIGINT.
EXIT_INTERRUPTED = 130

# Nodes parse their own arguments (--ros-args ...), which are passed on unchanged.
NODES = {
    'server': 'start the inference node',
    'client_test': 'publish an image and print the result',
    'camera': 'publish images, a directory, a video or a webcam',
    'composed': 'start the camera and the inference node in one process',
}

# Verbs of this package and of known other ones; a package adds verbs with entry points of this
# group, each a module with a function `add_parser`.
_VERBS = ('infer', 'watch', 'models', 'doctor', 'health', 'params')
_OPTIONAL = {'bench': 'the package ros2_classify_benchmark',
             'curate': 'the package ros2_classify_evaluation',
             'evaluate': 'the package ros2_classify_evaluation',
             'label': 'the package ros2_classify_evaluation'}
_GROUP = 'ros2_classify.verbs'
_MODELS_GROUP = 'ros2_classify.models_verbs'

_EPILOG = """\
exit codes:
  0  done
  1  the model cannot be found, loaded or run; doctor, health or bench --regression failed
  2  wrong arguments, an image that cannot be read, or an output that cannot be written
  3  a node or health needs ROS 2, but it cannot be imported; models check --strict: not verified
  4  the server exited on an engine fault, as on_engine_fault requires
  130  interrupted: Ctrl-C
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb of the command line."""
    try:
        return _main(list(sys.argv[1:] if argv is None else argv), own_process=argv is None)
    except Exception as error:
        if limit := machine_limit(error):
            return _fail(limit, EXIT_MODEL)
        raise


def _main(words: list[str], *, own_process: bool) -> int:
    if 'help' in (words[:1] + words[1:2] if words[:1] == ['models'] else words[:1]):
        words = [*(word for word in words if word != 'help'), '--help']
    if words and words[0] in ('infer', 'watch', *NODES) and (problem := address_space_problem()):
        return _fail(problem, EXIT_MODEL)
    if words and words[0] in NODES:
        from ros2_classify.cli.nodes import run_node
        return run_node(words[0], words[1:])
    more = {} if words and words[0] in _VERBS else extensions()
    if words and words[0] in _OPTIONAL and words[0] not in more:
        return _fail(f'{words[0]} needs {_OPTIONAL[words[0]]}, which is not installed; build '
                     'packages/ with colcon too, or install it from there with pip', EXIT_USAGE)
    of_models = extensions(_MODELS_GROUP) if words[:1] == ['models'] else {}
    parser = _parser(more, of_models)
    if '_ARGCOMPLETE' in os.environ and own_process:
        from ros2_classify.cli.complete import complete
        complete(parser)
    arguments = parser.parse_args(words)
    if hasattr(arguments, 'words_to'):
        assign_words(arguments)
    return _run(arguments, own_process=own_process)


def _run(arguments: argparse.Namespace, *, own_process: bool) -> int:
    """Run a verb; say in a sentence why it failed."""
    try:
        # Only a process of its own may be ended.
        with (interruptible(lambda: os._exit(_fail('interrupted', EXIT_INTERRUPTED)))
              if own_process else nullcontext()):
            code: int = arguments.run(arguments)
        sys.stdout.flush()
        return code
    except (InputError, OptionsError) as error:
        return _fail(error, EXIT_USAGE)
    except Ros2ClassifyError as error:
        return _fail(error, EXIT_MODEL)
    except ModuleNotFoundError as error:
        if error.name not in REQUIREMENTS:
            raise
        return _fail(
            f'the Python module {error.name} is missing; install it with: pip install '
            f'{REQUIREMENTS[error.name]}, or on a robot with rosdep', EXIT_MODEL)
    except KeyboardInterrupt:
        return _fail('interrupted', EXIT_INTERRUPTED)
    except BrokenPipeError:
        # The reader of the output (head, less) is gone; Python must not write to it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK


def _fail(error: Exception | str, code: int) -> int:
    say('error', error)
    return code


def extensions(group: str = _GROUP) -> dict[str, Callable[..., None]]:
    """Return the functions that add the verbs of other packages; slow, so only if needed."""
    from importlib.metadata import entry_points

    return {point.name: point.load().add_parser for point in entry_points(group=group)}


def _parser(more: Mapping[str, Callable[..., None]] | None = None,
            of_models: Mapping[str, Callable[..., None]] | None = None,
            ) -> argparse.ArgumentParser:
    from ros2_classify.cli import doctor, infer, models, nodes as health, params, watch

    parser = Parser(
        prog='ros2_classify', epilog=_EPILOG,
        description='Classify images, detect objects and segment images with any ONNX model.',
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--version', action='version', version=f'ros2_classify {__version__}')
    verbs: argparse._SubParsersAction[Any] = parser.add_subparsers(metavar='VERB', required=True)
    infer.add_parser(verbs)
    watch.add_parser(verbs)
    models.add_parser(verbs, of_models)
    doctor.add_parser(verbs)
    health.add_parser(verbs)
    params.add_parser(verbs)
    for add_parser in (extensions() if more is None else more).values():
        add_parser(verbs)
    for name, text in NODES.items():
        verbs.add_parser(name, help=f'{text} (needs ROS 2)', add_help=False)
    return parser


_KINDS = ((logging.ERROR, 'error'), (logging.WARNING, 'warning'))


class _Handler(logging.Handler):
    """Prints records on what standard error is now, not on what it was at the start."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record; information has no prefix."""
        kind = next((kind for level, kind in _KINDS if record.levelno >= level), '')
        say(kind, record.getMessage())


def show_log() -> None:
    """Show the package's log on standard error, from information up."""
    log = logging.getLogger('ros2_classify')
    if not any(isinstance(handler, _Handler) for handler in log.handlers):
        log.addHandler(_Handler())
    log.setLevel(logging.INFO)
