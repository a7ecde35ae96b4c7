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

"""The server's parameters, without ROS."""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args

from ros2_classify.engines.settings import (
    Arena, Fallback, MAX_BATCH, MAX_DEVICE, MAX_MEMORY, MAX_PARALLEL, MAX_THREADS, Optimization,
    Precision, Spinning, Tuning)
from ros2_classify.filters import parse_class_thresholds
from ros2_classify.image_io import MAX_PIXELS
from ros2_classify.input_range import InputRange
from ros2_classify.model.input_spec import PIXELS
from ros2_classify.model.remote_url import RemoteUrl
from ros2_classify.options import parse_roi, parse_tiles
from ros2_classify.ros.messages.bridge import BACKENDS
from ros2_classify.ros.node.spec import Groups, Spec
from ros2_classify.ros.server.faults import ACTIONS, EXIT_CODE
from ros2_classify.ros.server.model_policy import POLICIES, read_trusted
from ros2_classify.tracking.places import parse_lines, parse_zones
from ros2_classify.web import host_and_port

QOS = ('auto', 'best_effort', 'reliable')

FETCH_PARAMETERS = (
    Spec('offline', False, 'Leave the model alone: models come from disk and cache only; also '
         'the environment variable ROS2_CLASSIFY_OFFLINE', read_only=True),
    Spec('allow_unverified', False, 'For a trial: run what a URL without a sha256 serves',
         read_only=True),
    Spec('conversion_timeout', 1800.0, 'Seconds after which the conversion of a TensorFlow model '
         'is given up', minimum=1.0, maximum=86400.0, read_only=True),
)


def _parse_remotes(values: Iterable[str]) -> list[RemoteUrl]:
    return [RemoteUrl.parse(value) for value in values if value]


ENGINE_PARAMETERS = (
    Spec('provider', 'auto', 'What runs the model: auto, cpu, cuda, tensorrt or another '
         'execution provider of ONNX Runtime', read_only=True),
    Spec('require_provider', True, 'Whether it is an error when the provider is not available; '
         'else the CPU runs the model, with a warning, as it always may with auto',
         read_only=True),
    Spec('device_id', 0, 'Which of several GPUs', minimum=0, maximum=MAX_DEVICE, read_only=True),
    Spec('precision', 'fp32', 'What the provider may compute in: cuda tf32, tensorrt fp16 and '
         'int8, openvino fp16; fp32 is as the model says', choices=get_args(Precision),
         read_only=True),
    Spec('threads', 0, 'CPU threads for one inference; 0: all physical cores but one, shared by '
         'those side by side, at most 4', minimum=0, maximum=MAX_THREADS, read_only=True),
    Spec('parallel', 1, 'How many inferences may run side by side on a CPU: more results a '
         'second, for several cameras above all, and each takes longer', minimum=1,
         maximum=MAX_PARALLEL, read_only=True),
    Spec('spinning', 'auto', "When the model's threads wait for each other at full load: never, "
         'during an inference, which is faster, or always, which costs a core for each; auto: '
         'during an inference where a core is left beside them', choices=get_args(Spinning),
         read_only=True),
    Spec('graph_optimization', 'all', 'How far ONNX Runtime rewrites the model at start: all is '
         'nearly always the fastest', choices=get_args(Optimization), read_only=True),
    Spec('tuning', 'auto', 'Whether parameters above that are at their defaults come from what '
         '"models tune" measured for this model on this machine', choices=get_args(Tuning),
         read_only=True, or_off=True),
    Spec('remote', '', 'URL of a model server (Open Inference Protocol v2) that runs the model, '
         "such as grpc://gpu:8001/yolox_nano, in place of the descriptor's source.remote; without "
         "the model's name it is the descriptor's; empty: as the descriptor says", read_only=True,
         parse=lambda value: value and RemoteUrl.parse(value)),
    Spec('remote_timeout', 1.0, 'Seconds after which a call of the model server has failed, '
         'retries included', minimum=0.01, maximum=3600.0, read_only=True),
    Spec('remote_fallback', 'none', 'What follows if the model server fails: none: no result; '
         'local: the model file runs on this machine until the server is back, and diagnostics '
         'say so', choices=get_args(Fallback), read_only=True),
    Spec('memory_limit', 0, 'MiB that the model may take for its work, on the CPU or the GPU; '
         '0 sets no limit', minimum=0, maximum=MAX_MEMORY, read_only=True),
    Spec('arena', 'exact', "How the model's memory grows: by what is asked for, or by doubling",
         choices=get_args(Arena), read_only=True),
    Spec('shrink_memory', False, 'Whether the model gives memory back after each image; '
         'slower', read_only=True),
    Spec('cuda_graphs', False, 'Whether CUDA records the work once and plays it back; refused '
         'with tensorrt', read_only=True),
    Spec('engine_cache', True, 'Whether what is costly to build, such as TensorRT engines, is '
         'kept on disk', read_only=True),
    Spec('custom_operators', '', 'Libraries with operators of your own, separated by ":"; no '
         'other one is ever loaded', read_only=True),
    Spec('external_data', '', 'Directories, separated by ":", in which weights of a model may be, '
         'beside its own', read_only=True),
)

