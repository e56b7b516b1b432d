# SPDX-License-Identifier: Apache-2.0
"""A client as others write it: Debian's python3-grpcio, no code of ours.

client.py ADDRESS...     the nodes of one cluster

It learns the services by reflection, makes a table, writes and scans rows over
small and large messages, and reads the health of each node. The last line is
"ok", or "skipped: why" when a package is missing.
"""

import sys
import time

try:
    import grpc
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(0)

LIMIT_S = 60
TRIES = 100
PAUSE_S = 0.1
KIB = 1024
MIB = 1024 * KIB

# --- reflection; its own messages are the only ones written by hand ---


def varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def text_field(number, text):
    data = text.encode()
    return varint(number << 3 | 2) + varint(len(data)) + data


def read_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def fields(data):
    """(number, bytes or integer) of each field; only types 0 and 2 occur."""
    at = 0
    while at < len(data):
        tag, at = read_varint(data, at)
        size, at = read_varint(data, at)
        if tag & 7 == 2:
            yield tag >> 3, data[at:at + size]
            at += size
        else:
            yield tag >> 3, size


def reflect(channel, version, requests):
    call = channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=bytes, response_deserializer=bytes)
    return list(call(iter(requests), timeout=LIMIT_S))


def list_services(channel, version):
    (answer,) = reflect(channel, version, [text_field(7, "*")])
    (listed,) = [value for number, value in fields(answer) if number == 6]
    services = [value for number, value in fields(listed) if number == 1]
    return sorted(dict(fields(s))[1].decode() for s in services)


def learn(channel, symbols):
    """A pool with the files that define the symbols."""
    pool = descriptor_pool.DescriptorPool()
    known = {}
    for answer in reflect(channel, "v1", [text_field(4, s) for s in symbols]):
        (files,) = [value for number, value in fields(answer) if number == 4]
        for number, data in fields(files):
            proto = descriptor_pb2.FileDescriptorProto.FromString(data)
            known[proto.name] = proto

    def add(proto):
        for name in proto.dependency:
            if name in known:
                add(known.pop(name))
        pool.Add(proto)

    while known:
        add(known.pop(next(iter(known))))
    return pool


# --- the services, as reflection describes them ---


def patiently(make_call):
    """Again while the node says "not now": the lead may move on a busy machine.

    All calls here may be made twice: they have a request id or say "if it is not there"."""
    for _ in range(TRIES):
        try:
            return make_call()
        except grpc.RpcError as error:
            if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.ABORTED):
                raise
            time.sleep(PAUSE_S)
    return make_call()


class Service:
    """Calls by name: service.Write(database=..., ...)."""

    def __init__(self, channel, pool, name):
        factory = getattr(message_factory, "GetMessageClass", None)
        make = factory or message_factory.MessageFactory(pool).GetPrototype
        for method in pool.FindServiceByName(name).methods:
            request, answer = make(method.input_type), make(method.output_type)
            proto = descriptor_pb2.MethodDescriptorProto()
            method.CopyToProto(proto)
            streams = proto.server_streaming
            kind = channel.unary_stream if streams else channel.unary_unary
            call = kind(f"/{name}/{method.name}", request_serializer=request.SerializeToString,
                        response_deserializer=answer.FromString)
            setattr(self, method.name, self.calling(call, request, list if streams else None))

    @staticmethod
    def calling(call, request, collect):
        def once(values):
            answer = call(request(**values), timeout=LIMIT_S)
            return collect(answer) if collect else answer

        return lambda **values: patiently(lambda: once(values))


def check(fact, what):
    if not fact:
        print(f"failed: {what}")
        sys.exit(1)


def write(data, session, sequence, first, notes):
    rows = len(notes)
    return data.Write(
        id={"session": session, "sequence": sequence, "sequence_open": sequence},
        database="py", table="notes", tag_names=["who"], series=[{"values": [b"me"]}],
        columns=[{"name": "ts", "int64_values": range(first, first + rows)},
                 {"name": "size", "int64_values": [len(n) for n in notes]},
                 {"name": "note", "string_values": notes}])


def scan(data, first, rows):
    found = []
    answers = data.Scan(database="py", table="notes", has_from=True, has_until=True,
                        until=first + rows, **{"from": first})
    for answer in answers:
        columns = {c.name: c for c in answer.columns}
        if answer.rows:
            found += zip(columns["ts"].int64_values, columns["size"].int64_values,
                         columns["note"].string_values)
    return found


def make_table(admin):
    admin.CreateDatabase(database="py", if_not_exists=True)
    admin.CreateTable(if_not_exists=True, definition={
        "database": "py", "table": "notes",
        "columns": [{"name": "ts", "type": 1, "not_null": True}, {"name": "size", "type": 2},
                    {"name": "note", "type": 5}],
        "tags": [{"name": "who", "type": 5, "primary": True, "not_null": True}]})


def check_health(channel):
    call = channel.unary_unary("/grpc.health.v1.Health/Check", request_serializer=bytes,
                               response_deserializer=bytes)
    check(call(b"", timeout=LIMIT_S) == b"\x08\x01", "the node is not SERVING")


def check_rows(writer, readers):
    """Messages of about 4 KB and about 4 MB, each written once and found on every node."""
    session = writer.OpenSession().session
    sequence = first = 0
    for size, count in ((1, 1), (4 * KIB, 1), (1000, 3000), (60 * KIB, 68)):
        notes = [bytes([97 + i % 26]) * size for i in range(count)]
        sequence += 1
        answer = write(writer, session, sequence, first, notes)
        check(answer.rows == count, f"{answer.rows} rows of {count} written")
        again = write(writer, session, sequence, first, notes)
        check(again.index == answer.index, "a repeated request took effect twice")
        for reader in readers:
            found = scan(reader, first, count)
            check(len(found) == count, f"{len(found)} rows of {count} found")
            check(all(row == (first + i, size, notes[i]) for i, row in enumerate(found)),
                  "a row differs")
        first += count


def check_errors(data):
    try:
        data.Write(database="nowhere", table="nothing", tag_names=["who"],
                   series=[{"values": [b"me"]}], columns=[{"name": "ts", "int64_values": [1]}])
    except grpc.RpcError as error:
        check(error.code() in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT),
              f"an unknown database is {error.code()}")
        check("nowhere" in error.details(), error.details())
    else:
        check(False, "an unknown database was accepted")


def main():
    channels = [grpc.insecure_channel(address) for address in sys.argv[1:]]
    names = ["tidemark.v1.Admin", "tidemark.v1.Data"]
    for version in ("v1", "v1alpha"):
        services = list_services(channels[0], version)
        check(set(names + ["grpc.health.v1.Health"]) <= set(services), f"services {services}")
    pool = learn(channels[0], names)
    data = [Service(channel, pool, "tidemark.v1.Data") for channel in channels]
    for channel in channels:
        check_health(channel)
    make_table(Service(channels[0], pool, "tidemark.v1.Admin"))
    check_rows(data[0], data)
    check_errors(data[-1])
    print("ok")


if __name__ == "__main__":
    main()
