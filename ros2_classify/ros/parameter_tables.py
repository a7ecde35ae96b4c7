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

"""The parameters of each program, by its nodes; nothing here needs ROS."""

from ros2_classify.ros.camera.specs import GROUPS as CAMERA
from ros2_classify.ros.client.specs import GROUPS as CLIENT
from ros2_classify.ros.node.spec import Groups
from ros2_classify.ros.server.specs import GROUPS as SERVER

TABLES: dict[str, tuple[tuple[str, Groups], ...]] = {
    'server': (('server', SERVER),),
    'camera': (('camera', CAMERA),),
    'composed': (('server', SERVER), ('camera', CAMERA)),
    'client_test': (('client_test', CLIENT),),
}
