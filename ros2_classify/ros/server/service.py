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
The service of a server: an image in the request, its result in the response.

Depth in the request, or that of a camera that it names, gives positions in the response.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import threading
from typing import Any, Protocol

from numpy.typing import NDArray
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from rclpy.task import Future
from ros2_classify.errors import InputError, Ros2ClassifyError
from ros2_classify.input_range import DepthReader, InputRange
from ros2_classify.limits import shown
from ros2_classify.results.results import Detections
from ros2_classify.ros.messages.bridge import Bridge
from ros2_classify.ros.messages.image import depth_array
from ros2_classify.ros.messages.vision import load_type, MESSAGES
from ros2_classify.ros.server.inference import Drop, Outcome
from ros2_classify.ros.server.locator import Locator, Places, published
from ros2_classify.ros.server.output import Published
from ros2_classify.ros.server.parameters import ResultSettings
from ros2_classify.ros.server.responses import fill_places, fill_result
from ros2_classify.ros.server.tracking import seconds_of
from ros2_classify.sources.image_messages import to_array
from ros2_classify.spatial.camera import CameraModel
from ros2_classify.spatial.depth import locate


@dataclass(frozen=True, eq=False)
class DepthOfRequest:
    """The depth and the calibration of a request, checked before its image is looked at."""

    header: Any
    depth: Any
    camera: CameraModel

    def places(self, result: Detections) -> Places:
        """Find the objects; InputError if sizes differ."""
        where = locate(result, self.camera, self.depth)
        return Places(
            result, published(result, self.header.frame_id, where, where.known, None, None),
            [str(reason or '') for reason in where.missing])


def depth_of(request: Any) -> DepthOfRequest | None:
    """Return the depth of a request; None without; InputError if it is half of it."""
    # An older package of interfaces has none of these fields.
    depth, info = getattr(request, 'depth', None), getattr(request, 'camera_info', None)
    if depth is None or info is None:
        return None
    has_depth = bool(depth.width or depth.height or depth.data)
    has_info = bool(info.width or info.height)
    if not has_depth and not has_info:
        return None
    if not (has_depth and has_info):
        missing = 'depth' if has_info else 'camera_info'
        raise InputError(f'{missing} is empty: positions take depth and camera_info, both of the '
                         'image; send both, or none')
    if depth.header.frame_id != request.image.header.frame_id:
        raise InputError(
            f'the frame of depth is {depth.header.frame_id!r} and that of the image '
            f'{request.image.header.frame_id!r}: use depth that is registered to the image')
    return DepthOfRequest(request.image.header, depth_array(depth), CameraModel.from_info(info))


class Camera(Protocol):
    """What a request takes of the camera that it names."""

    prefix: str
    locator: Locator | None

    def ask_for_positions(self) -> None:
        """Subscribe to what positions take, if there are any, for a while."""


@dataclass(frozen=True, eq=False)
class Request:
    """A request on its way through the worker."""

    service: InferenceService
    image: Any
    response: Any
    responded: Future
    camera: Camera | None = None  # whose settings and depth count
    depth: DepthOfRequest | None = None

    @property
    def origin(self) -> str:
        """The name of the service."""
        return self.service.name

    @property
    def stream(self) -> str:
        """The prefix of the parameters that count."""
        return self.camera.prefix if self.camera else ''

    @property
    def tracks(self) -> bool:
        """The images of requests are no sequence."""
        return False

    @property
    def clips(self) -> None:
        """For the same reason, there are no clips."""

    @property
    def seconds(self) -> float:
        """When the image was, by its stamp."""
        return seconds_of(self.image.header.stamp)

    def read(self, settings: ResultSettings) -> tuple[NDArray[Any], str]:
        """Return pixels and their channel order; raise if the image can't be used."""
        return to_array(
            self.image, settings.max_pixels, self.service.depth_reader(settings.input_range),
            self.service.bridge)

    def finish(self, outcome: Outcome) -> None:
        """Send the response; any thread may call this."""
        self.service.respond(self, outcome)

    def places(self, outcome: Outcome) -> Places | None:
        """Find the objects of its result, by its own depth or by that of its camera."""
        result = outcome.result
        if self.depth is not None and isinstance(result, Detections):
            return self.depth.places(result)
        if self.camera is None or result is None:
            return None
        places: Places | None = Published(
            result, self.image.header, None, '', outcome.class_id, self.camera.locator,
            outcome.settings).places
        return places


