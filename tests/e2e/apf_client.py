# SPDX-License-Identifier: GPL-3.0-or-later
"""The device's end of APF, spoken octet by octet: a raw device and a stranger for the end-to-end tests.

Written from the protocol's description alone; it shares nothing with the gateway or the simulated devices. One thread at a time.
"""
import select
import socket
import ssl
import struct
import time
import uuid

DISCONNECT, SERVICE_REQUEST, SERVICE_ACCEPT = 1, 5, 6
USERAUTH_REQUEST, USERAUTH_FAILURE, USERAUTH_SUCCESS = 50, 51, 52
GLOBAL_REQUEST, REQUEST_SUCCESS, REQUEST_FAILURE = 80, 81, 82
CHANNEL_OPEN, CHANNEL_CONFIRM, CHANNEL_FAILURE = 90, 91, 92
CHANNEL_ADJUST, CHANNEL_DATA, CHANNEL_CLOSE = 93, 94, 97
VERSION = 192
KEEPALIVE_REQUEST, KEEPALIVE_REPLY, OPTIONS_REQUEST, OPTIONS_REPLY = 208, 209, 210, 211
AUTH, PFWD = b"auth@amt.intel.com", b"pfwd@amt.intel.com"
USERAUTH_REFUSED = bytes.fromhex("330000000870617373776f726400")


class Closed(Exception):
    """The server ended the connection."""


def u32(value):
    return struct.pack(">I", value)


def text(value):
    value = value.encode() if isinstance(value, str) else value
    return u32(len(value)) + value


def version(guid, trigger=4, major=1):
    """guid is canonical text; on the wire its first three fields are little-endian."""
    return bytes([VERSION]) + u32(major) + u32(0) + u32(trigger) + uuid.UUID(guid).bytes_le + bytes(64)


def service(name):
    return bytes([SERVICE_REQUEST]) + text(name)


def userauth(user, password, method="password", change=0):
    start = bytes([USERAUTH_REQUEST]) + text(user) + text(PFWD) + text(method)
    return start if method == "none" else start + bytes([change]) + text(password)


def forward(port, host="device.example", request="tcpip-forward", want_reply=1):
    return bytes([GLOBAL_REQUEST]) + text(request) + bytes([want_reply]) + text(host) + u32(port)


def disconnect(reason):
    return bytes([DISCONNECT]) + u32(reason) + b"\0\0"


def channel_open(kind, channel, window, target, originator):
    return (bytes([CHANNEL_OPEN]) + text(kind) + u32(channel) + u32(window) + u32(0xffffffff) + text(target[0]) + u32(target[1]) +
            text(originator[0]) + u32(originator[1]))


