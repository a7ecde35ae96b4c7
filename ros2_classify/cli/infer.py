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

"""``infer``: run one model on one image or many, without ROS."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TYPE_CHECKING

from ros2_classify.cli import (
    EXIT_OK, infer_depth, models_files as fetching, say, show, show_json)
from ros2_classify.cli.parser import add_model
from ros2_classify.errors import OptionsError

if TYPE_CHECKING:
    from ros2_classify.options import Options
    from ros2_classify.pipeline import Pipeline
    from ros2_classify.results.results import Result


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its arguments."""
    parser = verbs.add_parser(
        'infer', help='classify, segment or compare images, or detect objects in them',
        usage='%(prog)s MODEL SOURCE... [options]',
        description='Run a model on images and print the results, best first.')
    add_model(parser, '--image', 'image', 'photo.jpg')
    parser.add_argument(
        '--model', metavar='MODEL',
        help='a name from "models list", a descriptor file (.yaml), or a model file (.onnx, '
             '.pb, the directory of a SavedModel) by its path or URL')
    parser.add_argument(
        '--image', '--source', '--video', nargs='+', metavar='SOURCE',
        help='an image in any format that OpenCV reads (its EXIF orientation is applied); or '
             'directories, patterns such as "photos/*.jpg", videos, a webcam number, a stream '
             '(rtsp://, http://), bags (.mcap, .db3)')
    parser.add_argument('--topic', default='', metavar='NAME', help="the topic of a bag's images")
    parser.add_argument(
        '--limit', type=int, metavar='N', help='stop after N images')
    parser.add_argument(
        '--track', action='store_true',
        help='detection: give each object an id that persists over the images of one camera, '
             'in order')
    parser.add_argument(
        '--event-lines', nargs='+', default=(), metavar='NAME=X,Y,X,Y',
        help='with --track: lines whose crossing is an event, each with two points from 0 to 1')
    parser.add_argument(
        '--event-zones', nargs='+', default=(), metavar='NAME=X,Y,...@SECONDS',
        help='with --track: polygons in which an object that stays for this time is an event')
    parser.add_argument(
        '--results', metavar='FILE',
        help='write the results of all images: .jsonl (JSON lines), .csv, or .json (COCO results)')
    parser.add_argument(
        '--mcap', metavar='FILE',
        help='record images, annotations and results for Foxglove (.mcap; needs foxglove-sdk)')
    parser.add_argument(
        '--json', action='store_true',
        help='print one JSON object per image instead of a table')
    parser.add_argument(
        '--against', metavar='FILE',
        help='embedding: another image; print the cosine similarity and distance of the two')
    parser.add_argument(
        '--output', metavar='FILE',
        help='write the image with the results drawn on it (of the first head, if there are '
             'several); for several images, a directory or a video (.mp4, .mov, .avi, .mkv)')
    parser.add_argument(
        '--threshold', type=float, metavar='SCORE',
        help='drop results below this score, 0 to 1 (default: from the model)')
    parser.add_argument(
        '--top-k', type=int, metavar='N',
        help='classification: at most N classes (default: from the model)')
    parser.add_argument(
        '--nms-iou', type=float, metavar='IOU',
        help='detection: of two boxes of a class that overlap more, keep the better one; 0 to 1 '
             '(default: from the model)')
    parser.add_argument(
        '--max-detections', type=int, metavar='N',
        help='detection: at most N boxes (default: from the model)')
    parser.add_argument(
        '--classes', nargs='+', metavar='CLASS',
        help='keep only these classes, by name or id (default: from the model)')
    parser.add_argument(
        '--class-threshold', nargs='+', metavar='CLASS=SCORE',
        help='thresholds of single classes, such as person=0.6 (default: from the model)')
    parser.add_argument(
        '--nms-agnostic', action='store_true', default=None,
        help='detection: let boxes of different classes suppress each other, too')
    parser.add_argument(
        '--min-area', type=float, metavar='SHARE',
        help='detection: drop boxes that cover a smaller part of the image; 0 to 1')
    parser.add_argument(
        '--max-area', type=float, metavar='SHARE',
        help='detection: drop boxes that cover a larger part of the image; 0 to 1')
    parser.add_argument(
        '--roi', type=float, nargs='+', metavar='PART',
        help='region of interest: x1 y1 x2 y2 of a box, or x y of three or more points, each '
             'from 0 to 1')
    parser.add_argument(
        '--tiles', metavar='COLUMNSxROWS',
        help='detection: run the model on tiles of the image, such as 3x2, to find small objects')
    parser.add_argument(
        '--tile-overlap', type=float, metavar='SHARE',
        help='fraction of a tile that its neighbour overlaps; 0 to 0.75 (default: from the '
             'model, else 0.2)')
    parser.add_argument(
        '--tile-whole', action='store_true', default=None,
        help='with --tiles: run the model on the whole image, too, to find large objects')
    parser.add_argument(
        '--whole', action='store_true',
        help='video models: one result for the whole video: the mean scores of all clips, or '
             'for models with states the result after the last frame')
    add_input(parser)
    add_provider(parser)
    add_threads(parser)
    add_remote(parser)
    infer_depth.add_arguments(parser)
    fetching.add_arguments(parser)
    parser.set_defaults(run=run)