RATE_PARAMETERS = (
    Spec('max_rate', 0.0, 'Images a second that are used, by their stamps; those beyond are '
         'dropped before they are decoded; 0 sets no limit; without effect on models that see '
         'clips', minimum=0.0, maximum=1000.0,
         from_model=True, per_stream=True),
)

TRACKING_PARAMETERS = (
    Spec('tracking', False, 'Detection: give each object an id that stays over time, in the '
         "detections' field id", per_stream=True),
    Spec('track_high', 0.5, 'Tracking: boxes with this score begin and continue ids',
         minimum=0.0, maximum=1.0, per_stream=True),
    Spec('track_low', 0.1, 'Tracking: boxes with this score continue ids; they are published '
         'from score_threshold on', minimum=0.0, maximum=1.0, per_stream=True),
    Spec('track_lost_seconds', 1.0, 'Tracking: seconds, by stamps, for which an id is kept while '
         'its object is not found', minimum=0.0, maximum=3600.0, per_stream=True),
    Spec('track_confirm', 2, 'Tracking: in how many images an object must be found before it has '
         'an id', minimum=1, maximum=1000, per_stream=True),
)

POSITION_PARAMETERS = (
    Spec('depth_topic', '', 'Topic of depth images that are registered to the images; a relative '
         "name is one in the camera's namespace; empty: no depth", read_only=True,
         per_stream=True),
    Spec('camera_info_topic', '', "Topic of the images' camera_info; empty: the one beside the "
         'images', read_only=True, per_stream=True),
    Spec('depth_sync', 0.02, 'Seconds by which the stamps of an image and its depth may differ, '
         'where none has the very stamp; also how long a result in metres waits for its depth '
         'and its transform', minimum=0.0, maximum=1.0, read_only=True, per_stream=True),
    Spec('target_frame', '', "Frame of positions, by tf at the image's stamp; empty: that of the "
         'image, or ground_frame', read_only=True, per_stream=True),
    Spec('ground_frame', '', 'Without depth_topic: frame whose plane z = 0 is the ground on which '
         'objects stand; empty: no positions by the ground', read_only=True, per_stream=True),
    Spec('points', False, 'Whether positions are published as a point cloud as well, for costmaps',
         read_only=True, per_stream=True),
    Spec('annotations', False, 'Whether boxes and labels are published for the image panel of '
         'Foxglove, which takes the package foxglove_msgs', read_only=True, per_stream=True),
)


EVENT_PARAMETERS = (
    Spec('event_lines', [''], 'Tracking: lines whose crossing is an event, each a name and two '
         'points in shares of width and height, such as door=0.1,0.5,0.9,0.5', per_stream=True,
         parse=parse_lines),
    Spec('event_zones', [''], 'Tracking: polygons in which objects that stay are an event, each a '
         'name, the points, and behind @ the seconds, such as desk=0.1,0.5,0.9,0.5,0.5,1@3',
         per_stream=True, parse=parse_zones),
)


def _parse_keep(value: str) -> object:
    from ros2_classify.keeping.keeper import KeepRules

    return KeepRules.parse(value)


KEEP_PARAMETERS = (
    Spec('keep', '', 'Which images are kept for labelling: uncertain, changed, every N (seconds), '
         'several separated by commas; empty: none', read_only=True, parse=_parse_keep),
    Spec('keep_directory', 'kept', 'Where they are written, in a directory for each camera',
         read_only=True),
    Spec('keep_megabytes', 1000.0, 'What such a directory may take; when it is full, no more '
         'images are kept', minimum=0.1, maximum=1e7, read_only=True),
    Spec('keep_period', 1.0, 'Seconds between two images of a camera that are kept, at least',
         minimum=0.0, maximum=86400.0, read_only=True),
    Spec('keep_format', 'png', 'png: a file for each image; mcap: recordings with the images, the '
         'results, and why they were kept', choices=('png', 'mcap'), read_only=True),
)

