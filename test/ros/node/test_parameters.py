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

"""Parameters: what a table declares, what it refuses, and the documentation made from it."""

import re
from types import SimpleNamespace

import pytest
from rcl_interfaces.msg import ParameterType, SetParametersResult
import rclpy
from rclpy.parameter import Parameter
from ros2_classify.errors import OptionsError
from ros2_classify.model.defaults import Defaults
from ros2_classify.model.input_spec import InputSpec
from ros2_classify.options import Options
from ros2_classify.ros.node import parameters
from ros2_classify.ros.node.parameters import Parameters
from ros2_classify.ros.node.spec import problem, Spec
from ros2_classify.ros.server.parameters import model_defaults, result_settings
from ros2_classify.ros.server.specs import PARAMETERS

TABLE = (
    Spec('name', '', 'A name', read_only=True),
    Spec('kind', 'raw', 'A choice', choices=('raw', 'cooked')),
    Spec('level', 0.3, 'A level', minimum=0.0, maximum=1.0, from_model=True),
    Spec('count', 5, 'A count', minimum=1, maximum=10, from_model=True),
    Spec('flag', True, 'A flag'),
    Spec('names', [''], 'Names', read_only=True),
)


@pytest.fixture
def make(ros):
    """Return a function that makes a node with parameters given on its command line."""
    nodes = []

    def make(*words):
        arguments = [word for given in words for word in ('-p', given)]
        node = rclpy.create_node(
            'parameters', cli_args=['--ros-args', *arguments] if arguments else None)
        nodes.append(node)
        return node

    yield make
    for node in nodes:
        node.destroy_node()


def refused(node, name, value):
    """Try to set a parameter; return the reason why it can't be."""
    result = node.set_parameters([Parameter(name, value=value)])[0]
    return '' if result.successful else result.reason


def test_defaults_descriptions_and_ranges_are_declared(make):
    node = make()
    parameters = Parameters(node, TABLE)
    assert [parameters[spec.name] for spec in TABLE] == [spec.default for spec in TABLE]
    for spec in TABLE:
        descriptor = node.describe_parameter(spec.name)
        assert descriptor.description == spec.description
        assert descriptor.read_only == spec.read_only
    level = node.describe_parameter('level').floating_point_range[0]
    assert (level.from_value, level.to_value) == (0.0, 1.0)
    count = node.describe_parameter('count').integer_range[0]
    assert (count.from_value, count.to_value) == (1, 10)
    assert node.describe_parameter('level').type == ParameterType.PARAMETER_DOUBLE
    assert node.describe_parameter('kind').additional_constraints == 'one of: raw, cooked'


def test_what_the_user_sets_is_checked(make):
    node = make()
    parameters = Parameters(node, TABLE)
    assert refused(node, 'name', 'x')
    assert "kind is 'boiled' but must be one of: raw, cooked" in refused(node, 'kind', 'boiled')
    assert refused(node, 'level', 1.01)
    assert refused(node, 'level', float('nan'))
    assert refused(node, 'level', 1)
    assert refused(node, 'count', 0)
    assert [parameters[spec.name] for spec in TABLE] == [spec.default for spec in TABLE]
    for name, value in (('kind', 'cooked'), ('level', 1.0), ('count', 10), ('flag', False)):
        assert refused(node, name, value) == ''
        assert parameters[name] == value


@pytest.mark.parametrize('word, reason', [
    ('level:=1', 'level is 1 (int) but must be double; write a decimal point'),
    ('level:=1.5', 'level is 1.5 but must be from 0.0 to 1.0'),
    ('count:=2.5', 'count is 2.5 (double) but must be int'),
    ('count:=11', 'count is 11 but must be from 1 to 10'),
    ('kind:=boiled', "'boiled' but must be one of: raw, cooked"),
    ('kind:=true', 'kind is True (bool) but must be string; write one of raw, cooked'),
    ('flag:=3', 'flag is 3 (int) but must be bool; write true or false'),
    ('name:=3', "name is 3 (int) but must be string; write text, numbers in quotes: \"'3'\""),
    ('names:=one', "names is 'one' (string) but must be string[]; write a list, such as"),
])
def test_a_wrong_value_at_start_is_refused_in_words(make, word, reason):
    node = make(word)
    with pytest.raises(OptionsError, match=re.escape(reason)):
        Parameters(node, TABLE)


