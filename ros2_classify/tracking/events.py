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

"""What happens to objects with ids: they appear, go, change their class, cross lines, stay."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from ros2_classify.errors import InputError
from ros2_classify.results.detections import Detections
from ros2_classify.tracking.places import crosses, inside, Line, Point, side, Zone

# The seconds of images that vote on a class, the share of the scores that a new class needs, and
# in how many images it must have been seen.
_WINDOW = 2.0
_MAJORITY = 0.6
_VOTES = 3
# How far from a line an object must be, as a share of the image's height, to be on a side of it.
_MARGIN = 0.01
# Seconds for which an object may seem to be outside of a zone that it is in.
_OUTSIDE = 0.5
_LAST = 1 - 1e-9


@dataclass(frozen=True)
class Event:
    """What happened to an object; ``place`` is a line's or a zone's name."""

    kind: str
    track_id: str
    label: str
    stamp: float
    box: tuple[float, float, float, float]
    previous: str = ''
    place: str = ''
    direction: str = ''
    seconds: float = 0.0

    def to_dict(self) -> dict[str, object]:
        """Return it for JSON, without what this kind does not have."""
        more = {'previous': self.previous, 'place': self.place, 'direction': self.direction,
                'seconds': round(self.seconds, 3)}
        return {'kind': self.kind, 'id': self.track_id, 'label': self.label,
                'box': [round(side, 2) for side in self.box],
                **{key: value for key, value in more.items() if value}}

    def __str__(self) -> str:
        """Return it in a line, such as ``3 car crossed_line door to the left``."""
        parts = [self.track_id, self.label, self.kind, self.place]
        if self.direction:
            parts.append(f'to the {self.direction}')
        if self.previous:
            parts.append(f'from {self.previous}')
        if self.seconds:
            parts.append(f'after {self.seconds:.1f} s')
        return ' '.join(filter(None, parts))


@dataclass
class _Visit:
    """An object in a zone: since when, when it was seen there last, whether that was told."""

    since: float
    last: float
    told: bool = False


@dataclass
class _Object:
    """What is known of an object that has appeared."""

    since: float
    label: str
    box: tuple[float, float, float, float]
    votes: deque[tuple[float, str, float]] = field(default_factory=deque)
    # By line: the last place that was clearly on a side of it, and which side.
    sides: dict[str, tuple[Point, bool]] = field(default_factory=dict)
    visits: dict[str, _Visit] = field(default_factory=dict)


class Events:
    """
    Turns the detections of one camera, with ids, into events; call it for each image.

    `lines` and `zones` may be replaced at any time. An object is where the middle of its box's
    lower edge is.
    """

    def __init__(self, lines: Sequence[Line] = (), zones: Sequence[Zone] = ()) -> None:
        self.lines, self.zones = tuple(lines), tuple(zones)
        self._objects: dict[str, _Object] = {}
        # By line: how many crossed it to the left, and to the right.
        self._crossed: dict[str, dict[str, int]] = {}
        self._stamp = 0.0

    def end(self) -> list[Event]:
        """Return that all objects are gone, as of the last image, and forget them."""
        events = [event for name, known in self._objects.items()
                  for event in self._gone(name, known, self._stamp)]
        self._objects.clear()
        return events

    @property
    def counts(self) -> dict[str, str]:
        """What has been counted at each line, and who is in each zone, in words by name."""
        words = {}
        for line in self.lines:
            count = self._crossed.get(line.name, {})
            words[line.name] = f'{count.get("left", 0)} left, {count.get("right", 0)} right'
        for zone in self.zones:
            words[zone.name] = str(sum(
                zone.name in known.visits and known.visits[zone.name].told
                for known in self._objects.values()))
        return words

    @property
    def present(self) -> dict[str, str]:
        """The class of each object that has appeared and is not gone, by id."""
        return {name: known.label for name, known in self._objects.items()}

    def __call__(self, found: Detections, stamp: float, live: Collection[str],
                 labels: Sequence[str] | None = None) -> list[Event]:
        """
        Return what happened in an image; `live` are the ids that the tracker still knows.

        `labels` may tell classes apart in the place of those of the detections.
        """
        if found.track_ids is None:
            raise InputError('the detections have no ids; call a Tracker with them first')
        self._stamp = stamp
        events: list[Event] = []
        for name, known in list(self._objects.items()):
            if name not in live:
                del self._objects[name]
                events += self._gone(name, known, stamp)
        for name, label, score, box in zip(
                found.track_ids.tolist(), found.labels.tolist() if labels is None else labels,
                found.scores.tolist(), found.boxes.tolist()):
            if name:
                events += self._seen(name, label, score, tuple(box), stamp, found.image_size)
        return events

    def _gone(self, name: str, known: _Object, stamp: float) -> list[Event]:
        events = [
            Event('left_zone', name, known.label, stamp, known.box, place=place,
                  seconds=visit.last - visit.since)
            for place, visit in known.visits.items() if visit.told]
        return [*events, Event('gone', name, known.label, stamp, known.box,
                               seconds=stamp - known.since)]

    def _seen(self, name: str, label: str, score: float,
              box: tuple[float, float, float, float], stamp: float,
              size: tuple[int, int]) -> list[Event]:
        events = []
        known = self._objects.get(name)
        if known is None:
            known = self._objects[name] = _Object(stamp, label, box)
            events.append(Event('appeared', name, label, stamp, box))
        known.box = box
        before = known.label
        if self._vote(known, label, score, stamp):
            events.append(Event('class_changed', name, known.label, stamp, box, previous=before))
        if not self.lines and not self.zones and not known.visits:
            return events
        # At the image's very edge it is in a zone that ends there.
        place = (min((box[0] + box[2]) / 2 / size[0], _LAST), min(box[3] / size[1], _LAST))
        for line in self.lines:
            if direction := _crossing(known, line, place, size):
                count = self._crossed.setdefault(line.name, {})
                count[direction] = count.get(direction, 0) + 1
                events.append(Event('crossed_line', name, known.label, stamp, box,
                                    place=line.name, direction=direction))
        for zone in self.zones:
            if event := _visit(known, zone, place, stamp):
                kind, seconds = event
                events.append(Event(kind, name, known.label, stamp, box, place=zone.name,
                                    seconds=seconds))
        for gone in known.visits.keys() - {zone.name for zone in self.zones}:
            del known.visits[gone]
        return events

    @staticmethod
    def _vote(known: _Object, label: str, score: float, stamp: float) -> bool:
        """Count a class; return whether it is the object's from now on."""
        votes = known.votes
        votes.append((stamp, label, score))
        while stamp - votes[0][0] > _WINDOW:
            votes.popleft()
        if label == known.label:
            return False
        mine = [each[2] for each in votes if each[1] == label]
        if len(mine) < _VOTES or sum(mine) < _MAJORITY * sum(each[2] for each in votes):
            return False
        known.label = label
        return True


