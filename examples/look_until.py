#!/usr/bin/env python3
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
Wait until a server sees an object, with its action ``look_until``.

    ros2 run ros2_classify server --ros-args -p model:=cards_detector
    python examples/look_until.py --class heart --times 3 --images 5 --timeout 20

Exit code: 0 found, 1 not found, 2 the server could not look.
"""

import argparse
import sys

import rclpy
from rclpy.action import ActionClient
from ros2_classify_interfaces.action import LookUntil

EXIT_CODES = {
    LookUntil.Result.FOUND: 0, LookUntil.Result.NOT_FOUND: 1, LookUntil.Result.COULD_NOT_LOOK: 2}


def main() -> int:
    parser = argparse.ArgumentParser(description='Wait until a server sees an object.')
    parser.add_argument('--class', dest='classes', action='append', default=[])
    parser.add_argument('--times', type=int, default=1)
    parser.add_argument('--images', type=int, default=0)
    parser.add_argument('--timeout', type=float, default=30.0)
    parser.add_argument('--server', default='/server')
    args = parser.parse_args()
    rclpy.init()
    node = rclpy.create_node('look_until')
    client = ActionClient(node, LookUntil, f'{args.server}/look_until')
    if not client.wait_for_server(timeout_sec=10.0):
        print(f'there is no action {args.server}/look_until', file=sys.stderr)
        return 2

    def on_feedback(message) -> None:
        now = message.feedback
        print(f'{now.images} images, seen in {now.seen}{now.problem and "; " + now.problem}')

    goal = LookUntil.Goal(
        classes=args.classes, times=args.times, images=args.images, timeout=args.timeout)
    sent = client.send_goal_async(goal, on_feedback)
    rclpy.spin_until_future_complete(node, sent)
    finished = sent.result().get_result_async()
    rclpy.spin_until_future_complete(node, finished)
    result = finished.result().result
    print(result.message)
    return EXIT_CODES[result.outcome]


if __name__ == '__main__':
    sys.exit(main())
