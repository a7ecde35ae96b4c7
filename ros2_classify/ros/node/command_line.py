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

"""What a user typed that a node can't use: the command line, and parameters it does not have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
import difflib
import os
import re
from typing import Any

from ros2_classify.ros.node.rcl_errors import sections_of, silent_problem

# Options that stand before one more word (rcl: Command line arguments for ROS nodes).
_WITH_VALUE = {
    '-p': 'a parameter', '--param': 'a parameter', '-r': 'a remapping', '--remap': 'a remapping',
    '--params-file': 'a file', '--log-level': 'a level', '--log-config-file': 'a file',
    '--log-file-name': 'a name', '-e': 'an enclave', '--enclave': 'an enclave'}
_EXAMPLES = {'a parameter': '-p model:=NAME', 'a remapping': '-r image:=/camera/image_raw'}


def usage_problem(args: Sequence[str]) -> str:
    """Return what is wrong with a command line, and how to write it; '' if nothing is known."""
    for option, word in _ros_words(args):
        kind = _WITH_VALUE.get(option, '')
        if not option and ':=' in word:
            return (f'{word!r} has no option before it: to set a parameter, write -p {word}; to '
                    f'remap a name, write -r {word}')
        example = _EXAMPLES.get(kind, '')
        if option and (not word or example and word.startswith('-')):
            return f'{option} needs {kind} after it' + (f', as in: {example}' if example else '')
        if option == '--params-file':
            if not os.path.isfile(word):
                return f'{option} names {word!r}, and there is no such file'
            if problem := silent_problem(word):
                return problem
        if not example or ':=' in word:
            continue
        name, equals, value = word.partition('=')
        cure = f'write {option} {name}:={value}' if equals else f'write {example}'
        return f'{word!r} is not {kind}, which has := between name and value: {cure}'
    return ''


def _ros_words(args: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield option and value after --ros-args; one of them is empty if it stands alone."""
    inside, option = False, ''
    for word in (*args, '--'):
        if option:
            yield option, '' if word == '--' else word
            option = ''
        elif word == '--ros-args':
            inside = True
        elif word == '--':
            inside = False
        elif inside and word in _WITH_VALUE:
            option = word
        elif inside:
            yield '', word


# The node's parameter, and what others call it.
_MEANINGS = {
    'score_threshold': 'threshold thresh conf conf_thres conf_thresh conf_threshold confidence '
                       'confidence_threshold detection_threshold score score_thres score_thresh '
                       'min_score min_confidence minimum_score prob_threshold probability',
    'nms_iou': 'iou iou_thres iou_thresh iou_threshold nms nms_thres nms_thresh nms_threshold '
               'nms_iou_threshold overlap',
    'max_detections': 'max_det max_dets max_boxes max_objects max_results keep_top_k',
    'top_k': 'topk k max_classes',
    'classes': 'class_filter filter_classes class_list keep_classes',
    'nms_agnostic': 'agnostic agnostic_nms class_agnostic',
    'model': 'model_file model_name model_url model_uri weights weights_file weights_path '
             'checkpoint onnx onnx_file onnx_model onnx_path engine engine_file net',
    'provider': 'device backend gpu use_gpu cuda use_cuda providers execution_provider',
    'image_topics': 'topic topics image_topic input_topic camera_topic camera_topics image '
                    'input_image',
    'image_transport': 'transport compressed use_compressed',
    'threads': 'num_threads n_threads thread_count cpu_threads intra_op_num_threads',
    'max_batch': 'batch batch_size max_batch_size',
    'source': 'file filename file_name path image_path video video_file video_path video_device '
              'device camera camera_id camera_index image images directory uri',
    'rate': 'fps frame_rate framerate frequency hz publish_rate',
    'image': 'file filename path image_path image_file source input',
    'output': 'output_file output_path save save_path',
    'timeout': 'wait time_out timeout_sec',
}
# The key of a model's descriptor, and what others call it.
_DESCRIPTOR = {
    '`labels`, or a label file beside the model':
        'labels label label_file label_path label_map labels_file labels_path class_file '
        'class_names class_labels names num_classes nc',
    '`input`':
        'mean std scale norm normalize normalization preprocessing color bgr rgb swap_rb resize '
        'letterbox size input_size input_width input_height input_shape imgsz img_size image_size '
        'width height',
    '`output.decoder`':
        'decoder model_type architecture arch task postprocessor post_processing anchors strides',
}


def unknown_parameters(nodes: Sequence[Any]) -> list[str]:
    """Return a sentence for each value that was given for a parameter that no node has."""
    known = {name for node in nodes for name in node.list_parameters([], 0).names}
    # There is no public API for the values that the user gave, hence getattr.
    given = {name for node in nodes for name in getattr(node, '_parameter_overrides', {})}
    # Those of the quality of service are declared with each subscription or publisher.
    return [f'there is no parameter {name!r}, its value is ignored; '
            f'{_advice(name, known) or _list(nodes)}' for name in sorted(given - known)
            if not name.startswith('qos_overrides.')]


def unused_files(args: Sequence[str], nodes: Sequence[Any]) -> list[str]:
    """Return a sentence for each file of parameters that has none for any of the nodes."""
    names = [node.get_fully_qualified_name() for node in nodes]
    return [f'{file} has no parameters for {" and ".join(names)}, only for '
            f'{", ".join(sections)}; name the node, or write /** for any'
            for option, file in _ros_words(args)
            if option == '--params-file' and (sections := sections_of(file))
            and not any('*' in section or section in names for section in sections)]


def undeclared(node: Any, name: str) -> str:
    """Return why a parameter that the node does not have can't be set."""
    known = node.list_parameters([], 0).names
    return f'there is no parameter {name!r}; {_advice(name, known) or _list([node])}'


def _advice(name: str, known: Iterable[str]) -> str:
    """Return which parameter, or key of a descriptor, means this."""
    known = tuple(known)
    prefix, _, last = name.lower().rpartition('.')
    if prefix and (advice := _advice_for_stream(prefix, last, known)):
        return advice
    plain = re.sub('[^a-z0-9]+', '_', last).strip('_')
    options = [each for each in known if each == plain] or [
        each for each, words in _MEANINGS.items() if each in known and plain in words.split()]
    if not options and 'model' in known:
        for key, words in _DESCRIPTOR.items():
            if plain in words.split():
                return f"it is a key of the model's descriptor: {key}"
    options = options or difflib.get_close_matches(plain, known, n=1, cutoff=0.75)
    return f'did you mean {" or ".join(map(repr, options))}?' if options else ''


def _advice_for_stream(prefix: str, last: str, known: Sequence[str]) -> str:
    """Return which parameter of one stream is meant, if the prefix is like that of one."""
    prefixes = {own.rpartition('.')[0]: None for own in known
                if '.' in own and not own.startswith('qos_overrides.')}
    meant = difflib.get_close_matches(prefix, prefixes, n=1, cutoff=0.5)
    if not meant:
        return ''
    names = {own.rpartition('.')[2] for own in known if own.startswith(f'{meant[0]}.')}
    if advice := _advice(last, names):
        return advice.replace("'", f"'{meant[0]}.", 1)
    return f'{last} is one for all streams' if last in known else ''


def _list(nodes: Sequence[Any]) -> str:
    names = ' and '.join(
        f'ros2 param list {node.get_fully_qualified_name()}' for node in nodes)
    return f'{names} shows those there are'
