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
All that can be wrong with a running node, in one table.

The node's log, ``/diagnostics`` and ``docs/troubleshooting.md`` take their words from here, so
that what a person reads in one of them is found in the others.
"""

from __future__ import annotations

from dataclasses import dataclass
import re
from typing import Any

from ros2_classify.ros.diagnostics.status import Level

OK, WARN, ERROR = Level.OK, Level.WARN, Level.ERROR


@dataclass(frozen=True)
class Trouble:
    """
    One thing that can be wrong.

    Parameters
    ----------
    key : str
        Its name in the code.
    level : Level
        How bad it is.
    says : str
        The sentence, with fields in braces; what to do about it is part of it.
    why : str
        What is behind it, for the page.
    cure : str
        What to do, for the page, in Markdown.

    """

    key: str
    level: Level
    says: str
    why: str
    cure: str


@dataclass(frozen=True)
class Finding:
    """
    Something that is wrong now.

    Parameters
    ----------
    key : str
        Its row in `TROUBLES`.
    level : Level
        How bad it is.
    text : str
        The sentence, complete.

    """

    key: str
    level: Level
    text: str


IMAGES = (
    Trouble(
        'no_publisher', ERROR, 'nobody publishes on {topic} ({kind}): {cure}',
        'no camera publishes on the topic that the server listens to',
        'take the topic that the message proposes: `--ros-args -r image:=/camera/image_raw`; '
        'where it knows of none, start the camera, with the same `ROS_DOMAIN_ID`'),
    Trouble(
        'wrong_type', ERROR, '{topic} carries {found}, not {kind}: {cure}',
        'the topic is compressed and the server expects raw images, or the other way round, or '
        'it carries something else',
        'the parameter `image_transport` or another topic, as the message says'),
    Trouble(
        'incompatible_qos', ERROR,
        'the quality of service of {publisher} on {topic} does not fit ours, by the policy '
        '{policy}: {reason} Change the qos_overrides of one of the two',
        'the camera offers less than the subscription asks for; the message names the policy',
        "`qos_overrides` of one of the two: [the server's page](nodes/server.md)"),
    Trouble(
        'no_picture', ERROR,
        'no image from {publishers} on {topic} for {seconds:.0f} s. Either the camera sends '
        'none (ros2 topic hz shows it), or its images are too large for the default settings of '
        'the middleware: {cure}',
        'a camera is there but nothing arrives: it sends nothing, or its images are lost',
        '`ros2 topic hz` tells which; if it shows frames, start the camera with the [profile for '
        'large images](large_images.md)'),
    Trouble(
        'no_local_picture', ERROR,
        'no image on {topic} for {seconds:.0f} s from the camera in this process',
        'the camera runs in the same process and sends nothing',
        "the camera's own line in `/diagnostics` and in the log"),
    Trouble(
        'unusable', ERROR, 'unusable image on {topic}: {reason}',
        'the encoding is unknown, or the message is damaged; as a warning: only some are',
        'the message says which field is wrong; [encodings that are '
        'understood](nodes/server.md#subscribed-topics)'),
    Trouble(
        'pictures_lost', WARN,
        '{lost} got lost on their way to {topic}. Usually they are too large for the settings '
        'that the middleware has in the process of the camera: {cure}. From a camera on another '
        'machine, take compressed images (image_transport:=compressed)',
        "an image doesn't fit into the shared memory that the middleware makes by default",
        'start the camera with the [profile for large images](large_images.md)'),
    Trouble(
        'compressed_lost', WARN,
        '{lost} got lost on their way to {topic}: the model or a processor has too much to do; '
        'lower the rate, the size or the quality of the images',
        'compressed images get lost, as a model is full or a processor busy',
        'lower the rate, the size or the quality of the images'),
    Trouble(
        'jumped_back', WARN,
        'the stamps of the images on {topic} went back by {seconds:.2f} s: a bag has begun '
        'again, the clock was set, or two cameras publish on the topic; the images are answered '
        'as they come',
        'a bag plays in a loop, a clock was set back, or two cameras share the topic',
        'nothing for a bag; `ros2 topic info --verbose` shows who publishes'),
    Trouble(
        'clocks_differ', WARN,
        "the stamps of the images on {topic} are {seconds:.1f} s {side} this node's clock, so "
        'latencies from them mean nothing: play a bag with --clock and set use_sim_time, or '
        'synchronise the clocks of the two machines',
        'a bag is played with its old stamps, two machines have different clocks, or only one of '
        'two nodes has `use_sim_time`',
        '`ros2 bag play --clock` with `use_sim_time:=true`; chrony or ntp between machines'),
    Trouble(
        'nobody_listens', OK,
        'idle: nobody subscribes to the answers ({topics}), so the images of {topic} are not '
        'taken; subscribe to one of them to get answers{also}',
        'without a subscriber the server takes no images and works on nothing: that is no fault',
        "`ros2 topic echo /detections` is enough to wake it; the message has the topic's name"),
)

INFERENCE = (
    Trouble(
        'frame_failed', ERROR, 'an image of {topic} got no answer: {reason}',
        'the model, or what is made of its outputs, failed on this image',
        "the message has the model's own words; the next image is tried"),
    Trouble(
        'some_failed', ERROR, '{count} images of the last second got no answer: {reason}',
        'as above, counted', 'the newest error is in the message'),
    Trouble(
        'engine_fails', ERROR,
        'the model has failed {count} times in a row and is tried again in {seconds:.1f} s: '
        '{reason}',
        "memory is short, the GPU or its driver is gone, or the model can't run on such "
        'images; `on_engine_fault` decides what the server does',
        "`nvidia-smi`, `free -m` and `dmesg`; where a lost GPU doesn't come back, start the "
        'process anew: `on_engine_fault:=exit` under a supervisor does it'),
    Trouble(
        'reloading', ERROR, 'the model failed and is being loaded anew: {reason}',
        'after a lost device, or failure upon failure, the server loads its model again',
        'wait for it; then as above'),
    Trouble(
        'hangs', ERROR,
        'the model has not come back for {seconds:.0f} s (inference_timeout is {limit:.0f} s): '
        'a driver hangs, or the machine is overloaded',
        'an inference takes far longer than usual: the driver hangs, or the machine is out of '
        'memory; `on_engine_fault` decides what the server does',
        '`nvidia-smi` and `dmesg`; raise `inference_timeout` where the model really takes that '
        'long'),
    Trouble(
        'load_slow', WARN,
        'the model of {model} has been loading, with its first run, for {seconds:.0f} s; '
        '{limit}',
        'the file is large and the disk slow, the provider builds an engine, the model needs '
        'for ever, or a driver hangs',
        'wait; `nvidia-smi` and `dmesg`; [`load_timeout`](nodes/server.md#parameters) decides '
        'when it is given up'),
    Trouble(
        'load_hangs', ERROR,
        'the model of {model} has not come back from loading and its first run for '
        '{seconds:.0f} s (load_timeout is {limit:.0f} s): it needs for ever, a driver hangs, or '
        'the machine is overloaded; raise load_timeout if it really takes that long',
        'as above, and the time is over: it is part of the reason that whoever asked for the '
        'model is given; the thread is left behind with its memory',
        'take another model; `nvidia-smi` and `dmesg`; raise `load_timeout` where loading really '
        'takes that long; start the process anew to get the memory back'),
    Trouble(
        'gave_up', ERROR, 'stopped by a fault of the model: {reason}',
        '`on_engine_fault:=error` took the server to the state unconfigured',
        'configure and activate it again, when the cause is gone'),
    Trouble(
        'transition_failed', ERROR, '{transition} failed: {reason}',
        "the model can't be loaded, or a parameter is wrong",
        'what the message says; then `ros2 lifecycle set /server configure`'),
    Trouble(
        'clock_stands', WARN,
        'use_sim_time is set, but /clock has stood still at {at:.2f} s for {seconds:.0f} s: start '
        'the simulation or ros2 bag play --clock, or unset use_sim_time; images are answered '
        'all the same',
        'nobody publishes on `/clock`, or the simulation is paused',
        '`ros2 topic hz /clock`; `ros2 param set /server use_sim_time false`'),
)

MODEL = (
    Trouble(
        'fell_back', WARN,
        '{model} runs on {provider}, as {asked} could not be had; the log says why, and python -m '
        'ros2_classify doctor what to do',
        "the provider that was asked for, or a GPU that is there, can't run the model, and the "
        'CPU does', "the log's warning names the cause; `require_provider:=true` refuses to start "
        'in such a case'),
    Trouble(
        'change_refused', WARN, '{model} serves on, as the last change was refused: {reason}',
        'the model that was set could not take the place of the one that serves',
        'what the message says; then set it again'),
    Trouble(
        'no_model', OK, 'no model is loaded',
        "the server isn't configured, or configuring failed: the log says why",
        '`ros2 lifecycle set /server configure`'),
)

CAMERA = (
    Trouble(
        'source_failed', ERROR, '{reason}; opening it again every {seconds:.0f} s',
        "a webcam stopped to deliver, or can't be opened",
        'its cable; whether another program has it (`fuser /dev/video0`); your groups must hold '
        '`video`'),
    Trouble(
        'camera_unheard', OK,
        'nobody subscribes to {topics}, so no image is read',
        'the camera reads no images for nobody: that is no fault', 'start who needs them'),
)

TROUBLES = {row.key: row for row in (*IMAGES, *INFERENCE, *MODEL, *CAMERA)}


def find(key: str, **facts: Any) -> Finding:
    """
    Write the sentence about something that is wrong.

    Parameters
    ----------
    key : str
        Its row in `TROUBLES`.
    facts : keywords
        What its sentence's fields are.

    Returns
    -------
    Finding
        Level and sentence.

    """
    row = TROUBLES[key]
    return Finding(key, row.level, row.says.format(**facts))


def markdown_table(rows: tuple[Trouble, ...]) -> str:
    """
    Write a part of the table for the page.

    Parameters
    ----------
    rows : tuple of Trouble
        The part.

    Returns
    -------
    str
        Markdown, one line for each row.

    """
    lines = ['| it says | level | why | what to do |', '|---|---|---|---|']
    lines += [f'| `{re.sub(r"{[^}]*}", "…", row.says)}` | {row.level.name} | {row.why} | '
              f'{row.cure} |' for row in rows]
    return '\n'.join(lines)
