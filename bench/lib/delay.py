# SPDX-License-Identifier: GPL-3.0-or-later
"""A long path for those who may not make network namespaces (lib/path.py): a TCP relay that keeps every octet for a time. What is
measured through it are the windows above TCP, for TCP itself sees two short paths."""
import collections
import contextlib
import socket
import threading
import time

PIECE, HELD_MAX = 262144, 256 << 20


class Delay:
    """Listens on .address; connects to target for each connection; one_way_s in each direction. A context manager."""

    def __init__(self, target, one_way_s):
        host, port = target.rsplit(":", 1)
        self.target, self.one_way_s = (host, int(port)), one_way_s
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.open = [self.listener]

    def __enter__(self):
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        for s in self.open:
            with contextlib.suppress(OSError):  # closing alone would leave the readers waiting, and the peers
                s.shutdown(socket.SHUT_RDWR)
            s.close()

    def accept(self):
        while True:
            try:
                near = self.listener.accept()[0]
            except OSError:
                return
            far = socket.create_connection(self.target)
            self.open += [near, far]
            for a, b in ((near, far), (far, near)):
                for s in (a, b):
                    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.carry(a, b)

    def carry(self, source, sink):
        queue, ready, held = collections.deque(), threading.Condition(), [0]

        def read():
            while True:
                try:
                    piece = source.recv(PIECE)
                except OSError:
                    piece = b""
                with ready:
                    while held[0] > HELD_MAX:
                        ready.wait()
                    held[0] += len(piece)
                    queue.append((time.monotonic() + self.one_way_s, piece))
                    ready.notify_all()
                if not piece:
                    return

        def write():
            while True:
                with ready:
                    while not queue:
                        ready.wait()
                    due, piece = queue.popleft()
                    held[0] -= len(piece)
                    ready.notify_all()
                time.sleep(max(0, due - time.monotonic()))
                try:
                    if not piece:
                        sink.shutdown(socket.SHUT_WR)
                        return
                    sink.sendall(piece)
                except OSError:
                    return

        for work in (read, write):
            threading.Thread(target=work, daemon=True).start()
