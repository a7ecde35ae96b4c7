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

"""``infer --mcap`` writes what Foxglove opens: read back with the mcap library."""

from __future__ import annotations

import json
from pathlib import Path
import sys
from typing import Any

import cv2
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from mcap.reader import make_reader
import numpy as np
import pytest

from ros2_classify import cli
from ros2_classify.cli import infer_mcap
from ros2_classify.cli.infer_mcap import ANNOTATIONS, IMAGE, mcap_file, RESULTS
from ros2_classify.results.keypoints import Keypoints
from ros2_classify.results.masks import InstanceMasks
from ros2_classify.results.overlay_colors import color_of
from ros2_classify.results.results import (
    Classification, Detections, Embedding, Segmentation, Timing)
from shared_data import ROOT

TIMING = Timing(0, 0, 0)


def read(path: Path) -> dict[str, list[Any]]:
    """Return the messages by topic, decoded by the schemas of the file."""
    found: dict[str, list[Any]] = {}
    classes: dict[int, Any] = {}
    with path.open('rb') as file:
        for schema, channel, message in make_reader(file, validate_crcs=True).iter_messages():
            assert schema is not None
            if schema.encoding == 'jsonschema':
                json.loads(schema.data)
                value = json.loads(message.data)
            else:
                assert (schema.encoding, channel.message_encoding) == ('protobuf', 'protobuf')
                if schema.id not in classes:
                    pool = descriptor_pool.DescriptorPool()
                    for each in descriptor_pb2.FileDescriptorSet.FromString(schema.data).file:
                        pool.Add(each)
                    classes[schema.id] = message_factory.GetMessageClass(
                        pool.FindMessageTypeByName(schema.name))
                value = classes[schema.id].FromString(message.data)
            found.setdefault(channel.topic, []).append((schema.name, message.log_time, value))
    return found


def written(result: Any, image: Any, tmp_path: Path) -> tuple[Any, Any, Any]:
    """Write one image and its result; return what is read back."""
    file = mcap_file(str(tmp_path / 'one.mcap'))
    file.write(image, 12.25, result, {'task': result.task, 'results': result.rows()})
    file.close()
    found = read(tmp_path / 'one.mcap')
    assert {topic: len(messages) for topic, messages in found.items()} == {
        IMAGE: 1, ANNOTATIONS: 1, RESULTS: 1}
    return tuple(found[topic][0] for topic in (IMAGE, ANNOTATIONS, RESULTS))  # type: ignore


def detections(**more: Any) -> Detections:
    """Return one box with a label."""
    return Detections(np.array([[4.0, 5, 20, 25]]), np.array([3]), np.array([0.75]),
                      np.array(['犬 <dog>'], object), (64, 48), TIMING, **more)


def points(annotation: Any) -> list[tuple[float, float]]:
    """Return points as pairs."""
    return [(point.x, point.y) for point in annotation.points]


def test_an_image_and_its_box(tmp_path: Path) -> None:
    image = np.zeros((48, 64, 3), np.uint8)
    image[:, 32:] = 200
    (name, time, shown), (kind, at, drawn), (title, _, row) = written(
        detections(track_ids=np.array(['7'], object)), image, tmp_path)
    assert (name, kind, title) == (
        'foxglove.CompressedImage', 'foxglove.ImageAnnotations', 'ros2_classify.Result')
    assert time == at == 12_250_000_000
    assert (shown.timestamp.seconds, shown.timestamp.nanos) == (12, 250_000_000)
    assert shown.format == 'jpeg'
    decoded = cv2.imdecode(np.frombuffer(shown.data, np.uint8), cv2.IMREAD_COLOR)
    assert np.abs(decoded.astype(int) - image).mean() < 2
    line, = drawn.points
    assert line.type == 2  # LINE_LOOP
    assert points(line) == [(4, 5), (20, 5), (20, 25), (4, 25)]
    blue, green, red = color_of(3)
    color = line.outline_color
    assert (color.r, color.g, color.b) == pytest.approx((red / 255, green / 255, blue / 255))
    text, = drawn.texts
    # Above the box, but not above the image.
    assert text.text == '7 犬 <dog> 0.75' and (text.position.x, text.position.y) == (4, 12.5)
    assert row['results'][0]['label'] == '犬 <dog>'


def test_oriented_boxes_masks_and_key_points(tmp_path: Path) -> None:
    result = detections(
        oriented=np.array([[12.0, 15, 10, 4, np.pi / 2]]),
        masks=InstanceMasks(np.ones((1, 2, 2)), np.array([[8.0, 10, 18, 20]])),
        keypoints=Keypoints(np.array([[[5.0, 6], [7, 8], [9, 10]]]),
                            np.array([[0.9, 0.8, 0.1]]), ('a', 'b', 'c'), ((0, 1), (1, 2))))
    _, (_, _, drawn), _ = written(result, np.zeros((48, 64, 3), np.uint8), tmp_path)
    mask, *_ = drawn.points
    assert set(points(mask)) == {(8, 10), (8, 19), (17, 19), (17, 10)} and mask.fill_color.a > 0
    by_kind = {line.type: line for line in drawn.points}
    corners = np.array(points(by_kind[2]))
    # Turned by a quarter: 4 wide and 10 high around its centre.
    assert np.allclose(sorted(corners.round(3).tolist()), [[10, 10], [10, 20], [14, 10], [14, 20]])
    assert points(by_kind[4]) == [(5, 6), (7, 8)]
    assert points(by_kind[1]) == [(5, 6), (7, 8)]


