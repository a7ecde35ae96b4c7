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
The parameter ``model``: what happens when it is set, in each state of the server.

If no model is loaded, it names the one to be configured. If one is, the other one is loaded beside
it and replaces it, and the parameter changes with it; else the caller is told why not. A newer
request overtakes one whose model is still being downloaded or converted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from rcl_interfaces.msg import SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter
from ros2_classify.errors import OptionsError, Ros2ClassifyError
from ros2_classify.ros.node.parameters import Parameters
from ros2_classify.ros.server.model import difference, Model
from ros2_classify.ros.server.model_loader import LoadCancelledError, LoadingModel
from ros2_classify.ros.server.model_policy import ModelPolicy
from ros2_classify.ros.server.parameters import model_defaults

_NAME = 'model'
STAGES = 'stages.'


class ChangeRefusedError(Ros2ClassifyError):
    """The model can't be changed; the message says why."""


class ModelHolder(Protocol):
    """A server that uses a model."""

    # None if none is loaded.
    model: Model | None

    def load(self, name: str = '') -> LoadingModel:
        """Start to load a model."""

    def load_stage(self, name: str, chosen: str) -> LoadingModel:
        """Start to replace the model of one stage."""

    def stage_replaced(self) -> None:
        """Take note of it."""

    def free_model(self, model: Model) -> None:
        """Free a model when nobody uses it any more."""

    def check_change(self, model: Model, values: Mapping[str, Any]) -> None:
        """Raise OptionsError if parameters, with these values, don't fit a model."""

    def set_requested_model(self, model: Model) -> Model:
        """Use a model that a user asked for; return the previous one."""


