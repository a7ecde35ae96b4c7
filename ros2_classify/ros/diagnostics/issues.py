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
Everything that can be wrong with a running node, in one table.

The node's log, ``/diagnostics`` and ``docs/troubleshooting.md`` use these sentences, so a user
finds in one of them what another one says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
import re
from typing import Any

from ros2_classify.engines.remote.problems import SENTENCES as REMOTE_SENTENCES
from ros2_classify.postprocess.result_checks import SENTENCES


class Level(IntEnum):
    """How bad it is, with the numbers of ``diagnostic_msgs/DiagnosticStatus``."""

    OK = 0
    WARN = 1
    ERROR = 2
    STALE = 3


@dataclass(frozen=True)
class Status:
    """What one part of a node says about itself; the message ends with the next step."""

    level: Level
    message: str
    values: tuple[tuple[str, str], ...] = ()


OK, WARN, ERROR = Level.OK, Level.WARN, Level.ERROR


@dataclass(frozen=True)
class IssueType:
    """A row of the table: ``says`` has fields in braces; ``why`` and ``cure`` are for the page."""

    key: str
    level: Level
    says: str
    why: str
    cure: str


@dataclass(frozen=True)
class Issue:
    """Something that is wrong now; ``key`` is that of its row in `ISSUES`."""

    key: str
    level: Level
    text: str


