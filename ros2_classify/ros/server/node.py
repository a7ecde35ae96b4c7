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
The server node: wiring between cameras, a model, and the threads that work.

Threads: the executor's thread runs all callbacks and owns everything that is created or destroyed;
it never touches an image. The worker's threads take images, run the model and publish results.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
import time
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from ros2_classify.errors import EngineError, ModelNotFoundError, OptionsError, Ros2ClassifyError
from ros2_classify.ros.diagnostics.statistics import Ring
from ros2_classify.ros.messages.bridge import Bridge
from ros2_classify.ros.node import process as runtime
from ros2_classify.ros.node.lifecycle_node import ManagedNode
from ros2_classify.ros.node.logging import ThrottledLog
from ros2_classify.ros.node.parameters import Parameters
from ros2_classify.ros.server.camera_stream import CameraStream, EnableService
from ros2_classify.ros.server.diagnostics import ServerReport
from ros2_classify.ros.server.faults import EngineFaults
from ros2_classify.ros.server.image_waiter import check_rclpy, ImageWaiter
from ros2_classify.ros.server.inference import Inference
from ros2_classify.ros.server.look import Looking, LookService, LookUntilAction
from ros2_classify.ros.server.model import extras, load_model, Model
from ros2_classify.ros.server.model_loader import LoadCancelledError, LoadingModel, ModelLoader
from ros2_classify.ros.server.model_parameter import ModelParameter
from ros2_classify.ros.server.newer_requests import NewerRequests
from ros2_classify.ros.server.parameters import all_settings, check_settings, model_defaults
from ros2_classify.ros.server.recovery import Recovery
from ros2_classify.ros.server.service import InferenceService, Request
from ros2_classify.ros.server.specs import PARAMETERS
from ros2_classify.ros.server.stage_parameters import replace_stage, StageParameters
from ros2_classify.ros.server.stream_parameters import stream_names, StreamNames, StreamParameters
from ros2_classify.ros.server.trace import Trace
from ros2_classify.ros.server.tracking import ResetTracks
from ros2_classify.ros.server.worker import Worker

# An inference may be under way; `ros2 launch` sends the next signal after 5 s.
_STOP_TIMEOUT = 4.0
# Without a signal, an inference may take this many times as long as the warm-up.
_WARM_UPS = 3.0
_TIMER_PERIOD = 1.0
# Seconds that loading a model may take where nothing limits it.
_LONGEST = 3600.0