def tls_context(ca=None, minimum=None, maximum=None, ciphers=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = ca is not None
    context.verify_mode = ssl.CERT_REQUIRED if ca is not None else ssl.CERT_NONE
    if ca is not None:
        context.load_verify_locations(ca)
    if minimum is not None:
        context.minimum_version = minimum
    if maximum is not None:
        context.maximum_version = maximum
    if ciphers is not None:
        context.set_ciphers(ciphers)
    return context


class Device:
    """A connection to the CIRA port. octets: send everything one octet a TLS record."""

    def __init__(self, address, context=None, name="localhost", source=None, octets=False, preface=b"", timeout=30):
        host, port = address.rsplit(":", 1)
        self.octets, self.timeout = octets, timeout
        self.input = b""
        raw = socket.create_connection((host.strip("[]"), int(port)), timeout=timeout,
                                       source_address=(source, 0) if source else None)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            raw.sendall(preface)
            self.socket = (context or tls_context()).wrap_socket(raw, server_hostname=name)
        except BaseException:
            raw.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    # ---- octets

    def send(self, *messages):
        data = b"".join(messages)
        pieces = (data[i:i + 1] for i in range(len(data))) if self.octets else (data,)
        try:
            for piece in pieces:
                self.socket.sendall(piece)
        except OSError as error:
            raise Closed(str(error)) from None

    def _more(self, end):
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError("no answer from the server")
        self.socket.settimeout(left)
        try:
            piece = self.socket.recv(65536)
        except (socket.timeout, ssl.SSLWantReadError):
            raise TimeoutError("no answer from the server") from None
        except OSError as error:
            raise Closed(str(error)) from None
        if not piece:
            raise Closed("end of the stream")
        self.input += piece

    def take(self, count, timeout=None):
        end = time.monotonic() + (timeout or self.timeout)
        while len(self.input) < count:
            self._more(end)
        taken, self.input = self.input[:count], self.input[count:]
        return taken

    def until_closed(self, timeout=None):
        """Everything that comes until the server closes."""
        end = time.monotonic() + (timeout or self.timeout)
        try:
            while True:
                self._more(end)
        except Closed:
            taken, self.input = self.input, b""
            return taken

    def silent_for(self, seconds):
        """Nothing comes and the connection stays open."""
        if self.input or self.socket.pending():
            return False
        return not select.select([self.socket], [], [], seconds)[0]

    # ---- messages

    def message(self, timeout=None, success_has_port=True):
        """The next message of the server as (type, fields...)."""
        kind = self.take(1, timeout)[0]

        def number():
            return struct.unpack(">I", self.take(4))[0]

        def string():
            return self.take(number())
        if kind == DISCONNECT:
            return kind, number(), self.take(2)
        if kind == SERVICE_ACCEPT:
            return kind, string()
        if kind == USERAUTH_FAILURE:
            return kind, string(), self.take(1)[0]
        if kind in (USERAUTH_SUCCESS, REQUEST_FAILURE):
            return (kind,)
        if kind == REQUEST_SUCCESS:
            return (kind, number()) if success_has_port else (kind,)
        if kind == CHANNEL_OPEN:
            return kind, string(), number(), number(), number(), string(), number(), string(), number()
        if kind in (CHANNEL_CONFIRM, CHANNEL_FAILURE):
            return kind, number(), number(), number(), number()
        if kind in (CHANNEL_ADJUST, OPTIONS_REQUEST):
            return kind, number(), number()
        if kind == CHANNEL_DATA:
            return kind, number(), string()
        if kind in (CHANNEL_CLOSE, KEEPALIVE_REQUEST, KEEPALIVE_REPLY):
            return kind, number()
        raise AssertionError(f"the server sent a message of type {kind}")

    def expect(self, kind, timeout=None):
        """The next message, which must be of that type. On the way, unless wanted: keep-alive options are agreed to, channels refused."""
        while True:
            got = self.message(timeout)
            if got[0] == kind:
                return got
            if got[0] == OPTIONS_REQUEST:
                self.send(bytes([OPTIONS_REPLY]) + u32(got[1]) + u32(got[2]))
            elif got[0] == CHANNEL_OPEN:
                self.send(bytes([CHANNEL_FAILURE]) + u32(got[2]) + u32(1) + u32(0) + u32(0))
            else:
                raise AssertionError(f"type {kind} expected, the server sent {got}")

    def login(self, guid, user, password, trigger=4):
        """True when the server let us in, False when it refused (the connection is closed then)."""
        try:
            self.send(version(guid, trigger), service(AUTH))
            if self.message()[0] != SERVICE_ACCEPT:
                return False
            self.send(userauth(user, password))
            if self.message()[0] != USERAUTH_SUCCESS:
                return False
            self.send(service(PFWD))
            return self.message()[0] == SERVICE_ACCEPT
        except Closed:
            return False

    def forward(self, *ports, host="device.example"):
        for port in ports:
            self.send(forward(port, host))
            got = self.expect(REQUEST_SUCCESS)
            if got[1] != port:
                raise AssertionError(f"port {port} was acknowledged as {got[1]}")

    def options(self, timeout=15):
        """Waits for the server's keep-alive options, agrees, and returns (interval, timeout)."""
        got = self.message(timeout)
        if got[0] != OPTIONS_REQUEST:
            raise AssertionError(f"keep-alive options expected, got {got}")
        self.send(bytes([OPTIONS_REPLY]) + u32(got[1]) + u32(got[2]))
        return got[1:]

    def keepalive(self, cookie=42):
        """Whether the tunnel answers."""
        try:
            self.send(bytes([KEEPALIVE_REQUEST]) + u32(cookie))
            return self.expect(KEEPALIVE_REPLY)[1] == cookie
        except Closed:
            return False

    def ready(self, guid, user, password, *ports):
        """Logs in, forwards the ports and agrees on keep-alive: a held tunnel."""
        if not self.login(guid, user, password):
            raise AssertionError("the server refused the device")
        self.forward(*(ports or (16992,)))
        self.options()
        return self


def proxy_v2(source, target):
    """A PROXY protocol v2 header for TCP over IPv4; both are (host, port)."""
    body = socket.inet_aton(source[0]) + socket.inet_aton(target[0]) + struct.pack(">HH", source[1], target[1])
    return b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + struct.pack(">H", len(body)) + body
