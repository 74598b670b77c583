# SPDX-License-Identifier: GPL-3.0-or-later
"""Shares of the processors, for load that stands for other machines but runs on this one. Without the right to give them, nothing happens:
the figures are worse then, not wrong."""
import os

GATEWAY, MANY = -10, 10  # nice values: of the gateway's session, and of devices that work as much as it


def always(pid):
    """A process that works little never waits for a processor: real-time priority."""
    try:
        for tid in os.listdir(f"/proc/{pid}/task"):
            os.sched_setscheduler(int(tid), os.SCHED_FIFO, os.sched_param(2))
    except (OSError, ProcessLookupError):
        pass


def of_session(pid, nice):
    """Where the kernel schedules sessions as groups (autogroup), the group's nice value is what counts between them."""
    try:
        with open(f"/proc/{pid}/autogroup", "w", encoding="ascii") as f:
            f.write(str(nice))
    except OSError:
        pass


def command(nice, words):
    """The same for a command that threads start, which must run nothing of Python's between fork and exec."""
    return ["sh", "-c", f'echo {nice} 2>/dev/null >/proc/self/autogroup; exec nice -n {nice} "$@"', "sh", *words]


def of_new_process(nice):
    """For the child, in a session of its own, before it becomes the program: its threads inherit the value."""
    if nice:
        of_session("self", nice)
        os.nice(nice)
