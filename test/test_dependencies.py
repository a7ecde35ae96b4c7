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

"""What the scripts install: pinned, licensed as the page says, and audited honestly."""

from importlib.metadata import distribution, PackageNotFoundError
import json
import pickletools
import re
import subprocess

import check
import licences
import pytest
from shared_data import ROOT

PAGE = licences.read_page(licences.PAGE.read_text())
PINS = licences.pins(sorted(licences.WHEELS.glob('*.txt')))


def test_every_line_is_a_pin():
    for path in licences.WHEELS.glob('*.txt'):
        for line in path.read_text().splitlines():
            assert re.match(r'#|[a-z0-9._-]+(\[.+\])?==\S+( ; .+)?$', line), f'{path}: {line}'


def test_the_page_of_licences_has_what_is_pinned():
    assert {name: ', '.join(versions) for name, versions in PINS.items()} == {
        name: versions for name, (versions, _) in PAGE.items()}
    assert licences.UNKNOWN not in {licence for _, licence in PAGE.values()}


def test_the_page_of_licences_is_right_about_what_is_installed():
    compared = 0
    for name, (versions, stated) in PAGE.items():
        try:
            installed = distribution(name)
        except PackageNotFoundError:
            continue
        found = licences.licence_of(installed)
        if installed.version in versions.split(', ') and found != licences.UNKNOWN:
            assert stated == found, name
            compared += 1
    assert compared > 5


def audited(monkeypatch, results):
    """Return what the check says where pip-audit gives these answers, one after the other."""
    asked = []

    def run(command, **options):
        asked.append(open(command[-1]).read().split())
        result = results[min(len(asked), len(results)) - 1]
        text = result if isinstance(result, str) else json.dumps({'dependencies': result})
        return subprocess.CompletedProcess(command, 1, stdout=text, stderr='no way to the server')

    class Environment:
        python = 'python'

    monkeypatch.setattr(check.subprocess, 'run', run)
    monkeypatch.setattr(check, 'variables_for', lambda environment: {})
    checker = check.Checker.__new__(check.Checker)
    checker._environment = Environment()
    return checker, asked


def test_the_audit_says_when_it_cannot_be_made(monkeypatch, capsys):
    checker, asked = audited(monkeypatch, [''])
    assert check.run_checks(checker, ['audit']) == 0
    assert 'skipped: pip-audit gives no answer: no way to the server' in capsys.readouterr().out
    unknown = [{'name': 'urllib3', 'skip_reason': 'not found'}]
    checker, asked = audited(monkeypatch, [unknown])
    assert check.run_checks(checker, ['audit']) == 0
    assert f'skipped: the database of vulnerabilities knows nothing of {check.CANARY}' in (
        capsys.readouterr().out)
    # Nothing else was asked of a database that does not answer.
    assert asked == [[check.CANARY]]


def test_the_audit_asks_for_every_pin_and_fails_on_a_vulnerability(monkeypatch, capsys):
    canary = [{'name': 'urllib3', 'version': '1.24', 'vulns': [
        {'id': 'CVE-2019-11324', 'fix_versions': ['1.24.2']}]}]
    bad = [{'name': 'numpy', 'version': '0', 'vulns': [{'id': 'CVE-1', 'fix_versions': []}]}]
    checker, asked = audited(monkeypatch, [canary, bad, []])
    assert check.run_checks(checker, ['audit']) == 1
    assert 'numpy 0: CVE-1, repaired in no release' in capsys.readouterr().out
    every = {each for names in asked[1:] for each in names}
    assert every == {f'{name}=={version}' for name, versions in PINS.items()
                     for version in versions}
    # pip-audit refuses two releases of a package at once.
    for names in asked:
        assert len({each.partition('==')[0] for each in names}) == len(names)


def test_nothing_in_the_package_unpickles_or_runs_text():
    """No pickle, marshal, shelve, eval or exec, nor what loads pickles by itself."""
    words = re.compile(
        r'\b(?:import|from) (?:pickle|cPickle|marshal|shelve|dill|joblib|cloudpickle)\b'
        r'|\b(?:eval|exec|compile|__import__)\('
        r'|allow_pickle\s*=\s*True|\bnp\.load\((?!.*allow_pickle=False)|\btorch\.load\('
        r'|yaml\.(?:load|full_load|unsafe_load|Loader|FullLoader|UnsafeLoader)\b'
        r'|shell\s*=\s*True|os\.system')
    found = [f'{path.relative_to(ROOT)}:{number}: {line.strip()}'
             for path in sorted((ROOT / 'ros2_classify').rglob('*.py'))
             for number, line in enumerate(path.read_text().splitlines(), 1)
             if words.search(re.sub(r're\.compile\(', '', line))]
    assert found == []


@pytest.mark.parametrize('suffix', ['.pkl', '.pickle', '.npy', '.npz', '.pt', '.pth', '.joblib'])
def test_no_file_of_the_package_is_a_pickle(suffix):
    assert not list((ROOT / 'ros2_classify').rglob(f'*{suffix}'))
    assert not list((ROOT / 'models').rglob(f'*{suffix}'))


def test_a_pickle_is_no_model(tmp_path):
    """A file with a pickle in it, whatever it is called, is refused and not read as one."""
    from ros2_classify import Pipeline
    from ros2_classify.errors import Ros2ClassifyError

    # What would print a word if it was unpickled, written by hand: pickle itself is not needed.
    hostile = b"cbuiltins\nprint\n(S'it ran'\ntR."
    assert [opcode.name for opcode, *_ in pickletools.genops(hostile)][:1] == ['GLOBAL']
    for name in ('net.onnx', 'net.pb', 'net.yaml', 'net.pt'):
        path = tmp_path / name
        path.write_bytes(hostile)
        with pytest.raises(Ros2ClassifyError):
            Pipeline.load(path)
