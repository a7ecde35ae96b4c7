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

"""What `ros2 param load` does with what `ros2 param dump` wrote: it sets all parameters."""

import pytest
from rcl_interfaces.msg import Parameter as ParameterMsg
from rcl_interfaces.srv import GetParameters, SetParameters, SetParametersAtomically

READ_ONLY = {'server': ('threads', 2), 'camera': ('width', 64), 'client_test': ('output', 'x')}


@pytest.mark.parametrize('node', READ_ONLY)
@pytest.mark.parametrize('together', [False, True])
def test_a_dump_can_be_loaded(start, peer, classifier, tmp_path, node, together):
    parameters = {'model': classifier} if node == 'server' else {}
    if node == 'client_test':
        parameters = {'timeout': 60.0}
    start(node, parameters)
    name = f'/{node}'
    names = peer.list_parameters(name)
    values = peer.call(
        GetParameters, f'{name}/get_parameters', GetParameters.Request(names=names)).values
    assert len(values) == len(names) > 5
    dump = [ParameterMsg(name=each, value=value) for each, value in zip(names, values)]

    def load(messages):
        if together:
            result = peer.call(
                SetParametersAtomically, f'{name}/set_parameters_atomically',
                SetParametersAtomically.Request(parameters=messages)).result
            return {result.reason} if not result.successful else set()
        results = peer.call(SetParameters, f'{name}/set_parameters',
                            SetParameters.Request(parameters=messages)).results
        assert len(results) == len(messages)
        return {result.reason for result in results if not result.successful}

    assert load(dump) == set()
    other, value = READ_ONLY[node]
    assert len(peer.set_values(name, **{other: value})) == 1
    assert peer.get(other, name) != value
