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


"""The page of a running server: what its cameras show, what is wrong, and what can be changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import threading
from typing import Any, Protocol

from rclpy.parameter import Parameter
from ros2_classify.errors import OptionsError
from ros2_classify.filters import class_threshold_words
from ros2_classify.model import catalog
from ros2_classify.ros.diagnostics.issues import Level
from ros2_classify.ros.node.spec import Spec
from ros2_classify.ros.server.camera_stream import CameraStream
from ros2_classify.ros.server.model import Model
from ros2_classify.web import host_and_port
from ros2_classify.web.controls import changed, controls, rows, timing
from ros2_classify.web.feed import Feed
from ros2_classify.web.server import WebServer

# Seconds that the executor may take for a parameter, and for a model.
_PATIENCE = 5.0
_LEVELS = {Level.OK: 'info', Level.WARN: 'warn', Level.ERROR: 'error'}


class PageHolder(Protocol):
    """The server that has the page."""

    model: Model | None

    @property
    def streams(self) -> Sequence[CameraStream]:
        """All cameras."""

    def run_soon(self, call: Callable[..., Any], *values: Any) -> Any:
        """Run something in the executor's thread; return its future."""

    async def change(self, parameters: Sequence[Parameter]) -> Any:
        """Set parameters, the model among them, as a client of the node does."""


class ServerPage:
    """
    Serves the page until `close`; OptionsError if it can't.

    What is shown is read by the threads of the browsers; what is changed is changed in the
    executor's thread, by the same rules as for every other client of the node.
    """

    def __init__(self, holder: PageHolder, place: str, patience: float,
                 specs: Sequence[Spec]) -> None:
        self._holder = holder
        self._model_patience = patience
        # What is no parameter of a stream can't be changed at run time.
        self._kinds = {spec.name: type(spec.default) for spec in specs if spec.per_stream}
        self._web = WebServer(self, *host_and_port(place))

    @property
    def url(self) -> str:
        """The URL with its token."""
        return self._web.url

    @property
    def feeds(self) -> Mapping[str, Feed]:
        """The images by the camera's topic."""
        return {camera.topic: camera.page.feed for camera in self._holder.streams
                if camera.page is not None}

    def close(self) -> None:
        """End the server and its clients."""
        for feed in self.feeds.values():
            feed.close()
        self._web.close()

    def state(self) -> dict[str, Any]:
        """Return what the page shows."""
        model, cameras = self._holder.model, self._holder.streams
        if model is None:
            return {'model': {}, 'streams': [], 'messages': [
                {'level': 'info', 'text': 'no model is loaded: configure the node'}]}
        pipeline = model.pipeline
        messages = [
            {'level': _LEVELS[issue.level], 'text': issue.text}
            for issue in (*(each for camera in cameras for each in camera.issues),
                          *model.issues())]
        return {
            'model': {'name': model.name, 'task': pipeline.task,
                      'provider': pipeline.engine.provider.removesuffix('ExecutionProvider'),
                      'unverified': list(pipeline.descriptor.unverified),
                      'models': catalog.names()},
            'streams': [self._stream(camera, model) for camera in cameras],
            'messages': messages}

    def _stream(self, camera: CameraStream, model: Model) -> dict[str, Any]:
        task = model.pipeline.task
        shown: dict[str, Any] = {
            'id': camera.topic, 'name': camera.topic, 'results': [],
            'controls': [each for each in controls(model.settings.of(camera.prefix).options, task)
                         if each['name'] in self._kinds]}
        page = camera.page
        if page is not None and page.newest is not None and page.listeners:
            result = page.newest
            shown.update(size=list(result.image_size), results=rows(result), count=len(result),
                         timing=timing(result), rate=page.rate)
        return shown

    def control(self, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Set a parameter of a camera, or change the model."""
        if name == 'option':
            self._set_option(body)
            return {}
        if name == 'model':
            wanted = body.get('name')
            if not isinstance(wanted, str) or not wanted:
                raise OptionsError(f'the model is {wanted!r} but must be a name of the catalogue')
            self._change(Parameter('model', value=wanted), self._model_patience)
            return {'note': f'{wanted} is in use'}
        raise OptionsError(f'there is no control {name!r}')

    def _set_option(self, body: Mapping[str, Any]) -> None:
        model = self._holder.model
        camera = next((each for each in self._holder.streams
                       if each.topic == body.get('stream')), None)
        if model is None or camera is None:
            raise OptionsError(f'there is no camera {body.get("stream")!r}')
        name = body.get('name')
        options = changed(model.settings.of(camera.prefix).options, name, body.get('value'),
                          model.pipeline.task)
        if name not in self._kinds:
            raise OptionsError(f'{name!r} is no parameter of the server')
        value = getattr(options, name)
        if name == 'class_thresholds':
            value = class_threshold_words(value)
        if self._kinds[name] is list:
            # An empty list has no type for ROS.
            value = [str(each) for each in value] or ['']
        else:
            value = self._kinds[name](value)
        parameter = f'{camera.prefix}.{name}' if camera.prefix else name
        self._change(Parameter(parameter, value=value), _PATIENCE)

    def _change(self, parameter: Parameter, patience: float) -> None:
        """Set a parameter in the executor's thread, and wait for what comes of it."""
        done = threading.Event()
        task = self._holder.run_soon(self._holder.change, [parameter])
        task.add_done_callback(lambda _: done.set())
        if not done.wait(patience):
            raise OptionsError(f'{parameter.name} is not set after {patience:.0f} s: the node is '
                               'busy; look at the log')
        result = task.result()
        if not result.successful:
            raise OptionsError(result.reason)
