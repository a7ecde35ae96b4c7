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

"""Where the server's images come from: a topic, subscribed to while answers are wanted."""

from __future__ import annotations

from collections.abc import Callable
import threading
import time
from typing import Any

from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from ros2_classify.ros.messages.transports import TRANSPORTS
from ros2_classify.ros.node.intra_process import find_sender, ImageSender
from ros2_classify.ros.node.logging import ThrottledLog
from ros2_classify.ros.server.gate import fetch, Gate
from ros2_classify.ros.server.losses import Losses
from ros2_classify.ros.server.skipped import Skipped

# A subscriber that comes back at once (`ros2 topic echo --once` in a loop) must not make the
# middleware match and unmatch the camera every time.
_LINGER = 2.0


class ImageInput:
    """
    The server's subscription.

    Parameters
    ----------
    node : rclpy.node.Node
        The node.
    topic : str
        The full name of the topic.
    transport : str
        ``raw`` or ``compressed``.
    on_frame : callable
        Called with every message, in the executor's thread; with images of a camera in this
        process in that camera's thread.
    on_skipped : callable
        Called with the number of images that newer ones replaced in the middleware's queue;
        with a negative one where some of those turn out to be lost instead.
    listed : bool
        Whether the topic is one of a list, and not what ``image`` was remapped to.

    """

    def __init__(self, node: Node, topic: str, transport: str, on_frame: Callable[[Any], None],
                 *, on_skipped: Callable[[int], None] = lambda _: None,
                 listed: bool = False) -> None:
        self._node = node
        self.topic = topic
        self.transport = TRANSPORTS[transport]
        self.listed = listed
        self._on_frame = on_frame
        self._on_skipped = on_skipped
        self._subscription: Any = None
        self._throttled = ThrottledLog()
        self._gate = Gate(self._wake)
        # Nobody opens the gate while an image is fetched: the executor would overtake it.
        self._fetching = threading.Lock()
        self._skipped = Skipped()
        # Whether images were left in the queue since the executor took the last one.
        self._held = False
        # Whether the middleware keeps more than the newest image.
        self._deep = False
        self._sender: ImageSender | None = None
        self._subscribed_at = 0.0
        self._last_wanted = 0.0
        self.last_frame_at: float | None = None
        self.losses = Losses()
        # The policy by which a publisher's quality of service doesn't fit, as the middleware says.
        self.incompatible_policy = ''

    @property
    def subscribed(self) -> bool:
        """Whether images are taken at the moment."""
        return self._subscription is not None or self._sender is not None

    @property
    def is_local(self) -> bool:
        """Whether they are handed over by a camera in this process."""
        return self._sender is not None

    @property
    def silent_for(self) -> float:
        """Seconds without an image, counted from the subscription's start at most."""
        return time.monotonic() - max(self._subscribed_at, self.last_frame_at or 0.0)

    def update(self, wanted: bool) -> None:
        """
        Subscribe if images are wanted, unsubscribe when they haven't been for a while.

        Parameters
        ----------
        wanted : bool
            Whether anybody listens to the answers.

        """
        now = time.monotonic()
        if self._gate.closed:
            # The events that came meanwhile: which policy doesn't fit, how much got lost.
            with self._fetching:
                self._gate.open()
        else:
            self._skipped.settle()
        if wanted:
            self._last_wanted = now
            if self.subscribed and self._local_sender() is not self._sender:
                # A camera has come to this process, or gone from it.
                self.unsubscribe()
            if not self.subscribed:
                self._subscribe()
        elif self.subscribed and now - self._last_wanted >= _LINGER:
            self.unsubscribe()

    def unsubscribe(self) -> None:
        """Give the subscription back."""
        sender, self._sender = self._sender, None
        if sender is not None:
            sender.leave(self._receive)
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None

    def hold(self) -> bool:
        """
        Have the executor leave the images alone; whoever needs one fetches it.

        Returns
        -------
        bool
            Whether they can be fetched.

        """
        self._held = self._gate.closed = self._subscription is not None
        return self._gate.closed

    def fetch(self, *, wanted: bool = True) -> Any:
        """
        Return the newest image, after `hold`; in the thread that needs it.

        Parameters
        ----------
        wanted : bool
            Whether anybody listens to the answers; if not, images are delivered again, to be
            counted as what they are.

        Returns
        -------
        message or None
            None where there is none, and from then on the executor waits for the next one.

        """
        with self._fetching:
            return self._fetch(wanted)

    def _fetch(self, wanted: bool) -> Any:
        subscription = self._subscription
        if subscription is None or not self._gate.closed:
            return None
        try:
            taken = fetch(subscription) if wanted else None
        except rclpy_implementation.RCLError as error:
            # The middleware has dropped what it could not read; the executor takes the next one.
            self._throttled(
                self._node.get_logger().error,
                f'an image on {self.topic} cannot be taken from the middleware: {error}', 'take')
            taken = None
        if taken is None:
            self._gate.open()
            return None
        self._note_replaced(taken[1], subscription)
        self.losses.came()
        # A queue of more than one, which qos_overrides may ask for, gives the oldest first.
        while self._deep:
            try:
                newer = fetch(subscription)
            except rclpy_implementation.RCLError:
                # That one is told of at the next turn, should it go on.
                break
            if newer is None:
                break
            self._on_skipped(1)
            self._note_replaced(newer[1], subscription)
            self.losses.came()
            taken = newer
        self.last_frame_at = time.monotonic()
        return taken[0]

    def qos(self) -> QoSProfile:
        """Return the subscription's quality of service, the user's overrides included."""
        return self._subscription.qos_profile

    def _local_sender(self) -> ImageSender | None:
        """Return the camera of this process that has this topic."""
        return None if self.transport.suffix else find_sender(self.topic)

    def _subscribe(self) -> None:
        self.last_frame_at = None
        self.incompatible_policy = ''
        self._gate = Gate(self._wake)
        self._skipped = Skipped()
        self._held = False
        self._subscribed_at = time.monotonic()
        sender = self._local_sender()
        if sender is not None:
            sender.listen(self._receive)
            self._sender = sender
            return
        # Best effort takes images from reliable senders too, and never asks for old ones again.
        qos = QoSProfile(
            history=HistoryPolicy.KEEP_LAST, depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        self._subscription = self.losses.subscribe(
            self._node, self.transport.msg_type, self.topic, self._receive_numbered, qos,
            on_incompatible=self._note_incompatible, on_lost=self._note_lost,
            # The node's own group would remember every subscription there has ever been.
            callback_group=self._gate,
            qos_overriding_options=QoSOverridingOptions.with_default_policies())
        asked = self.qos()
        self._deep = asked.history != HistoryPolicy.KEEP_LAST or asked.depth > 1

    def _note_incompatible(self, policy: str) -> None:
        self.incompatible_policy = policy

    def _note_lost(self, count: int) -> None:
        explained = self._skipped.lost(count)
        if explained:
            self._on_skipped(-explained)

    def _note(self, info: Any, subscription: Any) -> int:
        """Note the number of an image; return how many are missing before it."""
        try:
            alone = subscription.get_publisher_count() == 1
        except (rclpy_implementation.InvalidHandle, rclpy_implementation.RCLError):
            alone = False
        return self._skipped.taken(info.get('publication_sequence_number'), alone=alone)

    def _note_replaced(self, info: Any, subscription: Any) -> None:
        """Note an image, and that newer ones took the place of those missing before it."""
        skipped = self._note(info, subscription)
        self._skipped.replaced(skipped)
        if skipped:
            self._on_skipped(skipped)
            self.losses.came(skipped)

    def _wake(self) -> None:
        executor = self._node.executor
        if executor is not None:
            executor.wake()

    def _receive_numbered(self, msg: Any, info: Any) -> None:
        if self._held:
            # The gate has been opened for its events: the queue was held until now.
            self._held = False
            self._note_replaced(info, self._subscription)
        else:
            self._note(info, self._subscription)
        self._receive(msg)

    def _receive(self, msg: Any) -> None:
        self.last_frame_at = time.monotonic()
        self.losses.came()
        self._on_frame(msg)
