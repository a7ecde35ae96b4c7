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


"""Pre-labels in the formats of labelling tools; each says that a model made them, and which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import json
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

IMAGES = 'images'


@dataclass(frozen=True)
class Labelled:
    """An image of the output, and its boxes: label, score, x1, y1, x2, y2."""

    file: str
    width: int
    height: int
    boxes: tuple[tuple[str, float, float, float, float, float], ...]


@dataclass(frozen=True)
class Maker:
    """The model that made the labels."""

    model: str
    sha256: str
    names: tuple[str, ...]


def write_coco(out: Path, images: Sequence[Labelled], maker: Maker) -> None:
    """Write ``instances.json``; annotations have ``score`` and ``prelabel``."""
    number_of = {name: number for number, name in enumerate(maker.names, 1)}
    annotations: list[dict[str, Any]] = []
    for number, image in enumerate(images, 1):
        for label, score, x1, y1, x2, y2 in image.boxes:
            annotations.append({
                'id': len(annotations) + 1, 'image_id': number, 'category_id': number_of[label],
                'bbox': _rounded(x1, y1, x2 - x1, y2 - y1), 'iscrowd': 0,
                'area': round((x2 - x1) * (y2 - y1), 2), 'score': round(score, 4),
                'prelabel': True})
    _json(out / 'instances.json', {
        'info': {'description': 'pre-labels, to be checked', 'model': maker.model,
                 'sha256': maker.sha256},
        'images': [{'id': number, 'file_name': each.file, 'width': each.width,
                    'height': each.height} for number, each in enumerate(images, 1)],
        'annotations': annotations,
        'categories': [{'id': number, 'name': name} for name, number in number_of.items()]})


def write_yolo(out: Path, images: Sequence[Labelled], maker: Maker) -> None:
    """Write ``data.yaml`` and ``labels``; the file has no room for scores."""
    (out / 'labels').mkdir(exist_ok=True)
    for image in images:
        lines = [
            f'{maker.names.index(label)} {(x1 + x2) / 2 / image.width:.6f} '
            f'{(y1 + y2) / 2 / image.height:.6f} {(x2 - x1) / image.width:.6f} '
            f'{(y2 - y1) / image.height:.6f}\n' for label, _, x1, y1, x2, y2 in image.boxes]
        (out / 'labels' / image.file).with_suffix('.txt').write_text(''.join(lines))
    (out / 'data.yaml').write_text(
        f'# Pre-labels, to be checked; by {json.dumps(maker.model)}, sha256 {maker.sha256}\n'
        f'train: {IMAGES}\nval: {IMAGES}\nnames:\n' + ''.join(
            f'  {number}: {json.dumps(name)}\n' for number, name in enumerate(maker.names)),
        encoding='utf-8')


def write_voc(out: Path, images: Sequence[Labelled], maker: Maker) -> None:
    """Write ``Annotations``."""
    (out / 'Annotations').mkdir(exist_ok=True)
    for image in images:
        objects = ''.join(
            f'<object><name>{_text(label)}</name><pose>Unspecified</pose><truncated>0</truncated>'
            f'<difficult>0</difficult><bndbox><xmin>{x1 + 1:.0f}</xmin><ymin>{y1 + 1:.0f}</ymin>'
            f'<xmax>{x2:.0f}</xmax><ymax>{y2:.0f}</ymax></bndbox></object>'
            for label, _, x1, y1, x2, y2 in image.boxes)
        (out / 'Annotations' / image.file).with_suffix('.xml').write_text(
            f'<annotation><filename>{_text(image.file)}</filename>'
            f'<source><database>pre-labels of {_text(maker.model)} {maker.sha256}</database>'
            f'</source><size><width>{image.width}</width><height>{image.height}</height>'
            f'<depth>3</depth></size>{objects}</annotation>\n', encoding='utf-8')


def write_cvat(out: Path, images: Sequence[Labelled], maker: Maker) -> None:
    """Write ``annotations.xml`` of CVAT for images; boxes have the source ``auto``."""
    labels = ''.join(f'<label><name>{_text(name)}</name><attributes/></label>'
                     for name in maker.names)
    parts = []
    for number, image in enumerate(images):
        boxes = ''.join(
            f'<box label={quoteattr(label)} source="auto" occluded="0" xtl="{x1:.2f}" '
            f'ytl="{y1:.2f}" xbr="{x2:.2f}" ybr="{y2:.2f}" z_order="0"/>'
            for label, _, x1, y1, x2, y2 in image.boxes)
        parts.append(f'<image id="{number}" name={quoteattr(image.file)} width="{image.width}" '
                     f'height="{image.height}">{boxes}</image>')
    (out / 'annotations.xml').write_text(
        f'<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version><meta><task>'
        f'<name>pre-labels of {_text(maker.model)} {maker.sha256}</name><labels>{labels}</labels>'
        f'</task></meta>{"".join(parts)}</annotations>\n', encoding='utf-8')


def write_label_studio(out: Path, images: Sequence[Labelled], maker: Maker) -> None:
    """Write ``tasks.json``: predictions with model and score, in percent of the image."""
    version = f'{maker.model} {maker.sha256[:12]}'
    _json(out / 'tasks.json', [{
        'data': {'image': f'/data/local-files/?d={IMAGES}/{image.file}'},
        'predictions': [{
            'model_version': version,
            'score': round(min((box[1] for box in image.boxes), default=0.0), 4),
            'result': [{
                'id': str(number), 'type': 'rectanglelabels', 'from_name': 'label',
                'to_name': 'image', 'original_width': image.width,
                'original_height': image.height, 'image_rotation': 0,
                'score': round(score, 4), 'value': {
                    'x': 100 * x1 / image.width, 'y': 100 * y1 / image.height,
                    'width': 100 * (x2 - x1) / image.width,
                    'height': 100 * (y2 - y1) / image.height, 'rotation': 0,
                    'rectanglelabels': [label]}}
                for number, (label, score, x1, y1, x2, y2) in enumerate(image.boxes)]}]}
        for image in images])


WRITERS = {'coco': write_coco, 'yolo': write_yolo, 'voc': write_voc, 'cvat': write_cvat,
           'label-studio': write_label_studio}


def _text(text: str) -> str:
    return text.replace('&', '&amp;').replace('<', '&lt;').replace('>', '&gt;')


def _rounded(*values: float) -> list[float]:
    return [round(value, 2) for value in values]


def _json(path: Path, data: Any) -> None:
    path.write_text(json.dumps(data, indent=1, ensure_ascii=False) + '\n', encoding='utf-8')
