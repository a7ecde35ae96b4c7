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

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ros2_classify.ros.node.parameters import Parameters, Spec

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

    def follow(self) -> None:
        """Pass changed node-wide values on to the streams without a value of their own."""
        self.following = True
        try:
            for name, before in self._common.items():
                now = self._common[name] = self._parameters[name]
                if now != before:
                    for own in (f'{prefix}.{name}' for prefix in self.prefixes):
                        value = self._parameters[own]
                        if value == before and value != self._given.get(own, _NOT_GIVEN):
                            self._parameters.assign(own, now)
        finally:
            self.following = False
