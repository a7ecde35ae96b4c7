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

"""The statuses of the server: cameras, inference, the model, and the machine."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
import time
from typing import Protocol

from ros2_classify.engines.providers import fell_back
from ros2_classify.ros.diagnostics.issues import find, Issue, Status
from ros2_classify.ros.diagnostics.machine import Machine
from ros2_classify.ros.diagnostics.statistics import Rate, Ring, SimulatedClock
from ros2_classify.ros.diagnostics.summary import (
    inference_status, input_status, model_status, positions_status)
from ros2_classify.ros.diagnostics.updater import Diagnostics, log_disk_issues
from ros2_classify.ros.messages.bridge import Bridge
from ros2_classify.ros.node.lifecycle_node import ManagedNode
from ros2_classify.ros.node.parameters import Parameters
from ros2_classify.ros.server.camera_stream import CameraStream
from ros2_classify.ros.server.faults import EngineFaults
from ros2_classify.ros.server.model import Model
from ros2_classify.ros.server.model_loader import ModelLoader
from ros2_classify.ros.server.recovery import Recovery


class ReportedServer(Protocol):
    """What the report reads of a server."""

    settings: Parameters
    model: Model | None
    models_loaded: int
    faults: EngineFaults
    # None before the first activation.
    inference_times: Ring | None
    # None if the node is not active.
    recovery: Recovery | None
    loader: ModelLoader
    # None before it is configured.
    bridge: Bridge | None
    # Why it left the state active by itself.
    gave_up: str

    @property
    def change_refused(self) -> str:
        """Why the last change of the model was refused."""

    @property
    def requests_handled(self) -> int:
        """Service requests that have been handled."""

    @property
    def busy_for(self) -> float:
        """Seconds since the inference under way began; 0 if there is none."""


class ServerReport:
    """The server's ``/diagnostics``; all methods are for the executor's thread."""

    def __init__(self, node: ManagedNode, server: ReportedServer) -> None:
        self._node = node
        self._server = server
        self._streams: dict[str, CameraStream] = {}
        self._positions: dict[str, CameraStream] = {}
        self._rates: dict[str, Rate] = {}
        self._clock = SimulatedClock()
        self._doing = ('', 0.0)
        self._failed_before = 0
        self._diagnostics = Diagnostics(node)
        self._diagnostics.add('inference', self._inference, deprecated='network')  # words: old
        self._diagnostics.add('model', self._model)
        self._diagnostics.add('machine', Machine().status)

    def watch(self, streams: Sequence[CameraStream]) -> None:
        """Report on these streams, and on no others."""
        for part in (*self._streams, *self._positions):
            self._diagnostics.remove(part)
        self._rates.clear()
        self._failed_before = 0
        self._streams = {f'images {stream.topic}': stream for stream in streams}
        for part, stream in self._streams.items():
            self._diagnostics.add(part, partial(self._input, stream))
        self._positions = {f'positions {stream.topic}': stream for stream in streams
                           if stream.locator is not None}
        for part, stream in self._positions.items():
            self._diagnostics.add(part, partial(self._in_metres, stream))

    def doing(self, what: str = '') -> None:
        """Say what goes on that takes long; nothing ends it."""
        self._doing = (what, time.monotonic())
        self._diagnostics.publish()

    def beat(self) -> None:
        """Publish if it is due; for code that blocks the executor."""
        self._diagnostics.publish_if_due()

    def _rate(self, name: str, count: int) -> float:
        return self._rates.setdefault(name, Rate()).look(count)

    def _input(self, stream: CameraStream) -> Status:
        source, counters, monitor = stream.source, stream.counters, stream.monitor
        last = source.last_image_at if source is not None else None
        return input_status(
            topic=stream.topic, active=source is not None, issues=stream.issues,
            rate=self._rate(f'{stream.topic} received', counters.received),
            result_rate=self._rate(f'{stream.topic} results', counters.results),
            counts={
                'received': counters.received, 'results published': counters.results,
                'dropped, replaced by newer ones': counters.replaced,
                'dropped, no subscribers': counters.no_subscribers,
                'dropped, beyond max_rate': counters.over_rate,
                'dropped, unusable': counters.malformed,
                'used for later results': counters.between,
                'dropped, the model failed': counters.failed,
                'dropped, in pauses after faults': counters.skipped,
                'dropped, the node stopped': counters.stopped,
                'lost by the middleware': source.lost if source is not None else 0,
                'stamps that went back': monitor.jumps,
                'changes of size or encoding': monitor.changes,
                'interruptions': monitor.interruptions},
            age=None if last is None else time.monotonic() - last,
            image_format=monitor.image_format,
            reliability=source.reliability if source is not None else '',
            publishers=self._node.count_publishers(stream.topic),
            subscribers=stream.publishers.listeners, latency=stream.latencies.total,
            node_latency=stream.latencies.node, last_error=stream.last_error,
            clip=stream.clips.values())

    def _in_metres(self, stream: CameraStream) -> Status:
        locator = stream.locator
        assert locator is not None
        return positions_status(
            active=stream.source is not None, wanted=locator.source.subscribed,
            sources=locator.sources, located=locator.located, missing=dict(locator.missing),
            issues=locator.issues())

    def _inference(self) -> Status:
        server, streams = self._server, self._streams.values()
        faults = server.faults
        results = sum(stream.counters.results for stream in streams)
        failed = sum(stream.counters.failed for stream in streams)
        lately, self._failed_before = max(0, failed - self._failed_before), failed
        what, since = self._doing
        errors = [stream.last_error for stream in streams if stream.last_error]
        return inference_status(
            state=self._node.state,
            activity=f'{what} for {time.monotonic() - since:.0f} s' if what else '',
            issues=self._inference_issues(),
            rate=self._rate('results', results), published=results, failed=failed,
            requests=server.requests_handled,
            faults=faults.total, reloads=faults.reloads, abandoned=faults.abandoned.count,
            failed_lately=lately,
            inference=server.inference_times,
            running_for=server.busy_for,
            timeout=0.0 if server.model is None else server.model.timeout(
                server.settings['inference_timeout']),
            last_error=faults.last_error or (errors[-1] if errors else ''),
            clock_jumps=self._clock.jumps,
            image_backend=str(server.bridge) if server.bridge is not None else '')

    def _inference_issues(self) -> list[Issue]:
        server, clock = self._server, self._node.get_clock()
        issues = self._clock.look(
            1e-9 * clock.now().nanoseconds if clock.ros_time_is_active else None)
        if server.recovery is not None:
            issues += server.recovery.issues
        issues += server.loader.issues()
        if self._node.failed_transition is not None:
            transition, reason = self._node.failed_transition
            issues.append(find('transition_failed', transition=transition, reason=reason))
        issues += log_disk_issues()
        if server.gave_up:
            issues.append(find('gave_up', reason=server.gave_up))
        return issues

    def _model(self) -> Status:
        server = self._server
        model, asked = server.model, server.settings['provider']
        if model is None:
            return model_status(requested=asked, version=server.models_loaded)
        provider, tuning = model.pipeline.engine.provider, model.pipeline.tuning
        # What was measured may be a CPU that is faster than the GPU.
        chosen = tuning.settings.provider if tuning is not None else asked
        return model_status(
            name=model.name, task=model.pipeline.task, sha256=model.sha256, requested=asked,
            provider=provider, fell_back=not model.remote_timeout and fell_back(chosen, provider),
            version=server.models_loaded, load_time=model.load_time, engine_time=model.engine_time,
            warm_up_time=model.warm_up_time, refused=server.change_refused,
            unverified=model.pipeline.unverified,
            counts=model.counts(), issues=model.issues(),
            tuning=tuning.text if tuning is not None else '')