def add_provider(parser: argparse.ArgumentParser) -> None:
    """Add the argument that says what runs the model."""
    parser.add_argument(
        '--provider', default='auto', metavar='NAME',
        help='execution provider: auto (default), cpu, cuda, tensorrt, ...')


def add_threads(parser: argparse.ArgumentParser) -> None:
    """Add the argument that says how many threads the model has."""
    parser.add_argument(
        '--threads', type=int, default=0, metavar='N',
        help='CPU threads of an inference; 0 (default) = automatic')


def add_remote(parser: argparse.ArgumentParser) -> None:
    """Add the argument that says where the model runs."""
    parser.add_argument(
        '--remote', default='', metavar='URL',
        help='a model server that runs the model, such as grpc://gpu:8001/yolox_nano')


def add_input(parser: argparse.ArgumentParser) -> None:
    """Add the argument that says what pixels a model takes."""
    parser.add_argument(
        '--input', metavar='PIXELS', choices=('imagenet', 'unit', 'signed', 'caffe', 'raw'),
        help='pixels that the model takes, overriding its descriptor and inferred settings: '
             'imagenet (mean and standard deviation of ImageNet), unit (0 to 1), signed (-1 to '
             '1), caffe (bgr less the mean) or raw (0 to 255)')


def described(arguments: argparse.Namespace) -> Any:
    """Return the model as the arguments name and feed it."""
    if arguments.input is None:
        return arguments.model
    from ros2_classify.model.catalog import resolve

    return resolve(arguments.model).with_pixels(arguments.input)


def engine_of(arguments: argparse.Namespace) -> Any:
    """Return the settings of the engine that have an argument of their own."""
    from ros2_classify.engines import EngineSettings

    # One image is not worth a failure because the server has yet to warm up.
    return EngineSettings(remote=arguments.remote, remote_timeout=10.0)


def run(arguments: argparse.Namespace) -> int:
    """Print the results; errors are raised."""
    # Late, because "models list" and "--help" need neither OpenCV nor ONNX Runtime.
    from ros2_classify.cli.infer_many import is_many

    many = is_many(arguments)
    # Find errors that need no model before it is loaded.
    if arguments.track and not many:
        raise OptionsError('--track follows objects through several images, but there is one; '
                           'give a video, a directory, a bag or a stream')
    if (arguments.event_lines or arguments.event_zones) and not arguments.track:
        raise OptionsError('--event-lines and --event-zones are for objects with ids: add --track')
    return _run_many(arguments) if many else _run_one(arguments)


@contextmanager
def _loaded(arguments: argparse.Namespace) -> Iterator[tuple[Pipeline[Result], Options]]:
    """Load the model, say what is inferred or not verified, and run it once."""
    from ros2_classify.pipeline import Pipeline

    with Pipeline.load(
            described(arguments), provider=arguments.provider, threads=arguments.threads,
            fetch=fetching.options_of(arguments), engine=engine_of(arguments)) as pipeline:
        _say_settings(pipeline)
        _check_task(pipeline, arguments)
        options = pipeline.options.replace(**_changes(arguments))
        pipeline.warm_up()
        for ignored in pipeline.ignored:
            say('hint', f'ignored: {ignored}')
        yield pipeline, options


def _say_checks(pipeline: Pipeline[Result], *, one_image: bool) -> None:
    """Say what is suspicious about the results so far."""
    from ros2_classify.postprocess.result_checks import SENTENCES

    for checks in pipeline.all_checks:
        found = checks.found(least_boxes=1) if one_image else checks.found()
        for key, fields in found.items():
            say('warning', SENTENCES[key].format(**fields))


def _run_one(arguments: argparse.Namespace) -> int:
    """Run on one image."""
    from ros2_classify.cli.infer_outputs import drawn, refuse_overwriting
    from ros2_classify.image_io import check_writable, depth_reader, read_pixels, write_image
    from ros2_classify.inspection.output_checks import best_score, nothing_found

    arguments.image = arguments.image[0]
    output = check_writable(arguments.output) if arguments.output is not None else None
    refuse_overwriting(arguments.output, [arguments.image])
    pixels = read_pixels(arguments.image)
    depth = infer_depth.of(arguments)
    other = None if arguments.against is None else read_pixels(arguments.against)
    with _loaded(arguments) as (pipeline, options):
        reader = depth_reader(pipeline.descriptor.input.input_range)
        image = reader(pixels)
        result = pipeline(image, 'bgr', options)
        reference = None if other is None else pipeline(reader(other), 'bgr', options)
        # Before the model runs again for the best score.
        _say_checks(pipeline, one_image=True)
        best = best_score(pipeline, image, 'bgr', result, options)
        if depth is not None:
            result = depth.add_to(result)
            for sentence in depth.reasons(result):
                say('hint', sentence)
        found = _report(pipeline, result, best)
    if reference is not None:
        found['against'] = _compared(result, reference, arguments.against)
    if output is not None:
        canvas = drawn(image, result, options)
        if depth is not None:
            depth.draw(canvas, result)
        write_image(output, canvas)
    said, suspicious = nothing_found(best, options.score_threshold)
    empty = result.task != 'segmentation' and not len(result)
    if empty and suspicious:
        say('warning', f'nothing found: {said}')
    if arguments.json:
        show_json(found)
    else:
        _print(found, result, arguments.image, f'{result}: {said}' if empty else str(result))
        if output is not None:
            show(f'wrote {output}')
    return EXIT_OK


