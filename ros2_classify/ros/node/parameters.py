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

"""Parameters as data: one table per node declares, checks and documents its parameters."""

from __future__ import annotations

from array import array
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from rcl_interfaces.msg import (
    FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult)
from rcl_interfaces.srv import SetParameters, SetParametersAtomically
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.exceptions import (
    InvalidParameterTypeException, InvalidParameterValueException, ParameterUninitializedException)
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import qos_profile_parameters
from ros2_classify.errors import OptionsError
from ros2_classify.limits import shown
from ros2_classify.ros.node.command_line import undeclared
from ros2_classify.ros.node.spec import is_numbers, problem, Spec, type_of, Value, with_off

Setter = Callable[[Sequence[Parameter]], Awaitable[SetParametersResult]]


class Parameters:
    """Declares a table and reads it; OptionsError if a value given at start isn't allowed."""

    def __init__(self, node: Node, specs: Sequence[Spec]) -> None:
        self._node = node
        self._specs: dict[str, Spec] = {}
        # Values that the user has not set: a parameter that differs was set by the user.
        self._untouched: dict[str, Value] = {}
        self._set: Setter = self._set_at_once
        _replace_setters(node, lambda parameters: self._set(parameters))
        self._on_change: Callable[[], None] = lambda: None
        # While values are set that have been checked together.
        self._checked = False
        self._guards: list[Callable[[Mapping[str, Value]], str]] = []
        node.add_on_set_parameters_callback(self._check)
        for spec in specs:
            if not self.declare(spec) and spec.from_model:
                self._untouched[spec.name] = spec.default
        node.add_post_set_parameters_callback(lambda _: self._on_change())

    def __getitem__(self, name: str) -> Value:
        """Return the current value."""
        try:
            value = self._node.get_parameter(name).value
        except ParameterUninitializedException:
            # An empty list on the command line has no type, and counts as unset.
            return self._specs[name].default
        if isinstance(value, array):
            value = list(value)
        spec = self._specs[name]
        return str(value) if spec.or_number else with_off(spec, value)

    def __contains__(self, name: str) -> bool:
        """Tell whether there is such a parameter."""
        return name in self._specs

    def assign(self, name: str, value: Value) -> None:
        """Set a parameter; OptionsError if the value isn't allowed."""
        self._assign({name: value})

    def _assign(self, values: Mapping[str, Value]) -> None:
        self._checked = True
        try:
            result = self._node.set_parameters_atomically(
                [Parameter(name, value=value) for name, value in values.items()])
        finally:
            self._checked = False
        if not result.successful:
            raise OptionsError(f'{", ".join(values)} cannot be set: {result.reason}')

    def handle_requests(self, set_atomically: Setter) -> None:
        """
        Have a coroutine set what clients ask for, all parameters or none.

        It runs in the executor's thread, and again before an earlier call has ended.
        """
        self._set = set_atomically

    async def _set_at_once(self, parameters: Sequence[Parameter]) -> SetParametersResult:
        return self._node.set_parameters_atomically(list(parameters))

    def on_change(self, callback: Callable[[], None]) -> None:
        """Set the function to call after parameters have changed, in the executor's thread."""
        self._on_change = callback

    def guard(self, problem_with: Callable[[Mapping[str, Value]], str]) -> None:
        """Add a check of what is set at once, by name: a reason to refuse, or ''."""
        self._guards.append(problem_with)

    def check_model_defaults(self, values: Mapping[str, Value]) -> None:
        """Raise `OptionsError` if `set_model_defaults` would refuse these values."""
        for name, value in self.followed(values).items():
            reason = problem(self._specs[name], value)
            if reason:
                raise OptionsError(f'the model sets {name} to {value}: {reason}')

    def set_model_defaults(self, values: Mapping[str, Value]) -> None:
        """Set the parameters that the user hasn't set to the model's values."""
        self.check_model_defaults(values)
        followed = self.followed(values)
        if followed:
            self._untouched.update(followed)
            self._assign(followed)

    def followed(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """Return the parameters that the user hasn't set, with these values."""
        return {name: type(self._specs[name].default)(values[name])
                for name, untouched in self._untouched.items()
                if name in values and self[name] == untouched}

    def declare(self, spec: Spec) -> bool:
        """Declare a parameter; return whether the user gave it at start, if it's `from_model`."""
        self._specs[spec.name] = spec
        # Declared without a value, so that a value of the user can be told from the default.
        value = spec.default
        if spec.from_model:
            value = None if spec.or_number else Parameter.Type.from_parameter_value(spec.default)
        try:
            self._node.declare_parameter(spec.name, value, _descriptor(spec))
        except InvalidParameterTypeException as error:
            number = ('; write a decimal point, such as 1.0'
                      if isinstance(self._override(spec), int) else
                      '; write a number with a decimal point, such as 0.5')
            hint = {float: number, bool: '; write true or false',
                    str: '' if spec.choices else '; write text, numbers in quotes: "\'3\'"',
                    list: '; write a list, such as [one, two] or ["1", "2"]',
                    }.get(type(spec.default), '')
            if is_numbers(spec.default):
                hint = '; write numbers with decimal points, such as [0.0, 0.5, 1.0, 1.0]'
            choices = f'; write one of {", ".join(spec.choices)}' if spec.choices else ''
            raise OptionsError(
                f'{spec.name} is {self._given(spec)} but must be {type_of(spec)}{hint}{choices}',
            ) from error
        except InvalidParameterValueException as error:
            value = self._override(spec)
            reason = str(error).removesuffix(f': {spec.name}').rpartition('Reason: ')[2]
            raise OptionsError(problem(spec, value) or reason) from error
        if not spec.from_model:
            return False
        try:
            given = self._node.get_parameter(spec.name).value is not None
        except ParameterUninitializedException:
            given = False
        if not given:
            self._node.set_parameters([Parameter(spec.name, value=spec.default)])
        return given

    def _override(self, spec: Spec) -> Value:
        # There is no public API for the values that the user gave, hence getattr.
        given = getattr(self._node, '_parameter_overrides', {}).get(spec.name)
        return None if given is None else given.value

    def _given(self, spec: Spec) -> str:
        """Return the user's value with its type."""
        value = self._override(spec)
        kind = {bool: 'bool', int: 'int', float: 'double', str: 'string'}.get(
            type(value), 'list')
        return f'{list(value) if isinstance(value, array) else value!r} ({kind})'

    def _check(self, parameters: Sequence[Parameter]) -> SetParametersResult:
        """Refuse values that the table does not allow."""
        for parameter in parameters:
            spec = self._specs.get(parameter.name)
            reason = problem(spec, parameter.value) if spec else ''
            if reason:
                return SetParametersResult(successful=False, reason=reason)
        values = {each.name: each.value for each in parameters}
        for guard in () if self._checked else self._guards:
            reason = guard(values)
            if reason:
                return SetParametersResult(successful=False, reason=reason)
        return SetParametersResult(successful=True)


def _descriptor(spec: Spec) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(
        description=spec.description, read_only=spec.read_only,
        dynamic_typing=spec.or_number or spec.or_off)
    if spec.choices:
        descriptor.additional_constraints = f'one of: {", ".join(spec.choices)}'
    if spec.minimum is None or spec.maximum is None:
        return descriptor
    if isinstance(spec.default, float):
        descriptor.floating_point_range = [
            FloatingPointRange(from_value=float(spec.minimum), to_value=float(spec.maximum))]
    else:
        descriptor.integer_range = [
            IntegerRange(from_value=int(spec.minimum), to_value=int(spec.maximum), step=1)]
    return descriptor


def keeps(node: Node, msg: Any) -> bool:
    """
    Tell whether a request sets a read-only parameter to the value that it has.

    `ros2 param load` sets all parameters of a dump, and needs them all to succeed.
    """
    return node.has_parameter(msg.name) and node.describe_parameter(msg.name).read_only and (
        node.get_parameter_or(msg.name).get_parameter_value() == msg.value)


def _explained(
        result: SetParametersResult, node: Node, messages: Sequence[Any]) -> SetParametersResult:
    """Name the nearest parameter if there is none of this name."""
    unknown = [msg.name for msg in messages if not node.has_parameter(msg.name)]
    if unknown and not result.successful:
        result.reason = undeclared(node, unknown[0])
    # It may have the value in it, and be printed by a terminal.
    result.reason = shown(result.reason)
    return result


def _replace_setters(node: Node, set_atomically: Setter) -> None:
    """Handle a node's services that set parameters with a coroutine, before clients find them."""
    async def each(request: Any, response: Any) -> Any:
        for msg in request.parameters:
            response.results.append(
                _explained(await _outcome(node, set_atomically, [msg]), node, [msg]))
        return response

    async def together(request: Any, response: Any) -> Any:
        response.result = _explained(
            await _outcome(node, set_atomically, request.parameters), node, request.parameters)
        return response

    callbacks = {SetParameters: each, SetParametersAtomically: together}
    for service in [each for each in node.services if each.srv_type in callbacks]:
        name, service_type = service.srv_name, service.srv_type
        node.destroy_service(service)
        # Reentrant: a waiting request must not block other callbacks.
        node.create_service(
            service_type, name, callbacks[service_type], qos_profile=qos_profile_parameters,
            callback_group=ReentrantCallbackGroup())


async def _outcome(
        node: Node, set_atomically: Setter, messages: Sequence[Any]) -> SetParametersResult:
    # Without a response, the client would wait forever.
    try:
        parameters = [
            Parameter.from_parameter_msg(msg) for msg in messages if not keeps(node, msg)]
    except Exception as error:  # noqa: B902 - such as an unknown type
        return SetParametersResult(
            successful=False, reason=f'the request cannot be read: {error}')
    try:
        return await set_atomically(parameters)
    except Exception as error:  # noqa: B902 - such as an undeclared parameter
        return SetParametersResult(successful=False, reason=str(error))
