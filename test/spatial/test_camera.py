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

"""Rays of cameras, against projections written from the definition of CameraInfo."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from ros2_classify import CameraModel, InputError
from spatial_reference import camera_info

RNG = np.random.default_rng(0)
K = np.array([[420.0, 0, 330.2], [0, 415.0, 236.1], [0, 0, 1]])
PLUMB_BOB = [-0.28, 0.09, 0.0011, -0.0007, -0.01]
RATIONAL = [0.4, 0.11, 0.0003, -0.0002, 0.02, 0.7, 0.15, 0.03]
EQUIDISTANT = [0.03, -0.01, 0.004, -0.001]


def polynomial(x: np.ndarray, y: np.ndarray, d: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """Distort as the documentation of CameraInfo and OpenCV's camera model say."""
    k1, k2, p1, p2, k3, k4, k5, k6 = (*d, *[0.0] * 8)[:8]
    r2 = x * x + y * y
    radial = (1 + k1 * r2 + k2 * r2**2 + k3 * r2**3) / (1 + k4 * r2 + k5 * r2**2 + k6 * r2**3)
    return (x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
            y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y)


def fisheye(x: np.ndarray, y: np.ndarray, d: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """Distort by the angle to the optical axis (Kannala and Brandt)."""
    r = np.hypot(x, y)
    angle = np.arctan(r)
    bent = angle * (1 + sum(k * angle ** (2 * n) for n, k in enumerate(d, 1)))
    scale = np.where(r > 0, bent / np.where(r > 0, r, 1), 1)
    return x * scale, y * scale


def edges(x: np.ndarray, y: np.ndarray, k: np.ndarray = K) -> np.ndarray:
    """Return image points counted from the edge of the first pixel."""
    return np.stack([k[0, 0] * x + k[0, 2], k[1, 1] * y + k[1, 2]], axis=1) + 0.5


@pytest.mark.parametrize('model, d, distort, widest', [
    ('plumb_bob', PLUMB_BOB, polynomial, 0.7),
    ('plumb_bob', [], polynomial, 3.0),
    ('rational_polynomial', RATIONAL, polynomial, 0.7),
    ('equidistant', EQUIDISTANT, fisheye, 2.0),
    ('fisheye', EQUIDISTANT, fisheye, 2.0),
    ('equidistant', [], fisheye, 3.0),
    ('equidistant', [0.0] * 4, fisheye, 3.0),
])
def test_rays_are_what_the_lens_model_projects(model, d, distort, widest):
    x, y = RNG.uniform(-widest, widest, (2, 200))
    info = camera_info(k=K.ravel(), d=d, distortion_model=model)
    rays = CameraModel.from_info(info).rays(edges(*distort(x, y, d)))
    np.testing.assert_allclose(rays, np.stack([x, y, np.ones(200)], 1), rtol=2e-4, atol=2e-5)


def test_no_ray_where_the_polynomial_bends_back():
    # With -0.28 the image of 1.6 is inside that of 1.0: beyond, nothing can be seen.
    camera = CameraModel.from_info(camera_info(k=K.ravel(), d=[-0.28, 0, 0, 0]))
    outside = edges(np.array([0.9]), np.array([0.0]))
    assert np.isnan(camera.rays(outside)).all()
    fish = CameraModel.from_info(camera_info(k=K.ravel(), distortion_model='equidistant'))
    assert np.isnan(fish.rays(edges(np.array([1.6]), np.array([0.0])))).all()


def test_cropped_and_binned():
    """A pixel of the sent image covers 2x4 of those of the sensor, from the corner (100, 40)."""
    roi = SimpleNamespace(x_offset=100, y_offset=40, width=400, height=200)
    info = camera_info(k=K.ravel(), d=PLUMB_BOB, roi=roi, binning_x=2, binning_y=4)
    camera = CameraModel.from_info(info)
    assert camera.image_size == (200, 50)
    sensor = np.array([[100.0, 40.0], [300.0, 140.0], [500.0, 240.0]])
    sent = np.array([[0.0, 0.0], [100.0, 25.0], [200.0, 50.0]])
    np.testing.assert_allclose(
        camera.rays(sent),
        CameraModel.from_info(camera_info(k=K.ravel(), d=PLUMB_BOB)).rays(sensor), atol=1e-6)


def test_rectified_image_and_the_second_camera_of_a_pair():
    """Both of its images give the point X that CameraInfo's formula `P [X 1]` projects."""
    angle = 0.05
    r = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0],
                  [-np.sin(angle), 0, np.cos(angle)]])
    base = 0.12
    p = np.array([[400, 0, 320, -400 * base], [0, 400, 240, 0], [0, 0, 1, 0]], float)
    info = camera_info(k=K.ravel(), d=PLUMB_BOB, r=r.ravel(), p=p.ravel())
    points = RNG.uniform(-1, 1, (50, 3)) * (0.8, 0.6, 0.5) + (0, 0, 2)
    u, v, w = p @ np.c_[points, np.ones(50)].T
    rectified = CameraModel.from_info(info, rectified=True)
    rays = rectified.rays(np.stack([u / w, v / w], 1) + 0.5)
    np.testing.assert_allclose(rectified.to_frame(rays * points[:, 2:]), points, atol=1e-9)
    # The raw image: the camera is at (base, 0, 0), turned by R.
    inside = (points - (base, 0, 0)) @ r
    x, y = polynomial(inside[:, 0] / inside[:, 2], inside[:, 1] / inside[:, 2], PLUMB_BOB)
    raw = CameraModel.from_info(info)
    np.testing.assert_allclose(
        raw.to_frame(raw.rays(edges(x, y)) * inside[:, 2:]), points, atol=1e-4)


