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

"""
The sandbox of the process that converts: what it may ask of the kernel.

Memory, time and file sizes; no network, no writing outside of the working directory, no other
programs, no hold on other processes. Three mechanisms of the kernel overlap, none of which needs
privileges: namespaces, Landlock, and a filter of system calls (seccomp), all by direct calls: the
process may run in a Python that lacks this package.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import resource
import struct
import sys
from typing import Any

# linux/sched.h, linux/prctl.h, and the system calls of landlock(7), equal on all architectures.
_NEW_NET, _NEW_USER = 0x40000000, 0x10000000
_NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER = 38, 22, 2
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
# LANDLOCK_ACCESS_FS_*: to write, remove and make files, later to move and to truncate them, and
# to control devices.
_WRITING = (1 << 1) | sum(1 << bit for bit in range(4, 13))
_MOVING, _TRUNCATING, _DEVICES = 1 << 13, 1 << 14, 1 << 15
_TCP = 0b11
# Abstract sockets and signals of other processes.
_SCOPES = 0b11

# What linux/audit.h calls the processor: a column of the table below.
_PROCESSORS = {'x86_64': (0xc000003e, 0), 'aarch64': (0xc00000b7, 1)}
# What a conversion never needs, by its numbers on these processors. Landlock knows neither rights
# and times of files, nor sockets that are files; namespaces may be forbidden.
_REFUSED = {
    'socket': (41, 198), 'execve': (59, 221), 'execveat': (322, 281), 'ptrace': (101, 117),
    'process_vm_readv': (310, 270), 'process_vm_writev': (311, 271), 'tkill': (200, 130),
    'rt_sigqueueinfo': (129, 138), 'rt_tgsigqueueinfo': (297, 240), 'pidfd_send_signal': (424,),
    'pidfd_open': (434,), 'pidfd_getfd': (438,), 'process_madvise': (440,),
    # It would outlive the end of its group.
    'setsid': (112, 157), 'setpgid': (109, 154),
    'chmod': (90, None), 'fchmod': (91, 52), 'fchmodat': (268, 53), 'fchmodat2': (452,),
    'chown': (92, None), 'fchown': (93, 55), 'lchown': (94, None), 'fchownat': (260, 54),
    'utime': (132, None), 'utimes': (235, None), 'futimesat': (261, None), 'utimensat': (280, 88),
    'setxattr': (188, 5), 'lsetxattr': (189, 6), 'fsetxattr': (190, 7), 'setxattrat': (463,),
    'removexattr': (197, 14), 'lremovexattr': (198, 15), 'fremovexattr': (199, 16),
    'removexattrat': (466,), 'file_setattr': (469,),
    # io_uring makes calls that no filter sees.
    'io_uring_setup': (425,), 'io_uring_enter': (426,), 'io_uring_register': (427,),
    'mount': (165, 40), 'umount2': (166, 39), 'pivot_root': (155, 41), 'chroot': (161, 51),
    'open_tree': (428,), 'move_mount': (429,), 'fsopen': (430,), 'fsconfig': (431,),
    'fsmount': (432,), 'fspick': (433,), 'mount_setattr': (442,), 'open_tree_attr': (467,),
    'unshare': (272, 97), 'setns': (308, 268), 'open_by_handle_at': (304, 265),
    'bpf': (321, 280), 'perf_event_open': (298, 241), 'userfaultfd': (323, 282),
    'add_key': (248, 217), 'request_key': (249, 218), 'keyctl': (250, 219),
    'init_module': (175, 105), 'finit_module': (313, 273), 'delete_module': (176, 106),
    'kexec_load': (246, 104), 'kexec_file_load': (320, 294), 'reboot': (169, 142),
    'swapon': (167, 224), 'swapoff': (168, 225), 'acct': (163, 89), 'syslog': (103, 116),
    'settimeofday': (164, 170), 'clock_settime': (227, 112), 'clock_adjtime': (305, 266),
    'adjtimex': (159, 171), 'sethostname': (170, 161), 'setdomainname': (171, 162),
}
# Their first argument is a process: this one only.
_SIGNALS = ((62, 129), (234, 131))
# Numbers of another set of calls, on x86_64.
_X32 = 0x40000000


def confine(limits: dict[str, int]) -> list[str]:
    """Limit this process, which must have one thread; return what is not available here."""
    missing = []
    for name, value in limits.items():
        number = getattr(resource, name)
        hard = resource.getrlimit(number)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(number, (value, value))
    # If memory runs out, this process is ended, and not the one that serves images.
    try:
        with open('/proc/self/oom_score_adj', 'w', encoding='ascii') as file:
            file.write('1000')
    except OSError as error:
        missing.append(f'to be ended first when memory runs out ({error.strerror})')
    libc = ctypes.CDLL(None, use_errno=True)
    online = _go_offline(libc)
    version = _confine_writing(libc)
    if version < 1:
        missing.append('no writing outside of the working directory (Landlock)')
    filtered = _filter_calls(libc)
    if online and filtered:
        missing.append(f'no network ({online})')
    if filtered:
        missing.append(f'no other system calls than it needs (seccomp: {filtered})')
    return missing


def _go_offline(libc: Any) -> str:
    """Enter a network namespace without interfaces; return why not."""
    user, group = os.geteuid(), os.getegid()
    if libc.unshare(_NEW_NET) == 0:
        return ''
    if libc.unshare(_NEW_USER | _NEW_NET) != 0:
        return os.strerror(ctypes.get_errno())
    # Without these files remain readable, but this user has no name.
    for path, line in (('setgroups', 'deny'), ('uid_map', f'{user} {user} 1'),
                       ('gid_map', f'{group} {group} 1')):
        try:
            with open(f'/proc/self/{path}', 'w', encoding='ascii') as file:
                file.write(line)
        except OSError:
            pass
    return ''


def _confine_writing(libc: Any) -> int:
    """Allow writing in the working directory only; return Landlock's version, 0 for none."""
    version: int = libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), 1)
    if version < 1:
        return 0
    writing = _WRITING | (_MOVING if version > 1 else 0) | (_TRUNCATING if version > 2 else 0)
    rules = struct.pack('=Q', writing | (_DEVICES if version > 4 else 0))
    rules += struct.pack('=Q', _TCP) if version > 3 else b''
    rules += struct.pack('=Q', _SCOPES) if version > 5 else b''
    ruleset = libc.syscall(_CREATE_RULESET, rules, ctypes.c_size_t(len(rules)), 0)
    for path, access in (('.', writing), ('/dev/null', writing & (1 << 1 | _TRUNCATING))):
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        libc.syscall(_ADD_RULE, ruleset, 1, struct.pack('=Qi', access, place), 0)
        os.close(place)
    libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    done = libc.syscall(_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)
    return version if done == 0 else 0


