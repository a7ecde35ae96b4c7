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

"""What a server does about faults of its model: wait, reload it, or end; in words."""

from __future__ import annotations

from typing import Any, Protocol

from ros2_classify.errors import EngineError
from ros2_classify.ros.diagnostics.issues import find, Issue
from ros2_classify.ros.server.faults import EngineFaults, EXIT_CODE, Watchdog
from ros2_classify.ros.server.model import Model
from ros2_classify.ros.server.model_loader import LoadingModel, LoadTimeoutError


class Recoverable(Protocol):
    """What a server can do about its model; all in the executor's thread."""

    def load(self) -> LoadingModel:
        """Start to load the model once more."""

    def set_model(self, model: Model) -> Model:
        """Use a model from now on; return the previous one."""

    def abandon_worker(self, error: EngineError) -> None:
        """Fail the job that does not return, and abandon the worker."""

    def go_to_error(self, reason: str) -> None:
        """Leave the state active by way of the lifecycle's error processing."""

    def end(self, code: int) -> None:
        """End the process."""


class Recovery:
    """Watches a server's model while it is active, and does what `EngineFaults` decides."""

    def __init__(self, server: Recoverable, faults: EngineFaults, log: Any) -> None:
        self._server = server
        self._faults = faults
        self._log = log
        self._watchdog = Watchdog()
        self._hanging = False
        self._reload: LoadingModel | None = None
        self._issues: list[Issue] = []

    @property
    def issues(self) -> list[Issue]:
        """What is wrong at the moment."""
        return [*self._issues, *self._faults.issues()]

    def look(self, busy_for: float, limit: float, step: str = 'the model') -> None:
        """Look after the frames, once a second; busy for more seconds than `limit` is stuck."""
        seen = self._watchdog.look(busy_for)
        self._issues = []
        if seen > limit:
            self._issues = [find(
                'inference_timeout', step=step, seconds=seen, limit=limit)]
        if self._issues and not self._hanging:
            self._log.error(self._issues[0].text)
            self._faults.timed_out(seen, limit, step)
        self._hanging = bool(self._issues)
        self._finish_reload()
        if self._reload is not None:
            return
        action = self._faults.next_action()
        if action.act == 'reload':
            if self._issues:
                self._server.abandon_worker(EngineError(self._issues[0].text))
                # What it worked on is the past.
                self._issues, self._hanging = [], False
            self._log.warning(f'reloading the model after a fault: {action.reason}')
            self._reload = self._server.load()
        elif action.act == 'error':
            self._log.error(f'leaving the state active (on_engine_fault): {action.reason}')
            self._server.go_to_error(action.reason)
        elif action.act == 'exit':
            self._log.fatal(
                f'ending with exit code {EXIT_CODE} (on_engine_fault): {action.reason}')
            self._server.end(EXIT_CODE)

    def close(self) -> None:
        """Drop a model that is being loaded: the node stops, or has got another one."""
        reload, self._reload = self._reload, None
        if reload is not None:
            reload.cancel('it is not needed any more')

    def _finish_reload(self) -> None:
        reload = self._reload
        if reload is None or not reload.done():
            return
        self._reload = None
        try:
            model = reload.result()
        except Exception as error:  # noqa: B902 - whatever it is, the next try may succeed
            self._log.error(f'reloading the model failed: {error}')
            if isinstance(error, LoadTimeoutError):
                self._faults.reload_timed_out(error)
            else:
                self._faults.reload_failed(error)
            return
        self._server.set_model(model).retire()
        self._faults.reloaded()
        self._log.info(f'the model {model.name} is reloaded; it is tried again')
