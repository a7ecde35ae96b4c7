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

"""The parser: its errors name what was typed, what is nearest, and what is allowed."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
import difflib
import re
import sys
from typing import Any, NoReturn

from ros2_classify.cli.terminal import say

# Verbs as other programs call them.
_MEANINGS = {
    'infer': 'predict detect classify segment inference run test image images',
    'watch': 'live view show stream webcam demo', 'server': 'serve node start',
    'evaluate': 'eval val validate map accuracy', 'bench': 'benchmark speed profile',
    'models': 'model catalogue catalog zoo', 'doctor': 'check-install diagnose info env',
    'client_test': 'client', 'camera': 'cam publish publisher', 'params': 'parameters param',
    'health': 'healthcheck status ping', 'fetch': 'download get pull', 'list': 'ls',
    'describe': 'descriptor', 'check': 'inspect', 'convert': 'export',
    'quantize': 'int8 fp16 quantise', 'show': 'info', 'bundle': 'pack', 'import': 'install'}
# Options as other programs call them.
_OPTION_MEANINGS = {
    '--threshold': 'conf confidence score min-score score-threshold thresh',
    '--limit': 'max frames',
    '--nms-iou': 'iou nms iou-threshold', '--provider': 'device gpu cuda backend ep',
    '--output': 'save out dst save-dir project', '--model': 'weights onnx checkpoint',
    '--source': 'input-image img file path src cam camera webcam', '--host': 'bind address ip',
    '--classes': 'class label labels filter', '--no-browser': 'headless no-open',
    '--results': 'csv save-txt coco', '--max-detections': 'max-det'}
_OF_MODELS = ('list', 'fetch', 'verify', 'bundle', 'import', 'convert', 'check', 'describe',
              'quantize', 'threshold')
_NUMBER = re.compile(r'-\d|-\.\d')
_NO_NUMBER = re.compile(r'argument (\S+?)(?:/\S+)?: invalid (float|int) value: (.*)')
_NO_VALUE = re.compile(r'argument (\S+): expected (?:at least )?one argument')
_MISSING = re.compile(r'the following arguments are required: (.*)')
# Words that are taken for the other one.
_IMAGES = ('.png', '.jpg', '.jpeg', '.bmp', '.webp', '.mp4', '.avi', '.mov', '.mkv')
_MODELS = ('.onnx', '.pb', '.yaml', '.pt')


class Parser(argparse.ArgumentParser):
    """A parser whose errors look like all others; `takes_words` lets verbs have free words."""

    takes_words = False
    _words: Sequence[str] = ()

    def error(self, message: str) -> NoReturn:
        """Print the usage and the error, and exit with 2."""
        self.print_usage(sys.stderr)
        if found := _NO_NUMBER.fullmatch(message):
            kind = 'a whole number' if found[2] == 'int' else 'a number, such as 0.5'
            message = f'{found[1]} is {found[3]} but must be {kind}'
        elif found := _NO_VALUE.fullmatch(message):
            message = f'{self._typed(found[1])} needs a value after it; see {self.prog} --help'
        elif found := _MISSING.fullmatch(message):
            message = self._missing(found[1])
        say('error', message)
        self.exit(2)

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None,
    ) -> tuple[argparse.Namespace, list[str]]:
        """Refuse what is unknown here, where the options of the verb are known."""
        self._words = sys.argv[1:] if args is None else args
        found, rest = super().parse_known_args(args, namespace)
        assert found is not None
        if not rest:
            return found, rest
        option = next((word for word in rest if word.startswith('-') and len(word) > 1
                       and not _NUMBER.match(word)), None)
        if option is not None and option != '--':
            self.error(self._no_such_option(option.partition('=')[0]))
        rest = [word for word in rest if word != '--']
        if self.takes_words:
            # argparse gives the words after the first option to nobody.
            found.words = [*getattr(found, 'words', []), *rest]
        elif rest:
            self.error(f'{rest[0]!r} is one argument too many; see {self.prog} --help')
        return found, []

    def _no_such_option(self, option: str) -> str:
        known = [name for action in self._actions if action.help != argparse.SUPPRESS
                 for name in action.option_strings]
        meant = [name for name, others in _OPTION_MEANINGS.items()
                 if name in known and option.lstrip('-') in others.split()]
        near = f'; did you mean {meant[0]}?' if meant else _near(option, known)
        return f'there is no option {option}{near}; {self.prog} --help lists all'

    def _typed(self, names: str) -> str:
        """Return the one of an option's names that was typed."""
        known = names.split('/')
        return next((word for word in reversed(self._words) if word in known), known[0])

    def _missing(self, names: str) -> str:
        verbs = next((action.choices for action in self._actions
                      if isinstance(action, argparse._SubParsersAction)), None)
        if names == 'VERB' and verbs:
            return (f'no verb is given; the verbs are {", ".join(verbs)}; {self.prog} --help '
                    'explains them')
        return f'{names} is missing; see {self.prog} --help'

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Suggest verbs and choices; the base class only lists them."""
        choices = action.choices
        if choices is None or value in choices:
            return
        names = [str(choice) for choice in choices]
        if not isinstance(action, argparse._SubParsersAction):
            raise argparse.ArgumentError(
                action, f'{value!r} is not allowed{_near(str(value), names)}; '
                        f'allowed are {", ".join(names)}')
        self.error(f'there is no verb {value!r}{_near_verb(str(value), names, self.prog)}; '
                   f'the verbs are {", ".join(names)}')


def _near(word: str, known: Iterable[str]) -> str:
    # All options have the same dashes.
    plain = {name.lstrip('-'): name for name in known}
    close = [plain[name] for name in difflib.get_close_matches(
        word.lstrip('-'), list(plain), n=1, cutoff=0.6)]
    return f'; did you mean {close[0]}?' if close else ''


def _near_verb(word: str, known: Sequence[str], program: str) -> str:
    """Return which verb is meant: another program's word, one of `models`, or a typo."""
    word = word.lower()
    meant = [name for name, others in _MEANINGS.items()
             if name in known and word in others.split()]
    if not meant and 'models' in known:
        meant = [f'models {name}' for name in _OF_MODELS
                 if word == name or word in _MEANINGS.get(name, '').split()]
    if not meant and program.endswith(' models') and word in ('infer', 'watch', 'evaluate'):
        return f'; did you mean ros2_classify {word}?'
    return f'; did you mean {meant[0]}?' if meant else _near(word, known)


