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

"""Datasets in the formats that people have; `open_dataset` finds out which one it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ros2_classify import InputError
from ros2_classify.limits import shown
from ros2_classify_evaluation.datasets import bag, coco, directories, mot, table, voc, yolo
from ros2_classify_evaluation.datasets.base import Dataset, Objects, Sample, Truth
from ros2_classify_evaluation.datasets.consistency import notes_on

__all__ = ['Dataset', 'FORMATS', 'Objects', 'Sample', 'Truth', 'open_dataset']

# In the order in which they are tried: the more a format asks for, the earlier.
FORMATS: dict[str, tuple[Callable[[Path], bool], Callable[[Path], Dataset]]] = {
    'bag': (bag.fits, bag.load),
    'mot': (mot.fits, mot.load),
    'voc': (voc.fits, voc.load),
    'coco': (coco.fits, coco.load),
    'yolo': (yolo.fits, yolo.load),
    'csv': (table.fits, table.load),
    'directories': (directories.fits, directories.load),
}

# Characters of a message.
_LONGEST = 1500

# Another word for it, as other tools have it.
_OLD = {'folders': 'directories'}  # words: old


def open_dataset(path: str, kind: str = 'auto', *, topic: str = '',
                 labels_topic: str = '') -> Dataset:
    """
    Read a labelled dataset.

    Parameters
    ----------
    path : str
        A directory, or the file that names the images: COCO JSON, YOLO YAML, CSV; or a bag.
    kind : str
        'auto', 'directories', 'csv', 'coco', 'yolo', 'voc', 'mot' or 'bag'.
    topic, labels_topic : str
        Of a bag: where its images and its labels are, if there are several such topics.

    Returns
    -------
    Dataset
        With at least one image.

    Raises
    ------
    InputError
        If it is in none of the formats, or its labels contradict themselves.

    """
    place = Path(path)
    if not place.exists():
        raise InputError(f'the dataset {path} does not exist')
    kind = _OLD.get(kind, kind)
    if kind == 'auto':
        kind = next((name for name, (fits, _) in FORMATS.items() if fits(place)), '')
    if kind not in FORMATS:
        raise InputError(
            f'{path} is in no known format ({", ".join(FORMATS)}): expected one directory for '
            'each class, or a CSV table with the columns image and label, a COCO JSON file, a '
            'YOLO data.yaml, Annotations/*.xml beside JPEGImages, or a bag; say which with '
            '--format')
    if (topic or labels_topic) and kind != 'bag':
        raise InputError(f'a topic belongs to a bag, but {path} is read as {kind}; remove '
                         '--topic and --labels-topic')
    try:
        dataset = bag.load(place, topic, labels_topic) if kind == 'bag' else (
            FORMATS[kind][1](place))
    except InputError as error:
        # Names in a file may be as long as the file.
        raise InputError(shown(str(error), _LONGEST)) from error
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        what = f'{error} is missing' if isinstance(error, KeyError) else str(error)
        what = shown(what, _LONGEST)
        raise InputError(f'{path} cannot be read as {kind}: {what}') from error
    if not dataset.samples:
        raise InputError(f'{path}, read as {kind}, has no labelled image')
    # The same images in another format give the same numbers, equal scores among them.
    dataset.samples.sort(key=lambda sample: (
        sample.sequence, sample.stamp, Path(sample.name).stem, sample.name))
    return replace(dataset, notes=(*dataset.notes, *notes_on(dataset, place)))
