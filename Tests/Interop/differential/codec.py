"""AMQP 0-9-1 methods, properties and tables as bytes and back. Section numbers are those of the
specification; field types are those that RabbitMQ writes."""

import struct

# Each method: its number, its name, its fields. A field is `name:type`; the types are those of
# section 4.2.5: octet, short, long, longlong, shortstr, longstr, table and bit.
GRAMMAR = """
10.10 connection.start version_major:octet version_minor:octet server_properties:table mechanisms:longstr locales:longstr
10.11 connection.start-ok client_properties:table mechanism:shortstr response:longstr locale:shortstr
10.30 connection.tune channel_max:short frame_max:long heartbeat:short
10.31 connection.tune-ok channel_max:short frame_max:long heartbeat:short
10.40 connection.open virtual_host:shortstr reserved_1:shortstr reserved_2:bit
10.41 connection.open-ok reserved_1:shortstr
10.50 connection.close reply_code:short reply_text:shortstr class_id:short method_id:short
10.51 connection.close-ok
10.60 connection.blocked reason:shortstr
10.61 connection.unblocked
10.70 connection.update-secret new_secret:longstr reason:shortstr
10.71 connection.update-secret-ok
20.10 channel.open reserved_1:shortstr
20.11 channel.open-ok reserved_1:longstr
20.20 channel.flow active:bit
20.21 channel.flow-ok active:bit
20.40 channel.close reply_code:short reply_text:shortstr class_id:short method_id:short
20.41 channel.close-ok
40.10 exchange.declare reserved_1:short exchange:shortstr type:shortstr passive:bit durable:bit auto_delete:bit internal:bit no_wait:bit arguments:table
40.11 exchange.declare-ok
40.20 exchange.delete reserved_1:short exchange:shortstr if_unused:bit no_wait:bit
40.21 exchange.delete-ok
40.30 exchange.bind reserved_1:short destination:shortstr source:shortstr routing_key:shortstr no_wait:bit arguments:table
40.31 exchange.bind-ok
40.40 exchange.unbind reserved_1:short destination:shortstr source:shortstr routing_key:shortstr no_wait:bit arguments:table
40.51 exchange.unbind-ok
50.10 queue.declare reserved_1:short queue:shortstr passive:bit durable:bit exclusive:bit auto_delete:bit no_wait:bit arguments:table
50.11 queue.declare-ok queue:shortstr message_count:long consumer_count:long
50.20 queue.bind reserved_1:short queue:shortstr exchange:shortstr routing_key:shortstr no_wait:bit arguments:table
50.21 queue.bind-ok
50.30 queue.purge reserved_1:short queue:shortstr no_wait:bit
50.31 queue.purge-ok message_count:long
50.40 queue.delete reserved_1:short queue:shortstr if_unused:bit if_empty:bit no_wait:bit
50.41 queue.delete-ok message_count:long
50.50 queue.unbind reserved_1:short queue:shortstr exchange:shortstr routing_key:shortstr arguments:table
50.51 queue.unbind-ok
60.10 basic.qos prefetch_size:long prefetch_count:short global:bit
60.11 basic.qos-ok
60.20 basic.consume reserved_1:short queue:shortstr consumer_tag:shortstr no_local:bit no_ack:bit exclusive:bit no_wait:bit arguments:table
60.21 basic.consume-ok consumer_tag:shortstr
60.30 basic.cancel consumer_tag:shortstr no_wait:bit
60.31 basic.cancel-ok consumer_tag:shortstr
60.40 basic.publish reserved_1:short exchange:shortstr routing_key:shortstr mandatory:bit immediate:bit
60.50 basic.return reply_code:short reply_text:shortstr exchange:shortstr routing_key:shortstr
60.60 basic.deliver consumer_tag:shortstr delivery_tag:longlong redelivered:bit exchange:shortstr routing_key:shortstr
60.70 basic.get reserved_1:short queue:shortstr no_ack:bit
60.71 basic.get-ok delivery_tag:longlong redelivered:bit exchange:shortstr routing_key:shortstr message_count:long
60.72 basic.get-empty reserved_1:shortstr
60.80 basic.ack delivery_tag:longlong multiple:bit
60.90 basic.reject delivery_tag:longlong requeue:bit
60.100 basic.recover-async requeue:bit
60.110 basic.recover requeue:bit
60.111 basic.recover-ok
60.120 basic.nack delivery_tag:longlong multiple:bit requeue:bit
85.10 confirm.select no_wait:bit
85.11 confirm.select-ok
90.10 tx.select
90.11 tx.select-ok
90.20 tx.commit
90.21 tx.commit-ok
90.30 tx.rollback
90.31 tx.rollback-ok
"""

METHODS, BY_NUMBER = {}, {}
for line in GRAMMAR.strip().splitlines():
    number, name, *fields = line.split()
    number = tuple(map(int, number.split(".")))
    METHODS[name] = (number, [field.split(":") for field in fields])
    BY_NUMBER[number] = name

