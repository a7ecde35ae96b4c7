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
The parameter ``model``: what happens when somebody sets it, in each state of the server.

Where no model is loaded, it names the one to be configured. Where one is, the other one is loaded
beside it and takes its place, and the parameter changes with it; else the setter learns why not.
"""

from __future__ import annotations

from collections.abc import Sequence
import threading
from typing import Protocol

from rcl_interfaces.msg import SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter
from ros2_classify.errors import Ros2ClassifyError
from ros2_classify.ros.node.parameters import Parameters, replace_setters
from ros2_classify.ros.server.model import difference, Model
from ros2_classify.ros.server.model_loader import ChangeRefusedError, ModelChange
from ros2_classify.ros.server.parameters import model_defaults

_NAME = 'model'


class ModelHolder(Protocol):
    """A server that works with a model."""

    @property
    def model(self) -> Model | None:
        """What it works with."""

    def load(self, cancel: threading.Event | None = None, name: str = '') -> Model:
        """Load a model; called in a thread of its own."""

    def set_requested_model(self, model: Model) -> Model:
        """Use a model that a user asked for; return the previous one."""


class ModelParameter:
    """
    Replies to those who set a server's parameters; all methods run in the executor's thread.

    Parameters
    ----------
    node : rclpy.node.Node
        The server's node.
    settings : Parameters
        Its parameters.
    holder : ModelHolder
        The server.

    Attributes
    ----------
    setting_model : bool
        Whether the parameters are being set for a model that is not in its place yet: the one
        that is must not follow them.

    """

    def __init__(self, node: Node, settings: Parameters, holder: ModelHolder) -> None:
        self._node = node
        self._log = node.get_logger()
        self._settings = settings
        self._holder = holder
        self._change = ModelChange(lambda name, cancel: holder.load(cancel, name), self._wake)
        self.setting_model = False
        settings.guard(self._problem_with)
        replace_setters(node, self._set)

    @property
    def running(self) -> bool:
        """Whether a thread is still at a change, even one that was given up."""
        return self._change.running

    @property
    def refused(self) -> str:
        """Why the last change was refused; empty where it was not."""
        return self._change.refused

    def give_up(self, reason: str) -> None:
        """Refuse the change that is under way, if there is one, for this reason."""
        self._change.give_up(reason)

    def close(self, reason: str) -> None:
        """Refuse what is under way, for good."""
        self._change.close(reason)

    async def _set(self, parameters: Sequence[Parameter]) -> SetParametersResult:
        named = [each for each in parameters if each.name == _NAME]
        old = self._holder.model
        if old is None or not named or named[-1].type_ != Parameter.Type.STRING:
            return self._node.set_parameters_atomically(list(parameters))
        name = named[-1].value
        if not name:
            return SetParametersResult(
                successful=False, reason='a configured node needs a model: name one')
        self._log.info(f'loading the model {name} while {old.name} serves')
        try:
            await self._change.change(name, lambda new: self._set_model(new, old, parameters))
        except Ros2ClassifyError as error:
            self._log.error(f'the model {old.name} keeps serving: {error}')
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _set_model(self, new: Model, old: Model, parameters: Sequence[Parameter]) -> Model:
        """Put a model in the place of the old one, and return that; or change nothing."""
        if self._holder.model is not old:
            raise ChangeRefusedError(
                f'{old.name} has been reloaded meanwhile, after a fault; set the model again')
        reason = difference(old, new)
        if reason:
            raise ChangeRefusedError(reason)
        defaults = model_defaults(new.pipeline.options)
        self._settings.check_model_defaults(defaults)
        self.setting_model = True
        try:
            result = self._node.set_parameters_atomically(list(parameters))
            if not result.successful:
                raise ChangeRefusedError(result.reason)
            self._settings.set_model_defaults(defaults)
        finally:
            self.setting_model = False
        self._holder.set_requested_model(new)
        self._log.info(f'the model {old.name} is replaced by {new.name}')
        return old

    def _problem_with(self, name: str) -> str:
        if name != _NAME or self._holder.model is None or self.setting_model:
            return ''
        return 'the model of a node that is configured is set by its services, as ros2 param does'

    def _wake(self) -> None:
        if self._node.executor is not None:
            self._node.executor.wake()
