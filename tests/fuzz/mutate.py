"""Changes to a photo's bytes: anywhere, and where the file says how long and how large it is."""

import struct
import zlib
from collections.abc import Iterator
from random import Random

Field = tuple[int, int]  # first byte and number of bytes
EDGES = (0, 1, 2, 3, 7, 255, 4095, 30_000, 65_535, 2**31 - 1, 2**31, 2**32 - 1, 2**64 - 1)


def mutated(kinds: dict[str, bytes], name: str, random: Random) -> bytes:
    """One file of `kinds`, changed in one to four ways, a third of them in its numbers."""
    data = bytearray(kinds[name])
    for _ in range(random.choice((1, 1, 1, 2, 3, 4))):
        change = random.choice(CHANGES)
        change(data, random)
    if random.random() < 0.08:
        other = kinds[random.choice(list(kinds))]
        data[random.randrange(len(data) + 1) :] = other[random.randrange(len(other)) :]
    if data.startswith(b"\x89PNG") and random.random() < 0.8:
        seal(data)  # else the wrong sum alone has it refused
    return bytes(data)


def bits(data: bytearray, random: Random) -> None:
    for _ in range(random.randint(1, 8) if data else 0):
        data[place(data, random)] ^= 1 << random.randrange(8)


def values(data: bytearray, random: Random) -> None:
    for _ in range(random.randint(1, 4) if data else 0):
        data[place(data, random)] = random.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF))


def removed(data: bytearray, random: Random) -> None:
    start = random.randrange(len(data) + 1)
    del data[start : start + random.randint(1, 64)]


def doubled(data: bytearray, random: Random) -> None:
    start = random.randrange(len(data) + 1)
    data[start:start] = data[start : start + random.randint(1, 300)] * random.choice((1, 2, 50))


def swapped(data: bytearray, random: Random) -> None:
    n = random.randint(1, 32)
    one, two = (random.randrange(len(data) + 1) for _ in range(2))
    data[one : one + n], data[two : two + n] = data[two : two + n], data[one : one + n]


def cut(data: bytearray, random: Random) -> None:
    del data[random.randrange(len(data) + 1) :]


def tail(data: bytearray, random: Random) -> None:
    data += random.randbytes(random.randint(1, 400))


def number(data: bytearray, random: Random) -> None:
    """A length, size, count or offset becomes another one, in either order of bytes."""
    found = list(fields(bytes(data))) or [(n, 1) for n in range(min(len(data), 40))]
    for start, n in random.sample(found, min(len(found), random.randint(1, 2))):
        order = random.choice(("little", "big"))
        old = int.from_bytes(data[start : start + n], order)
        new = random.choice((*EDGES, old - 1, old + 1, old * 2, old + 65_536, old ^ 0x8000))
        data[start : start + n] = (new % 256**n).to_bytes(n, order)


CHANGES = (bits, values, removed, doubled, swapped, cut, tail, number, number, number, number)


def place(data: bytearray, random: Random) -> int:
    """Half of them near the start."""
    return random.randrange(min(len(data), random.choice((100, len(data)))))


def fields(data: bytes) -> Iterator[Field]:
    """Where a file holds numbers that its decoder believes."""
    if data.startswith(b"\xff\xd8"):
        yield from in_jpeg(data)
    elif data.startswith(b"\x89PNG"):
        yield from in_png(data)
    elif data.startswith((b"II", b"MM")):
        yield from in_tiff(data, 0)
    elif data.startswith(b"RIFF"):
        yield from in_riff(data)
    elif data.startswith(b"BM"):
        yield from ((n, 4) for n in (2, 10, 14, 18, 22, 30, 34, 46, 50))
        yield from ((n, 2) for n in (26, 28))
    elif data.startswith(b"GIF"):
        yield from in_gif(data)


def in_jpeg(data: bytes) -> Iterator[Field]:
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker, size = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        yield at + 2, 2
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            yield from ((at + 5, 2), (at + 7, 2), (at + 4, 1), (at + 9, 1), (at + 11, 1))
            yield at + 1, 1
        elif marker in (0xC4, 0xDA, 0xDB, 0xDD):
            yield from ((n, 1) for n in range(at + 4, min(at + 2 + size, at + 24)))
        elif marker == 0xE1 and data[at + 4 : at + 8] == b"Exif":
            yield from in_tiff(data, at + 10)
        at += 2 + size


def in_png(data: bytes) -> Iterator[Field]:
    yield from ((16, 4), (20, 4), (24, 1), (25, 1), (28, 1))
    for start, size in chunks(data):
        yield start, 4
        if data[start + 4 : start + 8] in (b"acTL", b"fcTL", b"PLTE", b"tRNS"):
            yield from ((start + 8 + n, 4) for n in range(0, min(size, 24) - 3, 4))


def in_tiff(data: bytes, base: int) -> Iterator[Field]:
    """Of the first directory: tags, types, counts and values; `base` is where the TIFF starts."""
    order = "big" if data[base : base + 2] == b"MM" else "little"
    big = 43 in data[base + 2 : base + 4]
    n_start, n_count, n_entry, n_value = (8, 8, 20, 8) if big else (4, 2, 12, 4)
    first = base + (8 if big else 4)
    yield first, n_start
    start = base + int.from_bytes(data[first : first + n_start], order)
    yield start, n_count
    entries = min(int.from_bytes(data[start : start + n_count], order), 30)
    for at in range(start + n_count, start + n_count + entries * n_entry, n_entry):
        yield from ((at, 2), (at + 2, 2), (at + 4, n_value), (at + 4 + n_value, n_value))
    yield start + n_count + entries * n_entry, n_start


def in_riff(data: bytes) -> Iterator[Field]:
    yield 4, 4
    at = 12
    while at + 8 <= len(data):
        yield at + 4, 4
        yield from ((at + 8 + n, 2) for n in (0, 1, 4, 6, 7))
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8 + size + size % 2


def in_gif(data: bytes) -> Iterator[Field]:
    yield from ((6, 2), (8, 2), (10, 1))
    at = data.find(b",", 13)
    while 0 < at < len(data):
        yield from ((at + 1, 2), (at + 3, 2), (at + 5, 2), (at + 7, 2), (at + 9, 1), (at + 10, 1))
        at = data.find(b"\0,", at + 1) + 1


def chunks(data: bytes) -> Iterator[tuple[int, int]]:
    """Start and length of a PNG's chunks."""
    at = 8
    while at + 8 <= len(data):
        size = struct.unpack_from(">I", data, at)[0]
        yield at, size
        at += 12 + size


def seal(data: bytearray) -> None:
    """Put the right sum behind every chunk of a PNG."""
    for start, size in list(chunks(bytes(data))):
        end = start + 8 + size
        if end + 4 <= len(data):
            data[end : end + 4] = struct.pack(">I", zlib.crc32(data[start + 4 : end]))
