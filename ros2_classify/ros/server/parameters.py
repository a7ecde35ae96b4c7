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

"""The server's parameters, and the options for the pipeline that follow from them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ros2_classify.engines.settings import MAX_BATCH
from ros2_classify.image_io import MAX_PIXELS
from ros2_classify.options import Options
from ros2_classify.ros.node.parameters import Parameters, Spec
from ros2_classify.ros.server.engine_parameters import ENGINE_PARAMETERS
from ros2_classify.ros.server.faults import ACTIONS, EXIT_CODE
from ros2_classify.ros.server.fetching import FETCH_PARAMETERS

PARAMETERS = (
    Spec('model', '', 'Model to run: a name from the catalogue, a descriptor file or a '
         'model file, by path or address; set while the node is configured, it is loaded beside '
         'the present one, which it then replaces'),
    Spec('model_path', '', 'Directories of models of your own, separated by ":", looked into before '
         'those of the environment variable ROS2_CLASSIFY_MODEL_PATH', read_only=True),
    Spec('model_roots', '', 'The only directories, separated by ":", that models, descriptors, label '
         'files, weights and libraries of operators are read from, symbolic links followed; empty '
         'allows all', read_only=True),
    *FETCH_PARAMETERS,
    Spec('image_transport', 'raw', 'How images come: raw on image, compressed on '
         'image/compressed', choices=('raw', 'compressed'), read_only=True),
    Spec('image_topics', [''], 'Topics of images of several cameras, in the place of image; '
         'those that end in /compressed have compressed images', read_only=True),
    Spec('output_namespaces', [''], 'Namespaces of the answers, one for each of image_topics; '
         'else the namespaces of these topics', read_only=True),
    Spec('max_batch', 0, 'At most so many images, of different cameras, go through the model '
         'at once, where it can; 0: 8 on a GPU, and one on a CPU, which gains nothing by it',
         minimum=0, maximum=MAX_BATCH, read_only=True),
    Spec('max_batch_delay', 0.0, 'Seconds that an image may wait for those of other cameras, to '
         'go through the model together', minimum=0.0, maximum=10.0, read_only=True),
    *ENGINE_PARAMETERS,
    Spec('on_engine_fault', 'retry', 'What follows when the model fails or hangs: retry drops '
         'the image and tries again, with growing pauses, and loads the model anew where that '
         'may help; error leaves the state active by way of error processing; exit ends the '
         f'process with code {EXIT_CODE}', choices=ACTIONS, read_only=True),
    Spec('inference_timeout', 0.0, 'Seconds after which an inference counts as hanging; 0: 20 '
         'times as long as the warm-up, and at least 10', minimum=0.0, maximum=86400.0),
    Spec('load_timeout', 120.0, 'Seconds after which loading a model, with its first run, '
         'counts as hanging: whoever asked for it is told, and its thread is left behind; '
         'fetching and converting are not counted, tensorrt and openvino, which build engines, '
         'have 30 times as long; 0 sets no limit', minimum=0.0, maximum=86400.0),
    Spec('autostart', True, 'Configure and activate at start, without a lifecycle manager',
         read_only=True),
    Spec('tune_malloc', True, 'Keep the memory of large images in the process (glibc only)',
         read_only=True),
    Spec('trace_file', '', 'For measuring: file (.npz) to which the times of all frames are '
         'written when the node stops; empty for none', read_only=True),
    Spec('score_threshold', 0.3, 'Results with a lower score are left out',
         minimum=0.0, maximum=1.0, from_model=True),
    Spec('top_k', 5, 'Classification: at most this many classes',
         minimum=1, maximum=1000000, from_model=True),
    Spec('nms_iou', 0.45, 'Detection: of two boxes of one class whose intersection over union is '
         'larger, the better one stays', minimum=0.0, maximum=1.0, from_model=True),
    Spec('ioa_threshold', 0.0, 'Detection: of two boxes of one class whose intersection is a '
         'larger part of the smaller one, the better one stays; 0 switches this off',
         minimum=0.0, maximum=1.0, from_model=True),
    Spec('max_detections', 100, 'Detection: at most this many boxes',
         minimum=1, maximum=1000000, from_model=True),
    Spec('max_candidates', 4096, 'Detection: at most this many boxes over the threshold, the best '
         'ones, are compared with each other', minimum=1, maximum=100000, from_model=True),
    Spec('class_id', 'label', 'What the field class_id of results holds: the label or the index',
         choices=('label', 'index')),
    Spec('max_image_pixels', MAX_PIXELS, 'Larger images are refused',
         minimum=1, maximum=1 << 30),
)


@dataclass(frozen=True)
class ResultSettings:
    """
    What the parameters ask of an answer, all of one moment.

    Parameters
    ----------
    options : ros2_classify.options.Options
        Thresholds and limits.
    class_id : str
        ``label`` or ``index``.
    max_pixels : int
        Larger images are refused.

    """

    options: Options
    class_id: str
    max_pixels: int


def result_settings(parameters: Parameters, defaults: Options) -> ResultSettings:
    """
    Return what the parameters ask for now.

    Parameters
    ----------
    parameters : Parameters
        The server's parameters.
    defaults : ros2_classify.options.Options
        The model's own options, for what is no parameter.

    Returns
    -------
    AnswerSettings
        The settings.

    """
    options = defaults.replace(**{
        spec.name: parameters[spec.name] for spec in PARAMETERS if spec.from_model})
    return ResultSettings(options, parameters['class_id'], parameters['max_image_pixels'])


def model_defaults(options: Any) -> dict[str, Any]:
    """Return the model's own options by parameter name."""
    return asdict(options)