MODEL_PARAMETERS = (
    Spec('model', '', 'Model to run: a name from the catalogue, a descriptor file or a '
         'model file, by path or URL; set while the node is configured, it is loaded beside '
         'the present one, which it then replaces'),
    Spec('input', '', 'What pixels the model takes, in place of what its descriptor says or is '
         'inferred: imagenet (mean and standard deviation of ImageNet), unit (0 to 1), signed '
         '(-1 to 1), caffe (bgr less the mean), raw (0 to 255); empty: as it is',
         choices=('', *PIXELS), read_only=True),
    Spec('model_path', '', 'Directories of your own models, separated by ":", searched before '
         'those of the environment variable ROS2_CLASSIFY_MODEL_PATH', read_only=True),
    Spec('model_roots', '', 'The only directories, separated by ":", from which models, '
         'descriptors, label files, weights and libraries of operators are read, symbolic links '
         'resolved; empty allows all', read_only=True),
    Spec('model_changes', 'verified', 'Which models may be set at run time: any; verified: names '
         'of the catalogue, files below model_roots, and URLs with a sha256 that is in '
         'trusted_models; listed: of those, only models whose sha256 is in trusted_models; off: '
         'none', choices=POLICIES, read_only=True, or_off=True),
    Spec('trusted_models', [''], 'The sha256 of models, or of their archives, that may be set at '
         'run time; each value is a sha256, or a file with one in each line, as sha256sum writes '
         'it, which is read at every change', read_only=True, parse=read_trusted),
    Spec('trusted_remotes', [''], 'URLs of model servers, such as grpc://gpu:8001, or of single '
         'models there, to which descriptors that are set at run time may send images',
         read_only=True, parse=_parse_remotes),
    *FETCH_PARAMETERS,
    Spec('load_timeout', 120.0, 'Seconds after which loading a model, with its first run, '
         'counts as hanging: the caller is told, and its thread is abandoned; '
         'fetching and converting are not counted, tensorrt and openvino, which build engines, '
         'have 30 times as long; 0 sets no limit', minimum=0.0, maximum=86400.0),
)

IMAGE_PARAMETERS = (
    Spec('image_transport', 'raw', 'How images come: raw on image, compressed on '
         'image/compressed', choices=('raw', 'compressed'), read_only=True),
    Spec('image_topics', [''], 'Topics of images of several cameras, in the place of image; '
         'those that end in /compressed have compressed images', read_only=True),
    Spec('output_namespaces', [''], 'Namespaces of the results, one for each of image_topics; '
         'else the namespaces of these topics', read_only=True),
    Spec('qos', 'auto', 'Reliability of the image subscriptions: auto is reliable if all '
         'publishers of the topic are and send, else best_effort, and follows them; '
         'qos_overrides have priority', choices=QOS, read_only=True),
    Spec('image_backend', 'auto', 'What converts images of other encodings than 8-bit colours: '
         'cv_bridge or opencv; auto is opencv for all encodings that it knows, and cv_bridge, if '
         'a trial in a child process succeeds, for those that only it knows', choices=BACKENDS,
         read_only=True),
    *RATE_PARAMETERS,
    Spec('input_range', '16', 'Values of 16-bit images that are black and white: the number of '
         'bits, such as 12; two values, such as 1000..5000; percentile, or percentile 2..98, of '
         'each image; auto: the fewest bits that hold all values so far', from_model=True,
         per_stream=True, or_number=True, parse=InputRange.parse),
    Spec('max_image_pixels', MAX_PIXELS, 'Larger images are refused',
         minimum=1, maximum=1 << 30, per_stream=True),
    Spec('image_timeout', 0.0, 'Seconds after which it is an error that no image comes; 0: three '
         "times the measured interval of the camera's images, and at least 5; 10 until it is "
         'known', minimum=0.0, maximum=86400.0, per_stream=True),
)

INFERENCE_PARAMETERS = (
    *ENGINE_PARAMETERS,
    Spec('max_batch', 0, 'Maximum number of images, of different cameras, in one run of the model '
         'at once, where it can; 0: 8 on a GPU, and one on a CPU, which gains nothing by it',
         minimum=0, maximum=MAX_BATCH, read_only=True),
    Spec('max_batch_delay', 0.0, 'Seconds that an image may wait for those of other cameras, to '
         'go through the model together', minimum=0.0, maximum=10.0, read_only=True),
    Spec('on_engine_fault', 'retry', 'What follows when the model fails or hangs: retry drops '
         'the image and tries again, with growing pauses, and reloads the model where that '
         'may help; error leaves the state active by way of error processing; exit ends the '
         f'process with code {EXIT_CODE}', choices=ACTIONS, read_only=True),
    Spec('inference_timeout', 0.0, 'Seconds after which a frame, from its decoding to its result, '
         'counts as hanging; 0: 20 times as long as the warm-up, and at least 10',
         minimum=0.0, maximum=86400.0),
)

