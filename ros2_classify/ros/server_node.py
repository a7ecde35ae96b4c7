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
The server node: wiring between a topic of pictures, a pipeline and the topics of answers.

Threads: the executor's thread runs all callbacks and owns everything that is created or destroyed;
the worker's thread alone runs the pipeline and publishes the answers.
"""

from __future__ import annotations

from collections.abc import Callable
import time
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from ros2_classify.errors import InputError, ModelNotFoundError, Ros2ClassifyError
from ros2_classify.labels import Labels
from ros2_classify.options import Options
from ros2_classify.pipeline import Pipeline
from ros2_classify.results import Result
from ros2_classify.roots import within
from ros2_classify.ros import runtime
from ros2_classify.ros.counters import Counters
from ros2_classify.ros.engine_parameters import engine_settings
from ros2_classify.ros.fetching import convert_options, core_log_shown, fetch_options
from ros2_classify.ros.image_input import ImageInput
from ros2_classify.ros.image_msg import to_array
from ros2_classify.ros.outputs import Outputs
from ros2_classify.ros.parameters import Parameters
from ros2_classify.ros.result_msgs import to_msg
from ros2_classify.ros.server_parameters import model_defaults, options_from, PARAMETERS
from ros2_classify.ros.services import InferenceService, Request
from ros2_classify.ros.silence import explain_silence
from ros2_classify.ros.throttle import ThrottledLog
from ros2_classify.ros.worker import Worker
from ros2_classify.store import searching

_SUCCESS = TransitionCallbackReturn.SUCCESS
_FAILURE = TransitionCallbackReturn.FAILURE
_ERROR = TransitionCallbackReturn.ERROR

# An inference may be under way; `ros2 launch` sends the next signal after 5 s.
_STOP_TIMEOUT = 4.0
# While no signal came, one may take so many times as long as the one that warmed the model up.
_WARM_UPS = 3.0
_HOUSEKEEPING_PERIOD = 1.0
# Seconds without a picture until the cause is told, and until it is told again.
_SILENCE = 5.0
_SILENCE_AGAIN = 10.0


class ServerNode(LifecycleNode):
    """
    A lifecycle node that answers for every picture with the newest wins rule.

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
        super().__init__('server')
        self._answer_forbidden_transitions()
        self._stop = stop
        self._log = self.get_logger()
        self._throttled = ThrottledLog()
        self._settings = Parameters(self, PARAMETERS)
        if self._settings['tune_malloc']:
            runtime.tune_malloc()
        self.counters = Counters()
        self._models_loaded = 0
        self._warm_up_time = 0.0
        self._pipeline: Pipeline | None = None
        self._outputs: Outputs | None = None
        self._service: InferenceService | None = None
        self._input: ImageInput | None = None
        self._worker: Worker | None = None
        self._housekeeping: Any = None
        self._patience = _SILENCE

    def _answer_forbidden_transitions(self) -> None:
        """
        Let the service change_state say no to a transition that the present state doesn't allow.

        rclpy raises there, and whoever asked would wait for an answer for ever.
        """
        service = getattr(self, '_service_change_state', None)
        change_state = getattr(service, 'callback', None)
        if service is None or change_state is None:
            return

        def guarded(request: Any, response: Any) -> Any:
            try:
                return change_state(request, response)
            except rclpy_implementation.RCLError as error:
                asked = ascii(request.transition.label[:40]) if (
                    request.transition.label) else f'number {request.transition.id}'
                self._throttled(
                    self._log.warning, f'transition {asked} refused: {_first_line(error)}',
                    'transition')
                response.success = False
                return response

        service.callback = guarded

    # ---- the process

    def start(self) -> None:
        """Configure and activate, if the node is to start itself; else wait for transitions."""
        if not self._settings['autostart']:
            self._log.info('waiting to be configured (autostart is off)')
            return
        for transition in (self.trigger_configure, self.trigger_activate):
            if self._stop.requested:
                return
            if transition() != _SUCCESS:
                self._stop.request(1)
                return

    def close(self) -> None:
        """Shut down from whatever state the node is in."""
        self._halt()
        # Requests that were waiting have been refused; the refusals are still to be sent.
        if self._service is not None and self.executor is not None:
            runtime.finish_callbacks(self.executor)
        self._free()

    # ---- transitions

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load and warm up the model, create publishers and the service."""
        return self._transition('configure', self._configure, self._free)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe and start to work."""
        return self._transition('activate', self._activate, self._halt)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop all work and keep the model."""
        return _SUCCESS if self._halt() else _ERROR

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the model."""
        self._free()
        return _SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop all work and free the model."""
        if not self._halt():
            return _ERROR
        # The service stays, to send the refusals of the requests that waited.
        self._free(service=False)
        return _SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start anew where that is possible; a thread stuck in the network makes it impossible."""
        if self._stop.left_thread_behind:
            self._log.fatal('the network does not come back; the node cannot be used any more')
            if self._settings['autostart']:
                self._stop.request(1)
            return _FAILURE
        self._halt()
        self._free()
        return _SUCCESS

    def _transition(
            self, name: str, act: Callable[[], None],
            undo: Callable[[], Any]) -> TransitionCallbackReturn:
        try:
            if self._stop.requested:
                raise runtime.Interrupted
            act()
            return _SUCCESS
        except runtime.Interrupted:
            self._log.info(f'{name} was interrupted')
        except Ros2ClassifyError as error:
            self._log.error(f'{name} failed: {error}')
        except Exception as error:  # noqa: B902 - rclpy would hide it
            self._log.error(f'{name} failed with an unexpected {type(error).__name__}: {error}')
        undo()
        return _FAILURE

    def _configure(self) -> None:
        model = self._settings['model']
        if not model:
            from ros2_classify import catalog
            raise ModelNotFoundError(
                'the parameter model is not set; give one with --ros-args -p model:=NAME, where '
                'NAME is a descriptor file (.yaml), a network file (.onnx, .pb) or one of: '
                f'{", ".join(catalog.names()) or "(the catalogue is empty)"}')
        self._log.info(f'loading the model {model}')
        pipeline = self._pipeline = runtime.call_interruptibly(
            lambda: self._load(model), self._stop,
            lambda gone: self._log.info(f'still loading the model {model} after {gone}'))
        self._settings.set_model_defaults(model_defaults(pipeline.options))
        self._models_loaded += 1
        self._outputs = Outputs(
            self, pipeline.task, self._listeners_changed, masks=pipeline.gives_masks)
        try:
            self._service = InferenceService(self, pipeline.task, self._submit)
        except ImportError as error:
            self._log.info(
                f'no service: the package ros2_classify_interfaces is not installed or too old '
                f'({error}); build it with colcon from interfaces/ to have it')

    def _load(self, model: str) -> Pipeline:
        begun = time.monotonic()
        fetch = fetch_options(self._settings, self._log)
        with core_log_shown(self._log), searching(self._settings['model_path']), within(
                self._settings['model_roots']):
            pipeline = Pipeline.load(
                model, engine=engine_settings(self._settings), fetch=fetch,
                convert=convert_options(self._settings, fetch))
        loaded = time.monotonic()
        try:
            pipeline.warm_up()
        except BaseException:
            pipeline.close()
            raise
        self._warm_up_time = time.monotonic() - loaded
        for guess in pipeline.descriptor.guesses:
            self._log.info(f'assumed about {pipeline.descriptor.name}: {guess}')
        self._log.info(
            f'model {pipeline.descriptor.name} ({pipeline.task}) on {pipeline.engine.provider}, '
            f'loaded in {loaded - begun:.2f} s, warmed up in {self._warm_up_time:.2f} s')
        return pipeline

    def _activate(self) -> None:
        pipeline, outputs = self._pipeline, self._outputs
        assert pipeline is not None and outputs is not None
        self.counters = Counters()
        worker = self._worker = Worker(self._answer, self._serve, self._failed)
        self._input = ImageInput(
            self, self._settings['image_transport'], self._receive)
        # Subscribed in any case at first: wrong settings show now and not with the first listener.
        self._input.update(wanted=True)
        outputs.announce(
            pipeline.descriptor.name, self._labels(), self._settings['score_threshold'],
            self._models_loaded)
        worker.start()
        # Not the node's clock: simulated time may stand still.
        self._housekeeping = self.create_timer(
            _HOUSEKEEPING_PERIOD, self._keep_house,
            clock=Clock(clock_type=ClockType.STEADY_TIME))
        waiting = '' if outputs.wanted else '; nobody subscribes to the answers yet'
        self._log.info(
            f'active: {self._input.topic} -> {", ".join(outputs.topics)}{waiting}')

    def _halt(self) -> bool:
        """Stop all work; return whether the worker came to an end."""
        if self._housekeeping is not None:
            self.destroy_timer(self._housekeeping)
            self._housekeeping = None
        if self._input is not None:
            self._input.unsubscribe()
            self._input = None
        worker, self._worker = self._worker, None
        if worker is None:
            return not self._stop.left_thread_behind
        begun = time.monotonic()
        patience = max(_STOP_TIMEOUT, _WARM_UPS * self._warm_up_time)
        while not worker.stop(_STOP_TIMEOUT / 10):
            waited = time.monotonic() - begun
            if waited >= (_STOP_TIMEOUT if self._stop.requested else patience):
                self._stop.left_thread_behind = True
                self._log.error(f'the network has not come back for {waited:.0f} s')
                return False
        self.counters.replaced = worker.mailbox.replaced
        self._log.info(f'stopped: {self.counters}')
        return True

    def _free(self, service: bool = True) -> None:
        """Destroy what configure created."""
        if service and self._service is not None:
            self._service.destroy()
            self._service = None
        if self._outputs is not None:
            self._outputs.destroy()
            self._outputs = None
        pipeline, self._pipeline = self._pipeline, None
        # A network that a thread is still in must not be freed under it.
        if pipeline is not None and not self._stop.left_thread_behind:
            pipeline.close()

    # ---- in the executor's thread

    def _receive(self, msg: Any) -> None:
        self.counters.received += 1
        worker = self._worker
        if worker is None:
            return
        if self._outputs is None or not self._outputs.wanted:
            self.counters.unwanted += 1
            return
        worker.mailbox.put(msg)

    def _submit(self, request: Request) -> str:
        worker = self._worker
        if worker is None:
            return f'{self.get_fully_qualified_name()} is not active; activate it first'
        if not worker.mailbox.ask(request):
            return 'too many requests are waiting already; ask again later'
        return ''

    def _listeners_changed(self) -> None:
        source, outputs = self._input, self._outputs
        if source is None or outputs is None:
            return
        try:
            source.update(outputs.wanted)
        except Exception as error:  # noqa: B902 - the middleware refused; the node lives on
            self._throttled(
                self._log.error, f'cannot subscribe to {source.topic}: {error}', 'subscribe')

    def _keep_house(self) -> None:
        """Do now and then what no event asks for."""
        self._listeners_changed()
        source, outputs = self._input, self._outputs
        if source is None or outputs is None:
            return
        try:
            outputs.announce_threshold(self._labels(), self._settings['score_threshold'])
            if source.subscribed and outputs.wanted and source.silent_for >= self._patience:
                self._log.warning(explain_silence(self, source))
                self._patience += _SILENCE_AGAIN
            elif source.silent_for < _SILENCE:
                self._patience = _SILENCE
        except Exception as error:  # noqa: B902 - only words are lost
            self._throttled(self._log.error, f'unexpected {type(error).__name__}: {error}')

    def _labels(self) -> Labels | None:
        return self._pipeline.labels if self._pipeline is not None else None

    # ---- in the worker's thread

    def _options(self) -> Options:
        assert self._pipeline is not None
        return options_from(self._settings, self._pipeline.options)

    def _answer(self, msg: Any) -> None:
        """Answer for one picture of the stream."""
        pipeline, outputs, source = self._pipeline, self._outputs, self._input
        if pipeline is None or outputs is None or source is None:
            return
        try:
            pixels, color = source.transport.to_array(msg, self._settings['max_image_pixels'])
        except InputError as error:
            self.counters.malformed += 1
            self._throttled(
                self._log.warning, f'unusable picture on {source.topic}: {error}', 'malformed')
            return
        result = pipeline(pixels, color, self._options())
        outputs.publish(result, msg.header, pixels, color, self._settings['class_id'])
        self.counters.answered += 1

    def _serve(self, request: Request, alive: bool) -> None:
        """Answer one request of the service."""
        service = self._service
        if service is None:
            return
        if not alive:
            service.refuse(request, f'{self.get_fully_qualified_name()} has been deactivated')
            return
        service.answer(request, self._infer)
        self.counters.requests += 1

    def _infer(self, image: Any) -> tuple[Result, Any]:
        assert self._pipeline is not None
        pixels, color = to_array(image, self._settings['max_image_pixels'])
        result = self._pipeline(pixels, color, self._options())
        return result, to_msg(result, image.header, self._settings['class_id'])

    def _failed(self, error: Exception) -> None:
        self.counters.failed += 1
        kind = '' if isinstance(error, Ros2ClassifyError) else f'{type(error).__name__}: '
        self._throttled(self._log.error, f'a picture got no answer: {kind}{error}', 'failed')


def _first_line(error: Exception) -> str:
    return str(error).partition('\n')[0]
