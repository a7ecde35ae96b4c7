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


"""Look at recordings, choose images, and write them: a second run adds only what is new."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
import json
from pathlib import Path
import tempfile
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from ros2_classify import InputError, Pipeline
from ros2_classify.keeping import doubt, perceptual_hash
from ros2_classify.sources import open_source
from ros2_classify_evaluation.curate.choose import choose, Seen, without_duplicates
from ros2_classify_evaluation.curate.features import FeatureModel
from ros2_classify_evaluation.curate.writers import IMAGES, Labelled, Maker, WRITERS
from ros2_classify_evaluation.metrics.detection import ious

_RECORD, _FEATURES = 'curated.json', 'features.npz'
# Below it boxes are no doubts but noise.
_LEAST_SCORE = 0.1
_THUMBNAIL = 160


@dataclass(frozen=True)
class Plan:
    """What to choose and to write; see the verb's help."""

    count: int = 200
    by: str = 'both'
    other: str = ''  # the model to disagree with
    near: int = 8
    balance: bool = False
    prelabel: float = 0.3
    formats: tuple[str, ...] = ('coco',)
    seed: int = 0
    provider: str = 'auto'


@dataclass(frozen=True)
class Outcome:
    """How many images there were, how many of them different, how many were added; the total."""

    frames: int
    different: int
    added: int
    total: int
    problem: str = ''  # why the features are not the model's