class InferenceService:
    """
    The service of the loaded model's task; ImportError if its interfaces are not installed.

    `submit` returns why a `Request` can't be taken, or nothing; `camera_of` returns the camera
    that a request names, or raises OptionsError. `handled` counts the
    requests that got a result, or were refused for another reason than the node's stop.
    """

    def __init__(self, node: Node, task: str, submit: Callable[[Request], str],
                 bridge: Bridge, camera_of: Callable[[str], Camera]) -> None:
        row = MESSAGES[task]
        service_type = load_type(row.service)
        self._node = node
        self._submit = submit
        self._camera_of = camera_of
        self.bridge = bridge
        self._counting = threading.Lock()
        self.handled = 0
        self._depth: DepthReader | None = None
        # A request that waits for the worker must not hold up the node's other callbacks.
        self._service = node.create_service(
            service_type, f'~/{row.service.lower()}', self._serve,
            callback_group=ReentrantCallbackGroup())

    def depth_reader(self, input_range: InputRange) -> DepthReader:
        """Return what brings the images of all requests to 8 bits; it warns once."""
        if self._depth is None or self._depth.input_range != input_range:
            log = self._node.get_logger()
            self._depth = DepthReader(
                input_range, lambda text: log.info(f'{self.name}: {text}'),
                lambda text: log.warning(f'{self.name}: 16-bit image: {text}'), watched=1)
        return self._depth

    @property
    def name(self) -> str:
        """The service's name."""
        return self._service.srv_name

    async def _serve(self, request: Any, response: Any) -> Any:
        try:
            # An older package of interfaces has none of these fields.
            name = getattr(request, 'stream', '')
            camera = self._camera_of(name) if name else None
            pending = Request(
                self, request.image, response, Future(), camera, depth_of(request))
        except Ros2ClassifyError as error:
            return _fail(response, str(error))
        if camera is not None and pending.depth is None:
            camera.ask_for_positions()
        refusal = self._submit(pending)
        if refusal:
            return _fail(response, refusal)
        return await pending.responded

    def respond(self, request: Request, outcome: Outcome) -> None:
        """Send the response to a request; any thread may call this."""
        reason = self._reason(outcome)
        if not reason:
            assert outcome.result is not None
            try:
                header, class_id = request.image.header, outcome.class_id
                fill_result(request.response, outcome.result, header, class_id)
                fill_places(request.response, request.places(outcome), header, class_id)
                request.response.success = True
            except Exception as error:  # noqa: B902 - the caller gets a response in any case
                reason = f'unexpected {type(error).__name__}: {error}'
        if reason:
            _fail(request.response, reason)
        if outcome.drop is not Drop.STOPPED:
            with self._counting:
                self.handled += 1
        request.responded.set_result(request.response)
        # A future does not wake the executor that sleeps while a callback waits for it.
        executor = self._node.executor
        if executor is not None:
            executor.wake()

    def _reason(self, outcome: Outcome) -> str:
        """Return why there is no result, or nothing."""
        if outcome.drop is Drop.STOPPED:
            return f'{self._node.get_fully_qualified_name()} has been deactivated'
        if outcome.drop is None:
            return ''
        kind = '' if isinstance(outcome.error, Ros2ClassifyError) else (
            f'unexpected {type(outcome.error).__name__}: ')
        return f'{kind}{outcome.error}'

    def destroy(self) -> None:
        """Take the service away."""
        self._node.destroy_service(self._service)


def _fail(response: Any, message: str) -> Any:
    response.success = False
    response.message = shown(message)
    return response