def _report(pipeline: Pipeline[Result], result: Result, best: float | None) -> dict[str, Any]:
    """Return what ``--json`` prints."""
    found: dict[str, Any] = {
        'model': pipeline.descriptor.name, **result.to_dict(),
        'provider': pipeline.engine.provider,
        'unverified': list(pipeline.unverified), 'best_score': best}
    if pipeline.ignored:
        found['ignored'] = list(pipeline.ignored)
    if heads := pipeline.descriptor.heads:
        found['head'] = heads[0].name
    return found


def _compared(result: Result, reference: Result, image: str) -> dict[str, Any]:
    """Return how similar two embeddings are."""
    from ros2_classify.results.results import Embedding

    assert isinstance(result, Embedding) and isinstance(reference, Embedding)
    similarity = result.cosine_similarity(reference)
    return {'image': image, 'cosine_similarity': round(similarity, 6),
            'cosine_distance': round(1 - similarity, 6)}


def _print(found: dict[str, Any], result: Result, image: str, text: str) -> None:
    """Print the result of one image as a table."""
    times = found['timing_ms']
    width, height = result.image_size
    show(f'{found["model"]} ({found["task"]}) on {image}, {width}x{height}')
    if 'head' in found:
        show(f'{found["head"]}:')
    show(text)
    for name, each in result.others.items():
        show(f'{name} ({each.task}):')
        show(each)
    if against := found.get('against'):
        show(f'against {against["image"]}: cosine similarity '
             f'{against["cosine_similarity"]:.4f}, distance {against["cosine_distance"]:.4f}')
    show(f'preprocess {times["preprocess"]:.1f} ms, inference {times["inference"]:.1f} ms, '
         f'postprocess {times["postprocess"]:.1f} ms, {found["provider"]}')


def _run_many(arguments: argparse.Namespace) -> int:
    """Run on more than one image."""
    from ros2_classify.cli.infer_many import Many

    if arguments.depth is not None:
        raise OptionsError('--depth belongs to one image: give one, or remove it')
    if arguments.limit is not None and arguments.limit < 1:
        raise OptionsError(f'--limit is {arguments.limit} but must be 1 or more')
    with Many(arguments) as many, _loaded(arguments) as (pipeline, options):
        code = many.run(pipeline, options)
        _say_checks(pipeline, one_image=False)
    return code


def _say_settings(pipeline: Pipeline[Result]) -> None:
    """Say what is inferred, and what nothing says."""
    for setting in pipeline.descriptor.inferred:
        say('hint', f'inferred {setting}')
    if unverified := pipeline.unverified:
        say('warning', f'not verified: {", ".join(unverified)}: the model file does not say '
                       'it, so the result may be wrong; run models check --image FILE '
                       '--label LABEL, then set these keys in a descriptor, or use --input')


def _check_task(pipeline: Pipeline[Result], arguments: argparse.Namespace) -> None:
    """Refuse options that the task does not have."""
    if arguments.against is not None and pipeline.task != 'embedding':
        raise OptionsError(
            f'--against compares embeddings, but the task of {pipeline.descriptor.name} is '
            f'{pipeline.task}; remove it, or declare output: {{decoder: embedding}}')
    if arguments.output is not None and pipeline.task == 'embedding':
        raise OptionsError(
            f'--output draws results, but the task of {pipeline.descriptor.name} is embedding, '
            'which cannot be drawn; remove it')


def _changes(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the options given on the command line."""
    from ros2_classify.filters import parse_class_thresholds

    values = {
        'score_threshold': arguments.threshold,
        'top_k': arguments.top_k,
        'nms_iou': arguments.nms_iou,
        'max_detections': arguments.max_detections,
        'classes': arguments.classes,
        'class_thresholds': None if arguments.class_threshold is None else (
            parse_class_thresholds(arguments.class_threshold)),
        'nms_agnostic': arguments.nms_agnostic,
        'min_area': arguments.min_area,
        'max_area': arguments.max_area,
        'roi': arguments.roi,
        'tiles': arguments.tiles,
        'tile_overlap': arguments.tile_overlap,
        'tile_whole': arguments.tile_whole,
    }
    return {key: value for key, value in values.items() if value is not None}