def frames_of(sources: Sequence[str], topic: str = '',
              warn: Callable[[str], Any] = print) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Go through recordings, which can be read again; yield names and BGR pixels."""
    for text in sources:
        source = open_source(text, warn=warn, topic=topic)
        try:
            if source.live:
                raise InputError(
                    f'{source.name} is live and cannot be read twice; record it first')
            for frame in source.frames():
                pixels = frame.read()
                if pixels is not None:
                    parts = dict.fromkeys((Path(text).stem, Path(frame.name).stem))
                    yield f'{"_".join(parts)}_{frame.stamp:.3f}', pixels
        finally:
            source.close()


def curate(model: str, sources: Sequence[str], out: Path, plan: Plan = Plan(), *,
           topic: str = '', progress: Callable[[int], Any] = lambda done: None,
           warn: Callable[[str], Any] = print) -> Outcome:
    """
    Choose images of recordings for labelling.

    Parameters
    ----------
    model : str
        A name from the catalogue, a descriptor or a model file, for detection or classification.
    sources : sequence of str
        Directories, videos, bags.
    out : Path
        The directory to write or to add to.
    plan : Plan
        What to choose.
    topic : str
        The image topic of bags.
    progress, warn : callable
        Told how many images have been seen; told what is wrong with a source.

    Returns
    -------
    Outcome

    Raises
    ------
    InputError
        If a source can't be read, or the directory is of another kind.

    """
    record = _read_record(out)
    with tempfile.TemporaryDirectory(prefix='ros2_classify-') as place:
        features = FeatureModel(model, Path(place), plan.provider)
        try:
            return _run(features, record, sources, out, plan, topic, progress, warn)
        finally:
            features.close()


def _run(features: FeatureModel, record: dict[str, Any], sources: Sequence[str], out: Path,
         plan: Plan, topic: str, progress: Callable[[int], Any], warn: Callable[[str], Any],
         ) -> Outcome:
    pipeline = features.pipeline
    if pipeline.task not in ('detection', 'classification'):
        raise InputError(f'curate is for detection and classification, but the task of '
                         f'{pipeline.descriptor.name} is {pipeline.task}')
    options = pipeline.options.replace(score_threshold=min(
        _LEAST_SCORE, pipeline.options.score_threshold))
    other = Pipeline.load(plan.other, provider=plan.provider) if plan.other else None
    hashes, vectors, doubts, classes, boxes, sizes = [], [], [], [], [], []
    for number, (_, image) in enumerate(frames_of(sources, topic, warn), 1):
        result, vector = features(image, options)
        hashes.append(perceptual_hash(image))
        vectors.append(vector)
        doubts.append(doubt(result) if other is None else disagreement(
            result, other(image, 'bgr'), pipeline.options.score_threshold))
        sure = [(str(label), float(score)) for label, score in zip(result.labels, result.scores)
                if score >= plan.prelabel]
        classes.append(tuple(label for label, _ in sure))
        boxes.append(_boxes(result, plan.prelabel))
        sizes.append((image.shape[1], image.shape[0]))
        progress(number)
    if not hashes:
        raise InputError(f'{", ".join(sources)}: no image can be read')
    seen = Seen(np.array(hashes, np.uint64), np.array(vectors, np.float32),
                np.array(doubts), classes)
    known = _known(out, record, seen.features.shape[1])
    rows = choose(seen, plan.count, by='uncertain' if plan.other else plan.by, near=plan.near,
                  balance=plan.balance, seed=plan.seed, known=known)
    place_of = {row: place for place, row in enumerate(rows)}
    (out / IMAGES).mkdir(parents=True, exist_ok=True)
    added: list[dict[str, Any]] = [{} for _ in rows]
    used = {each['file'] for each in record['images']}
    for row, (name, image) in enumerate(frames_of(sources, topic, lambda _: None)):
        if row not in place_of:
            continue
        file = _free(_safe(name), used)
        cv2.imwrite(str(out / IMAGES / file), image)
        added[place_of[row]] = {
            'file': file, 'width': sizes[row][0], 'height': sizes[row][1],
            'hash': f'{hashes[row]:016x}', 'doubt': round(doubts[row], 4),
            'boxes': boxes[row], 'classes': list(dict.fromkeys(classes[row])),
            'thumbnail': _thumbnail(image)}
    record['images'] += added
    record['model'], record['sha256'] = pipeline.descriptor.name, features.sha256
    _write(out, record, plan, pipeline, np.concatenate((known.features, seen.features[rows])))
    return Outcome(len(seen), len(without_duplicates(seen.hashes, plan.near)), len(rows),
                   len(record['images']), features.problem)


def _boxes(result: Any, least: float) -> list[list[Any]]:
    if result.task != 'detection':
        return []
    return [[str(label), round(float(score), 4), *(round(edge, 2) for edge in box)]
            for label, score, box in zip(result.labels, result.scores, result.boxes.tolist())
            if score >= least]


def _read_record(out: Path) -> dict[str, Any]:
    """Return what an earlier run wrote, or an empty record."""
    if not out.exists() or not any(out.iterdir()):
        return {'images': []}
    try:
        record = json.loads((out / _RECORD).read_text(encoding='utf-8'))
        if not isinstance(record, dict) or not isinstance(record['images'], list):
            raise ValueError('it has no list of images')
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f'{out} is not empty and not of an earlier run ({error}); name another directory'
        ) from error
    return record


def _known(out: Path, record: dict[str, Any], size: int) -> Seen:
    """Return what is known of the images of earlier runs."""
    images = record['images']
    hashes = np.array([int(each['hash'], 16) for each in images], np.uint64)
    vectors = np.zeros((0, size), np.float32)
    if images:
        with np.load(out / _FEATURES, allow_pickle=False) as stored:
            vectors = stored['features']
        if vectors.shape != (len(images), size):
            raise InputError(
                f'{out} was made with another model: its features have {vectors.shape[1]} '
                f'numbers, those of this one {size}; use that model, or another directory')
    return Seen(hashes, vectors, np.zeros(len(images)),
                [tuple(each['classes']) for each in images])


def _safe(name: str) -> str:
    return ''.join(each if each.isalnum() or each in '._-' else '_' for each in name)[:120]


def _free(name: str, used: set[str]) -> str:
    """Return a file name that no other image has."""
    file, number = f'{name}.png', 2
    while file in used:
        file, number = f'{name}-{number}.png', number + 1
    used.add(file)
    return file


def _thumbnail(image: NDArray[np.uint8]) -> str:
    scale = _THUMBNAIL / max(image.shape[:2])
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode('.jpg', small, [cv2.IMWRITE_JPEG_QUALITY, 75])
    return base64.b64encode(data.tobytes()).decode()


def _write(out: Path, record: dict[str, Any], plan: Plan, pipeline: Pipeline[Any],
           features: NDArray[np.float32]) -> None:
    images = record['images']
    names = tuple(name for _, name in pipeline.labels.items()) if pipeline.labels else tuple(
        dict.fromkeys(label for each in images for label, *_ in each['boxes']))
    maker = Maker(record['model'], record['sha256'], names)
    labelled = [Labelled(each['file'], each['width'], each['height'],
                         tuple((box[0], *box[1:]) for box in each['boxes'])) for each in images]
    for each in plan.formats:
        WRITERS[each](out, labelled, maker)
    np.savez_compressed(out / _FEATURES, features=features)
    (out / 'index.html').write_text(_page(record), encoding='utf-8')
    # Last: without it the directory is not taken for a finished one.
    (out / _RECORD).write_text(json.dumps(record, indent=1) + '\n', encoding='utf-8')


def _page(record: dict[str, Any]) -> str:
    """Return a contact sheet that needs nothing else."""
    cells = ''.join(
        f'<figure><img alt="" src="data:image/jpeg;base64,{each["thumbnail"]}"><figcaption>'
        f'{escape(", ".join(each["classes"])) or "nothing"}<br><small>doubt {each["doubt"]:.2f}, '
        f'{escape(each["file"])}</small></figcaption></figure>' for each in record['images'])
    return (
        '<!doctype html><html lang=en><meta charset=utf-8><title>Chosen images</title><style>'
        ':root{color-scheme:light dark}body{font:14px system-ui,sans-serif;margin:1.5rem}'
        'main{display:grid;grid-template-columns:repeat(auto-fill,minmax(170px,1fr));gap:1rem}'
        'figure{margin:0}img{width:100%;height:120px;object-fit:contain;background:#8882}'
        'small{opacity:.7;overflow-wrap:anywhere}</style>'
        f'<h1>{len(record["images"])} images for labelling</h1><p>Labels are those of '
        f'{escape(record["model"])}, to be checked.</p><main>{cells}</main></html>\n')


_IOU = 0.5


def disagreement(result: Any, other: Any, threshold: float) -> float:
    """Return 1 less the F1 of one result against the other; of classes, how much they differ."""
    if result.task == 'classification':
        best = {name: float(score) for name, score in zip(result.labels, result.scores)}
        theirs = {name: float(score) for name, score in zip(other.labels, other.scores)}
        return float(np.clip(sum(abs(best.get(name, 0.0) - theirs.get(name, 0.0))
                                 for name in best.keys() | theirs.keys()) / 2, 0, 1))
    one, two = (each.select(each.scores >= threshold) for each in (result, other))
    if not len(one) and not len(two):
        return 0.0
    if not len(one) or not len(two):
        return 1.0
    same = (ious(one.boxes.astype(float), two.boxes.astype(float)) >= _IOU) & (
        one.labels[:, None] == two.labels[None, :])
    matched = min(int(same.any(axis=0).sum()), int(same.any(axis=1).sum()))
    return 1 - 2 * matched / (len(one) + len(two))
