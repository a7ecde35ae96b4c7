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


"""The benchmark's camera and the server in one process, where pictures are handed over."""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from types import SimpleNamespace
from typing import Any


def main() -> None:
    """Run both: the argument is JSON with ``frames``, ``topics`` and ``words``, the server's."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    settings = json.loads(sys.argv[1])
    from ros2_classify.ros import dds_profile, runtime

    profile = dds_profile.use()
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.signals import SignalHandlerOptions
    from ros2_classify.ros.bench.frames import Frames
    from ros2_classify.ros.bench.helper import serve
    from ros2_classify.ros.server_node import ServerNode

    rclpy.init(args=settings['words'], signal_handler_options=SignalHandlerOptions.NO)
    stop = runtime.Stop()
    server = ServerNode(stop)
    # A name and a namespace of its own: the words are the server's.
    camera = rclpy.create_node(
        'bench_source', use_global_arguments=False, enable_rosout=False,
        start_parameter_services=False)
    source = local_source(camera, Frames(settings['frames']), settings['topics'])
    executor = SingleThreadedExecutor()
    executor.add_node(server)
    stop.on_request(lambda: executor.create_task(lambda: None))
    server.start()

    def talk() -> None:
        try:
            serve({'run': source.run, 'subscribers': source.subscribers},
                  {'ready': 'composed', 'profile': str(profile) if profile else None})
        finally:
            stop.request()

    threading.Thread(target=talk, name='camera', daemon=True).start()
    while not stop.requested:
        executor.spin_once()
    stop.on_request(None)
    server.close()
    executor.shutdown()
    for node in (server, camera):
        node.destroy_node()
    rclpy.try_shutdown()


def local_source(node: Any, frames: Any, topics: list[str]) -> Any:
    """Return a `Source` that hands its pictures over to listeners of this process."""
    from ros2_classify.ros.bench.source import Source
    from ros2_classify.ros.local_pictures import PictureSender
    from std_msgs.msg import Header

    class LocalSource(Source):
        """Sends as `PictureSender` does; what others get is serialized beforehand."""

        def __init__(self) -> None:
            super().__init__(node, frames, topics)
            self._pictures = [frames.like_message(number) for number in range(len(frames))]
            if frames.index['transport'] == 'raw':
                for topic, publisher in self._publishers.items():
                    node.destroy_publisher(publisher)
                    self._publishers[topic] = PictureSender(node, topic, 2)

        def _publish(self, sender: Any, camera: int) -> tuple[int, int, int]:
            if not isinstance(sender, PictureSender):
                return super()._publish(sender, camera)
            picture = self._pictures[self._next]
            self._next = (self._next + 1) % len(self._pictures)
            stamp = self._last_stamp = max(time.time_ns(), self._last_stamp + 1)
            sent = time.monotonic_ns()
            header = Header()
            header.stamp.sec, header.stamp.nanosec = divmod(stamp, 10**9)
            picture = SimpleNamespace(**{**vars(picture), 'header': header})
            sender.hand_over(picture)
            return camera, stamp, sent

        def subscribers(self, topic: str) -> int:
            sender = self._publishers[topic]
            return (sender.subscriptions if isinstance(sender, PictureSender)
                    else super().subscribers(topic))

    return LocalSource()


if __name__ == '__main__':
    main()
