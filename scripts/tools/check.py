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

"""Check the sources: the rules of ament's linters, types, and the form of all files."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
import json
import os
from pathlib import Path
import re
import shutil
import subprocess
import tempfile
import time
import xml.etree.ElementTree as ElementTree

from environment import choose, command_in, Environment, ROOT, ScriptError, variables_for
import pages
from set_up import set_up
import sros2_policy
from steps import main

TOOLS = ROOT / 'scripts' / 'tools'
WHEELS = ROOT / 'scripts' / 'wheels'

# ament_pep257 checks every rule of pydocstyle but these.
PEP257_IGNORED = 'D100,D101,D102,D103,D104,D105,D106,D107,D203,D212,D404'

HEADER = re.compile(r"""# Copyright 20\d\d(-20\d\d)? the ros2_classify authors
#
# Licensed under the Apache License, Version 2\.0 \(the "License"\);
# you may not use this file except in compliance with the License\.
# You may obtain a copy of the License at
#
#     http://www\.apache\.org/licenses/LICENSE-2\.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied\.
# See the License for the specific language governing permissions and
# limitations under the License\.
""")

TEXT_SUFFIXES = {
    '', '.cfg', '.cmake', '.in', '.json', '.md', '.msg', '.names', '.py', '.rst', '.rviz', '.srv',
    '.svg', '.toml', '.txt', '.xml', '.yaml', '.yml',
}


# A release with published vulnerabilities: what does not know it can't tell of others either.
CANARY = 'urllib3==1.24'


class Skipped(Exception):
    """A check could not be made here, and why."""


class Checker:
    """Runs checks in an environment over the files of the repository."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._files = source_files()

    def flake8(self) -> list[str]:
        """Check style, as ament_flake8 does."""
        return self._tool('flake8', '--config', TOOLS / 'ament_flake8.cfg', *self._python())

    def pep257(self) -> list[str]:
        """Check docstrings, as ament_pep257 does."""
        return self._tool('pydocstyle', f'--ignore={PEP257_IGNORED}', r'--match=.*\.py',
                          *self._python())

    def header(self) -> list[str]:
        """Check the licence header of every program, as ament_copyright does."""
        problems = []
        for path in [*self._python(), *self._shell()]:
            text = path.read_text()
            if text.startswith('#!'):
                text = text.partition('\n')[2]
            if text and not HEADER.match(text):
                problems.append(f'{relative(path)}:1: the licence header is missing or differs')
        return problems

    def mypy(self) -> list[str]:
        """Check types: strictly in the core, see pyproject.toml."""
        return [*self._tool('mypy', '--no-error-summary'),
                *self._tool('mypy', '--no-error-summary', *sorted(TOOLS.glob('*.py')))]

    def xml(self) -> list[str]:
        """Check that package manifests are valid and that other XML is well formed."""
        problems = []
        for path in self._with_suffix('.xml', '.launch'):
            try:
                ElementTree.parse(path)
            except ElementTree.ParseError as error:
                problems.append(f'{relative(path)}: {error}')
        program = ('import sys; from catkin_pkg.package import parse_package\n'
                   'for path in sys.argv[1:]: parse_package(path, warnings=(w := []));'
                   'sys.exit("\\n".join(w)) if w else None')
        manifests = [path for path in self._files if path.name == 'package.xml']
        return problems or self._run('-c', program, *manifests)

    def yaml(self) -> list[str]:
        """Check YAML files with yamllint."""
        return self._tool('yamllint', '--strict', '--format', 'parsable',
                          '--config-file', TOOLS / 'yamllint.yaml',
                          *self._with_suffix('.yaml', '.yml'))

    def shell(self) -> list[str]:
        """Check that bash can read the shell scripts and that they can be started."""
        problems = []
        for path in self._shell():
            result = subprocess.run(['bash', '-n', str(path)], capture_output=True, text=True,
                                    check=False)
            problems += result.stderr.splitlines()
            if not os.access(path, os.X_OK):
                problems.append(f'{relative(path)}: not executable')
        return problems

    def docker(self) -> list[str]:
        """Check Dockerfiles with hadolint."""
        path = variables_for(self._environment)['PATH']
        program = shutil.which('hadolint', path=path)
        if program is None:
            if not self._environment.sourced:
                return ['hadolint is not in the environment, although it is pinned']
            raise Skipped('hadolint is not here: its package is for x86_64')
        files = [path for path in self._files if path.name.startswith('Dockerfile')]
        result = subprocess.run(
            [program, '--no-color', '--config', str(ROOT / 'docker' / 'hadolint.yaml'),
             *map(str, files)], capture_output=True, text=True, check=False)
        return result.stdout.splitlines() + result.stderr.splitlines()

    def sros2(self) -> list[str]:
        """Check the policy for SROS 2: its form, and that it has what the nodes' pages name."""
        return sros2_policy.problems()

    def docs(self) -> list[str]:
        """Build the pages with Sphinx, for which a warning is a failure."""
        try:
            return pages.problems()
        except ScriptError as error:
            raise Skipped(
                f'the environment for Sphinx cannot be made: {str(error).splitlines()[0]}'
            ) from None

    def form(self) -> list[str]:
        """Check line ends, tabs, trailing blanks and the last line of all text files."""
        problems = []
        for path in self._files:
            if path.suffix not in TEXT_SUFFIXES or path.name == 'LICENSE':
                continue
            try:
                text = path.read_bytes().decode()
            except UnicodeDecodeError as error:
                problems.append(f'{relative(path)}: not UTF-8: {error}')
                continue
            if text and (not text.endswith('\n') or text.endswith('\n\n')):
                problems.append(f'{relative(path)}: must end with one line end')
            for number, line in enumerate(text.split('\n'), 1):
                if '\r' in line or '\t' in line or line != line.rstrip():
                    problems.append(f'{relative(path)}:{number}: tab, blank at the end or CR')
        return problems

    def audit(self) -> list[str]:
        """Check the packages that the scripts pin for published vulnerabilities (pip-audit)."""
        if not self._vulnerabilities([CANARY]):
            raise Skipped(f'the database of vulnerabilities knows nothing of {CANARY}')
        pinned = sorted({line.partition(';')[0].strip() for path in WHEELS.glob('*.txt')
                         for line in path.read_text().splitlines() if '==' in line})
        return self._vulnerabilities(pinned)

    def _vulnerabilities(self, pinned: list[str]) -> list[str]:
        """Return one line for each known vulnerability; Skipped where the database is away."""
        found: list[str] = []
        # One release of a package at a time: pip-audit takes no two of one name.
        while pinned:
            names: dict[str, str] = {}
            for each in pinned:
                names.setdefault(each.partition('==')[0], each)
            pinned = [each for each in pinned if each not in names.values()]
            found += self._audit(list(names.values()))
        return found

    def _audit(self, pinned: list[str]) -> list[str]:
        with tempfile.NamedTemporaryFile('w', suffix='.txt') as file:
            file.write('\n'.join(pinned) + '\n')
            file.flush()
            result = subprocess.run(
                [str(self._environment.python), '-m', 'pip_audit', '--no-deps', '--disable-pip',
                 '--progress-spinner', 'off', '--format', 'json', '--requirement', file.name],
                env=variables_for(self._environment), check=False, capture_output=True, text=True)
        try:
            packages = json.loads(result.stdout)['dependencies']
        except ValueError:
            last = (result.stderr.strip().splitlines() or [f'exit code {result.returncode}'])[-1]
            raise Skipped(f'pip-audit gives no answer: {last[:160]}') from None
        return [f'{each["name"]} {each["version"]}: {vulnerability["id"]}, repaired in '
                f'{", ".join(vulnerability["fix_versions"]) or "no release"}'
                for each in packages for vulnerability in each.get('vulns', ())]

    def _python(self) -> list[Path]:
        return self._with_suffix('.py')

    def _shell(self) -> list[Path]:
        """Return the shell scripts; they have no suffix."""
        return [path for path in self._files if path.suffix in ('', '.sh')
                and path.read_bytes().startswith((b'#!/usr/bin/env bash', b'#!/bin/bash'))]

    def _with_suffix(self, *suffixes: str) -> list[Path]:
        return [path for path in self._files if path.suffix in suffixes]

    def _tool(self, module: str, *arguments: str | Path) -> list[str]:
        return self._run('-m', module, *arguments)

    def _run(self, *arguments: str | Path) -> list[str]:
        """Run the environment's Python; return what it complained about."""
        variables = variables_for(self._environment)
        command = [str(self._environment.python), *map(str, arguments)]
        result = subprocess.run(command_in(self._environment, command), cwd=ROOT, env=variables,
                                check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                text=True)
        if result.returncode == 0:
            return []
        return result.stdout.splitlines() or [f'exit code {result.returncode}']


