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

"""Shell completion by argcomplete, which is optional: ``register-python-argcomplete``."""

from __future__ import annotations

import argparse
from typing import Any

_MODELS = ('model', 'models', 'words', 'against')


def complete(parser: argparse.ArgumentParser) -> None:
    """Print what the shell asks for, and end the process; without argcomplete, do nothing."""
    try:
        import argcomplete
    except ImportError:
        return
    _complete_models(parser)
    argcomplete.autocomplete(parser)


def _complete_models(parser: argparse.ArgumentParser) -> None:
    """Have the names of models completed where one is expected, and files everywhere."""
    import argcomplete

    files = argcomplete.completers.FilesCompleter()

    def models(prefix: str, parsed_args: argparse.Namespace, **more: Any) -> list[str]:
        from ros2_classify.model.catalog import names

        # The first of the free words is the model, unless --model has named it.
        named = getattr(parsed_args, 'words', None) or (
            getattr(parsed_args, 'words_to', None) and parsed_args.model)
        known = [] if named else list(names())
        return known + list(files(prefix, **more))

    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for each in set(action.choices.values()):
                _complete_models(each)
        elif action.dest in _MODELS and action.metavar != 'OTHER' and action.choices is None:
            action.completer = models  # type: ignore[attr-defined]