def _crossing(known: _Object, line: Line, place: Point, size: tuple[int, int]) -> str:
    """Return the side on which an object is after it has crossed a line; '' if it has not."""
    # In shares of the height, so that a margin is the same in all directions.
    aspect = size[0] / size[1]
    begin, end, here = ((x * aspect, y) for x, y in (line.begin, line.end, place))
    distance = side(begin, end, here)
    if abs(distance) < _MARGIN:
        return ''
    right = distance > 0
    before = known.sides.get(line.name)
    known.sides[line.name] = (here, right)
    if before is None or before[1] == right or not crosses(before[0], here, begin, end):
        return ''
    return 'right' if right else 'left'


def _visit(known: _Object, zone: Zone, place: Point, stamp: float) -> tuple[str, float] | None:
    """Follow an object into a zone and out of it; return an event's kind and seconds."""
    visit = known.visits.get(zone.name)
    if inside(place, zone.points):
        if visit is None:
            visit = known.visits[zone.name] = _Visit(stamp, stamp)
        visit.last = stamp
        if not visit.told and stamp - visit.since >= zone.seconds:
            visit.told = True
            return 'in_zone', stamp - visit.since
    elif visit is not None and stamp - visit.last > _OUTSIDE:
        del known.visits[zone.name]
        if visit.told:
            return 'left_zone', visit.last - visit.since
    return None
