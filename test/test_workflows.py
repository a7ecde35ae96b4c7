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

"""The workflows: every action is a commit, and no token may do more than it must."""

import re

import pytest
import shared_data
import yaml

WORKFLOWS = sorted((shared_data.ROOT / '.github/workflows').glob('*.yml'))


@pytest.mark.parametrize('path', WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_commit_with_their_version(path):
    used = re.findall(r'uses: (.*)', path.read_text())
    assert used
    assert [line for line in used
            if not re.fullmatch(r'[\w./-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+', line)] == []


@pytest.mark.parametrize('path', WORKFLOWS, ids=lambda path: path.name)
def test_tokens_may_read_and_only_upload_results(path):
    workflow = yaml.safe_load(path.read_text())
    assert workflow['permissions'] == {'contents': 'read'}
    for job in workflow['jobs'].values():
        more = job.get('permissions', {})
        assert {name for name, right in more.items() if right != 'read'} <= {'security-events'}


def test_what_is_pinned_is_kept_up_to_date():
    updates = yaml.safe_load((shared_data.ROOT / '.github/dependabot.yml').read_text())['updates']
    assert {each['package-ecosystem'] for each in updates} == {'github-actions', 'pip', 'docker'}