def relative(path: Path) -> str:
    """Return a path as seen from the repository's root."""
    return str(path.relative_to(ROOT))


def source_files() -> list[Path]:
    """List the files of the repository: all that git has or would take."""
    try:
        listed = subprocess.run(
            ['git', 'ls-files', '-z', '--cached', '--others', '--exclude-standard'], cwd=ROOT,
            capture_output=True, check=True).stdout.decode()
    except (OSError, subprocess.CalledProcessError) as error:
        raise ScriptError(f'scripts/check asks git which files to check: {error}') from error
    return sorted(path for name in listed.split('\0') if name and (path := ROOT / name).is_file())


CHECKS: dict[str, Callable[[Checker], list[str]]] = {
    'flake8': Checker.flake8,
    'pep257': Checker.pep257,
    'copyright': Checker.header,
    'mypy': Checker.mypy,
    'xml': Checker.xml,
    'yaml': Checker.yaml,
    'shell': Checker.shell,
    'docker': Checker.docker,
    'sros2': Checker.sros2,
    'form': Checker.form,
    'docs': Checker.docs,
    'audit': Checker.audit,
}


def run_checks(checker: Checker, names: Iterable[str]) -> int:
    """Run checks by name and print what they find; return the number of those that failed."""
    passed = 0
    failed: list[str] = []
    skipped: list[str] = []
    for name in names:
        print(f'{name:10} … ', end='', flush=True)
        start = time.monotonic()
        try:
            problems = CHECKS[name](checker)
        except Skipped as reason:
            print(f'skipped: {reason}')
            skipped.append(f'{name} ({reason})')
            continue
        if problems:
            failed.append(name)
        else:
            passed += 1
        print(f'{"FAILED" if problems else "ok"} ({time.monotonic() - start:.1f} s)')
        for line in problems:
            print(f'  {line}')
    # The last line has it all: a check that was left out must not look like one that passed.
    print('; '.join([
        *([f'{len(failed)} failed: {", ".join(failed)}'] if failed else []), f'{passed} passed',
        *([f'{len(skipped)} skipped: {", ".join(skipped)}'] if skipped else [])]) + '.')
    return len(failed)


def _main() -> int:
    parser = argparse.ArgumentParser(
        prog='scripts/check', description='Check the sources.',
        epilog='flake8, pep257 and copyright follow the rules of the ament linters.')
    parser.add_argument('check', nargs='*', metavar='CHECK',
                        help=f'run these only: {", ".join(CHECKS)}')
    chosen = parser.parse_args().check or list(CHECKS)
    if unknown := set(chosen) - set(CHECKS):
        parser.error(f'no such check: {", ".join(sorted(unknown))}; '
                     f'there are {", ".join(CHECKS)}')
    environment = choose()
    set_up(environment, quiet=True)
    return 1 if run_checks(Checker(environment), chosen) else 0


if __name__ == '__main__':
    raise SystemExit(main(_main))
