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
Parameters of which each stream may have a value of its own: ``front.score_threshold``.

The node-wide parameter counts for all streams. That of a stream is declared beside it, with the
stream's namespace in front, and shows what is in use: it follows the node-wide one until it is set
to another value, and again once it is set to the same one. A value given at start stays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ros2_classify.ros.node.parameters import Parameters
from ros2_classify.ros.node.spec import Spec

_NOT_GIVEN = object()


class StreamView:
    """The parameters of a node as they count for one stream; the prefix '' is for the node."""

    def __init__(self, parameters: Parameters, prefix: str = '') -> None:
        self._parameters = parameters
        self._prefix = prefix

    def __getitem__(self, name: str) -> Any:
        """Return the current value."""
        own = f'{self._prefix}.{name}'
        return self._parameters[own if own in self._parameters else name]


class PreviewView:
    """The same, with values that are about to be set."""

    def __init__(self, now: StreamView, prefix: str, changes: Mapping[str, Any],
                 follows: Callable[[str, str], bool]) -> None:
        self._now = now
        self._prefix = prefix
        self._changes = changes
        self._follows = follows

    def __getitem__(self, name: str) -> Any:
        """Return the value that would be."""
        own = f'{self._prefix}.{name}'
        if own in self._changes:
            return self._changes[own]
        if name in self._changes and (not self._prefix or self._follows(own, name)):
            return self._changes[name]
        return self._now[name]


class StreamParameters:
    """Declares what streams may have of their own; OptionsError if a value isn't allowed."""

    def __init__(self, parameters: Parameters, specs: Sequence[Spec],
                 prefixes: Sequence[str]) -> None:
        self._parameters = parameters
        # In the root namespace the node-wide parameters are the stream's own.
        self.prefixes = tuple(filter(None, prefixes))
        names = [spec.name for spec in specs if spec.per_stream]
        self._common = {name: parameters[name] for name in names}
        self._given: dict[str, Any] = {}
        # While streams get the new node-wide values, which are no changes by themselves.
        self.following = False
        for prefix in self.prefixes:
            for spec in specs:
                if spec.per_stream:
                    self._declare(prefix, spec)

    def _declare(self, prefix: str, spec: Spec) -> None:
        own = replace(
            spec, name=f'{prefix}.{spec.name}', default=self._common[spec.name],
            description=f'{spec.description}; of the stream {prefix} alone',
            from_model=not spec.read_only)
        if self._parameters.declare(own):
            self._given[own.name] = self._parameters[own.name]

    def view(self, prefix: str) -> StreamView:
        """Return the parameters as they count for the stream with this prefix."""
        return StreamView(self._parameters, prefix)

    def preview(self, changes: Mapping[str, Any]) -> Callable[[str], PreviewView]:
        """Return `view` as it would be after changes."""
        return lambda prefix: PreviewView(self.view(prefix), prefix, changes, self._follows)

    def _follows(self, own: str, name: str) -> bool:
        if own not in self._parameters:
            return True
        value = self._parameters[own]
        return bool(value == self._common.get(name) and value != self._given.get(
            own, _NOT_GIVEN))

    def follow(self) -> None:
        """Pass changed node-wide values on to the streams without a value of their own."""
        self.following = True
        try:
            for name, before in self._common.items():
                now = self._parameters[name]
                if now != before:
                    names = [f'{prefix}.{name}' for prefix in self.prefixes]
                    follow = [own for own in names if self._follows(own, name)]
                    self._common[name] = now
                    for own in follow:
                        self._parameters.assign(own, now)
        finally:
            self.following = False