IMAGES = (
    IssueType(
        'no_publisher', ERROR, 'nobody publishes on {topic} ({kind}): {cure}',
        'no camera publishes on the topic that the server listens to',
        'use the topic that the message suggests: `--ros-args -r image:=/camera/image_raw`; '
        'if there is none, start the camera with the same `ROS_DOMAIN_ID`'),
    IssueType(
        'wrong_type', ERROR, '{topic} carries {found}, not {kind}: {cure}',
        'the topic is compressed and the server expects raw images, or vice versa, or it is not '
        'a topic of images',
        'set `image_transport`, or remap to another topic, as the message says'),
    IssueType(
        'incompatible_qos', ERROR,
        'incompatible QoS on {topic}: {publisher} does not match the subscription in the policy '
        '{policy}: {reason} {cure}',
        'the camera offers less than the subscription requests; the message names the policy',
        "set `qos` to `auto`, or the `qos_overrides` of one of the two: [the server's "
        'page](nodes/server.md)'),
    IssueType(
        'no_image', ERROR,
        'no image from {publishers} on {topic} for {seconds:.0f} s: either the camera sends none '
        '(check with ros2 topic hz), or its images are too large for the default settings of the '
        'middleware: {cure}',
        'there is a camera, but no image arrives: it sends none, or its images are lost',
        'run `ros2 topic hz`; if it shows frames, have the camera publish reliably, or start it '
        'with the [profile for large images](large_images.md)'),
    IssueType(
        'other_user', ERROR,
        'no image from {publishers} on {topic} for {seconds:.0f} s: the camera runs as {words}, '
        'and the middleware shares memory on one machine only within a user: run both as the '
        'same one',
        "processes of different users can't open each other's shared memory",
        'run all nodes of a machine as one user, also in containers (`--user`)'),
    IssueType(
        'other_container', ERROR,
        'no image from {publishers} on {topic} for {seconds:.0f} s: the camera is on this '
        'machine, but with another /dev/shm ({words}): start its container and that of this '
        'node with --ipc=host',
        "the containers discover each other, but don't share the memory that carries the images",
        '`--ipc=host` for all containers, or one with `--ipc=shareable` and the others with '
        '`--ipc=container:NAME`'),
    IssueType(
        'small_shared_memory', WARN,
        'images on {topic} may be lost: /dev/shm has {words}, too little for the middleware, '
        'which uses UDP instead: start the container with --shm-size=512m or --ipc=host',
        'without shared memory, images arrive by UDP, which loses large ones',
        'start the container with `--shm-size=512m` or `--ipc=host`; if files of killed '
        'processes fill `/dev/shm`, run `fastdds shm clean`'),
    IssueType(
        'no_local_image', ERROR,
        'no image on {topic} for {seconds:.0f} s from the camera in this process: see its own '
        'status on /diagnostics',
        'the camera runs in the same process and sends nothing',
        "read the camera's own status on `/diagnostics` and its log"),
    IssueType(
        'unusable', ERROR, 'unusable image on {topic}: {reason}',
        'the encoding is not supported, or the message is damaged; a warning if only some are',
        'the message says which field is wrong; see the [supported '
        'encodings](nodes/server.md#encodings)'),
    IssueType(
        'no_results', ERROR,
        'images arrive on {topic}, but no result has left for {seconds:.0f} s: {reason}',
        'all images are unusable, fail or are skipped, or the machine is overloaded',
        'read the reason in the message, and the status `server: inference`'),
    IssueType(
        'value_range', WARN, '16-bit images on {topic}: {reason}',
        'the camera uses fewer bits than the encoding has, or a narrow part of them, so that the '
        'model sees nearly black or uniform images',
        'set [`input_range`](nodes/server.md#parameters) as the message says'),
    IssueType(
        'clip_incomplete', WARN, 'no complete clip on {topic}: {reason}',
        'the camera sends fewer frames a second than the clips of the model have, or the model is '
        'too slow for them',
        'raise the rate of the camera, or use a model for a lower one; see [Clips](clips.md)'),
    IssueType(
        'images_lost', WARN,
        'images lost on {topic}: {lost} did not arrive. Usually they are too large for the '
        "settings of the middleware in the camera's process: {cure}. If the camera is on another "
        'machine, use compressed images (image_transport:=compressed)',
        "an image doesn't fit into the middleware's default shared memory, and best effort "
        'sends nothing again',
        'have the camera publish reliably, which the server follows if `qos` is `auto`, '
        'or start it with the [profile for large images](large_images.md)'),
    IssueType(
        'compressed_lost', WARN,
        'compressed images lost on {topic}: {lost} did not arrive; the network or a processor is '
        'overloaded; lower the rate, the size or the quality of the images',
        'the network or a processor is overloaded',
        'lower the rate, the size or the quality of the images'),
    IssueType(
        'unstamped', WARN,
        'the images on {topic} are unstamped: header.stamp is 0, and so is that of the results; '
        'latencies from it are not measured, and nothing can be matched by time: have the camera '
        'set it',
        "the camera's driver does not set `header.stamp`",
        'set it in the driver, for example from `get_clock()->now()`'),
    IssueType(
        'jumped_back', WARN,
        'the stamps of the images on {topic} went back by {seconds:.2f} s: a bag started again, '
        'the clock was set, or two cameras publish on the topic; the images are processed as they '
        'arrive',
        'a bag plays in a loop, a clock was set back, or two cameras share the topic',
        'nothing if it is a bag; else run `ros2 topic info --verbose` to see who publishes'),
    IssueType(
        'clocks_differ', WARN,
        "the stamps of the images on {topic} are {seconds:.1f} s {side} this node's clock: "
        'latencies from them are meaningless; play a bag with --clock and set use_sim_time, or '
        'synchronise the clocks of the two machines',
        'a bag is played with its old stamps, two machines have different clocks, or only one of '
        'two nodes has `use_sim_time`',
        '`ros2 bag play --clock` with `use_sim_time:=true`; chrony or ntp between machines'),
    IssueType(
        'nobody_listens', OK,
        'idle: nobody subscribes to the results ({topics}), so the images of {topic} are not '
        'processed; subscribe to one of them to get results{also}',
        'without a subscriber the server does not process images; this is not an error',
        "subscribe, such as with `ros2 topic echo /detections`; the message has the topic's name"),
    IssueType(
        'disabled', OK,
        'disabled: the images of {topic} are not subscribed to; to go on, call {service} with '
        '"data: true"',
        'somebody called the service `~/enable` with `false`; this is not an error',
        "call it with `true`: `ros2 service call /server/enable std_srvs/srv/SetBool '{data: "
        "true}'`"),
)