class ModelParameter:
    """Responds to those who set a server's parameters; only in the executor's thread."""

    def __init__(self, node: Node, settings: Parameters, holder: ModelHolder) -> None:
        self._node = node
        self._log = node.get_logger()
        self._settings = settings
        self._holder = holder
        self._loading: LoadingModel | None = None
        # The parameter and the value that it is loaded for.
        self._asked = ('', '')
        # being set for a model not in use yet, which the one in use must not follow
        self.setting_model = False
        self.refused = ''  # why the last change of the model was refused, if it was
        self._policy = ModelPolicy.of(settings)
        # What the operator chose at start, and what a client has chosen since.
        self._initial = settings[_NAME]
        self._chosen = ''
        settings.guard(self._problem_with)
        settings.handle_requests(self.set)

    def give_up(self, reason: str) -> None:
        """Refuse the change in progress, if there is one, for this reason."""
        if self._loading is not None:
            self._loading.cancel(reason)

    def make_way(self) -> None:
        """Refuse a change whose model is still being fetched: the one in use is reloaded first."""
        loading, model = self._loading, self._holder.model
        if loading is not None and loading.fetching:
            loading.cancel(f'{model.name if model else "the model in use"} failed and is reloaded '
                           f'first; set {self._asked[0]} again')

    def policy_for(self, name: str, configuring: bool) -> ModelPolicy | None:
        """Return what a model that is about to be loaded has to obey; None for the operator's."""
        if configuring and self._settings[_NAME] == self._chosen:
            name = self._chosen
        return None if not name or self._is_initial(name) else self._policy

    def _is_initial(self, name: str) -> bool:
        return name == self._initial and self._policy.changes == 'verified'

    def _check(self, name: str) -> None:
        """Raise NotAllowedError if a client may not set this model."""
        if name and not self._is_initial(name):
            self._policy.check_name(name)

    async def set(self, parameters: Sequence[Parameter]) -> SetParametersResult:  # noqa: A003
        """Set parameters; the future ends when the model, if it is among them, is in use."""
        named = [each for each in parameters
                 if each.name == _NAME and each.type_ == Parameter.Type.STRING]
        old = self._holder.model
        stages = [each for each in parameters if each.name.startswith(STAGES)
                  and each.name in self._settings]
        if stages and old is not None and not named:
            return await self._set_stage(stages[0], old, len(parameters))
        if not named:
            return self._node.set_parameters_atomically(list(parameters))
        name = named[-1].value
        if old is None:
            return self._set_unconfigured(name, parameters)
        if not name:
            return SetParametersResult(
                successful=False, reason='a configured node needs a model: name one')
        try:
            self._check(name)
            self._log.info(f'loading the model {name} while {old.name} serves')
            await self._change(name, old, parameters)
        except LoadCancelledError as error:
            return self._given_up(error)
        except Ros2ClassifyError as error:
            self.refused = str(error)
            self._log.error(f'the model {old.name} keeps serving: {error}')
            return SetParametersResult(successful=False, reason=self.refused)
        self.refused = ''
        self._chosen = name
        return SetParametersResult(successful=True)

    async def _set_stage(
            self, parameter: Parameter, model: Model, count: int) -> SetParametersResult:
        """Replace the model of one stage, and set its parameter."""
        name, chosen = parameter.name.removeprefix(STAGES), parameter.value
        try:
            if count > 1:
                raise ChangeRefusedError(f'{parameter.name} is set by itself; set the rest after')
            if not isinstance(chosen, str):
                raise ChangeRefusedError(f'{parameter.name} is {chosen!r} but must be a text')
            stages = model.pipeline.stages
            if stages is None or name not in stages.running:
                raise ChangeRefusedError(f'the model {model.name} has no stage {name!r}')
            await self._load(lambda: self._holder.load_stage(name, chosen), parameter.name, chosen)
            if self._holder.model is not model:
                raise ChangeRefusedError(
                    f'{model.name} has been reloaded meanwhile, after a fault; set it again')
        except LoadCancelledError as error:
            return self._given_up(error)
        except Ros2ClassifyError as error:
            self.refused = str(error)
            self._log.error(f'the stage {name} stays as it is: {error}')
            return SetParametersResult(successful=False, reason=self.refused)
        with self.setting():
            self._settings.assign(parameter.name, chosen)
        self.refused = ''
        self._holder.stage_replaced()
        return SetParametersResult(successful=True)

    @contextmanager
    def setting(self) -> Iterator[None]:
        """Set what follows from the model, which the guards do not refuse."""
        before, self.setting_model = self.setting_model, True
        try:
            yield
        finally:
            self.setting_model = before

    def _set_unconfigured(
            self, name: str, parameters: Sequence[Parameter]) -> SetParametersResult:
        try:
            self._check(name)
        except Ros2ClassifyError as error:
            self._log.error(f'the parameter model stays: {error}')
            return SetParametersResult(successful=False, reason=str(error))
        result = self._node.set_parameters_atomically(list(parameters))
        if result.successful:
            self._chosen = name
        return result

    async def _change(self, name: str, old: Model, parameters: Sequence[Parameter]) -> None:
        """Load another model and replace the old one, or raise Ros2ClassifyError."""
        new = await self._load(lambda: self._holder.load(name), _NAME, name)
        unneeded = new
        try:
            self._set_model(new, old, parameters)
            unneeded = old
        finally:
            self._holder.free_model(unneeded)

    async def _load(self, begin: Callable[[], LoadingModel], parameter: str, value: str) -> Model:
        """Wait for a model; one that is still being fetched is given up for it."""
        before, asked = self._loading, (parameter, value)
        if before is not None and (not before.fetching or self._asked == asked):
            again = self._asked == asked and before.fetching
            raise ChangeRefusedError(
                f'the change to the model {before.name} has not ended yet; ' + (
                    'set another one to give it up' if again else
                    f'set {value or parameter} when it has'))
        loading = begin()
        if before is not None:
            before.cancel(f'{before.name} was given up before its files were there, because '
                          f'{parameter} was set to {value!r} meanwhile')
        self._loading, self._asked = loading, asked
        try:
            return await loading
        except Ros2ClassifyError:
            raise
        except Exception as error:  # noqa: B902 - the caller is told
            raise ChangeRefusedError(f'unexpected {type(error).__name__}: {error}') from error
        finally:
            if self._loading is loading:
                self._loading = None

    def _given_up(self, error: LoadCancelledError) -> SetParametersResult:
        """Tell the caller; it is no fault of the model, which diagnostics would go on to name."""
        self._log.warning(f'a change of the model was given up: {error}')
        return SetParametersResult(successful=False, reason=str(error))

    def _set_model(self, new: Model, old: Model, parameters: Sequence[Parameter]) -> None:
        """Replace the old model and set the parameters; or change nothing and raise."""
        if self._holder.model is not old:
            raise ChangeRefusedError(
                f'{old.name} has been reloaded meanwhile, after a fault; set the model again')
        reason = difference(old, new)
        if reason:
            raise ChangeRefusedError(reason)
        defaults = model_defaults(new.pipeline)
        self._settings.check_model_defaults(defaults)
        try:
            self._holder.check_change(new, {
                **self._settings.followed(defaults),
                **{each.name: each.value for each in parameters}})
        except OptionsError as error:
            raise ChangeRefusedError(
                f'{new.name}: {error}; change the parameter first, or both at once') from error
        with self.setting():
            result = self._node.set_parameters_atomically(list(parameters))
            if not result.successful:
                raise ChangeRefusedError(result.reason)
            self._settings.set_model_defaults(defaults)
        self._holder.set_requested_model(new)
        self._log.info(f'the model {old.name} is replaced by {new.name}')

    def _problem_with(self, values: Mapping[str, Any]) -> str:
        if self._holder.model is None or self.setting_model or not any(
                name == _NAME or name.startswith(STAGES) for name in values):
            return ''
        return 'the model of a node that is configured is set by its services, as ros2 param does'
