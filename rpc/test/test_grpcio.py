#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The gRPC server against a client that is not ours: Debian's python3-grpcio.

    test_grpcio.py PATH-OF-grpcio_server

Ends with 77 (skipped) where grpcio is not installed.
"""

import os
import struct
import subprocess
import sys
import unittest

try:
    import grpc
    from google.protobuf import descriptor_pb2
except ImportError as missing:
    print(f"skipped: {missing} (Debian: python3-grpcio, python3-protobuf)")
    sys.exit(77)

SERVER = sys.argv.pop(1) if len(sys.argv) > 1 else None
MIB = 1 << 20
LARGE = [("grpc.max_receive_message_length", 16 * MIB), ("grpc.max_send_message_length", 16 * MIB)]


def field(number, value):
    """A length-delimited protobuf field."""
    assert len(value) < 128
    return bytes([number << 3 | 2, len(value)]) + value


def fields(message):
    """(number, value) of each field of a protobuf message."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        tag = varint()
        if tag & 7 == 2:
            size = varint()
            yield tag >> 3, message[at:at + size]
            at += size
        else:
            assert tag & 7 == 0
            yield tag >> 3, varint()


class Server:
    def __init__(self):
        self.process = subprocess.Popen([SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        word, port = self.process.stdout.readline().split()
        assert word == b"port"
        self.address = f"127.0.0.1:{int(port)}"

    def order(self, byte):
        self.process.stdin.write(byte)
        self.process.stdin.flush()

    def close(self):
        self.process.stdin.close()
        code = self.process.wait(timeout=30)
        self.process.stdout.close()
        return code


class Grpcio(unittest.TestCase):
    def setUp(self):
        self.server = Server()
        self.channel = self.open_channel()

    def tearDown(self):
        self.channel.close()
        self.assertEqual(self.server.close(), 0)

    def open_channel(self, **options):
        return grpc.insecure_channel(self.server.address, options=LARGE, **options)

    def unary(self, name, path="test.Test"):
        return self.channel.unary_unary(f"/{path}/{name}")

    def test_echoes_messages_of_every_size(self):
        echo = self.unary("Echo")
        for size in (0, 1, 4096, 16384, 65535, 65536, MIB, 4 * MIB):
            message = os.urandom(size)
            self.assertEqual(echo(message, timeout=30), message)

    def test_message_over_the_limit_is_refused(self):
        with self.assertRaises(grpc.RpcError) as raised:
            self.unary("Echo")(bytes(4 * MIB + 1), timeout=30)
        self.assertEqual(raised.exception.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
        self.assertEqual(self.unary("Echo")(b"next", timeout=30), b"next")

    def test_many_calls_at_once(self):
        echo = self.unary("Echo")
        futures = [echo.future(b"%d" % i, timeout=60) for i in range(2000)]
        for i, future in enumerate(futures):
            self.assertEqual(future.result(), b"%d" % i)

    def test_error_carries_code_text_and_leader(self):
        with self.assertRaises(grpc.RpcError) as raised:
            self.unary("Fail")(b"", timeout=30)
        error = raised.exception
        self.assertEqual(error.code(), grpc.StatusCode.UNAVAILABLE)
        self.assertEqual(error.details(), 'the leader is "n2", 100% sure')
        self.assertIn(("tidemark-leader", "127.0.0.1:7072"), error.trailing_metadata())

    def test_unknown_method_is_unimplemented(self):
        for name, path in (("Nothing", "test.Test"), ("Echo", "no.such.Service")):
            with self.assertRaises(grpc.RpcError) as raised:
                self.unary(name, path)(b"", timeout=30)
            self.assertEqual(raised.exception.code(), grpc.StatusCode.UNIMPLEMENTED)

    def test_compressed_request_is_unimplemented(self):
        with self.open_channel(compression=grpc.Compression.Gzip) as channel:
            with self.assertRaises(grpc.RpcError) as raised:
                channel.unary_unary("/test.Test/Echo")(bytes(10000), timeout=30)
        self.assertEqual(raised.exception.code(), grpc.StatusCode.UNIMPLEMENTED)

    def test_deadline(self):
        for _ in range(3):
            with self.assertRaises(grpc.RpcError) as raised:
                self.unary("Hold")(b"", timeout=0.1)
            self.assertEqual(raised.exception.code(), grpc.StatusCode.DEADLINE_EXCEEDED)

    def test_streams(self):
        count = self.channel.unary_stream("/test.Test/Count")
        sizes = [len(m) for m in count(struct.pack("<II", 300, 100000), timeout=60)]
        self.assertEqual(sizes, [100000] * 300)
        self.assertEqual(list(count(struct.pack("<II", 0, 0), timeout=60)), [])

    def test_cancel_of_a_stream(self):
        count = self.channel.unary_stream("/test.Test/Count")
        stream = count(struct.pack("<II", 1 << 30, 1000), timeout=60)
        for _ in range(10):
            next(stream)
        stream.cancel()
        with self.assertRaises(grpc.RpcError):
            for _ in stream:
                pass
        self.assertEqual(stream.code(), grpc.StatusCode.CANCELLED)
        self.assertEqual(self.unary("Echo")(b"next", timeout=30), b"next")

    def test_bidi(self):
        chat = self.channel.stream_stream("/test.Test/Chat")
        sent = [b"%d" % i * (i % 50) for i in range(1000)]
        call = chat(iter(sent), timeout=60)
        self.assertEqual(list(call), sent)
        self.assertEqual(call.code(), grpc.StatusCode.OK)

    def test_graceful_end(self):
        count = self.channel.unary_stream("/test.Test/Count")
        stream = count(struct.pack("<II", 2000, 10000), timeout=60)
        next(stream)
        self.server.order(b"d")
        self.assertEqual(sum(1 for _ in stream), 1999)
        self.assertEqual(stream.code(), grpc.StatusCode.OK)
        self.assertEqual(self.server.process.stdout.readline(), b"drained\n")
        with self.assertRaises(grpc.RpcError) as raised:
            self.unary("Echo")(b"", timeout=30)
        self.assertEqual(raised.exception.code(), grpc.StatusCode.UNAVAILABLE)

    def test_health(self):
        check = self.unary("Check", "grpc.health.v1.Health")
        watch = self.channel.unary_stream("/grpc.health.v1.Health/Watch")
        name = field(1, b"test.Test")
        self.assertEqual(check(b"", timeout=30), b"\x08\x02")
        with self.assertRaises(grpc.RpcError) as raised:
            check(name, timeout=30)
        self.assertEqual(raised.exception.code(), grpc.StatusCode.NOT_FOUND)
        states = watch(name, timeout=60)
        self.assertEqual(next(states), b"\x08\x03")
        self.server.order(b"h")
        self.assertEqual(next(states), b"\x08\x01")
        self.assertEqual(check(b"", timeout=30), b"\x08\x01")
        states.cancel()

    def test_reflection(self):
        for version in ("v1", "v1alpha"):
            ask = self.channel.stream_stream(
                f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo")
            questions = [field(7, b""), field(4, b"tidemark.v1.Admin"), field(3, b"nothing.proto")]
            services, files, error = (dict(fields(a)) for a in ask(iter(questions), timeout=30))
            names = [dict(fields(s))[1] for n, s in fields(services[6]) if n == 1]
            self.assertIn(b"tidemark.v1.Data", names)
            self.assertIn(f"grpc.reflection.{version}.ServerReflection".encode(), names)
            found = [descriptor_pb2.FileDescriptorProto.FromString(f) for _, f in fields(files[4])]
            self.assertEqual(found[0].name, "tidemark/v1/admin.proto")
            self.assertEqual([s.name for s in found[0].service], ["Admin"])
            self.assertLessEqual(set(found[0].dependency), {f.name for f in found})
            self.assertEqual(dict(fields(error[7]))[1], grpc.StatusCode.NOT_FOUND.value[0])


if __name__ == "__main__":
    if SERVER is None:
        sys.exit("usage: test_grpcio.py PATH-OF-grpcio_server")
    unittest.main()
