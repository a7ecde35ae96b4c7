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
    Spec('offline', False, 'No internet access: use local and cached models only; also set by the '
         'environment variable ROS2_CLASSIFY_OFFLINE', read_only=True),
    Spec('allow_unverified', False, 'For trials: run a model from a URL without a sha256',
         read_only=True),
    Spec('conversion_timeout', 1800.0, 'Seconds after which the conversion of a TensorFlow model '
         'is aborted', minimum=1.0, maximum=86400.0, read_only=True),
)


def _parse_remotes(values: Iterable[str]) -> list[RemoteUrl]:
    return [RemoteUrl.parse(value) for value in values if value]


ENGINE_PARAMETERS = (
    Spec('provider', 'auto', 'What runs the model: auto, cpu, cuda, tensorrt or another '
         'execution provider of ONNX Runtime', read_only=True),
    Spec('require_provider', True, 'Whether a provider that is not available is an error; '
         'otherwise, and with auto, the CPU runs the model, with a warning', read_only=True),
    Spec('device_id', 0, 'Index of the GPU', minimum=0, maximum=MAX_DEVICE, read_only=True),
    Spec('precision', 'fp32', 'Reduced precision that the provider may use: tf32 with cuda, fp16 '
         'or int8 with tensorrt, fp16 with openvino; fp32 computes as the model says',
         choices=get_args(Precision), read_only=True),
    Spec('threads', 0, 'CPU threads for one inference; 0: all physical cores but one, at most 4, '
         'divided among parallel inferences', minimum=0, maximum=MAX_THREADS, read_only=True),
    Spec('parallel', 1, 'Inferences that may run at a time on a CPU: more results per second, '
         'especially with several cameras, but each takes longer', minimum=1, maximum=MAX_PARALLEL,
         read_only=True),
    Spec('spinning', 'auto', 'When waiting threads of the model keep their cores busy: never; '
         'during an inference, which is faster; always, which costs a core for each thread; auto: '
         'during an inference if a core stays free', choices=get_args(Spinning), read_only=True),
    Spec('graph_optimization', 'all', 'Level at which ONNX Runtime optimizes the model at start; '
         'all is nearly always the fastest', choices=get_args(Optimization), read_only=True),
    Spec('tuning', 'auto', 'Whether parameters above that are at their defaults use what "models '
         'tune" measured for this model on this machine', choices=get_args(Tuning), read_only=True,
         or_off=True),
    Spec('remote', '', 'URL of a model server (Open Inference Protocol v2) that runs the model, '
         "such as grpc://gpu:8001/yolox_nano, overriding the descriptor's source.remote; without "
         "a model name, the descriptor's name is used; empty: as the descriptor says",
         read_only=True, parse=lambda value: value and RemoteUrl.parse(value)),
    Spec('remote_timeout', 1.0, 'Seconds after which a call to the model server fails, retries '
         'included', minimum=0.01, maximum=3600.0, read_only=True),
    Spec('remote_fallback', 'none', 'What to do if the model server fails: none: publish no '
         'result; local: run the model file on this machine until the server is back, and say so '
         'in diagnostics', choices=get_args(Fallback), read_only=True),
    Spec('memory_limit', 0, 'MiB of working memory that the model may use, on the CPU or the GPU; '
         '0 sets no limit', minimum=0, maximum=MAX_MEMORY, read_only=True),
    Spec('arena', 'exact', "How the model's memory grows: exactly as requested, or by doubling",
         choices=get_args(Arena), read_only=True),
    Spec('shrink_memory', False, 'Whether the model releases memory after each image; slower',
         read_only=True),
    Spec('cuda_graphs', False, 'Whether to use CUDA graphs, which record the work once and replay '
         'it; refused with tensorrt', read_only=True),
    Spec('engine_cache', True, 'Whether to cache what is costly to build, such as TensorRT '
         'engines, on disk', read_only=True),
    Spec('custom_operators', '', 'Libraries with custom operators, separated by ":"; no others '
         'are ever loaded', read_only=True),
    Spec('external_data', '', 'Further directories, separated by ":", in which a model\'s weights '
         'may be', read_only=True),
)

RATE_PARAMETERS = (
    Spec('max_rate', 0.0, 'Maximum images per second, by their stamps; further ones are dropped '
         'before they are decoded; 0 sets no limit; ignored for models that take clips',
         minimum=0.0, maximum=1000.0, from_model=True, per_stream=True),
)

TRACKING_PARAMETERS = (
    Spec('tracking', False, 'Detection: give each object an id that stays over time, in the '
         "detections' field id", per_stream=True),
    Spec('track_high', 0.5, 'Tracking: boxes with at least this score start and continue tracks',
         minimum=0.0, maximum=1.0, per_stream=True),
    Spec('track_low', 0.1, 'Tracking: boxes with at least this score continue tracks; they are '
         'published from score_threshold on', minimum=0.0, maximum=1.0, per_stream=True),
    Spec('track_lost_seconds', 1.0, 'Tracking: seconds, by stamps, for which a track survives '
         'while its object is not found', minimum=0.0, maximum=3600.0, per_stream=True),
    Spec('track_confirm', 2, 'Tracking: images in which an object must be found before it gets an '
         'id', minimum=1, maximum=1000, per_stream=True),
)

