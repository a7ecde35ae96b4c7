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

"""The client's parameters, without ROS."""

from ros2_classify.ros.node.spec import Groups, Spec

PARAMETERS = (
    Spec('image', '', 'Image to send; empty for a sample image of the package',
         read_only=True),
    Spec('task', 'auto', 'What to expect: classification, detection, segmentation, or auto for '
         'any of them', choices=('auto', 'classification', 'detection', 'segmentation'),
         read_only=True),
    Spec('use_service', False, "Whether to call the server's service instead of using the topics",
         read_only=True),
    Spec('server', 'server', 'Name of the server node, for its service and its lifecycle state',
         read_only=True),
    Spec('image_transport', 'raw', 'How the image is sent: raw on image, compressed (JPEG) on '
         'image/compressed', choices=('raw', 'compressed'), read_only=True),
    Spec('timeout', 10.0, 'Seconds to wait for the result', minimum=0.1, maximum=86400.0,
         read_only=True),
    Spec('output', '', 'File to write the annotated image to; empty for none', read_only=True),
    Spec('frame_id', 'client_test', "Frame in the image's header", read_only=True),
)

GROUPS: Groups = (
    ('Image and result', PARAMETERS),
)
