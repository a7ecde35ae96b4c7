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
The server node: wiring between streams of pictures, a model, and the threads that work.

Threads: the executor's thread runs all callbacks and owns everything that is created or destroyed;
the worker's threads alone run the network and publish the answers.
"""

from __future__ import annotations

from collections.abc import Sequence
import threading
import time
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.parameter import Parameter
from ros2_classify.errors import ModelNotFoundError, Ros2ClassifyError
from ros2_classify.ros import runtime
from ros2_classify.ros.inference import Inference
from ros2_classify.ros.managed_node import ManagedNode
from ros2_classify.ros.model import difference, load_model, Model
from ros2_classify.ros.model_change import ChangeRefusedError, ModelChange
from ros2_classify.ros.parameter_services import replace_setters
from ros2_classify.ros.parameters import Parameters
from ros2_classify.ros.server_parameters import answer_settings, model_defaults, PARAMETERS
from ros2_classify.ros.services import InferenceService, Request
from ros2_classify.ros.stream import Frame, Stream
from ros2_classify.ros.stream_names import stream_names
from ros2_classify.ros.throttle import ThrottledLog
from ros2_classify.ros.trace import Trace
from ros2_classify.ros.worker import Worker

# An inference may be under way; `ros2 launch` sends the next signal after 5 s.
_STOP_TIMEOUT = 4.0
# While no signal came, one may take so many times as long as the one that warmed the model up.
_WARM_UPS = 3.0
_HOUSEKEEPING_PERIOD = 1.0


class ServerNode(ManagedNode):
    """
    A lifecycle node that answers for the pictures of its cameras, the newest first.

    Parameters
    ----------
    stop : ros2_classify.ros.runtime.Stop
        The request to end the process.

    Raises
    ------
    OptionsError
        If a parameter given at start is wrong.

    """

    def __init__(self, stop: runtime.Stop) -> None:
        super().__init__('server', stop)
        self._throttled = ThrottledLog()
        self._settings = Parameters(self, PARAMETERS)
        if self._settings['tune_malloc']:
            runtime.tune_malloc()
        self._models_loaded = 0
        self._model: Model | None = None
        self._streams: tuple[Stream, ...] = ()
        self._service: InferenceService | None = None
        self._inference: Inference | None = None
        self._worker: Worker | None = None
        self._housekeeping: Any = None
        self._trace: Trace | None = None
        self._adopting = False
        self._load_lock = threading.Lock()
        self._change = ModelChange(self._load, self._wake)
        self._settings.on_change(self._parameters_changed)
        self._settings.guard(self._problem_with_setting)
        replace_setters(self, self._set_parameters)

    @property
    def autostart(self) -> bool:
        """Whether it configures and activates itself."""
        return bool(self._settings['autostart'])

    # ---- transitions

    def configure(self) -> None:
        """Load and warm up the model, create publishers and the service."""
        names = stream_names(
            self, self._settings['image_topics'], self._settings['image_transport'],
            self._settings['output_namespaces'])
        name = self._settings['model']
        if not name:
            from ros2_classify import catalog
            raise ModelNotFoundError(
                'the parameter model is not set; give one with --ros-args -p model:=NAME, where '
                'NAME is a descriptor file (.yaml), a network file (.onnx, .pb) or one of: '
                f'{", ".join(catalog.names()) or "(the catalogue is empty)"}')
        self._log.info(f'loading the model {name}')
        model = self._model = runtime.call_interruptibly(
            lambda: self._load(name, streams=len(names)), self._stop,
            lambda gone: self._log.info(f'still loading the model {name} after {gone}'))
        self._models_loaded += 1
        model.number = self._models_loaded
        self._settings.set_model_defaults(model_defaults(model.pipeline.options))
        self._parameters_changed()
        streams = []
        for each in names:
            streams.append(Stream(self, each, model))
            # One by one: what exists is destroyed where a later one fails.
            self._streams = tuple(streams)
        try:
            self._service = InferenceService(self, model.pipeline.task, self._submit)
        except ImportError as error:
            self._log.info(
                f'no service: the package ros2_classify_interfaces is not installed or too old '
                f'({error}); build it with colcon from interfaces/ to have it')

    def activate(self) -> None:
        """Subscribe and start to work."""
        model = self._model
        assert model is not None
        self._inference = Inference(self._acquire_model, self._service, self._failed)
        worker = self._worker = Worker(
            self._inference, len(self._streams), self._settings['max_batch_delay'])
        trace_file = self._settings['trace_file']
        self._trace = Trace(trace_file) if trace_file else None
        for number, stream in enumerate(self._streams):
            stream.activate(_delivery(worker, number), self._trace)
            stream.announce(model)
        worker.start()
        # Not the node's clock: simulated time may stand still.
        self._housekeeping = self.create_timer(
            _HOUSEKEEPING_PERIOD, self._keep_house,
            clock=Clock(clock_type=ClockType.STEADY_TIME))
        for stream in self._streams:
            waiting = '' if stream.outputs.wanted else '; nobody subscribes to the answers yet'
            self._log.info(
                f'active: {stream.topic} -> {", ".join(stream.outputs.topics)}{waiting}')

    def halt(self) -> bool:
        """Stop all work and keep the model; return whether the worker came to an end."""
        if self._housekeeping is not None:
            self.destroy_timer(self._housekeeping)
            self._housekeeping = None
        for stream in self._streams:
            stream.deactivate()
        worker, self._worker = self._worker, None
        if worker is None:
            return not self._stop.left_thread_behind
        begun = time.monotonic()
        warm_up_time = 0.0 if self._model is None else self._model.warm_up_time
        patience = max(_STOP_TIMEOUT, _WARM_UPS * warm_up_time)
        while not worker.stop(_STOP_TIMEOUT / 10):
            waited = time.monotonic() - begun
            if waited >= (_STOP_TIMEOUT if self._stop.requested else patience):
                self._stop.left_thread_behind = True
                self._log.error(f'the network has not come back for {waited:.0f} s')
                return False
        self._say_what_was_done()
        self._write_trace()
        return True

    def _say_what_was_done(self) -> None:
        assert self._inference is not None
        requests = f'{self._inference.requests} requests answered'
        if len(self._streams) == 1:
            self._log.info(f'stopped: {self._streams[0]}; {requests}')
            return
        for stream in self._streams:
            self._log.info(f'stopped: {stream.topic}: {stream}')
        self._log.info(f'stopped: {requests}')

    def _write_trace(self) -> None:
        trace, self._trace = self._trace, None
        if trace is None:
            return
        try:
            self._log.info(f'times of all frames written to {trace.write()}')
        except OSError as error:
            self._log.error(f'the times of the frames cannot be written: {error}')

    def close(self) -> None:
        """Shut down from whatever state the node is in."""
        # Refused now, the answer is still sent.
        self._change.give_up('the node ends')
        super().close()
        if self._change.running:
            self._stop.left_thread_behind = True

    def free(self, service: bool = True) -> None:
        """Destroy what configure created."""
        self._change.give_up('the node has been cleaned up meanwhile')
        if service and self._service is not None:
            self._service.destroy()
            self._service = None
        streams, self._streams = self._streams, ()
        for stream in streams:
            stream.destroy()
        model, self._model = self._model, None
        # A network that a thread is still in is not freed under it: the thread holds the model.
        if model is not None:
            model.retire()

    # ---- in the executor's thread

    def _submit(self, request: Request) -> str:
        worker = self._worker
        if worker is None:
            return f'{self.get_fully_qualified_name()} is not active; activate it first'
        if not worker.mailbox.ask(request):
            return 'too many requests are waiting already; ask again later'
        return ''

    def _parameters_changed(self) -> None:
        model = self._model
        if model is not None and not self._adopting:
            model.settings = answer_settings(self._settings, model.pipeline.options)

    def _keep_house(self) -> None:
        """Do now and then what no event asks for."""
        model = self._model
        if model is not None:
            # Before Iron no event tells of changed parameters.
            self._parameters_changed()
            for stream in self._streams:
                stream.keep_house(model)

    # ---- another model

    async def _set_parameters(self, parameters: Sequence[Parameter]) -> SetParametersResult:
        """Set parameters for a service; a model, where one is loaded, by loading another."""
        named = [each for each in parameters if each.name == 'model']
        old = self._model
        if old is None or not named or named[-1].type_ != Parameter.Type.STRING:
            return self.set_parameters_atomically(list(parameters))
        name = named[-1].value
        if not name:
            return SetParametersResult(
                successful=False, reason='a configured node needs a model: name one')
        self._log.info(f'loading the model {name} while {old.name} serves')
        try:
            await self._change.change(name, lambda new: self._adopt(new, old, parameters))
        except Ros2ClassifyError as error:
            self._log.error(f'the model {old.name} serves on: {error}')
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _adopt(self, new: Model, old: Model, parameters: Sequence[Parameter]) -> Model:
        """Put a model in the place of the old one, and return that; or change nothing."""
        if self._model is not old:
            raise ChangeRefusedError('the node has been cleaned up meanwhile')
        reason = difference(old, new)
        if reason:
            raise ChangeRefusedError(reason)
        defaults = model_defaults(new.pipeline.options)
        self._settings.check_model_defaults(defaults)
        # What is set here is for the new model: the old one's next answer must not follow it.
        self._adopting = True
        try:
            result = self.set_parameters_atomically(list(parameters))
            if not result.successful:
                raise ChangeRefusedError(result.reason)
            self._settings.set_model_defaults(defaults)
        finally:
            self._adopting = False
        new.settings = answer_settings(self._settings, new.pipeline.options)
        self._models_loaded += 1
        new.number = self._models_loaded
        for stream in self._streams:
            # Before its first answer; a stream that isn't active will do so when it is.
            stream.announce_anew(new)
        self._model = new
        self._log.info(f'the model {new.name} has taken the place of {old.name}')
        return old

    def _problem_with_setting(self, name: str) -> str:
        if name != 'model' or self._model is None or self._adopting:
            return ''
        return 'the model of a node that is configured is set by its services, as ros2 param does'

    def _wake(self) -> None:
        if self.executor is not None:
            self.executor.wake()

    # ---- in a thread that loads a model

    def _load(
            self, name: str, cancel: threading.Event | None = None, streams: int = 0) -> Model:
        # One after the other: the transition to configure does not know of a change given up.
        with self._load_lock:
            return load_model(
                name, self._settings, self._log, streams or len(self._streams), cancel)

    # ---- in the worker's threads

    def _acquire_model(self) -> Model:
        model = self._model
        # Between the two steps another model may have taken its place.
        while model is not None and not model.acquire():
            model = self._model
        assert model is not None, 'the worker ends before the model is taken away'
        return model

    def _failed(self, error: Exception) -> None:
        kind = '' if isinstance(error, Ros2ClassifyError) else f'{type(error).__name__}: '
        self._throttled(self._log.error, f'unexpected failure: {kind}{error}', 'failed')


def _delivery(worker: Worker, number: int) -> Any:
    """Return what takes the frames of one stream."""
    def deliver(frame: Frame) -> bool:
        return worker.mailbox.put(frame, number)

    return deliver