POSITION_PARAMETERS = (
    Spec('depth_topic', '', 'Topic of depth images registered to the images; a relative name is '
         "in the camera's namespace; empty: no depth", read_only=True, per_stream=True),
    Spec('camera_info_topic', '', 'Topic of the camera_info; empty: camera_info beside the image '
         'topic', read_only=True, per_stream=True),
    Spec('depth_sync', 0.02, 'Seconds by which the stamps of an image and its depth may differ if '
         'none is equal; also how long a result in metres waits for its depth and transform',
         minimum=0.0, maximum=1.0, read_only=True, per_stream=True),
    Spec('target_frame', '', "Frame of the positions, by tf at the image's stamp; empty: that of "
         'the image, or ground_frame', read_only=True, per_stream=True),
    Spec('ground_frame', '', 'Without depth_topic: frame whose plane z = 0 is the ground on which '
         'objects stand; empty: no positions from the ground', read_only=True, per_stream=True),
    Spec('points', False, 'Whether to publish a point cloud of the objects as well, for costmaps',
         read_only=True, per_stream=True),
    Spec('annotations', False, "Whether to publish boxes and labels for Foxglove's image panel; "
         'needs the package foxglove_msgs', read_only=True, per_stream=True),
)


EVENT_PARAMETERS = (
    Spec('event_lines', [''], 'Tracking: lines whose crossing is an event, each a name and two '
         'points in fractions of width and height, such as door=0.1,0.5,0.9,0.5', per_stream=True,
         parse=parse_lines),
    Spec('event_zones', [''], 'Tracking: polygons in which staying is an event, each a name, the '
         'points, and the seconds after @, such as desk=0.1,0.5,0.9,0.5,0.5,1@3', per_stream=True,
         parse=parse_zones),
)


def _parse_keep(value: str) -> object:
    from ros2_classify.keeping.keeper import KeepRules

    return KeepRules.parse(value)


KEEP_PARAMETERS = (
    Spec('keep', '', 'Images to keep for labelling: uncertain, changed, every N (seconds), or '
         'several of them separated by commas; empty: none', read_only=True, parse=_parse_keep),
    Spec('keep_directory', 'kept', 'Directory for the images to label, with a subdirectory for '
         'each camera', read_only=True),
    Spec('keep_megabytes', 1000.0, 'Maximum size of such a subdirectory, in MB; when it is full, '
         'no more images are kept', minimum=0.1, maximum=1e7, read_only=True),
    Spec('keep_period', 1.0, 'Minimum seconds between two kept images of a camera',
         minimum=0.0, maximum=86400.0, read_only=True),
    Spec('keep_format', 'png', 'png: one file for each image; mcap: recordings of the images, the '
         'results, and why they were kept', choices=('png', 'mcap'), read_only=True),
)

MODEL_PARAMETERS = (
    Spec('model', '', 'Model to run: a name from the catalogue, or the path or URL of a '
         'descriptor or model file; if set while the node is configured, the new model is loaded '
         'beside the current one and then replaces it'),
    Spec('input', '', 'Pixels that the model takes, overriding its descriptor and inferred '
         'settings: imagenet (mean and standard deviation of ImageNet), unit (0 to 1), signed (-1 '
         'to 1), caffe (bgr less the mean), raw (0 to 255); empty: no override',
         choices=('', *PIXELS), read_only=True),
    Spec('model_path', '', 'Directories of your own models, separated by ":", searched before '
         'those of the environment variable ROS2_CLASSIFY_MODEL_PATH', read_only=True),
    Spec('model_roots', '', 'The only directories, separated by ":", from which models, '
         'descriptors, label files, weights and operator libraries are read, after resolving '
         'symbolic links; empty allows all', read_only=True),
    Spec('model_changes', 'verified', 'Models that may be set at run time: any; verified: names '
         'from the catalogue, files below model_roots, and URLs with a sha256 in trusted_models; '
         'listed: those of verified whose sha256 is in trusted_models; off: none',
         choices=POLICIES, read_only=True, or_off=True),
    Spec('trusted_models', [''], 'The sha256 of each model or archive that may be set at run '
         'time; each value is a sha256, or a file with one in each line, as sha256sum writes it, '
         'read at every change', read_only=True, parse=read_trusted),
    Spec('trusted_remotes', [''], 'URLs of model servers, such as grpc://gpu:8001, or of single '
         'models there, to which descriptors that are set at run time may send images',
         read_only=True, parse=_parse_remotes),
    *FETCH_PARAMETERS,
    Spec('load_timeout', 120.0, 'Seconds after which loading a model, including its first run, '
         "fails and its thread is abandoned; download and conversion don't count, and tensorrt "
         'and openvino, which build engines, get 30 times as long; 0 sets no limit', minimum=0.0,
         maximum=86400.0),
)

