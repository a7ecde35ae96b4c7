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

"""Every dependency is in the index of ROS, for each distribution, as rosdep reads it."""

from xml.etree import ElementTree

from shared_data import ROOT
import yaml

EXTRACT = yaml.safe_load((ROOT / 'test/rosdistro_extract.yaml').read_text())
MANIFESTS = [ROOT / 'package.xml', *ROOT.glob('packages/*/package.xml')]


def test_every_dependency_is_a_key_or_a_package_that_is_released():
    named = {each.text for path in MANIFESTS for each in ElementTree.parse(path).iter()
             if each.tag.endswith('depend')}
    # A key that is not in the extract: look for it in the index, and extend the extract.
    assert {name for name in named if not name.startswith('ros2_classify')} == {
        *EXTRACT['keys'], *EXTRACT['released']}


def test_every_key_installs_something_on_the_systems_of_the_distributions():
    assert list(EXTRACT['distributions']) == ['humble', 'jazzy', 'kilted', 'lyrical']
    systems = {system for each in EXTRACT['distributions'].values() for system in each}
    assert systems == {'debian', 'ubuntu'}
    for key, found in EXTRACT['keys'].items():
        assert set(found) == systems and all(found.values()), key


def test_what_pip_installs_is_told_to_those_who_release():
    """The build farm takes no dependency on it."""
    by_pip = {key for key, found in EXTRACT['keys'].items() if 'pip' in found['ubuntu']}
    assert by_pip == {'python3-onnxruntime-pip', 'python3-onnxruntime-gpu-pip'}
    text = ' '.join((ROOT / 'CONTRIBUTING.md').read_text().split())
    assert 'a patch on the release branch removes the two `exec_depend` on ONNX Runtime' in text
