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

"""What rcl says of arguments and files that it can't parse, as a sentence with the next step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import difflib
from pathlib import Path
import re
from typing import Any

_LEVELS = ('debug', 'info', 'warn', 'error', 'fatal')
_OPTIONS = ('-p', '-r', '--params-file', '--log-level', '--log-file-name', '--enclave',
            '--param', '--remap', '--log-config-file', '--enable-rosout-logs',
            '--disable-rosout-logs', '--enable-stdout-logs', '--disable-stdout-logs',
            '--enable-external-lib-logs', '--disable-external-lib-logs')
_FORM = ("write the node's name or /**, below it ros__parameters, and below that the parameters; "
         '"python -m ros2_classify params" writes such a file')
_TOKEN = r'[A-Za-z_][A-Za-z0-9_]*'
_TOPIC = re.compile(rf'(~?/)?({_TOKEN}|{{{_TOKEN}}})(/({_TOKEN}|{{{_TOKEN}}}))*|~|/')


def explain(error: object) -> str:
    """Return the sentence for an error of rcl; of one that is not known, its own reason."""
    reason = re.sub(r'(, at [^,\s]+:\d+)+$', '', str(error).strip())
    if unknown := re.fullmatch(r'\[(.*)\]', reason):
        words = re.findall(r"'([^']*)'", unknown[1])
        return _unknown_option(words) if words else reason
    parts = re.search(r"Couldn't parse .*?: '(-\S+) (.*?)'\. Error: (.*)", reason, re.DOTALL)
    if parts is None:
        if 'Enclave name is not valid' in reason:
            return 'the name after --enclave must begin with "/" and be that of a directory in ' \
                   'the keystore, as in: --enclave /robot/server'
        return reason
    option, value, why = parts.groups()
    explained = _BY_OPTION.get(option, lambda value, why: '')(value, why)
    return explained or f'{option} {value!r} cannot be used: {why}'


def _unknown_option(words: Sequence[str]) -> str:
    name, value = words[0], words[1] if len(words) > 1 else 'VALUE'
    near = difflib.get_close_matches(name, _OPTIONS, n=1, cutoff=0.7)
    cure = f'did you mean {near[0]}?' if near else (
        f'to set a parameter, write -p {name.lstrip("-").replace("-", "_")}:={value}'
        if name.startswith('--') else 'put -p before a parameter and -r before a remapping')
    return (f'{name!r} after --ros-args is no option of ROS 2, which has '
            f'{", ".join(_OPTIONS[:6])} and others; {cure}')


def _remapping(value: str, why: str) -> str:
    old, _, new = value.partition(':=')
    if old.rpartition(':')[2] == '__node':
        return (f'{new!r} cannot be the name of a node: letters, digits and _ are allowed, with '
                'no digit first; a namespace is set by -r __ns:=/NAMESPACE')
    if old.rpartition(':')[2] == '__ns':
        return (f'{new!r} cannot be a namespace: it begins with "/", and letters, digits and _ '
                'follow, as in: -r __ns:=/front')
    for name in (new, old.rpartition(':')[2]):
        if not _TOPIC.fullmatch(name):
            return (f'{name!r} in the remapping {value!r} cannot be the name of a topic or '
                    'service: letters, digits, _ and / are allowed, with no digit after a /, as '
                    'in: -r image:=/camera/image_raw')
    return ''


def _parameter(text: str, why: str) -> str:
    name, _, value = text.partition(':=')
    if not re.fullmatch(rf'([\w/*]+:)?{_TOKEN}(\.{_TOKEN})*', name):
        return (f'{name!r} in {text!r} cannot be the name of a parameter: letters, digits, _ and '
                '"." are allowed, with no digit first, as in: -p score_threshold:=0.5')
    if not value.strip():
        return f'{name} has no value; write -p {name}:=VALUE, or -p "{name}:=\'\'" for empty text'
    problem = _yaml_problem(value)
    return f'the value of {name} cannot be read: {problem}' if problem else ''


def _log_level(value: str, why: str) -> str:
    level = value.rpartition(':=')[2]
    near = difflib.get_close_matches(level.lower(), _LEVELS, n=1)
    return (f'{level!r} is no log level; ' + (f'did you mean {near[0]}? ' if near else '')
            + f'allowed are {", ".join(_LEVELS)}, as in: --log-level debug')


def _file(name: str, why: str) -> str:
    try:
        text = Path(name).read_text(encoding='utf-8')
    except OSError as error:
        return f'the file of parameters {name} cannot be read: {error.strerror}'
    except UnicodeDecodeError:
        return f'the file of parameters {name} is no text; {_FORM}'
    problem = file_problem(text)
    return f'the file of parameters {name} cannot be used: {problem or why}'


def file_problem(text: str) -> str:
    """Return what is wrong with a file of parameters; empty if nothing that is known."""
    import yaml

    try:
        data = _read(yaml, text)
    except yaml.YAMLError as error:
        return _yaml_sentence(text, error)
    if data is None:
        return f'it is empty; {_FORM}'
    if not isinstance(data, dict):
        return f'it has a list or a value, and no node; {_FORM}'
    for node, section in data.items():
        if problem := _section_problem(str(node), section):
            return problem
    return ''


def silent_problem(name: str) -> str:
    """Return what rcl drops of a file without a word: lists in lists."""
    problem = _file(name, '')
    return problem if 'a list in a list' in problem else ''


def sections_of(name: str) -> list[str]:
    """Return the names of the nodes of a file of parameters, with a slash first."""
    import yaml

    found = []

    def walk(prefix: str, data: Any) -> None:
        for key, section in data.items() if isinstance(data, dict) else ():
            full = f'{prefix}/{str(key).strip("/")}'
            if isinstance(section, dict) and 'ros__parameters' in section:
                found.append(full)
            else:
                walk(full, section)

    try:
        walk('', _read(yaml, Path(name).read_text(encoding='utf-8')))
    except (OSError, ValueError, yaml.YAMLError):
        return []
    return found


def _section_problem(node: str, section: Any) -> str:
    if not isinstance(section, dict):
        return f'{node!r} is where the name of a node belongs; {_FORM}'
    if 'ros__parameters' not in section:
        nested = [name for name, each in section.items() if isinstance(each, dict)]
        if len(nested) == len(section):
            # A namespace.
            return next(filter(None, (_section_problem(f'{node}/{name}', section[name])
                                      for name in nested)), '')
        return f'ros__parameters is missing below {node!r}; {_FORM}'
    parameters = section['ros__parameters']
    if not isinstance(parameters, dict):
        return f'below {node!r}, ros__parameters has no parameters; {_FORM}'
    return _values_problem(parameters)


def _values_problem(values: dict[Any, Any], prefix: str = '') -> str:
    for key, value in values.items():
        name = f'{prefix}{key}'
        problem = (_values_problem(value, f'{name}.') if isinstance(value, dict) else
                   _value_problem(value))
        if problem:
            return problem if isinstance(value, dict) else f'{name} {problem}'
    return ''


def _value_problem(value: Any) -> str:
    if value is None:
        return "has no value; write one, or '' for empty text"
    if not isinstance(value, list):
        return ''
    if any(isinstance(each, (list, dict)) for each in value):
        return ('is a list in a list, which parameters cannot be; write one list, such as '
                '[one, two]')
    kinds = sorted({type(each).__name__ for each in value})
    names = {'str': 'text', 'int': 'whole numbers', 'float': 'numbers with a point',
             'bool': 'true or false', 'NoneType': 'nothing'}
    if len(kinds) > 1:
        return (f'is a list of different types ({" and ".join(names.get(k, k) for k in kinds)}); '
                'write one type: texts in quotes, such as ["1", "a"], or all numbers with a point')
    return ''


def _yaml_problem(text: str) -> str:
    import yaml

    try:
        value = _read(yaml, text)
    except yaml.YAMLError as error:
        return _yaml_sentence(text, error)
    problem = _value_problem(value)
    return f'it {problem}' if problem else ''


def _yaml_sentence(text: str, error: Any) -> str:
    mark = getattr(error, 'problem_mark', None)
    line = '' if mark is None else f'line {mark.line + 1}: '
    lines = text.split('\n')
    if mark is not None and mark.line < len(lines) and '\t' in lines[mark.line]:
        return f'{line}a tab; indent with spaces'
    reason = getattr(error, 'problem', None) or error
    return f'{line}this is no YAML ({reason}); check brackets, quotes and indents'


def _read(yaml: Any, text: str) -> Any:
    """Return plain data, with numbers such as 1e-3 read as rcl does."""
    class Loader(yaml.SafeLoader):  # type: ignore[misc,name-defined,unused-ignore]
        pass

    Loader.add_implicit_resolver(
        'tag:yaml.org,2002:float', re.compile(r'[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+'),
        list('-+.0123456789'))
    loader = Loader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


_BY_OPTION: dict[str, Callable[[str, str], str]] = {
    '-r': _remapping, '--remap': _remapping, '-p': _parameter, '--param': _parameter,
    '--log-level': _log_level, '--params-file': _file}
