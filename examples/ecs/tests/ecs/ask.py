#!/usr/bin/env python3
"""ask.py HOST PORT [PID]: test the WebSocket of the application, first with valid requests (by an independent
library), then with invalid ones. With the PID of the server: stay connected while the server is stopped."""

import asyncio
import json
import os
import signal
import socket
import struct
import sys
from math import comb

import websockets

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
failures = 0


def expect(subject, expected, got):
    global failures
    if expected == got:
        print("ok      ", subject, flush=True)
    else:
        failures += 1
        print(f"FAILED   {subject}\n  expected {expected!r}\n  got      {got!r}", flush=True)


def set_partitions(last):
    """The Bell numbers of 0 to last, by the triangle of Peirce."""
    row, counts = [1], [1]
    for _ in range(last):
        row = [row[-1]] + row
        for i in range(1, len(row)):
            row[i] += row[i - 1]
        counts.append(row[0])
    return counts


# With a library.


async def counts(connection, structure, first, last):
    """What is answered to one request, until it is done."""
    await connection.send(json.dumps({"structure": structure, "from": first, "to": last}))
    sizes, got = [], []
    while True:
        answer = json.loads(await asyncio.wait_for(connection.recv(), 60))
        if "count" not in answer:
            return sizes, got, answer
        sizes.append(answer["size"])
        got.append(int(answer["count"]))


