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

"""Certificates that tests make by the program openssl."""

from __future__ import annotations

from pathlib import Path
import shutil
import subprocess
from typing import NamedTuple

import pytest


class Certificate(NamedTuple):
    """Files in PEM format; `both` has key and certificate."""

    key: Path
    certificate: Path
    both: Path


def make_certificate(directory: Path, name: str = 'own', *, host: str = 'IP:127.0.0.1',
                     days: int = 2, authority: Certificate | None = None) -> Certificate:
    """Make one for a host, signed by itself or by an authority; expired with less than 0 days."""
    if shutil.which('openssl') is None:
        pytest.skip('a certificate is made by the program openssl, which is not installed')
    made = Certificate(*(directory / f'{name}.{end}' for end in ('key', 'crt', 'pem')))
    words, extensions = directory / f'{name}.csr', directory / f'{name}.ext'
    extensions.write_text(f'subjectAltName={host}\n' + (
        'basicConstraints=critical,CA:TRUE\n' if authority is None else ''))
    _openssl('req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes',
             '-subj', f'/CN={name}', '-keyout', made.key, '-out', words)
    _openssl('x509', '-req', '-in', words, '-days', days, '-extfile', extensions, '-out',
             made.certificate, *(('-signkey', made.key) if authority is None else (
                 '-CA', authority.certificate, '-CAkey', authority.key, '-CAcreateserial')))
    made.both.write_text(made.key.read_text() + made.certificate.read_text())
    return made


def _openssl(*words: object) -> None:
    subprocess.run(['openssl', *map(str, words)], check=True, capture_output=True)
