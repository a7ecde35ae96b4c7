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

"""The camera's parameters, without ROS."""

from ros2_classify.ros.node.spec import Groups, Spec

SOURCE_PARAMETERS = (
    Spec('source', '', 'What to publish: an image file, a directory of images, a pattern such as '
         '"photos/*.jpg", a video file, a webcam number or device file, an rtsp:// or http:// '
         'stream, or a bag; empty for the sample images of the package',
         read_only=True, or_number=True),
    Spec('topic', '', "The topic of a bag's images; empty for the only one", read_only=True),
    Spec('rate', 0.0, 'Images per second; 0 for the rate of the source: that of the recording '
         'for a video or a bag, every frame of a webcam or stream, 10 for images',
         minimum=0.0, maximum=1000.0),
    Spec('loop', True, 'Whether to start over after the last image; if false, the node exits '
         'with code 0', read_only=True),
    Spec('wait_for_subscribers', 1, 'Number of subscribers to wait for before the first image '
         'is published', minimum=0, maximum=100, read_only=True),
)

IMAGES_PARAMETERS = (
    Spec('frame_id', 'camera', "Frame in the images' headers"),
    Spec('encoding', 'bgr8', 'Encoding of the raw images; with mono8, compressed images '
         'are grey as well', choices=('bgr8', 'rgb8', 'mono8')),
    Spec('width', 0, 'Width of the published images in pixels; 0 keeps it, or scales it '
         'with the height', minimum=0, maximum=16384, read_only=True),
    Spec('height', 0, 'Height of the published images in pixels; 0 keeps it, or scales it '
         'with the width', minimum=0, maximum=16384, read_only=True),
    Spec('compressed_format', 'jpeg', 'Format of the compressed images',
         choices=('jpeg', 'png')),
    Spec('jpeg_quality', 90, 'Quality of JPEG images', minimum=1, maximum=100),
    Spec('png_level', 1, 'Compression of PNG images: 0 is fastest, 9 is smallest',
         minimum=0, maximum=9),
)

NODE_PARAMETERS = (
    Spec('tune_malloc', True, 'Keep the memory of large images in the process (glibc only)',
         read_only=True),
)

GROUPS: Groups = (
    ('The source', SOURCE_PARAMETERS),
    ('Images', IMAGES_PARAMETERS),
    ('The node', NODE_PARAMETERS),
)
PARAMETERS = tuple(spec for _, specs in GROUPS for spec in specs)
