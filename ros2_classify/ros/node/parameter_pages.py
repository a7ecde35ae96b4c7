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

"""Tables of parameters for readers: Markdown, the text of --help, and a file to start from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
import json
import textwrap
from typing import Any

from ros2_classify.ros.node.spec import Groups, Spec, type_of


def default_of(spec: Spec) -> str:
    """Return the default in words."""
    if spec.default in ('', ['']):
        return '(empty)'
    return str(spec.default).lower() if isinstance(spec.default, bool) else str(spec.default)


def allowed_by(spec: Spec) -> str:
    """Return the choices or the range; empty if the type says it all."""
    return (f'{spec.minimum} to {spec.maximum}' if spec.minimum is not None else
            ', '.join(spec.choices))


def markdown_table(specs: Iterable[Spec]) -> str:
    """Return the Markdown table of parameters for a documentation page."""
    lines = ['| parameter | type | default | allowed | at run time | meaning |',
             '|---|---|---|---|---|---|']
    for spec in specs:
        source = "the model's, else " if spec.from_model else ''
        lines.append(
            f'| `{spec.name}` | {type_of(spec)} | {source}{default_of(spec)} | '
            f'{allowed_by(spec)} | '
            f'{"no" if spec.read_only else "yes"}{", per stream" if spec.per_stream else ""} | '
            f'{spec.description} |')
    return '\n'.join(lines)


def markdown_tables(groups: Groups) -> str:
    """Return a table for each group, under its heading; one group needs none."""
    if len(groups) == 1:
        return markdown_table(groups[0][1])
    return '\n\n'.join(f'### {title}\n\n{markdown_table(specs)}' for title, specs in groups)


def help_text(groups: Groups, width: int) -> str:
    """Return the parameters for ``--help``."""
    lines = []
    for title, specs in groups:
        lines += ['', f'{title}:']
        for spec in specs:
            lines.append(f'  {spec.name} ({", ".join(_facts(spec))})')
            lines += textwrap.wrap(
                spec.description, width, initial_indent=' ' * 6, subsequent_indent=' ' * 6,
                break_long_words=False, break_on_hyphens=False)
    return '\n'.join(lines)


def yaml_text(nodes: Sequence[tuple[str, Groups]], begin: Sequence[str]) -> str:
    """
    Return a commented file for ``--params-file``.

    Those that follow the model are comments: a value in the file would hold for each model.
    """
    lines = [f'# {line}'.rstrip() for line in begin]
    for node, groups in nodes:
        lines += ['', f'{node}:', '  ros__parameters:']
        for title, specs in groups:
            lines += [f'    # ---- {title}', '']
            for spec in specs:
                lines += textwrap.wrap(
                    f'{spec.description} ({", ".join(_facts(spec))})', 95,
                    initial_indent='    # ', subsequent_indent='    # ',
                    break_long_words=False, break_on_hyphens=False)
                sign = '# ' if spec.from_model else ''
                # JSON is YAML, and leaves no doubt about the type.
                lines += [f'    {sign}{spec.name}: {json.dumps(spec.default)}', '']
    return '\n'.join(lines).rstrip() + '\n'


def rows(groups: Groups) -> list[dict[str, Any]]:
    """Return the parameters as data."""
    return [{'name': spec.name, 'group': title, 'type': type_of(spec), 'default': spec.default,
             'minimum': spec.minimum, 'maximum': spec.maximum, 'choices': list(spec.choices),
             'read_only': spec.read_only, 'from_model': spec.from_model,
             'per_stream': spec.per_stream, 'description': spec.description}
            for title, specs in groups for spec in specs]


def _facts(spec: Spec) -> list[str]:
    """Return type, default, what is allowed, and when, each in words."""
    default = default_of(spec).strip('()')
    facts = [type_of(spec), f'default {default}' if not spec.from_model else
             f"default the model's, else {default}"]
    if allowed := allowed_by(spec):
        facts.append(f'one of {allowed.lstrip(", ")}' if spec.choices else allowed)
    facts.append('at start only' if spec.read_only else 'at any time')
    return facts + (['per stream'] if spec.per_stream else [])