class ServerNode(ManagedNode):
    """Publishes results for the newest images of its cameras; OptionsError at wrong parameters."""

    def __init__(self, stop: runtime.Stop) -> None:
        super().__init__('server', stop)
        self._throttled = ThrottledLog()
        self.settings = Parameters(self, PARAMETERS)
        self._stages = StageParameters(self, self.settings)
        self.stream_parameters = StreamParameters(self.settings, PARAMETERS, self._prefixes())
        if self.settings['tune_malloc']:
            runtime.tune_malloc()
        runtime.calm_opencv()
        self.models_loaded = 0
        self._hung = False
        self.bridge: Bridge | None = None
        self.model: Model | None = None
        self._streams: tuple[CameraStream, ...] = ()
        self._service: InferenceService | None = None
        self._looking = Looking(self, self)
        self._lookers: list[LookService | LookUntilAction] = []
        self._enable: list[EnableService] = []
        self._reset_service: ResetTracks | None = None
        # By camera, for the whole run: no id is used again.
        self._object_ids: dict[str, Iterator[int]] = defaultdict(lambda: count(1))
        # Of the present activation, or the last one; None before the first.
        self.inference_times: Ring | None = None
        self._worker: Worker | None = None
        self._timer: Any = None
        self._trace: Trace | None = None
        self.loader = ModelLoader(
            stop, lambda: float(self.settings['load_timeout']), self._wake_executor)
        self._model_parameter = ModelParameter(self, self.settings, self)
        self._newer = NewerRequests(self)
        self.settings.on_change(self._parameters_changed)
        self.settings.guard(self._problem_with)
        self.faults = self._new_faults()
        self.recovery: Recovery | None = None
        self.gave_up = ''
        self._page: Any = None
        self._report = ServerReport(self, self)

    @property
    def autostart(self) -> bool:
        """Whether it configures and activates itself."""
        return bool(self.settings['autostart'])

    @property
    def made_way(self) -> bool:
        """Whether it was not configured because another transition was requested."""
        return self._newer.gave_way

    def _stream_names(self) -> tuple[StreamNames, ...]:
        return stream_names(
            self, self.settings['image_topics'], self.settings['image_transport'],
            self.settings['output_namespaces'])

    def _prefixes(self) -> list[str]:
        try:
            return [names.prefix for names in self._stream_names()]
        except OptionsError:
            # To configure the node is what fails.
            return []

    # ---- transitions

    def configure(self) -> None:
        """Load and warm up the model, create publishers and the service."""
        self.gave_up = ''
        self._newer.gave_way = False
        check_rclpy()
        names = self._stream_names()
        bridge = self.bridge = Bridge(self.settings['image_backend'])
        name = self.settings['model']
        if not name:
            from ros2_classify.model import catalog
            raise ModelNotFoundError(
                'the parameter model is not set; give one with --ros-args -p model:=NAME, where '
                'NAME is a descriptor file (.yaml), a model file (.onnx, .pb) or one of: '
                f'{", ".join(catalog.names()) or "(the catalogue is empty)"}')
        model = self.model = self._load_first(name, len(names))
        self.models_loaded += 1
        model.number = self.models_loaded
        model.topics = extras(model)
        self.settings.set_model_defaults(model_defaults(model.pipeline))
        check_settings(self.stream_parameters, model.pipeline)
        with self._model_parameter.setting():
            self._stages.follow(model, strict=True)
        self._parameters_changed()
        streams = []
        for each in names:
            streams.append(CameraStream(
                self, each, model, bridge, self.stream_parameters.view(each.prefix),
                self._object_ids[each.topic]))
            # One by one: what exists is destroyed where a later one fails.
            self._streams = tuple(streams)
            streams[-1].use(model.settings)
        self._report.watch(self._streams)
        self._add_enable_services()
        if self.settings['web']:
            # Late: the standard library's server takes time to import.
            from ros2_classify.ros.server.page import ServerPage
            self._page = ServerPage(
                self, self.settings['web'], self.settings['load_timeout'] or _LONGEST, PARAMETERS)
            self._log.info(f'the page is {self._page.url}')
        if model.pipeline.task == 'detection':
            self._reset_service = ResetTracks(self, self._reset_tracks)
        try:
            self._service = InferenceService(
                self, model.pipeline.task, self._submit, bridge, self._looking.camera_of)
            self._lookers.append(LookService(self, self._looking))
            self._lookers.append(LookUntilAction(self, self._looking))
        except ImportError as error:
            self._log.info(
                'not all services: the package ros2_classify_interfaces is not installed or too '
                f'old ({error}); build it with colcon from packages/ to have it')

    def _load_first(self, name: str, streams: int) -> Model:
        """Load the model of a node without one; a newer value of the parameter overtakes it."""
        while True:
            self._log.info(f'loading the model {name}')
            self._report.doing(f'loading the model {name}')
            loading = self.load(streams=streams)

            def meanwhile(name: str = name, loading: LoadingModel = loading) -> None:
                self._report.beat()
                self._newer.look(loading)
                if self.settings['model'] != name:
                    loading.cancel(f'{name} was given up before its files were there')

            def say(gone: str, name: str = name) -> None:
                self._log.info(f'still loading the model {name} after {gone}')
            try:
                return self.loader.wait(loading, say, meanwhile)
            except LoadCancelledError as error:
                newer = self.settings['model']
                if newer in ('', name):
                    raise
                self._log.warning(f'{error}, because model was set to {newer!r} meanwhile')
                name = newer
            finally:
                self._report.doing()

    def _add_enable_services(self) -> None:
        names: dict[str, tuple[CameraStream, ...]] = {
            f'{self.get_fully_qualified_name()}/enable': self._streams}
        for stream in self._streams:
            names.setdefault(stream.enable_service, (stream,))
        for name, streams in names.items():
            self._enable.append(EnableService(self, name, streams, self._log.info))

    def activate(self) -> None:
        """Subscribe and start to work."""
        model = self.model
        assert model is not None
        self.faults = self._new_faults()
        self.recovery = Recovery(self, self.faults, self._log)
        self.inference_times = Ring()
        if self._service is not None:
            self._service.handled = 0
        worker = self._make_worker()
        trace_file = self.settings['trace_file']
        self._trace = Trace(trace_file) if trace_file else None
        for stream in self._streams:
            stream.activate(self._wake, self._looked_at, self._trace)
            stream.announce(model)
        worker.start()
        # Not the node's clock: simulated time may stand still.
        self._timer = self.create_timer(
            _TIMER_PERIOD, self._on_timer,
            callback_group=MutuallyExclusiveCallbackGroup(),
            clock=Clock(clock_type=ClockType.STEADY_TIME))
        for stream in self._streams:
            waiting = '' if stream.publishers.wanted else '; nobody subscribes to the results yet'
            self._log.info(
                f'active: {stream.topic} -> {", ".join(stream.publishers.topics)}{waiting}')

    def halt(self) -> bool:
        """Stop all work and keep the model; return whether the worker came to an end."""
        if self._timer is not None:
            self.destroy_timer(self._timer)
            self._timer = None
        self._looking.stop(f'{self.get_fully_qualified_name()} has been deactivated')
        for stream in self._streams:
            stream.deactivate()
        recovery, self.recovery = self.recovery, None
        if recovery is not None:
            recovery.close()
        worker, self._worker = self._worker, None
        if worker is not None:
            self._end(worker)
            self._say_what_was_done()
            self._write_trace()
        return not self._hung

    def _end(self, worker: Worker) -> None:
        """Stop a worker; one whose model doesn't come back in time is left behind."""
        begun = time.monotonic()
        warm_up_time = 0.0 if self.model is None else self.model.warm_up_time
        patience = max(_STOP_TIMEOUT, _WARM_UPS * warm_up_time)
        while not worker.stop(_STOP_TIMEOUT / 10):
            waited = time.monotonic() - begun
            if waited >= (_STOP_TIMEOUT if self._stop.requested else patience):
                self._stop.has_abandoned_thread = self._hung = True
                reason = f'the model has not come back for {waited:.0f} s'
                self._log.error(reason)
                worker.abandon(EngineError(reason))
                return
            self._report.beat()

    def _say_what_was_done(self) -> None:
        requests = f'{self.requests_handled} requests handled'
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
        # Refused now, the reply is still sent.
        self._model_parameter.give_up('the node ends')
        self.loader.close('the node ends')
        super().close()
        if self.loader.running:
            self._stop.has_abandoned_thread = True

    def free(self, service: bool = True) -> None:
        """Destroy what configure created."""
        self._model_parameter.give_up('the node has been cleaned up meanwhile')
        if service and self._service is not None:
            self._service.destroy()
            self._service = None
        while service and self._lookers:
            self._lookers.pop().destroy()
        while self._enable:
            self._enable.pop().destroy()
        if service and self._reset_service is not None:
            self._reset_service.destroy()
            self._reset_service = None
        if self._page is not None:
            self._page.close()
            self._page = None
        streams, self._streams = self._streams, ()
        self._report.watch(())
        for stream in streams:
            stream.destroy()
        model, self.model = self.model, None
        # A model that a thread is still in is not freed under it: the thread holds the model.
        if model is not None:
            model.retire()

    # ---- in the executor's thread

    def _submit(self, request: Request) -> str:
        worker = self._worker
        if worker is None:
            return f'{self.get_fully_qualified_name()} is not active; activate it first'
        if not worker.submit(request):
            return 'too many requests are waiting already; try again later'
        return ''

    def _reset_tracks(self) -> int:
        """Forget the objects of all streams with ids; return how many streams these are."""
        tracking = [stream for stream in self._streams if stream.parameters['tracking']]
        for stream in tracking:
            stream.tracking.reset()
        return len(tracking)

    def _parameters_changed(self) -> None:
        if self.stream_parameters.following:
            return
        self.stream_parameters.follow()
        model = self.model
        if model is not None and not self._model_parameter.setting_model:
            self._use(model)

    def _use(self, model: Model) -> None:
        """Have a model and the streams follow the parameters."""
        model.settings = all_settings(self.stream_parameters, model.pipeline.options)
        for stream in self._streams:
            stream.use(model.settings)

    def _problem_with(self, values: Mapping[str, Any]) -> str:
        """Refuse values that don't fit together, or name classes that the model lacks."""
        # Libraries declare parameters of their own, before what was given at start is checked.
        if self._model_parameter.setting_model or not any(
                name in self.settings for name in values):
            return ''
        try:
            check_settings(
                self.stream_parameters, None if self.model is None else self.model.pipeline,
                values)
        except OptionsError as error:
            return str(error)
        return ''

    def _on_timer(self) -> None:
        """Do now and then what no event asks for."""
        model = self.model
        if model is not None:
            limit = model.timeout(self.settings['inference_timeout'])
            for stream in self._streams:
                stream.on_timer(model, limit)
            for issue in model.new_issues():
                self._log.warning(issue.text)
            if self.recovery is not None:
                worker = self._worker
                assert worker is not None
                self.recovery.look(self.busy_for, limit, worker.inference.busy_with)

    def run_soon(self, call: Callable[..., Any], *values: Any) -> Any:
        """Run something in the executor's thread; return its future."""
        assert self.executor is not None, 'the page is served while the node spins'
        return self.executor.create_task(call, *values)

    async def change(self, parameters: Sequence[Parameter]) -> Any:
        """Set parameters, the model among them, as a client of the node does."""
        return await self._model_parameter.set(parameters)

    def _wake_executor(self) -> None:
        if self.executor is not None:
            self.executor.wake()

    # ---- in the worker's threads

    def _acquire_model(self) -> Model | Exception:
        model = self.model
        # Between the two steps it may have been replaced.
        while model is not None and not model.acquire():
            model = self.model
        assert model is not None, 'the worker ends before the model is taken away'
        if model.abandoned:
            model.release()
            return EngineError('the model is being reloaded after a fault; try again later')
        return model

    def _looked_at(self) -> float:
        worker = self._worker
        return time.monotonic() if worker is None else worker.looked_at

    def _wake(self) -> None:
        worker = self._worker
        if worker is not None:
            worker.wake()

    def _failed(self, error: Exception) -> None:
        kind = '' if isinstance(error, Ros2ClassifyError) else f'{type(error).__name__}: '
        self._throttled(self._log.error, f'unexpected failure: {kind}{error}', 'failed')

    @property
    def streams(self) -> tuple[CameraStream, ...]:
        """Its cameras, from configuring to cleaning up."""
        return self._streams

    @property
    def active(self) -> bool:
        """Whether it works on images."""
        return self._worker is not None

    @property
    def requests_handled(self) -> int:
        """Service requests that have been handled."""
        return 0 if self._service is None else self._service.handled

    @property
    def change_refused(self) -> str:
        """Why the last change of the model was refused; empty if it was not."""
        return self._model_parameter.refused

    @property
    def busy_for(self) -> float:
        """Seconds since the frame under way began; 0 if there is none."""
        return 0.0 if self._worker is None else self._worker.inference.busy_for

    # ---- the model

    def load(self, name: str = '', streams: int = 0) -> LoadingModel:
        """Start to load a model, by default the present one again."""
        if name or streams:
            # A user asked for it; after a fault it is tried as long as the process lives.
            self.loader.check()
        else:
            self._model_parameter.make_way()
        policy = self._model_parameter.policy_for(name, configuring=streams > 0)
        # After a fault nothing of the present model is trusted.
        present = self.model if name and self.model and not self.model.abandoned else None
        name = name or self.settings['model']
        chosen = self._stages.chosen
        return self.loader.load(name, lambda cancel, starting: load_model(
            name, self.settings, self._log, streams or len(self._streams), cancel, starting,
            policy, present, chosen))

    def load_stage(self, name: str, chosen: str) -> LoadingModel:
        """Start to replace the model of one stage; '' is that of the descriptor."""
        self.loader.check()
        model = self.model
        assert model is not None
        policy = self._model_parameter.policy_for(chosen, configuring=False)
        return self.loader.load(chosen or f'of the stage {name}', lambda cancel, starting: (
            replace_stage(model, name, chosen, self.settings, self._log, cancel, starting,
                          policy)))

    def stage_replaced(self) -> None:
        """End searches for what the stages do not know any more."""
        assert self.model is not None
        self._looking.model_changed(self.model)

    def free_model(self, model: Model) -> None:
        """Free a model when nobody uses it any more."""
        self.loader.free(model)

    def set_model(self, model: Model) -> Model:
        """Use a model from now on; return the previous one."""
        old = self.model
        assert old is not None
        self._use(model)
        with self._model_parameter.setting():
            idle = self._stages.follow(model)
        if idle:
            self._log.warning(f'{", ".join(idle)} without effect: {model.name} lacks these stages')
        self.models_loaded += 1
        model.number = self.models_loaded
        # Publishers stay until cleanup.
        model.topics = old.topics
        for stream in self._streams:
            # Before its first result; a stream that isn't active will do so when it is.
            stream.announce_if_active(model)
        self.model = model
        self._looking.model_changed(model)
        return old

    def check_change(self, model: Model, values: Mapping[str, Any]) -> None:
        """Raise OptionsError if parameters, with these values, don't fit a model."""
        check_settings(self.stream_parameters, model.pipeline, values)

    def set_requested_model(self, model: Model) -> Model:
        """Use a model that a user asked for; return the previous one."""
        if self.recovery is not None:
            self.recovery.close()
        old = self.set_model(model)
        self.faults.replaced()
        return old

    # ---- what can be done about faults, in the executor's thread

    def abandon_worker(self, error: EngineError) -> None:
        """Give up what does not come back, and have others drop images until there is a model."""
        worker, model = self._worker, self.model
        assert worker is not None and model is not None
        # The interpreter can't end around a thread in C++ code in the normal way.
        self._stop.has_abandoned_thread = True
        model.abandoned = True
        worker.abandon(error)
        self._make_worker().start()

    def go_to_error(self, reason: str) -> None:
        """Leave the state active by way of the lifecycle's error processing."""
        self.gave_up = reason
        self.trigger_deactivate()

    def end(self, code: int) -> None:
        """End the process."""
        self._stop.request(code)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop all work; after a fault that ends the service, by way of error processing."""
        done = super().on_deactivate(state)
        return TransitionCallbackReturn.ERROR if self.gave_up else done

    def _new_faults(self) -> EngineFaults:
        # A new activation does not bring the threads back that earlier ones have left behind.
        return EngineFaults(self.settings['on_engine_fault'], abandoned=self._stop.abandoned)

    def _make_worker(self) -> Worker:
        model = self.model
        assert model is not None
        self._worker = Worker(
            self._streams, Inference(self.faults, self.inference_times),
            ImageWaiter(self.context),
            self._acquire_model, self._failed,
            # A model that replaces this one has as many batches.
            parallel=model.pipeline.parallel,
            max_batch_delay=self.settings['max_batch_delay'])
        return self._worker