@pytest.mark.parametrize(('word', 'value'), [
    ('names:=[]', ['']), ('names:=[""]', ['']), ('names:=[a, b]', ['a', 'b'])])
def test_lists_may_be_empty(make, word, value):
    assert Parameters(make(word), TABLE)['names'] == value


def test_the_model_s_values_replace_only_what_the_user_left_alone(make):
    node = make('count:=7')
    parameters = Parameters(node, TABLE)
    parameters.set_model_defaults({'level': 0.6, 'count': 3, 'unknown': 1})
    assert (parameters['level'], parameters['count']) == (0.6, 7)
    # Another model.
    parameters.set_model_defaults({'level': 0.1, 'count': 3})
    assert (parameters['level'], parameters['count']) == (0.1, 7)
    assert refused(node, 'level', 0.9) == ''
    parameters.set_model_defaults({'level': 0.2, 'count': 3})
    assert (parameters['level'], parameters['count']) == (0.9, 7)


def test_a_change_is_told_after_it_counts(make):
    node = make()
    parameters = Parameters(node, TABLE)
    seen = []
    parameters.on_change(lambda: seen.append((parameters['kind'], parameters['count'])))
    assert refused(node, 'kind', 'cooked') == ''
    assert refused(node, 'count', 99)
    parameters.set_model_defaults({'count': 3})
    assert seen == [('cooked', 5), ('cooked', 3)]


def test_a_model_s_value_out_of_range_is_an_error(make):
    parameters = Parameters(make(), TABLE)
    with pytest.raises(OptionsError, match='the model sets count to 99'):
        parameters.set_model_defaults({'count': 99})


@pytest.mark.parametrize('spec', PARAMETERS, ids=lambda spec: spec.name)
def test_the_server_s_table_is_sound(spec):
    assert problem(spec, spec.default) == ''
    assert spec.description and not spec.description.endswith('.')
    is_number = type(spec.default) in (int, float)
    assert is_number == (spec.minimum is not None and spec.maximum is not None)


def test_all_of_the_pipeline_s_options_are_parameters(make):
    parameters = Parameters(make(), PARAMETERS)
    own = Options(score_threshold=0.125, top_k=7, nms_iou=0.25, ioa_threshold=0.5,
                  max_detections=9, multi_label=True)
    pipeline = SimpleNamespace(options=own, descriptor=SimpleNamespace(
        input=InputSpec(input_range='12'), defaults=Defaults(max_rate=5.0)))
    parameters.set_model_defaults(model_defaults(pipeline))
    settings = result_settings(parameters, own)
    assert settings.options == own and str(settings.input_range) == '12'
    assert settings.max_rate == 5.0
    names = {spec.name for spec in PARAMETERS if spec.from_model}
    assert names == set(model_defaults(pipeline)) - {'multi_label'}


@pytest.mark.parametrize('given, value', [
    ('12', '12'), ("'14 bits'", '14'), ('1000..5000', '1000..5000'), ('auto', 'auto')])
def test_the_users_input_range_has_priority_and_may_be_a_number(make, given, value):
    parameters = Parameters(make(f'input_range:={given}'), PARAMETERS)
    pipeline = SimpleNamespace(
        options=Options(), descriptor=SimpleNamespace(
            input=InputSpec(input_range='10'), defaults=Defaults()))
    parameters.set_model_defaults(model_defaults(pipeline))
    assert str(result_settings(parameters, Options()).input_range) == value


def test_a_word_that_is_not_an_input_range_is_refused(make):
    with pytest.raises(OptionsError, match="input_range is 'bright' but must be the number of"):
        Parameters(make('input_range:=bright'), PARAMETERS)
    node = make()
    Parameters(node, PARAMETERS)
    assert 'percentile' in refused(node, 'input_range', 17)
    assert not refused(node, 'input_range', 12)


def test_a_reason_is_short_and_printable():
    """It may have a value of a megabyte in it, which a terminal prints."""
    node = SimpleNamespace(has_parameter=lambda name: True)
    result = SetParametersResult(successful=False, reason='\x1b[2J' + 'x' * 1_000_000)
    reason = parameters._explained(result, node, [SimpleNamespace(name='model')]).reason
    assert len(reason) < 2200 and reason.startswith('\\x1b[2J')
