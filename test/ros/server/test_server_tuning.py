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

"""The server uses what `models tune` recorded, and says so."""

from ros2_classify.engines.tuning_record import environment, write
from tuning_records import record, row

MODEL = 'server: model'
TWO = row('cpu, 2 threads', 1.5, threads=2)


def test_the_server_picks_the_record_up_by_itself(
        start, operator, classifier, tmp_path, monkeypatch):
    monkeypatch.setenv('ROS2_CLASSIFY_CACHE', str(tmp_path))
    model = classifier.with_name('colors.onnx')
    write(record(model, TWO), tmp_path)
    server = start('server', {'model': classifier})
    server.wait_for_line('cpu, 2 threads, 1.50 times as good as the defaults')
    values = operator.wait(MODEL, 'OK', 'colors on CPUExecutionProvider')
    assert values['tuning'].startswith('tuning of 2026-11-30 (target latency): cpu, 2 threads')
    server.stop()

    server = start('server', {'model': classifier, 'tuning': 'off'})
    values = operator.wait(MODEL, 'OK', 'colors on CPUExecutionProvider', tuning='off')
    assert 'times as good' not in server.output
    server.stop()


def test_a_record_of_another_version_is_a_notice(
        start, operator, classifier, tmp_path, monkeypatch):
    monkeypatch.setenv('ROS2_CLASSIFY_CACHE', str(tmp_path))
    old = {**environment(), 'cores': '77'}
    write(record(classifier.with_name('colors.onnx'), TWO, environment=old), tmp_path)
    server = start('server', {'model': classifier})
    server.wait_for_line('is not used: cores was 77 and is')
    server.stop()
