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

"""The doctor's checks for ``ros2 doctor``, found by the entry points of this package."""

from __future__ import annotations

from ros2_classify.doctor import examine
from ros2doctor.api import DoctorCheck, DoctorReport, Report, Result
from ros2doctor.api.format import doctor_error, doctor_warn

_CATEGORY = 'ros2_classify'


class ClassifyCheck(DoctorCheck):
    """What `examine` finds wrong, with its cure."""

    def category(self) -> str:
        """Return the name that failed checks are listed by."""
        return _CATEGORY

    def check(self) -> Result:
        """Examine this machine."""
        result = Result()
        for issue in examine():
            text = f'{_CATEGORY}: {issue.check}: {issue.text}. {issue.cure}'
            if issue.level == 'error':
                result.add_error()
                doctor_error(text)
            elif issue.level == 'warning':
                result.add_warning()
                doctor_warn(text)
        return result


class ClassifyReport(DoctorReport):
    """All that `examine` finds."""

    def category(self) -> str:
        """Return the name of the section."""
        return _CATEGORY

    def report(self) -> Report:
        """Examine this machine."""
        report = Report('ROS2_CLASSIFY')
        for issue in examine():
            report.add_to_report(f'{issue.check} ({issue.level})', issue.text)
        return report