IMAGE_PARAMETERS = (
    Spec('image_transport', 'raw', 'How images arrive: raw on image, compressed on '
         'image/compressed', choices=('raw', 'compressed'), read_only=True),
    Spec('image_topics', [''], 'Image topics of several cameras, replacing image; those that end '
         'in /compressed carry compressed images', read_only=True),
    Spec('output_namespaces', [''], 'Namespaces of the results, one for each of image_topics; '
         'empty: the namespaces of these topics', read_only=True),
    Spec('qos', 'auto', 'Reliability of the image subscriptions: auto follows the publishers, '
         'reliable if all of them are and send images, else best_effort; qos_overrides have '
         'priority', choices=QOS, read_only=True),
    Spec('image_backend', 'auto', 'Converter for encodings other than 8-bit colours: cv_bridge or '
         'opencv; auto: opencv for all encodings that it supports, and cv_bridge for the others, '
         'if a trial in a child process succeeds', choices=BACKENDS, read_only=True),
    *RATE_PARAMETERS,
    Spec('input_range', '16', 'Values of 16-bit images that become black and white: the number of '
         'bits, such as 12; two values, such as 1000..5000; percentile, or percentile 2..98, of '
         'each image; auto: the fewest bits that hold all values so far', from_model=True,
         per_stream=True, or_number=True, parse=InputRange.parse),
    Spec('max_image_pixels', MAX_PIXELS, 'Larger images are refused',
         minimum=1, maximum=1 << 30, per_stream=True),
    Spec('image_timeout', 0.0, 'Seconds without an image after which an error is reported; 0: '
         "three times the measured interval between the camera's images, and at least 5; 10 until "
         'it is known', minimum=0.0, maximum=86400.0, per_stream=True),
)

INFERENCE_PARAMETERS = (
    *ENGINE_PARAMETERS,
    Spec('max_batch', 0, 'Maximum batch size, over the images of different cameras, if the model '
         'accepts batches; 0: automatic (8 on a GPU, 1 on a CPU)', minimum=0, maximum=MAX_BATCH,
         read_only=True),
    Spec('max_batch_delay', 0.0, 'Seconds that an image may wait for images of other cameras to '
         'fill a batch', minimum=0.0, maximum=10.0, read_only=True),
    Spec('on_engine_fault', 'retry', 'What to do when the model fails or hangs: retry drops '
         'the image and tries the next one, with growing pauses, and reloads the model if that '
         'may help; error leaves the state active through error processing; exit ends the '
         f'process with code {EXIT_CODE}', choices=ACTIONS, read_only=True),
    Spec('inference_timeout', 0.0, 'Seconds from decoding a frame to its result after which the '
         'model counts as hanging; 0: 20 times as long as the warm-up, and at least 10',
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
    Spec('classes', [''], 'Names or ids of the classes to keep; others are dropped, and in a '
         'segmentation their pixels have no class; empty: all', from_model=True, per_stream=True),
    Spec('class_thresholds', [''], 'Score thresholds of single classes, each a name or an id, and '
         'a score, such as person=0.6', from_model=True, per_stream=True,
         parse=lambda words: parse_class_thresholds(filter(None, words))),
    Spec('nms_agnostic', False, 'Detection: whether boxes of different classes suppress each '
         'other, too, by nms_iou', from_model=True, per_stream=True),
    Spec('min_area', 0.0, 'Detection: boxes that cover a smaller part of the image are dropped',
         minimum=0.0, maximum=1.0, from_model=True, per_stream=True),
    Spec('max_area', 1.0, 'Detection: boxes that cover a larger part of the image are dropped',
         minimum=0.0, maximum=1.0, from_model=True, per_stream=True),
    Spec('roi', [0.0, 0.0, 1.0, 1.0], "Region of interest, in fractions of the image's width and "
         'height: x1, y1, x2, y2 of a box, or x, y of three or more points; the model sees its '
         'bounding box', from_model=True, per_stream=True, parse=parse_roi),
    Spec('tiles', '1x1', 'Detection: columns and rows, such as 3x2, of tiles that the model sees '
         'one by one, to find small objects in a large image', from_model=True, per_stream=True,
         parse=parse_tiles),
    Spec('tile_overlap', 0.2, 'Fraction of a tile that its neighbour overlaps', minimum=0.0,
         maximum=0.75, from_model=True, per_stream=True),
    Spec('tile_whole', False, 'Whether to add the whole image as a tile, to find large objects',
         from_model=True, per_stream=True),
    Spec('class_id', 'label', 'Content of the field class_id in results: the label or the index',
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
    Spec('trace_file', '', 'For measuring: file (.npz) for the times of all frames, written when '
         'the node stops; empty: none', read_only=True),
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
