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

"""Build the pages below docs with Sphinx, in an environment of its own."""

from __future__ import annotations

from pathlib import Path
import subprocess
import sys
import tempfile

from converter import set_up_beside
from environment import pages_directory, ROOT
from steps import main

REQUIREMENTS = ROOT / 'scripts' / 'wheels' / 'pages.txt'
DOCS = ROOT / 'docs'


def build(output: Path) -> list[str]:
    """
    Build the pages.

    Parameters
    ----------
    output:
        Directory for the pages; what Sphinx remembers of them is kept nowhere.

    Returns
    -------
    list of str
        What Sphinx warns of; each warning is a failure.

    Raises
    ------
    ScriptError
        Where Sphinx can't be installed.

    """
    directory = pages_directory()
    set_up_beside(directory, 'Sphinx', 'some seconds', REQUIREMENTS, quiet=True)
    with tempfile.TemporaryDirectory(prefix='ros2_classify_pages_') as memory:
        result = subprocess.run(
            [str(directory / 'bin' / 'python'), '-m', 'sphinx', '--builder', 'html', '--quiet',
             '--fail-on-warning', '--keep-going', '--no-color', '--doctree-dir', memory, str(DOCS),
             str(output)], cwd=ROOT, check=False, capture_output=True, text=True)
    lines = [*result.stdout.splitlines(), *result.stderr.splitlines()]
    return lines or [f'exit code {result.returncode}'] if result.returncode else []


def problems() -> list[str]:
    """Build the pages and throw them away; return what is wrong with them."""
    with tempfile.TemporaryDirectory(prefix='ros2_classify_pages_') as output:
        return build(Path(output))


def _main() -> int:
    if len(sys.argv) != 2 or sys.argv[1].startswith('-'):
        print('usage: python scripts/tools/pages.py DIRECTORY\n\nBuild the pages below docs as HTML.')
        return 0 if sys.argv[1:] in (['-h'], ['--help']) else 2
    found = build(Path(sys.argv[1]))
    print(*found, sep='\n', end='\n' if found else '')
    return 1 if found else 0


if __name__ == '__main__':
    raise SystemExit(main(_main))
