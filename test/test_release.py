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

"""Ready to be released: change logs, pages, declarations, and the workflow that tests it all."""

from pathlib import Path
import re
import subprocess

import pytest
import ros2_classify
from shared_data import ROOT
import yaml

WORKFLOW = ROOT / '.github/workflows/ci.yml'
DISTROS = ['jazzy', 'kilted', 'lyrical']
DECLARATION = (ROOT / 'QUALITY_DECLARATION.md').read_text()
PACKAGES = [ROOT, ROOT / 'packages/ros2_classify_interfaces']


def jobs():
    return yaml.safe_load(WORKFLOW.read_text())['jobs']


def commands(job):
    return '\n'.join(step.get('run', '') for step in job['steps'])


@pytest.mark.parametrize('directory', PACKAGES, ids=lambda path: path.name)
@pytest.mark.filterwarnings('ignore::DeprecationWarning')
def test_change_logs_are_as_the_tools_of_bloom_read_them(directory):
    changelog = pytest.importorskip('catkin_pkg.changelog')
    found = changelog.get_changelog_from_path(str(directory))
    versions = [version for version, _, _ in found.foreach_version()]
    assert versions[0] in (ros2_classify.__version__, 'Forthcoming')
    assert ros2_classify.__version__ in versions
    assert found.get_content_of_version(ros2_classify.__version__)


@pytest.mark.filterwarnings('ignore::DeprecationWarning')
def test_what_bloom_finds_is_what_the_instructions_say():
    packages = pytest.importorskip('catkin_pkg.packages')
    # It does not look below a package: the services' package has to be the root of its branch.
    assert list(packages.find_packages(str(ROOT))) == ['.']
    assert list(packages.find_packages(str(PACKAGES[1]))) == ['.']
    assert 'git subtree split --prefix packages/ros2_classify_interfaces' in (
        ROOT / 'CONTRIBUTING.md').read_text()


@pytest.mark.parametrize('directory', PACKAGES, ids=lambda path: path.name)
@pytest.mark.filterwarnings('ignore::DeprecationWarning')
def test_manifests_have_what_a_release_shows(directory):
    package = pytest.importorskip('catkin_pkg.package').parse_package(str(directory))
    assert package.description and package.maintainers and package.licenses == ['Apache-2.0']
    for url in package.urls:
        assert url.type in ('website', 'repository', 'bugtracker')
        assert url.url.startswith('https://')


def test_the_level_is_declared_and_the_readme_leads_to_it():
    assert 'claim **Quality Level 4**' in DECLARATION
    assert '[Quality declaration](QUALITY_DECLARATION.md) (level 4)' in (
        ROOT / 'README.md').read_text()
    # The seven sections of REP-2004 and, for each, its number.
    assert re.findall(r'^## .* \[(\d)\]$', DECLARATION, re.MULTILINE) == list('1234567')


def test_the_declaration_names_all_dependencies():
    from xml.etree import ElementTree
    named = {each.text for each in ElementTree.parse(ROOT / 'package.xml').iter('exec_depend')}
    section = DECLARATION.partition('## Dependencies')[2].partition('\n## ')[0]
    assert set(re.findall(r'`(\w+)`', section)) == {
        name for name in named if not name.startswith('python3-')}


def test_every_page_is_in_the_contents():
    index = (ROOT / 'docs/index.md').read_text()
    listed = [line for block in re.findall(r'^```\{toctree\}\n(.*?)^```', index, re.M | re.S)
              for line in block.splitlines() if line and not line.startswith(':')]
    pages = {str(path.relative_to(ROOT / 'docs').with_suffix(''))
             for path in (ROOT / 'docs').rglob('*.md')} - {'index'}
    assert sorted(listed) == sorted(pages)


def test_rosdoc2_is_told_where_the_pages_are():
    documents = list(yaml.safe_load_all((ROOT / 'rosdoc2.yaml').read_text()))
    assert documents[0] == {'type': 'rosdoc2 config', 'version': 1}
    sphinx = documents[1]['builders'][0]['sphinx']
    directory = ROOT / sphinx['sphinx_sourcedir']
    settings: dict = {'__file__': str(directory / 'conf.py')}
    exec((directory / 'conf.py').read_text(), settings)
    assert settings['version'] == ros2_classify.__version__
    assert (directory / f'{settings["root_doc"]}.md').is_file()
    assert settings['project'] == sphinx['name'] == 'ros2_classify'


def test_the_workflow_builds_the_pages_with_the_pinned_tools():
    text = commands(jobs()['docs'])
    assert 'scripts/tools/run pages html' in text and 'pip install' not in text


def test_the_workflow_builds_what_an_index_gets():
    text = commands(jobs()['distributions'])
    assert 'python -m build\n' in text and 'twine check --strict dist/*' in text
    assert text.index('venv fresh') < text.index('dist/*.whl)[cpu]') < text.index('infer cards_')


def test_the_workflow_covers_all_distributions():
    found = jobs()
    for name in ('scripts', 'workspace'):
        assert found[name]['strategy']['matrix']['distro'] == DISTROS
        assert found[name]['container']['image'] == 'ros:${{ matrix.distro }}-ros-base'
        assert '--shm-size' in found[name]['container']['options']
    assert found['wheels']['strategy']['matrix']['distro'] == ['jazzy', 'kilted']
    assert commands(found['wheels']).split()[0] == '.ci/run'
    for script in ('setup', 'check', 'demo', 'test'):
        assert f'scripts/{script}\n' in commands(found['scripts'])
    assert 'colcon build --base-paths src src/ros2_classify/packages' in (
        commands(found['workspace']))
    assert found['images']['strategy']['matrix']['file'] == [
        path.name for path in sorted((ROOT / 'docker').glob('Dockerfile*'))]


def test_every_step_of_the_workflow_is_one():
    for name, job in jobs().items():
        assert job['timeout-minutes'] <= 90, name
        for step in job['steps']:
            assert ('run' in step) != ('uses' in step), (name, step)
            # By its commit, which nobody can move.
            assert 'uses' not in step or re.fullmatch(
                r'actions/[\w-]+@[0-9a-f]{40}', step['uses'])


@pytest.mark.parametrize('name', jobs())
def test_the_shell_of_the_workflow_is_readable(name):
    text = re.sub(r'\$\{\{.*?\}\}', 'value', commands(jobs()[name]))
    done = subprocess.run(['bash', '-n'], input=text, capture_output=True, text=True, check=False)
    assert done.stderr == ''
    for script in re.findall(r'(?:^|\s)((?:scripts|\.ci)/[\w./]+)', text):
        assert Path(ROOT / script).is_file(), script