RESULT_PARAMETERS = (
    Spec('score_threshold', 0.3, 'Results with a lower score are dropped',
         minimum=0.0, maximum=1.0, from_model=True, per_stream=True),
    Spec('top_k', 5, 'Classification: at most this many classes',
         minimum=1, maximum=1000000, from_model=True, per_stream=True),
    Spec('nms_iou', 0.45, 'Detection: of two boxes of one class whose intersection over union is '
         'larger, the better one stays', minimum=0.0, maximum=1.0, from_model=True,
         per_stream=True),
    Spec('ioa_threshold', 0.0, 'Detection: of two boxes of one class whose intersection is a '
         'larger part of the smaller one, the better one stays; 0 switches this off',
         minimum=0.0, maximum=1.0, from_model=True, per_stream=True),
    Spec('max_detections', 100, 'Detection: at most this many boxes',
         minimum=1, maximum=1000000, from_model=True, per_stream=True),
    Spec('max_candidates', 4096, 'Detection: at most this many boxes over the threshold, the best '
         'ones, are compared with each other', minimum=1, maximum=100000, from_model=True,
         per_stream=True),
    Spec('classes', [''], 'Names or ids of classes: others are dropped, and of a segmentation '
         'their pixels have no class; empty: all', from_model=True, per_stream=True),
    Spec('class_thresholds', [''], 'What score_threshold is for single classes, each a name or '
         'an id, and a score, such as person=0.6', from_model=True, per_stream=True,
         parse=lambda words: parse_class_thresholds(filter(None, words))),
    Spec('nms_agnostic', False, 'Detection: boxes of different classes suppress each other by '
         'nms_iou, too', from_model=True, per_stream=True),
    Spec('min_area', 0.0, 'Detection: boxes that are a smaller part of the image are dropped',
         minimum=0.0, maximum=1.0, from_model=True, per_stream=True),
    Spec('max_area', 1.0, 'Detection: boxes that are a greater part of the image are dropped',
         minimum=0.0, maximum=1.0, from_model=True, per_stream=True),
    Spec('roi', [0.0, 0.0, 1.0, 1.0], 'Region of interest in parts of the width and height of the '
         'image: x1, y1, x2, y2 of a box, or x, y of three points or more; the model sees the box '
         'around it', from_model=True, per_stream=True, parse=parse_roi),
    Spec('tiles', '1x1', 'Detection: columns and rows, such as 3x2, of parts of the image that '
         'the model sees one by one, for objects that are small in a large image',
         from_model=True, per_stream=True, parse=parse_tiles),
    Spec('tile_overlap', 0.2, 'The part of a tile that its neighbour sees, too', minimum=0.0,
         maximum=0.75, from_model=True, per_stream=True),
    Spec('tile_whole', False, 'Whether the whole image is one more tile, for large objects',
         from_model=True, per_stream=True),
    Spec('class_id', 'label', 'What the field class_id of results holds: the label or the index',
         choices=('label', 'index'), per_stream=True),
)

NODE_PARAMETERS = (
    Spec('autostart', True, 'Configure and activate at start, without a lifecycle manager',
         read_only=True),
    Spec('web', '', 'Where a page for browsers shows the cameras, what is wrong, and settings: '
         'host and port, such as 127.0.0.1:8080, or a port alone, for this machine only; its URL '
         'is in the log; empty: nowhere', read_only=True, or_number=True,
         parse=lambda value: value != '' and host_and_port(str(value))),
    Spec('tune_malloc', True, 'Keep the memory of large images in the process (glibc only)',
         read_only=True),
    Spec('trace_file', '', 'For measuring: file (.npz) to which the times of all frames are '
         'written when the node stops; empty for none', read_only=True),
)

GROUPS: Groups = (
    ('The model', MODEL_PARAMETERS),
    ('Images', IMAGE_PARAMETERS),
    ('Inference', INFERENCE_PARAMETERS),
    ('Results', RESULT_PARAMETERS),
    ('Tracking', (*TRACKING_PARAMETERS, *EVENT_PARAMETERS)),
    ('Positions', POSITION_PARAMETERS),
    ('Images to label', KEEP_PARAMETERS),
    ('The node', NODE_PARAMETERS),
)
PARAMETERS = tuple(spec for _, specs in GROUPS for spec in specs)