PROPERTIES = [("content_type", "shortstr"), ("content_encoding", "shortstr"), ("headers", "table"), ("delivery_mode", "octet"),
              ("priority", "octet"), ("correlation_id", "shortstr"), ("reply_to", "shortstr"), ("expiration", "shortstr"),
              ("message_id", "shortstr"), ("timestamp", "longlong"), ("type", "shortstr"), ("user_id", "shortstr"),
              ("app_id", "shortstr"), ("cluster_id", "shortstr")]
NUMBERS = {"octet": ">B", "short": ">H", "long": ">I", "longlong": ">Q"}
# The types of a table's numbers that have a fixed size.
SIZED = {b"b": ">b", b"B": ">B", b"s": ">h", b"u": ">H", b"I": ">i", b"i": ">I", b"l": ">q", b"f": ">f", b"d": ">d", b"T": ">Q"}


class Timestamp(int):
    """A time in a table, in seconds since 1970."""


class Long(int):
    """A number in a table that is written with 64 bits, also when it is small."""


# The numbers that are written with the type that they were read with.
TYPED = {b"T": Timestamp, b"l": Long}


def text(value):
    """Returns the bytes of a text. Bytes that are not UTF-8 are lone surrogates in it."""
    return value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")


def write_value(value):
    if value is None:
        return b"V"
    if isinstance(value, bool):
        return b"t" + bytes([value])
    for kind, typed in TYPED.items():
        if isinstance(value, typed):
            return kind + struct.pack(SIZED[kind], value)
    if isinstance(value, int):
        return b"I" + struct.pack(">i", value) if -2**31 <= value < 2**31 else b"l" + struct.pack(">q", value)
    if isinstance(value, float):
        return b"d" + struct.pack(">d", value)
    if isinstance(value, (str, bytes)):
        return b"S" + struct.pack(">I", len(text(value))) + text(value)
    if isinstance(value, dict):
        return b"F" + write_table(value)
    items = b"".join(map(write_value, value))
    return b"A" + struct.pack(">I", len(items)) + items


def write_table(table):
    entries = b"".join(bytes([len(text(key))]) + text(key) + write_value(value) for key, value in table.items())
    return struct.pack(">I", len(entries)) + entries


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        self.at += count
        return self.data[self.at - count:self.at]

    def number(self, form):
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def string(self, form):
        return self.take(self.number(form)).decode("utf-8", "surrogateescape")

    def value(self):
        kind = self.take(1)
        if kind in SIZED:
            return TYPED.get(kind, lambda number: number)(self.number(SIZED[kind]))
        if kind == b"V":
            return None
        if kind == b"t":
            return self.take(1) != b"\0"
        if kind in b"Sx":
            return self.string(">I")
        if kind == b"F":
            return self.table()
        if kind == b"D":
            return [self.number(">B"), self.number(">i")]
        if kind == b"A":
            end = self.number(">I") + self.at
            items = []
            while self.at < end:
                items.append(self.value())
            return items
        raise ValueError(f"unknown type of a field: {kind}")

    def table(self):
        end = self.number(">I") + self.at
        table = {}
        while self.at < end:
            key = self.string(">B")
            table[key] = self.value()
        return table


def write_field(kind, value):
    if kind in NUMBERS:
        return struct.pack(NUMBERS[kind], value or 0)
    if kind == "table":
        return write_table(value or {})
    data = text(value or "")
    return struct.pack(">B" if kind == "shortstr" else ">I", len(data)) + data


def read_field(reader, kind):
    if kind in NUMBERS:
        return reader.number(NUMBERS[kind])
    if kind == "table":
        return reader.table()
    return reader.string(">B" if kind == "shortstr" else ">I")


def write_method(name, values):
    """Bits that stand side by side share an octet, the first in its lowest bit (4.2.5.2)."""
    number, fields = METHODS[name]
    data, bits, count = struct.pack(">HH", *number), 0, 0
    for field, kind in fields:
        if kind == "bit":
            bits |= bool(values.get(field)) << count
            count += 1
            continue
        if count:
            data, bits, count = data + bytes([bits]), 0, 0
        data += write_field(kind, values.get(field))
    return data + (bytes([bits]) if count else b"")


def read_method(data):
    reader = Reader(data)
    name = BY_NUMBER[reader.number(">H"), reader.number(">H")]
    values, bits, count = {}, 0, 8
    for field, kind in METHODS[name][1]:
        if kind == "bit":
            if count == 8:
                bits, count = reader.number(">B"), 0
            values[field] = bool(bits >> count & 1)
            count += 1
        else:
            count = 8
            values[field] = read_field(reader, kind)
    return name, values


def write_properties(size, properties):
    flags, data = 0, b""
    for bit, (name, kind) in enumerate(PROPERTIES):
        if name in properties:
            flags |= 1 << 15 - bit
            data += write_field(kind, properties[name])
    return struct.pack(">HHQH", 60, 0, size, flags) + data


def read_properties(data):
    reader = Reader(data)
    reader.take(4)
    size, flags = reader.number(">Q"), reader.number(">H")
    return size, {name: read_field(reader, kind) for bit, (name, kind) in enumerate(PROPERTIES) if flags >> 15 - bit & 1}


def frame(kind, channel, payload):
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + b"\xce"