def test_classes_of_pixels_are_outlines(tmp_path: Path) -> None:
    labels = np.zeros((48, 64), np.uint8)
    labels[10:30, 20:40] = 2
    result = Segmentation(labels, np.array([2]), np.array([0.13]), np.array(['road'], object),
                          (64, 48), TIMING, background=0)
    _, (_, _, drawn), _ = written(result, np.zeros((48, 64, 3), np.uint8), tmp_path)
    line, = drawn.points
    assert set(points(line)) == {(20, 10), (20, 29), (39, 29), (39, 10)}
    assert 0 < line.fill_color.a < 1 and drawn.texts[0].text == 'road 0.13'


def test_classes_of_the_image_are_a_list(tmp_path: Path) -> None:
    result = Classification(np.arange(2), np.array([0.75, 0.25]), np.array(['a', 'b'], object),
                            (64, 48), TIMING)
    _, (_, _, drawn), _ = written(result, np.zeros((48, 64, 3), np.uint8), tmp_path)
    assert [text.text for text in drawn.texts] == ['a 0.75', 'b 0.25']
    # Positions are lower left corners: the whole first line is in the image.
    assert drawn.texts[0].font_size <= drawn.texts[0].position.y < drawn.texts[1].position.y
    assert not drawn.points


def test_an_embedding_has_numbers_only(tmp_path: Path) -> None:
    _, (_, _, drawn), (_, _, row) = written(
        Embedding(np.ones(3), (64, 48), TIMING), np.zeros((48, 64, 3), np.uint8), tmp_path)
    assert not drawn.points and not drawn.texts
    assert row['results'] == [{'vector': [1.0, 1.0, 1.0]}]


def test_the_command_records_a_directory(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / 'cards.mcap'
    assert cli.main(['infer', '--model', 'cards_detector', '--source',
                     str(ROOT / 'models/scenes'), '--limit', '3', '--mcap', str(path)]) == 0
    assert f'wrote {path}' in capsys.readouterr().out
    found = read(path)
    assert [len(messages) for messages in found.values()] == [3, 3, 3]
    # The texts drawn are the results.
    for (_, one, drawn), (_, other, row) in zip(found[ANNOTATIONS], found[RESULTS]):
        assert one == other
        assert [text.text for text in drawn.texts] == [
            f'{each["label"]} {each["score"]:.2f}' for each in row['results']]
    assert sum(len(row['results']) for _, _, row in found[RESULTS]) > 10
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written(
        tmp_path: Path, capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch) -> None:
    one = ['infer', '--model', 'cards_detector', '--image', str(ROOT / 'models/cards_sheet.png')]
    assert cli.main([*one, '--mcap', str(tmp_path / 'a.bag')]) != 0
    assert "--mcap writes .mcap, not '.bag'" in capsys.readouterr().err
    assert cli.main([*one, '--mcap', str(tmp_path / 'none/a.mcap')]) != 0
    assert 'there is no directory' in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, 'foxglove', None)
    assert cli.main([*one, '--mcap', str(tmp_path / 'a.mcap')]) != 0
    assert 'pip install foxglove-sdk' in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_failure_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(AttributeError):
        infer_mcap.image_annotations(None, None)
    assert cli.main(['infer', '--model', 'cards_detector', '--source',
                     str(tmp_path / 'none*.png'), '--mcap', str(tmp_path / 'a.mcap')]) != 0
    assert not list(tmp_path.iterdir())


def test_the_layout_is_for_these_topics_and_has_known_keys() -> None:
    """Foxglove's SDK describes the settings of its panels."""
    from foxglove import layouts

    text = json.loads((ROOT / 'config/foxglove_layout.json').read_text(encoding='utf-8'))
    assert set(text) == {'configById', 'globalVariables', 'userNodes', 'playbackConfig', 'layout'}
    panels = text['configById']
    settings = {
        'Image': layouts.ImageConfig(), '3D': layouts.ThreeDeeConfig(),
        'DiagnosticSummary': layouts.DiagnosticsSummaryConfig(),
        'RawMessages': layouts.RawMessagesConfig()}
    for name, config in panels.items():
        known = set(settings[name.partition('!')[0]]._to_dict()) | {'foxglovePanelTitle'}
        assert set(config) <= known, name
    image = panels['Image!camera']['imageMode']
    assert set(image) <= set(layouts.ImageModeConfig()._to_dict())
    assert (image['imageTopic'], list(image['annotations'])) == (IMAGE, [ANNOTATIONS])
    assert panels['RawMessages!results']['topicPath'] == RESULTS

    def leaves(node: Any) -> list[str]:
        if isinstance(node, str):
            return [node]
        assert set(node) == {'direction', 'first', 'second', 'splitPercentage'}
        return leaves(node['first']) + leaves(node['second'])

    assert sorted(leaves(text['layout'])) == sorted(panels)