POSITIONS = (
    IssueType(
        'no_camera_info', WARN,
        'no positions: no camera_info has come on {topic} ({publishers} publishers); set '
        'camera_info_topic to that of the images',
        'the camera publishes no calibration, or on another topic',
        'run `ros2 topic list | grep camera_info`; set `camera_info_topic`'),
    IssueType(
        'camera_info', WARN, 'no positions: the camera_info on {topic} cannot be used: {reason}',
        'the camera is not calibrated, or the topic is that of another image',
        'calibrate the camera; set `camera_info_topic` to that of the very images'),
    IssueType(
        'no_depth', WARN,
        'no positions: no depth image has come on {topic} ({publishers} publishers); set '
        'depth_topic to the depth that is registered to the images',
        'the depth camera sends nothing, or on another topic; or large images are lost',
        'run `ros2 topic hz` on it; see also [large images](large_images.md)'),
    IssueType(
        'depth_unmatched', WARN,
        'no positions: the stamps of the image and the nearest depth image on {topic} are '
        '{milliseconds:.0f} ms apart; depth_sync allows {limit:.0f} ms',
        'the two cameras are not synchronized, or depth is late or slow',
        'synchronize them in the driver; raise `depth_sync` only if nothing moves'),
    IssueType(
        'depth_unregistered', WARN,
        'no positions: the depth on {topic} is not registered to the image: {difference}',
        'each pixel of the depth must be the same pixel of the image',
        'have the driver align depth to color (such as `align_depth.enable:=true`), or use '
        '`depth_image_proc/register`; set `depth_topic`'),
    IssueType(
        'depth_unusable', WARN, 'no positions: the depth image on {topic} is unusable: {reason}',
        'the encoding is not one of REP 118, or the message is damaged',
        'publish `32FC1` in metres or `16UC1` in millimetres'),
    IssueType(
        'no_transform', WARN, 'no positions: no transform from {source} to {target}: {reason}',
        "tf does not connect the two frames at the image's stamp",
        'run `ros2 run tf2_ros tf2_echo`; start what publishes the frames; compare clocks'),
    IssueType(
        'no_tf2', WARN,
        'positions are in the frame of the image, not in {target}: tf2_ros is not installed',
        'transforms need the package tf2_ros',
        'install it: `sudo apt install ros-$ROS_DISTRO-tf2-ros-py`'),
    IssueType(
        'ground', WARN, 'no positions: {frame} is not the ground: {reason}',
        'the camera must be above the plane z = 0 of `ground_frame`',
        'use a frame on the ground, such as `base_footprint`'),
    IssueType(
        'positions_unstamped', WARN,
        'no positions: the images on {topic} are unstamped, so depth and transforms cannot be '
        'matched', "the camera's driver does not set `header.stamp`", 'set it in the driver'),
    IssueType(
        'position_invalid', WARN,
        'no position for an object on {topic}: {percent:.0f} % of its pixels in the depth image '
        'are invalid',
        'it is too near or too far for the depth camera, shiny, transparent or in the sun',
        'nothing if it is rare; else look at the depth image'),
    IssueType(
        'position_no_ray', WARN,
        'no position for an object on {topic}: the calibration has no ray for its edges',
        'the lens model holds for the middle of the image only', 'calibrate to the edges'),
    IssueType(
        'position_above_horizon', WARN,
        'no position for an object on {topic}: its lower edge is above the horizon, or too near '
        'to it for a distance',
        'it does not stand on the ground, is very far away, or the pitch of the camera is wrong',
        'check the transform of the camera; nothing if objects fly'),
    IssueType(
        'position_cut_off', WARN,
        'no position for an object on {topic}: it touches the lower edge of the image or of '
        'the roi, so where it stands is not seen',
        'the object is too near for this camera, or the region of interest cuts it',
        'nothing; use a depth camera for near objects, or a larger roi'),
)

