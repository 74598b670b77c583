# SPDX-License-Identifier: GPL-3.0-or-later
"""A network of its own for a scenario: loopback in a new namespace, with the settings of net.* that packaging/sysctl recommends.

What a machine happens to be set to is then not what is measured (with a usual somaxconn of 4096 the time of a storm is that of SYNs that come again
after 1, 3 and 7 seconds), and no scenario meets what the one before it left, connections in TIME_WAIT for instance. It needs root; without, the network of the
machine as it is."""
import contextlib
import ctypes
import fcntl
import functools
import os
import re
import socket
import struct
import sys

from lib import machine

CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS, IFF_UP = 0x8914, 0x1
SETTINGS = os.path.join(os.path.dirname(__file__), "..", "..", "packaging", "sysctl", "60-causeway.conf")
SHOWN = ("net.core.somaxconn", "net.ipv4.tcp_max_syn_backlog", "net.core.rmem_max", "net.core.wmem_max", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem")


def call(function, *args):
    """A function of the C library, which Python offers since 3.12 only."""
    if getattr(ctypes.CDLL(None, use_errno=True), function)(*args) != 0:
        raise OSError(ctypes.get_errno(), f"{function}: {os.strerror(ctypes.get_errno())}")


def enter(fd):
    """This thread, and every process that it starts from now on, is in that network namespace."""
    call("setns", fd, CLONE_NEWNET)


def file_of(key):
    return "/proc/sys/" + key.replace(".", "/")


def recommended():
    """The net.* settings of packaging/sysctl: key -> value."""
    return dict(re.findall(r"^(net\.\S+)\s*=\s*(.+?)\s*$", machine.read(SETTINGS), re.M))


def set_up():
    """In a new namespace: loopback up, settings made. Returns the keys that could not be set, because they are the machine's, not a namespace's."""
    with socket.socket() as s:
        fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
    refused = []
    for key, value in recommended().items():
        try:
            with open(file_of(key), "w", encoding="ascii") as f:
                f.write(value)
        except OSError:
            refused.append(key)
    return refused


@functools.lru_cache(maxsize=None)
def say_once(text):
    print(text, file=sys.stderr, flush=True)


def unshared():
    """Whether this thread could have a namespace of its own, and now does."""
    try:
        call("unshare", CLONE_NEWNET)
    except OSError as why:
        say_once(f"scenarios run in the network of the machine, with its settings ({why})")
        return False
    return True


@contextlib.contextmanager
def own(wanted=True):
    """A namespace for this thread and for what it starts inside. Yields what goes into the JSON: whether it is one's own, what is in force, what was refused."""
    home, refused, mine = os.open("/proc/thread-self/ns/net", os.O_RDONLY), [], False
    try:
        if wanted:
            mine = unshared()
        if mine:
            refused = set_up()
        yield {"own": mine, "settings": {key: machine.read(file_of(key)).strip().replace("\t", " ") for key in SHOWN}, "refused": refused}
    finally:
        if mine:
            enter(home)
        os.close(home)
