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

"""
Parameters as data: a node's table says all about them, and everything else is made from it.

A node declares its table in one call, checks what users set against it, and its documentation
page carries the table that `markdown_table` writes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
import difflib
import math
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

Value = Any


@dataclass(frozen=True)
class Spec:
    """
    One parameter.

    Parameters
    ----------
    name : str
        Its name.
    default : bool, int, float, str or list of str
        Its value where the user gives none; the type follows from it.
    description : str
        One sentence for ``ros2 param describe``, without a full stop.
    minimum, maximum : int or float, optional
        The range of a number, both ends included.
    choices : tuple of str
        The only values allowed, where there are such.
    read_only : bool
        Whether it can be set at start only.
    from_model : bool
        Whether the model's descriptor gives the value where the user gives none.
    or_number : bool
        Whether a string may be given as a whole number: the command line knows no difference
        between ``source:=0`` and a number. It is read as a string.

    """

    name: str
    default: Value
    description: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    read_only: bool = False
    from_model: bool = False
    or_number: bool = False


class Parameters:
    """
    A node's parameters: declares a table and reads the values.

    Parameters
    ----------
    node : rclpy.node.Node
        The node.
    specs : sequence of Spec
        Its table.

    Raises
    ------
    OptionsError
        If a value given at start is of the wrong type, out of range or not among the choices.

    """

    def __init__(self, node: Node, specs: Sequence[Spec]) -> None:
        self._node = node
        self._specs = {spec.name: spec for spec in specs}
        # What each parameter would be without the user: a value that differs is the user's.
        self._untouched: dict[str, Value] = {}
        result_every_request(node)
        self._on_change: Callable[[], None] = lambda: None
        self._guard: Callable[[str], str] = lambda _: ''
        node.add_on_set_parameters_callback(self._check)
        for spec in specs:
            self._declare(spec)
        self._warn_of_misspelled_names()
        if hasattr(node, 'add_post_set_parameters_callback'):  # not before Iron
            node.add_post_set_parameters_callback(lambda _: self._on_change())

    def __getitem__(self, name: str) -> Value:
        """Return the present value."""
        try:
            value = self._node.get_parameter(name).value
        except ParameterUninitializedException:
            # An empty list on the command line has no type and counts for none.
            return self._specs[name].default
        return str(value) if self._specs[name].or_number else value

    def on_change(self, callback: Callable[[], None]) -> None:
        """
        Have a function called after parameters have changed.

        Parameters
        ----------
        callback : callable
            Called in the executor's thread; it takes the place of an earlier one.

        """
        self._on_change = callback

    def guard(self, problem_with: Callable[[str], str]) -> None:
        """
        Have a function asked before a parameter is set.

        Parameters
        ----------
        problem_with : callable
            Takes the name and returns why the parameter can't be set now, or nothing.

        """
        self._guard = problem_with

    def check_model_defaults(self, values: Mapping[str, Value]) -> None:
        """
        Check what `set_model_defaults` would set, and set nothing.

        Parameters
        ----------
        values : mapping of str to value
            Values by name.

        Raises
        ------
        OptionsError
            If a value is out of its parameter's range.

        """
        for name, value in self._followed(values):
            reason = problem(self._specs[name], value)
            if reason:
                raise OptionsError(f'the model sets {name} to {value}: {reason}')

    def set_model_defaults(self, values: Mapping[str, Value]) -> None:
        """
        Give the parameters that the user has left alone the values that suit the model.

        Parameters
        ----------
        values : mapping of str to value
            Values by name; those of parameters that don't follow the model are ignored.

        Raises
        ------
        OptionsError
            If a value is out of its parameter's range.

        """
        for name, value in self._followed(values):
            result = self._node.set_parameters([Parameter(name, value=value)])[0]
            if not result.successful:
                raise OptionsError(f'the model sets {name} to {value}: {result.reason}')
            self._untouched[name] = self[name]

    def _followed(self, values: Mapping[str, Value]) -> list[tuple[str, Value]]:
        """Return the parameters that the user has left alone, with these values."""
        return [(name, type(self._specs[name].default)(values[name]))
                for name, untouched in self._untouched.items()
                if name in values and self[name] == untouched]

    def _declare(self, spec: Spec) -> None:
        # Declared bare, a value given by the user can be told from none at all.
        value = Parameter.Type.from_parameter_value(spec.default) if spec.from_model else (
            spec.default)
        try:
            self._node.declare_parameter(spec.name, value, _descriptor(spec))
        except InvalidParameterTypeException as error:
            hint = {float: '; write a decimal point, such as 1.0',
                    list: '; write a list, such as [one, two]'}.get(type(spec.default), '')
            choices = f'; write one of {", ".join(spec.choices)}' if spec.choices else ''
            raise OptionsError(_without_suffix(error, spec) + hint + choices) from error
        except InvalidParameterValueException as error:
            raise OptionsError(_without_suffix(error, spec)) from error
        if not spec.from_model:
            return
        try:
            self._node.get_parameter(spec.name)
        except ParameterUninitializedException:
            self._node.set_parameters([Parameter(spec.name, value=spec.default)])
            self._untouched[spec.name] = spec.default

    def _check(self, parameters: Sequence[Parameter]) -> SetParametersResult:
        """Refuse values outside the table; changes nothing."""
        for parameter in parameters:
            spec = self._specs.get(parameter.name)
            reason = problem(spec, parameter.value) if spec else ''
            reason = reason or self._guard(parameter.name)
            if reason:
                return SetParametersResult(successful=False, reason=reason)
        return SetParametersResult(successful=True)

    def _warn_of_misspelled_names(self) -> None:
        """Say so where a value was given for a name that is nearly one of ours: ROS does not."""
        # There is no public way to ask which values the user gave, hence the careful look.
        for given in getattr(self._node, '_parameter_overrides', {}):
            if self._node.has_parameter(given):
                continue
            close = difflib.get_close_matches(given, self._specs, n=1, cutoff=0.75)
            if close:
                self._node.get_logger().warning(
                    f'there is no parameter {given!r}, its value is ignored; did you mean '
                    f'{close[0]!r}?')


def problem(spec: Spec, value: Value) -> str:
    """
    Say what is wrong with a value.

    Parameters
    ----------
    spec : Spec
        The parameter.
    value : bool, int, float, str or list of str
        A value of its type, or None.

    Returns
    -------
    str
        One sentence that names the value and the allowed ones, or nothing where it is fine.

    """
    if value is None:
        return ''
    if spec.or_number and type(value) not in (str, int):
        return f'{spec.name} is {value!r} but must be a string or a whole number'
    if spec.choices and value not in spec.choices:
        return f'{spec.name} is {value!r} but must be one of: {", ".join(spec.choices)}'
    if isinstance(value, float) and not math.isfinite(value):
        return f'{spec.name} is {value} but must be a finite number'
    low, high = spec.minimum, spec.maximum
    if low is not None and high is not None and not low <= value <= high:
        return f'{spec.name} is {value} but must be from {low} to {high}'
    return ''


def markdown_table(specs: Sequence[Spec]) -> str:
    """
    Write a table of parameters for a documentation page.

    Parameters
    ----------
    specs : sequence of Spec
        The node's table.

    Returns
    -------
    str
        Markdown, one line for each parameter.

    """
    lines = ['| parameter | type | default | allowed | at run time | meaning |',
             '|---|---|---|---|---|---|']
    for spec in specs:
        kind = {bool: 'bool', int: 'int', float: 'double', str: 'string',
                list: 'string[]'}[type(spec.default)]
        default = '(empty)' if spec.default in ('', ['']) else str(spec.default)
        if kind == 'bool':
            default = default.lower()
        allowed = ', '.join(spec.choices)
        if spec.minimum is not None:
            allowed = f'{spec.minimum} to {spec.maximum}'
        source = "the model's, else " if spec.from_model else ''
        lines.append(
            f'| `{spec.name}` | {kind} | {source}{default} | {allowed} | '
            f'{"no" if spec.read_only else "yes"} | {spec.description} |')
    return '\n'.join(lines)


def _without_suffix(error: Exception, spec: Spec) -> str:
    """Return rclpy's sentence without the parameter's name that it appends."""
    return str(error).removesuffix(f': {spec.name}')


def _descriptor(spec: Spec) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(
        description=spec.description, read_only=spec.read_only, dynamic_typing=spec.or_number)
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


_Callback = Callable[[Any, Any], Any]


def result_every_request(node: Node) -> None:
    """
    Let a node's parameter services refuse what they can't read.

    Parameters
    ----------
    node : rclpy.node.Node
        The node, whose services are there already.

    """
    guards = {'/set_parameters': _each, '/set_parameters_atomically': _all}
    for service in node.services:
        guard = guards.get(service.srv_name[service.srv_name.rfind('/'):])
        if guard is not None:
            service.callback = guard(service.callback)


def _each(callback: _Callback) -> _Callback:
    """Ask for one parameter after the other, each with a result of its own."""
    def guarded(request: Any, response: Any) -> Any:
        for parameter in request.parameters:
            try:
                result = callback(
                    SetParameters.Request(parameters=[parameter]), SetParameters.Response())
                response.results += result.results
            except Exception as error:  # noqa: B902 - the asker gets an answer in any case
                response.results.append(_refusal(error))
        return response
    return guarded


def _all(callback: _Callback) -> _Callback:
    """Ask for all parameters at once."""
    def guarded(request: Any, response: Any) -> Any:
        try:
            return callback(request, response)
        except Exception as error:  # noqa: B902 - the asker gets an answer in any case
            response.result = _refusal(error)
            return response
    return guarded


def _refusal(error: Exception) -> SetParametersResult:
    reason = str(error) or type(error).__name__
    return SetParametersResult(successful=False, reason=f'the request cannot be read: {reason}')


Setter = Callable[[Sequence[Parameter]], Awaitable[SetParametersResult]]


def replace_setters(node: Node, set_atomically: Setter) -> None:
    """
    Have a coroutine answer those who set a node's parameters by its services.

    Parameters
    ----------
    node : rclpy.node.Node
        The node, with rclpy's own services; nobody knows them yet.
    set_atomically : coroutine function
        Sets all of the parameters or none, and returns what came of it. It is called in the
        executor's thread, again before an earlier call has ended.

    """
    async def each(request: Any, response: Any) -> Any:
        for msg in request.parameters:
            response.results.append(await _outcome(set_atomically, [msg]))
        return response

    async def together(request: Any, response: Any) -> Any:
        response.result = await _outcome(set_atomically, request.parameters)
        return response

    callbacks = {SetParameters: each, SetParametersAtomically: together}
    for service in [each for each in node.services if each.srv_type in callbacks]:
        name, service_type = service.srv_name, service.srv_type
        node.destroy_service(service)
        # Reentrant: whoever waits here holds up no other callback.
        node.create_service(
            service_type, name, callbacks[service_type], qos_profile=qos_profile_parameters,
            callback_group=ReentrantCallbackGroup())


async def _outcome(set_atomically: Setter, messages: Sequence[Any]) -> SetParametersResult:
    # Without an answer, whoever asked would wait for ever.
    try:
        parameters = [Parameter.from_parameter_msg(msg) for msg in messages]
    except Exception as error:  # noqa: B902 - such as a type that is none
        return SetParametersResult(
            successful=False, reason=f'the request cannot be read: {error}')
    try:
        return await set_atomically(parameters)
    except Exception as error:  # noqa: B902 - such as a parameter that isn't declared
        return SetParametersResult(successful=False, reason=str(error))
