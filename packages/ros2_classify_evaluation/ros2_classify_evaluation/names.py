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


"""Which class of the model is which class of the dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
import difflib

import numpy as np
from numpy.typing import NDArray

from ros2_classify import InputError, OptionsError

_SHOWN = 40
UNKNOWN = -1


@dataclass(frozen=True, eq=False)
class ClassMap:
    """
    The classes that are measured.

    Parameters
    ----------
    names : tuple of str
        As the model calls them, in the order of the dataset.
    of_dataset : ndarray of int64
        The position in `names` of each class of the dataset, or -1 for those dropped.
    of_model : dict of int to int
        The position in `names` of ids of the model; others are not in the dataset.
    unlabelled : tuple of str
        Classes of the model that the dataset does not have.

    """

    names: tuple[str, ...]
    of_dataset: NDArray[np.int64]
    of_model: Mapping[int, int]
    unlabelled: tuple[str, ...]

    def from_model(self, class_ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return positions in `names`, -1 for other classes."""
        return np.array([self.of_model.get(each, UNKNOWN) for each in class_ids.tolist()],
                        np.int64)


def parse_map(pairs: Sequence[str]) -> dict[str, str]:
    """Read ``dataset=model`` pairs; an empty model drops the class."""
    renamed = {}
    for pair in pairs:
        name, equals, other = pair.partition('=')
        if not equals or not name.strip():
            raise OptionsError(
                f'--map is {pair!r} but must be NAME=NAME: a class of the dataset, and what the '
                'model calls it (nothing drops the class)')
        renamed[name.strip()] = other.strip()
    return renamed


def match_names(dataset: Sequence[str], model: Mapping[int, str],
                renamed: Mapping[str, str]) -> ClassMap:
    """
    Match classes by name; case, spaces, hyphens and underscores don't count.

    Parameters
    ----------
    dataset : sequence of str
        The dataset's classes.
    model : mapping of int to str
        The model's labels.
    renamed : mapping of str to str
        What the model calls a class of the dataset; empty drops the class.

    Raises
    ------
    InputError
        If a class of the dataset is not one of the model's; the message has both lists.

    """
    if missing := [name for name in renamed if name not in dataset]:
        raise InputError(
            f'--map names {missing[0]!r}, which is no class of the dataset: '
            f'{_listed(dataset)}')
    ids: dict[str, list[int]] = {}
    for class_id, name in model.items():
        ids.setdefault(_plain(name), []).append(class_id)
    wanted = [renamed.get(name, name) for name in dataset]
    unmatched = [(name, other) for name, other in zip(dataset, wanted)
                 if other and _plain(other) not in ids]
    if unmatched:
        raise InputError(_advice(unmatched, dataset, list(model.values()), ids))
    positions: dict[str, int] = {}
    of_dataset = np.array(
        [positions.setdefault(_plain(name), len(positions)) if name else UNKNOWN
         for name in wanted], np.int64)
    if not positions:
        raise InputError('--map drops all classes; keep one at least')
    names = tuple(model[ids[plain][0]] for plain in positions)
    of_model = {class_id: number for plain, number in positions.items() for class_id in ids[plain]}
    unlabelled = tuple(name for class_id, name in model.items() if class_id not in of_model)
    return ClassMap(names, of_dataset, of_model, unlabelled)


def _plain(name: str) -> str:
    return ' '.join(name.replace('_', ' ').replace('-', ' ').casefold().split())


def _advice(unmatched: list[tuple[str, str]], dataset: Sequence[str], model: list[str],
            ids: Mapping[str, list[int]]) -> str:
    """Return both lists, and the option that would match the names."""
    pairs = []
    for name, other in unmatched[:5]:
        near = difflib.get_close_matches(_plain(other), list(ids), 1, 0.5)
        known = model[list(ids).index(near[0])] if near else ''
        pairs.append(f"--map '{name}={known}'")
    return (
        f'classes of the dataset that the model does not have: '
        f'{_listed([name for name, _ in unmatched])}. The dataset has {_listed(dataset)}; the '
        f'model has {_listed(model)}. Say what the model calls them, or nothing to drop '
        f'them, for example: {" ".join(pairs)}')


def _listed(names: Sequence[str]) -> str:
    more = f', and {len(names) - _SHOWN} more' if len(names) > _SHOWN else ''
    return ', '.join(names[:_SHOWN]) + more