INFERENCE = (
    IssueType(
        'frame_failed', ERROR, 'no result for an image of {topic}: {reason}',
        'the model, or the postprocessing of its outputs, failed on this image',
        'read the reason in the message; the next image is processed'),
    IssueType(
        'some_failed', ERROR, 'no result for {count} images of the last second: {reason}',
        'as above, counted', 'read the newest error in the message'),
    IssueType(
        'engine_fails', ERROR,
        'the model has failed {count} times in a row, next attempt in {seconds:.1f} s: '
        '{reason}',
        "memory is short, the GPU or its driver failed, or the model can't process such images; "
        '`on_engine_fault` decides what the server does',
        "run `nvidia-smi`, `free -m` and `dmesg`; if a lost GPU doesn't come back, restart the "
        'process: `on_engine_fault:=exit` under a supervisor does it'),
    IssueType(
        'reloading', ERROR, 'the model failed and is being reloaded: {reason}',
        'the device was lost, or the model failed repeatedly',
        'wait; if it fails again, see above'),
    IssueType(
        'inference_timeout', ERROR,
        '{step} has not come back for {seconds:.4g} s (inference_timeout is {limit:g} s): '
        'a driver hangs, an image takes far too much work, or the machine is overloaded; raise '
        'inference_timeout if it needs longer',
        'a frame (decoding, preprocessing, inference, postprocessing) takes far longer than '
        'usual: a driver hangs, an image was made to be slow, or the machine is out of memory; '
        '`on_engine_fault` decides what the server does',
        'run `nvidia-smi` and `dmesg`; raise `inference_timeout` if the model needs longer'),
    IssueType(
        'fetch_slow', WARN,
        '{model} has been on its way for {seconds:.0f} s: its server is slow, the file is large, '
        'or it is being converted; another value of the parameter model gives it up',
        'a server sends too little or nothing, and is tried again; or the file is large',
        'wait; the log has the progress and the reason of each attempt; setting another `model`, '
        'a transition, or Ctrl-C gives the download up'),
    IssueType(
        'load_slow', WARN,
        '{model} has been loading for {seconds:.0f} s, including its first inference; {limit}',
        'the file is large and the disk slow, the provider builds an engine, the model never '
        'returns, or a driver hangs',
        'wait; run `nvidia-smi` and `dmesg`; '
        '[`load_timeout`](nodes/server.md#parameters) limits it'),
    IssueType(
        'load_timeout', ERROR,
        '{model} has not come back from loading for {seconds:.0f} s, including its first '
        'inference (load_timeout is {limit:.0f} s): it never returns, a driver hangs, or the '
        'machine is overloaded; raise load_timeout if it needs longer',
        'as above, until the timeout; the thread is abandoned with its memory',
        'use another model; run `nvidia-smi` and `dmesg`; raise `load_timeout` if loading needs '
        'longer; restart the process to free the memory'),
    IssueType(
        'gave_up', ERROR, 'stopped by a fault of the model: {reason}',
        '`on_engine_fault:=error` took the server to the state unconfigured',
        'remove the cause, then configure and activate the server again'),
    IssueType(
        'transition_failed', ERROR, '{transition} failed: {reason}',
        "the model can't be loaded, or a parameter is wrong",
        'do what the message says; then `ros2 lifecycle set /server configure`'),
    IssueType(
        'log_disk_full', WARN,
        'the disk of the log files is full: {directory} has {left} left, so lines get lost; free '
        'some space, or set ROS_LOG_DIR to another directory',
        'the file system of the log directory has less than 64 KiB left',
        '`df -h`; remove old logs, or set `ROS_LOG_DIR`'),
    IssueType(
        'clock_stands', WARN,
        'use_sim_time is set, but /clock has stood still at {at:.2f} s for {seconds:.0f} s: start '
        'the simulation or ros2 bag play --clock, or unset use_sim_time; images are still '
        'processed',
        'nobody publishes on `/clock`, or the simulation is paused',
        '`ros2 topic hz /clock`; `ros2 param set /server use_sim_time false`'),
)

MODEL = (
    IssueType(
        'unverified', WARN,
        '{model}: not verified, for the model file does not say it: {keys}; results may be wrong: '
        'run python -m ros2_classify models check --image FILE --label LABEL, then set these '
        'keys in a descriptor, or the parameter input',
        'neither the descriptor nor the model file contains these settings; the server uses '
        'the usual ones',
        '`python -m ros2_classify models check MODEL --image FILE --label LABEL` with an image of '
        'which you know the label; then set the keys in a [descriptor](descriptor.md), or '
        '[`input`](nodes/server.md#parameters)'),
    IssueType(
        'scores_outside', WARN, SENTENCES['scores_outside'],
        'the descriptor says that the model gives probabilities, but it gives other numbers',
        '`output.activation`: `softmax`, or `sigmoid` for independent classes; else check '
        '`output.decoder`: [decoders](decoders.md)'),
    IssueType(
        'boxes_outside', WARN, SENTENCES['boxes_outside'],
        'coordinates are read in another order or unit than the model gives them',
        '`output.box_format`, and `normalized` or `units`: [decoders](decoders.md); '
        '`models check` says more'),
    IssueType(
        'class_unknown', WARN, SENTENCES['class_unknown'],
        'the labels are those of another model, or counted from another number',
        'the label file that belongs to the model; `output.class_offset`'),
    IssueType(
        'same_result', WARN, SENTENCES['same_result'],
        "the model's input doesn't depend on the image, or its weights are damaged; a model "
        'that is sure of one class on all images looks the same',
        '`models check` on images that differ; `input.scale`, `mean` and `std`'),
    IssueType(
        'fell_back', WARN,
        '{model} runs on {provider}: {asked} is not available; see the warning in the log, or run '
        'python -m ros2_classify doctor',
        "the requested provider, or a GPU of this machine, can't run the model; the CPU runs it",
        'read the warning in the log; with `require_provider:=true` the server refuses to start '
        'instead'),
    IssueType(
        'change_refused', WARN,
        '{model} keeps serving: the last change of the model was refused: {reason}',
        'the new model could not replace the present one',
        'do what the message says; then set the model again'),
    IssueType(
        'no_model', OK, 'no model is loaded',
        "the server isn't configured, or the configuration failed; the log says why",
        '`ros2 lifecycle set /server configure`'),
)

