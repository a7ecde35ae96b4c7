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

"""The tables of a measurement."""

from ros2_classify_benchmark.report import table

TIMES = dict.fromkeys(('count', 'p50', 'p95', 'p99', 'max'), 1.5)
RUN = {'sent': 90, 'received': 81, 'processed': 74, 'results': 73, 'dropped_by_policy': 7,
       'lost_in_transport': 9, 'offered_per_s': 30.0, 'rate_out_per_s': 24.3,
       'lost_percent': 18.9, 'jitter_ms': 0.25, 'cpu_percent': 41.0, 'pss_mib': 123.0,
       'stamp_to_result_ms': TIMES, 'in_node_ms': TIMES}
NODE = {'paced': RUN, 'saturated': RUN, **dict.fromkeys((
    'in_node_over_bare', 'stamp_to_result_minus_bare_ms', 'throughput_over_bare',
    'overload_latency_over_bare_paced', 'overload_latency_over_bare_saturated', 'cpu_over_bare',
    'memory_over_bare_mib', 'rate_below_5_percent_loss_per_s', 'active_s', 'first_result_s'))}


def test_frames_dropped_and_frames_lost_have_columns_of_their_own():
    image = dict.fromkeys(('width', 'height', 'encoding', 'transport', 'count', 'source'), 1)
    text = table({
        'bare': dict.fromkeys(('inference_ms', 'paced_ms', 'saturated_ms'), TIMES),
        'nodes': {'node': NODE}, 'transport': None, 'input': image, 'model': 'm', 'task': 't',
        'provider': 'p', 'repetitions': 1})
    rows = [[cell.strip() for cell in line.strip('|').split('|')] for line in text.splitlines()]
    head = next(row for row in rows if row[0] == 'frames')
    values = dict(zip(head, next(row for row in rows if row[0] == 'node, paced')))
    assert (values['dropped by policy'], values['lost in transport']) == ('7', '9')
    assert (values['sent'], values['results'], values['PSS MiB']) == ('90', '73', '123')
