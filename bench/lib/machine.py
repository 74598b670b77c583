# SPDX-License-Identifier: GPL-3.0-or-later
"""What the machine and its kernel say: who we are, what a process uses, what the kernel holds for sockets."""
import ctypes
import os
import platform
import re
import subprocess

TICK = os.sysconf("SC_CLK_TCK")


def read(path, default=""):
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            return f.read()
    except OSError:
        return default


def describe(root):
    def git(*args):
        done = subprocess.run(["git", "-C", root, *args], capture_output=True, text=True, check=False)
        return done.stdout.strip() or "unknown"
    cpu = re.search(r"^model name\s*:\s*(.*)$", read("/proc/cpuinfo"), re.M)
    total = re.search(r"^MemTotal:\s*(\d+)", read("/proc/meminfo"), re.M)
    return {"commit": git("describe", "--always", "--dirty"),
            "machine": {"cpu": cpu.group(1) if cpu else platform.machine(), "cores": len(os.sched_getaffinity(0)),
                        "memory_kib": int(total.group(1)) if total else 0, "architecture": platform.machine()},
            "kernel": f"{platform.system()} {platform.release()}"}


def cpu_seconds(pid):
    """User and system time of a process with all its threads, those of its rings included."""
    fields = read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    if not fields:
        raise ProcessLookupError(pid)
    return (int(fields[11]) + int(fields[12])) / TICK


def user_seconds(pid):
    """The part of cpu_seconds that was not spent in the kernel."""
    return int(read(f"/proc/{pid}/stat").rpartition(")")[2].split()[11]) / TICK


def thread_seconds(pid):
    """CPU seconds by thread id: (name, seconds)."""
    found = {}
    for tid in os.listdir(f"/proc/{pid}/task"):
        ran = read(f"/proc/{pid}/task/{tid}/schedstat").split()
        if ran:
            found[int(tid)] = (read(f"/proc/{pid}/task/{tid}/comm").strip(), int(ran[0]) / 1e9)
    return found


def memory(pid, field):
    """A field of smaps_rollup in octets: "Rss", "Anonymous" ..."""
    found = re.search(rf"^{field}:\s*(\d+) kB", read(f"/proc/{pid}/smaps_rollup"), re.M)
    if not found:
        raise ProcessLookupError(pid)
    return int(found.group(1)) * 1024


def rss(pid):
    """Resident octets, read cheaply (statm); for samples of large processes."""
    return int(read(f"/proc/{pid}/statm").split()[1]) * os.sysconf("SC_PAGESIZE")


KCMP, KCMP_FILES = {"x86_64": 312, "aarch64": 272}.get(platform.machine()), 2


def share_table(one, other):
    """Whether two threads share their table of descriptors; true if the system does not tell."""
    return KCMP is None or ctypes.CDLL(None).syscall(KCMP, one, other, KCMP_FILES, 0, 0) in (0, -1)


def descriptors(pid):
    """Open descriptors of a process: threads may have tables of their own."""
    tables = []
    for tid in map(int, os.listdir(f"/proc/{pid}/task")):
        if not any(share_table(tid, t) for t in tables):
            tables.append(tid)
    return sum(len(os.listdir(f"/proc/{pid}/task/{t}/fd")) for t in tables)


def kernel_memory():
    """What the kernel of the whole machine holds, in octets: objects (Slab), TCP buffers; and its TCP sockets."""
    slab = re.search(r"^Slab:\s*(\d+)", read("/proc/meminfo"), re.M)
    tcp = re.search(r"^TCP: inuse (\d+).* mem (\d+)", read("/proc/net/sockstat"), re.M)
    return {"slab": int(slab.group(1)) * 1024 if slab else 0,
            "tcp_buffers": int(tcp.group(2)) * os.sysconf("SC_PAGESIZE") if tcp else 0,
            "tcp_sockets": int(tcp.group(1)) if tcp else 0}


def memory_available():
    found = re.search(r"^MemAvailable:\s*(\d+)", read("/proc/meminfo"), re.M)
    return int(found.group(1)) * 1024 if found else 0


def busy_seconds():
    """(CPU seconds that all processors were busy, CPU seconds in all) since boot; their growth says whether the machine was full."""
    fields = [int(v) for v in read("/proc/stat").split("\n")[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / TICK, sum(fields) / TICK
