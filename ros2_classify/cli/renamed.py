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

"""Options under their old names: they work for one release, with one warning."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import sys
from typing import Any


def add_old_name(parser: argparse._ActionsContainer, old: str, new: str, dest: str,
                 **kwargs: Any) -> None:
    """Accept an option under its old name, hidden from the help."""
    class Renamed(argparse.Action):
        def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace,
                     values: str | Sequence[Any] | None, option: str | None = None) -> None:
            print(f'warning: {old} is now {new}; the old name goes with the next release',
                  file=sys.stderr)
            setattr(namespace, dest, values)

    parser.add_argument(
        old, action=Renamed, dest=argparse.SUPPRESS, help=argparse.SUPPRESS,
        default=argparse.SUPPRESS, **kwargs)