@pytest.mark.parametrize('kind', ['pipe', 'device', 'large'])
def test_a_camera_file_that_never_ends(tmp_path: Path, kind: str) -> None:
    path = tmp_path / 'camera.yaml'
    if kind == 'pipe':
        os.mkfifo(path)
    elif kind == 'device':
        path.symlink_to('/dev/zero')
    else:
        with path.open('wb') as file:
            file.truncate(1 << 33)
    with pytest.raises(InputError, match='not a regular file|more than the'):
        CameraModel.from_file(path)


def test_a_file_of_camera_calibration(tmp_path: Path):
    path = tmp_path / 'camera.yaml'
    path.write_text(f"""\
image_width: 640
image_height: 480
camera_name: front
camera_matrix: {{rows: 3, cols: 3, data: {K.ravel().tolist()}}}
distortion_model: plumb_bob
distortion_coefficients: {{rows: 1, cols: 5, data: {PLUMB_BOB}}}
""")
    expected = CameraModel.from_info(camera_info(k=K.ravel(), d=PLUMB_BOB))
    read = CameraModel.from_file(path)
    points = RNG.uniform(100, 300, (9, 2))
    np.testing.assert_array_equal(read.rays(points), expected.rays(points))
    path.write_text('image_width: 640\nimage_height: 480\n')
    with pytest.raises(InputError, match='it has no .camera_matrix'):
        CameraModel.from_file(path)
    with pytest.raises(InputError, match='cannot read the camera'):
        CameraModel.from_file(tmp_path / 'none.yaml')


@pytest.mark.parametrize('changes, words', [
    ({'distortion_model': 'thin_prism'}, "'thin_prism' is unknown; allowed are: plumb_bob"),
    ({'d': [0.1, 0.2]}, 'has 2 coefficients'),
    ({'k': [0.0] * 9}, 'calibrate it'),
    ({'k': [np.nan] * 9}, 'is the camera calibrated'),
    ({'width': 0}, 'calibrate it'),
])
def test_refused_in_words(changes, words):
    with pytest.raises(InputError, match=words):
        CameraModel.from_info(camera_info(**changes))


def test_a_missing_rotation_is_none():
    """Drivers without a calibration of a pair leave R and P at 0."""
    camera = CameraModel.from_info(camera_info(r=[0.0] * 9, p=[0.0] * 12))
    np.testing.assert_array_equal(camera.rotation, np.eye(3))
    with pytest.raises(InputError, match='calibrate'):
        CameraModel.from_info(camera_info(p=[0.0] * 12), rectified=True)