_REMOTE = (
    ('refused', ERROR, 'the model server is not running, its port is another one, or the LAN '
     'is down', 'start the server; correct the URL in `source.remote` or the parameter `remote`'),
    ('slow', ERROR, 'the model server hangs, is overloaded, or is far away',
     'look at the load of the server; raise `remote_timeout` if it needs longer; '
     '`remote_fallback:=local` keeps results coming'),
    ('wrong_model', ERROR, 'the model is not loaded there, was unloaded, or is not the one of the '
     'descriptor', 'load it there; `python -m ros2_classify models check` compares both'),
    ('changed', ERROR, 'somebody replaced the model on the server by one of other shapes or types',
     'load the wanted model there, or set the parameter `model` again'),
    ('unauthorized', ERROR, 'the server wants a token, or another one',
     'set it in the environment as the message says: [remote model servers](remote.md)'),
    ('untrusted', ERROR, "the server's certificate is not trusted, expired, or that of another "
     'host', 'set `SSL_CERT_FILE`; use the name in the certificate'),
    ('plain_token', WARN,
     'the URL is `http://` or `grpc://`, and the server is on another machine',
     'TLS, or a tunnel; see [remote model servers](remote.md#security)'),
    ('failed', ERROR, 'the server has the model, but it fails, or its reply makes no sense',
     'read the log of the model server'),
    ('fallback', WARN, 'the server fails, and `remote_fallback` is `local`',
     'follow the reason; the server is retried automatically'),
    ('restarted', WARN, 'the server was restarted, or something between closes connections',
     'nothing if it was restarted on purpose'),
    ('version', WARN, 'somebody loaded a new version of the model on the server',
     'check the results; add `?version=…` to the URL to keep to one version'),
    ('differs', WARN, 'at start, the server and the model file gave different outputs for the '
     'same numbers', 'compare the two files; int8 or fp16 on the server may differ as well'),
)
REMOTE = tuple(IssueType(f'remote_{key}', level, REMOTE_SENTENCES[key], why, cure)
               for key, level, why, cure in _REMOTE)

CAMERA = (
    IssueType(
        'source_failed', ERROR, '{reason}; opening it again in {seconds:.0f} s',
        "a webcam or stream stopped delivering, or can't be opened",
        'check its cable, and that no other program uses it (`fuser /dev/video0`); the user must '
        'be in the group `video`'),
    IssueType(
        'camera_unheard', OK,
        'nobody subscribes to {topics}, so no image is read',
        'without a subscriber the camera reads no images; this is not an error',
        'start a subscriber'),
)

MACHINE = (
    IssueType(
        'memory_short', WARN,
        'memory is short: {reason}; results may be late, and the kernel may end this process: end '
        'other programs, raise the limit of the container, or use a smaller model',
        'programs of the machine or of the container take nearly all its memory',
        '`free -m`, `docker stats`, `dmesg | grep -i oom`; end other programs, raise the limit '
        '(`--memory`), or use a smaller model'),
    IssueType(
        'processor_short', WARN,
        'processors are short: {reason}; results may be late: end other programs, raise the limit '
        'of the container, or lower max_rate',
        'other programs take the processors, or the container may use too little of them',
        '`top`, `docker stats`; end other programs, raise the limit (`--cpus`), lower '
        '[`max_rate`](nodes/server.md#parameters), or use a smaller model'),
)

ISSUES = {row.key: row for row in (
    *IMAGES, *POSITIONS, *INFERENCE, *MODEL, *REMOTE, *CAMERA, *MACHINE)}


def find(key: str, **fields: Any) -> Issue:
    """Return an issue with the sentence of its row, filled in."""
    row = ISSUES[key]
    return Issue(key, row.level, row.says.format(**fields))


def remote_issue(kind: str, fields: Mapping[str, Any]) -> Issue:
    """Return what is wrong with a remote model server."""
    return find(f'remote_{kind}', **fields)


def markdown_table(rows: tuple[IssueType, ...]) -> str:
    """Return a part of the table for the page, one line per row."""
    lines = ['| it says | level | why | what to do |', '|---|---|---|---|']
    lines += [f'| `{re.sub(r"{[^}]*}", "…", row.says)}` | {row.level.name} | {row.why} | '
              f'{row.cure} |' for row in rows]
    return '\n'.join(lines)
