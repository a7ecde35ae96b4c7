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

"""The server reads models from the directories of its parameter model_roots only."""

from ros_process import Process


def test_a_model_outside_is_refused_and_one_inside_runs(start, peer, classifier, detector):
    roots = {'model_roots': classifier.parent}
    refused: Process = start('server', {'model': detector, **roots})
    assert refused.wait() == 1
    assert 'configure failed: the descriptor file' in refused.output
    assert 'is not below the directories that model_roots allows' in refused.output
    server = start('server', {'model': classifier, **roots})
    server.wait_for_line('active:')
    assert peer.get('model_roots') == str(classifier.parent)
    assert peer.set_values(model_roots='/') != []
    server.stop()


def test_a_link_inside_does_not_lead_out(start, tmp_path, classifier, detector):
    inside = tmp_path / 'inside'
    inside.mkdir()
    (inside / 'link.yaml').symlink_to(detector)
    server = start('server', {
        'model': 'link', 'model_path': inside, 'model_roots': f'{inside}:{classifier.parent}'})
    assert server.wait() == 1
    assert 'symbolic links resolved' in server.output