async def converse(url):
    async with websockets.connect(url) as connection:
        sizes, got, end = await counts(connection, "binary-trees", 0, 300)
        expect("sizes 0 to 300, in order", list(range(301)), sizes)
        expect("binary trees", [comb(2 * n, n) // (n + 1) for n in sizes], got)
        expect("the end", {"structure": "binary-trees", "done": 301}, end)
        _, got, _ = await counts(connection, "set-partitions", 20, 100)
        expect("a second request on the connection: set partitions", set_partitions(100)[20:], got)
        for request, words in [
            ('{"structure": "unheard-of", "from": 0, "to": 3}', "no such structure"),
            ('{"structure": "permutations", "from": 0, "to": 1001}', "sizes go up from 0 to 1000"),
            ('{"structure": "permutations"}', "a request has a structure, and numbers from and to"),
            ("[]", "a request has a structure, and numbers from and to"),
            ("{", "not JSON"),
        ]:
            await connection.send(request)
            expect(f"refused: {request}", {"error": words}, json.loads(await connection.recv()))
        await asyncio.wait_for(await connection.ping(b"there?"), 10)
        await connection.send(iter(['{"structure": "permuta', 'tions", "from": 3', ', "to": 3}']))
        expect("in fragments", "6", json.loads(await connection.recv())["count"])
        await connection.recv()
    expect("closed in order", 1000, connection.close_code)


async def many(url):
    """Several at once; none gets another one's answers."""

    async def one(n):
        async with websockets.connect(url) as connection:
            _, got, _ = await counts(connection, "binary-trees", n, n + 100)
            return got == [comb(2 * i, i) // (i + 1) for i in range(n, n + 101)]

    expect("20 connections at once", [True] * 20, await asyncio.gather(*(one(n) for n in range(20))))


async def stopped(url, pid):
    async with websockets.connect(url) as connection:
        os.kill(pid, signal.SIGTERM)
        try:
            await asyncio.wait_for(connection.recv(), 10)
        except websockets.ConnectionClosed:
            pass
    expect("told that the server goes away", 1001, connection.close_code)


# By hand.


def frame(opcode, payload, final=True, reserved=0, masked=True, length=None):
    mask = b"\x37\xfa\x21\x3d"
    n = len(payload) if length is None else length
    head = bytes([(0x80 if final else 0) | reserved << 4 | opcode])
    bit = 0x80 if masked else 0
    if n < 126:
        head += bytes([bit | n])
    elif n < 0x10000:
        head += struct.pack("!BH", bit | 126, n)
    else:
        head += struct.pack("!BQ", bit | 127, n)
    if not masked:
        return head + payload
    return head + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(payload))


def connect(address, **headers):
    """A connection, the status of the answer to its handshake, and its stream."""
    fields = {
        "Host": "ecs.example.org",
        "Upgrade": "WebSocket",
        "Connection": "keep-alive, Upgrade",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
    }
    fields.update({name.replace("_", "-"): value for name, value in headers.items()})
    peer = socket.create_connection(address, timeout=10)
    lines = ["GET /ws HTTP/1.1"] + [f"{name}: {value}" for name, value in fields.items() if value]
    peer.sendall("\r\n".join(lines + ["", ""]).encode())
    stream = peer.makefile("rb")
    status = int(stream.readline().split()[1])
    while stream.readline().strip():
        pass
    return peer, status, stream


def read_frame(stream):
    opcode, n = stream.read(2)
    if n == 126:
        (n,) = struct.unpack("!H", stream.read(2))
    return opcode & 0x0F, stream.read(n)


def answers(address, *frames):
    """The opcodes and payloads that answer the frames, up to a close frame; its status stands for its payload."""
    peer, _, stream = connect(address)
    got = []
    with peer, stream:
        peer.sendall(b"".join(frames))
        while not got or got[-1][0] != CLOSE:
            opcode, payload = read_frame(stream)
            if opcode == CLOSE:
                payload = struct.unpack("!H", payload[:2])[0] if payload else None
            got.append((opcode, payload))
    return got


def handshakes(address):
    for subject, status, headers in [
        ("a handshake", 101, {}),
        ("no WebSocket", 426, {"Upgrade": None}),
        ("another version", 426, {"Sec_WebSocket_Version": "8"}),
        ("a key of the wrong length", 400, {"Sec_WebSocket_Key": "c2hvcnQ="}),
        ("an endless request", 431, {"Cookie": "x" * 10000}),
    ]:
        peer, got, stream = connect(address, **headers)
        with peer, stream:
            expect(f"{subject}: {status}", status, got)


def frames(address):
    close = frame(CLOSE, struct.pack("!H", 1000) + b"bye")
    request = json.dumps({"structure": "permutations", "from": 5, "to": 5}).encode()
    answer = (TEXT, b'{"structure":"permutations","size":5,"count":"120"}')
    done = (TEXT, b'{"structure":"permutations","done":1}')
    expect("closing", [(CLOSE, 1000)], answers(address, close))
    expect("closing without words", [(CLOSE, None)], answers(address, frame(CLOSE, b"")))
    expect(
        "a ping between fragments",
        [(PONG, b"there?"), answer, done, (CLOSE, 1000)],
        answers(
            address,
            frame(TEXT, request[:7], final=False),
            frame(PING, b"there?"),
            frame(0, b"", final=False),
            frame(0, request[7:]),
            frame(PONG, b"unasked"),
            close,
        ),
    )
    expect(
        "a message of 64 KiB",
        [answer, done, (CLOSE, 1000)],
        answers(address, frame(TEXT, request + b" " * (0x10000 - len(request))), close),
    )
    for subject, status, sent in [
        ("a frame without mask", 1002, [frame(TEXT, request, masked=False)]),
        ("a reserved bit", 1002, [frame(TEXT, request, reserved=4)]),
        ("an unknown opcode", 1002, [frame(3, b"")]),
        ("a ping in fragments", 1002, [frame(PING, b"", final=False)]),
        ("a long ping", 1002, [frame(PING, b"x" * 126)]),
        ("a continuation of nothing", 1002, [frame(0, request)]),
        ("a message inside another", 1002, [frame(TEXT, b"{", final=False), frame(TEXT, request)]),
        ("a close frame of one byte", 1002, [frame(CLOSE, b"x")]),
        ("a status that is never sent", 1002, [frame(CLOSE, struct.pack("!H", 1005))]),
        ("binary", 1003, [frame(BINARY, request)]),
        ("not UTF-8", 1007, [frame(TEXT, b"\xc0\x80")]),
        ("UTF-8 cut off", 1007, [frame(TEXT, b"\xe2\x82", final=False), frame(0, b"")]),
        ("more than 64 KiB", 1009, [frame(TEXT, b" " * 0x10001)]),
        ("more than 64 KiB in fragments", 1009, [frame(TEXT, b" " * 0xFFFF, final=False), frame(0, b"  ")]),
        ("a length that is none", 1009, [frame(TEXT, b"", length=1 << 63)]),
    ]:
        expect(f"{subject}: {status}", [(CLOSE, status)], answers(address, *sent))


def main(host, port, pid=None):
    url = f"ws://{host}:{port}/ws"
    if pid:
        asyncio.run(stopped(url, int(pid)))
    else:
        asyncio.run(converse(url))
        asyncio.run(many(url))
        handshakes((host, port))
        frames((host, port))
    sys.exit(1 if failures else 0)


main(*sys.argv[1:])