def _filter_calls(libc: Any, processor: str = '') -> str:
    """Refuse the system calls of the table, with EPERM; return why not."""
    processor = processor or os.uname().machine
    if processor not in _PROCESSORS or sys.maxsize < 2 ** 32:
        return f'no table for {processor}'
    audit, column = _PROCESSORS[processor]
    program = call_filter(audit, column, os.getpid())
    buffer = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: the number of instructions, and where they are.
    described = struct.pack('@HP', len(program) // 8, ctypes.addressof(buffer))
    libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    if libc.prctl(_SET_SECCOMP, _FILTER, described, 0, 0) != 0:
        return os.strerror(ctypes.get_errno())
    return ''


def call_filter(audit: int, column: int, pid: int) -> bytes:
    """Return the filter as instructions of eight bytes (linux/bpf_common.h, linux/seccomp.h)."""
    load, equal, at_least, give = 0x20, 0x15, 0x35, 0x06
    allow, refuse, kill = 0x7fff0000, 0x00050000 | errno.EPERM, 0x80000000

    def step(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
        return struct.pack('=HBBI', code, yes, no, value)

    # seccomp_data: the number at 0, the processor at 4, the first argument at 16.
    program = step(load, 4) + step(equal, audit, 1) + step(give, kill) + step(load, 0)
    if column == 0:
        program += step(at_least, _X32, 0, 1) + step(give, kill)
    for numbers in _REFUSED.values():
        # From 424 on they are the same everywhere.
        number = numbers[column if len(numbers) > 1 else 0]
        if number is not None:
            program += step(equal, number, 0, 1) + step(give, refuse)
    for numbers in _SIGNALS:
        program += step(equal, numbers[column], 0, 4) + step(load, 16)
        program += step(equal, pid, 0, 1) + step(give, allow) + step(give, refuse)
    return program + step(give, allow)


if __name__ == '__main__':
    print(json.dumps(confine({})))