def add_old_name(parser: argparse._ActionsContainer, old: str, new: str, dest: str,
                 **kwargs: Any) -> None:
    """Accept an option under its old name for one release: hidden, and with a warning."""
    class Renamed(argparse.Action):
        def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace,
                     values: str | Sequence[Any] | None, option: str | None = None) -> None:
            say('warning', f'{old} is now {new}; the old name goes with the next release')
            setattr(namespace, dest, values)

    parser.add_argument(
        old, action=Renamed, dest=argparse.SUPPRESS, help=argparse.SUPPRESS,
        default=argparse.SUPPRESS, **kwargs)


def add_model(parser: argparse.ArgumentParser, sources: str, dest: str, what: str) -> None:
    """Let a verb be called as ``VERB MODEL SOURCE`` beside ``--model`` and an option `sources`."""
    assert isinstance(parser, Parser)
    parser.takes_words = True
    parser.add_argument('words', nargs='*', metavar='MODEL|SOURCE', default=[],
                        help=f'the model and what it runs on; also --model and {sources}')
    parser.set_defaults(parser=parser, words_to=(sources, dest, what))


def assign_words(arguments: argparse.Namespace) -> None:
    """Give the free words to the model and the sources; exit with 2 if one of them is missing."""
    sources, dest, what = arguments.words_to
    parser, words = arguments.parser, list(arguments.words)
    given = getattr(arguments, dest)
    if arguments.model is None and words:
        arguments.model = words.pop(0)
    found = [*words, *(given if isinstance(given, list) else [given] if given else [])]
    example = f'{parser.prog} cards_detector {what}'
    if arguments.model is None:
        parser.error(f'no model is named; name a model and a source, as in: {example}')
    if not found:
        parser.error(f'no source of images is named; name one after the model, as in: {example}')
    _refuse_swapped(parser, arguments.model, found[0])
    if isinstance(given, list) or dest == 'image':
        setattr(arguments, dest, found)
        return
    if len(found) > 1:
        parser.error(f'there are {len(found)} sources, {" and ".join(found)}, but {parser.prog} '
                     'takes one; quote a pattern such as "photos/*.jpg"')
    setattr(arguments, dest, found[0])


def _refuse_swapped(parser: Parser, model: str, source: str) -> None:
    if model.lower().endswith(_IMAGES) and source.lower().endswith(_MODELS):
        parser.error(f'{model} is in the place of the model, and {source} in that of the image; '
                     f'the model comes first: {parser.prog} {source} {model}')
