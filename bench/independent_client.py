#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Devices that share nothing with the gateway or causeway-fleet: OpenSSL through Python's ssl, and APF written from its description.

    independent_client.py HOST:PORT COUNT RATE USER PASSWORD-FILE CA

Dials COUNT times, holds the tunnels and answers keep-alive. Prints "ready N" each time more tunnels are up and "lost N" if one ends; SIGTERM ends it.
"""
import asyncio
import random
import resource
import ssl
import struct
import sys
import uuid

VERSION, SERVICE_REQUEST, SERVICE_ACCEPT, USERAUTH, USERAUTH_SUCCESS = 192, 5, 6, 50, 52
GLOBAL_REQUEST, REQUEST_SUCCESS, OPEN, OPEN_FAILURE = 80, 81, 90, 92
KEEPALIVE, KEEPALIVE_REPLY, OPTIONS, OPTIONS_REPLY = 208, 209, 210, 211
PORTS = (16993, 16992, 664, 623)
SOURCE = 20  # devices an address
state = {"ready": 0, "lost": 0}


def word(value):
    return struct.pack(">I", value)


def text(value):
    return word(len(value)) + value


async def number(reader):
    return struct.unpack(">I", await reader.readexactly(4))[0]


async def string(reader):
    return await reader.readexactly(await number(reader))


async def expect(reader, kind):
    got = (await reader.readexactly(1))[0]
    if got != kind:
        raise ConnectionError(f"message {got} instead of {kind}")


async def login(reader, writer, guid, user, password):
    """From hello to the last forwarded port, one message after the other."""
    writer.write(bytes([VERSION]) + word(1) + word(0) + word(4) + guid.bytes_le + bytes(64))
    writer.write(bytes([SERVICE_REQUEST]) + text(b"auth@amt.intel.com"))
    await expect(reader, SERVICE_ACCEPT)
    await string(reader)
    writer.write(bytes([USERAUTH]) + text(user) + text(b"pfwd@amt.intel.com") + text(b"password") + b"\0" + text(password))
    await expect(reader, USERAUTH_SUCCESS)
    writer.write(bytes([SERVICE_REQUEST]) + text(b"pfwd@amt.intel.com"))
    await expect(reader, SERVICE_ACCEPT)
    await string(reader)
    for port in PORTS:
        writer.write(bytes([GLOBAL_REQUEST]) + text(b"tcpip-forward") + b"\1" + text(b"independent.example") + word(port))
        await expect(reader, REQUEST_SUCCESS)
        await number(reader)


async def hold(reader, writer):
    """Answers what a gateway asks of an idle device; channels are refused."""
    while True:
        kind = (await reader.readexactly(1))[0]
        if kind == OPTIONS:
            writer.write(bytes([OPTIONS_REPLY]) + await reader.readexactly(8))
        elif kind == KEEPALIVE:
            writer.write(bytes([KEEPALIVE_REPLY]) + await reader.readexactly(4))
        elif kind == OPEN:
            await string(reader)
            channel = await number(reader)
            await reader.readexactly(8)
            for _ in range(2):
                await string(reader)
                await number(reader)
            writer.write(bytes([OPEN_FAILURE]) + word(channel) + word(1) + word(0) + word(0))
        elif kind == KEEPALIVE_REPLY:
            await number(reader)
        else:
            raise ConnectionError(f"message {kind} while idle")


async def device(index, args, context):
    host, port = args[0].rsplit(":", 1)
    source = f"127.9.{index // SOURCE // 250}.{index // SOURCE % 250 + 1}"
    guid = uuid.UUID(int=random.Random(f"independent {index}").getrandbits(128), version=4)
    await asyncio.sleep(index / float(args[2]))
    try:
        reader, writer = await asyncio.open_connection(host, int(port), ssl=context, server_hostname="localhost", local_addr=(source, 0), limit=4096)
        with open(args[4], "rb") as f:
            password = f.read().strip()
        await login(reader, writer, guid, args[3].encode(), password)
        state["ready"] += 1
        cookie = 0
        holding = asyncio.ensure_future(hold(reader, writer))
        while not (await asyncio.wait([holding], timeout=random.uniform(25, 30)))[0]:
            cookie += 1
            writer.write(bytes([KEEPALIVE]) + word(cookie))
        holding.result()
    except (OSError, asyncio.IncompleteReadError) as error:
        state["lost"] += 1
        print(f"lost {state['lost']} {error!r}", flush=True)


async def main(args):
    context = ssl.create_default_context(cafile=args[5])
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")
    devices = [asyncio.ensure_future(device(i, args, context)) for i in range(int(args[1]))]
    shown = 0
    while not all(d.done() for d in devices):
        await asyncio.sleep(0.2)
        if state["ready"] != shown:
            shown = state["ready"]
            print(f"ready {shown}", flush=True)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    asyncio.run(main(sys.argv[1:]))
