"""Damage, by chance or on purpose: what `make fuzz` does to files.

A file is damaged as the bytes that it is, or as what its format makes of them: a value in its JSON, a member of its zip
archive with a right checksum, a safetensors header with a right length. The second kind gets past the checksums that
stop the first.
"""

import contextlib
import copy
import hashlib
import io
import json
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from random import Random
from typing import Any

__all__ = ["mutate"]

Mutation = Callable[[bytes, Random], bytes]

# What stands where something else was expected: wrong types, limits of integers and floats, too much of something.
HOSTILE_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2**31, 2**63, -(2**63), 10**12, 10**400, 0.5, -0.0, 1e308, 1e-320),
    *(float("nan"), float("inf"), "", "a", "\0", "\n", "\x1b[2J", "\ud800", "é" * 5000, "../../etc/passwd"),
    *([], [[]], [1], [[1], [1]], [None] * 3, ["1", "2"], [10**9] * 4, [1] * 10_000, [1e308] * 3, [0, 0]),
    *({}, {"a": 1}, {"0": "a", "00": "b"}, {"class_name": "Lambda", "config": {}, "module": "keras.layers"}),
    *("@nested", "@digits"),
)
# Written into the document's text, since Python cannot hold or write them.
BEYOND_PYTHON = {'"@nested"': "[" * 50_000 + "]" * 50_000, '"@digits"': "9" * 5000}

HOSTILE_NUMBERS = (0, 1, 2**7, 2**15, 2**16 - 1, 2**24, 2**28, 2**31 - 1, 2**31, 2**32 - 1)


def mutate(files: dict[str, bytes], random: Random) -> dict[str, bytes]:
    """The files of a folder with one to three things changed in one of them.

    Args:
        files: Content by name.
        random: Decides where and what.

    Returns:
        As `files`.
    """
    name = random.choice(sorted(files))
    content = files[name]
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        content = _mutate_content(content, random)
    return {**files, name: content}


def _mutate_content(content: bytes, random: Random) -> bytes:
    formats = [mutation for applies, mutation in FORMATS if applies(content)]
    # Half of the time the format's own damage, which reaches further.
    if formats and random.random() < 0.6:
        # What is damaged already, and looks whole, is damaged further as bytes.
        with contextlib.suppress(zipfile.BadZipFile, LookupError, ValueError, struct.error):
            return random.choice(formats)(content, random)
    return random.choice(BYTES)(content, random)


# Damage to any bytes.


def _flip_bit(content: bytes, random: Random) -> bytes:
    changed = bytearray(content or b"\0")
    changed[_place(content, random)] ^= 1 << random.randrange(8)
    return bytes(changed)


def _set_bytes(content: bytes, random: Random) -> bytes:
    changed = bytearray(content or b"\0")
    for _ in range(random.randint(1, 16)):
        changed[_place(content, random)] = random.choice((0, 0x7F, 0x80, 0xFF, random.randrange(256)))
    return bytes(changed)


def _set_number(content: bytes, random: Random) -> bytes:
    start, layout = _place(content, random), random.choice(("<H", ">H", "<I", ">I", "<Q", ">Q"))
    size = struct.calcsize(layout)
    number = random.choice(HOSTILE_NUMBERS) % 2 ** (8 * size)
    return content[:start] + struct.pack(layout, number) + content[start + size :]


def _truncate(content: bytes, random: Random) -> bytes:
    return content[: _place(content, random)]


def _remove(content: bytes, random: Random) -> bytes:
    start, end = _range(content, random)
    return content[:start] + content[end:]


def _duplicate(content: bytes, random: Random) -> bytes:
    start, end = _range(content, random)
    return content[:end] + content[start:end] * random.choice((1, 1, 2, 50)) + content[end:]


def _replace(content: bytes, random: Random) -> bytes:
    start, end = _range(content, random)
    size = end - start
    fill = random.choice((bytes(size), b"\xff" * size, random.randbytes(size)))
    return content[:start] + fill + content[end:]


def _move(content: bytes, random: Random) -> bytes:
    start, end = _range(content, random)
    to = _place(content, random)
    return content[:to] + content[start:end] + content[to + end - start :]


def _append(content: bytes, random: Random) -> bytes:
    return content + random.randbytes(random.choice((1, 8, 1000)))


BYTES: tuple[Mutation, ...] = (
    *(_flip_bit, _set_bytes, _set_number, _truncate, _remove, _duplicate, _replace, _move, _append),
)


def _place(content: bytes, random: Random) -> int:
    """A position, more often near an end, where headers, tables and directories are."""
    size = max(len(content), 1)
    near = random.choice((64, 1024, size, size))
    position = random.randrange(min(near, size))
    return position if random.random() < 0.7 else size - 1 - position


def _range(content: bytes, random: Random) -> tuple[int, int]:
    start = _place(content, random)
    return start, start + random.choice((1, 2, 4, 8, 64, 512))


# Damage within a format.


def _json(content: bytes, random: Random) -> bytes:
    """Another value, key or number somewhere in a JSON document."""
    return _dumped(_changed(json.loads(content), random))


def _dumped(document: Any) -> bytes:
    text = json.dumps(document)
    for value, instead in BEYOND_PYTHON.items():
        text = text.replace(value, instead)
    return text.encode()


def _changed(document: Any, random: Random) -> Any:
    document = copy.deepcopy(document)
    places = list(_places(document))
    if not places:
        return random.choice(HOSTILE_VALUES)
    container, key = random.choice(places)
    what = random.randrange(6)
    value = container[key]
    if what == 0:
        del container[key]
    elif what == 1 and isinstance(container, dict):
        container[random.choice(("", "a", "0", "\ud800", "-1", "9" * 5000))] = container.pop(key)
    elif what == 2:
        other, its = random.choice(places)
        with contextlib.suppress(LookupError):  # one may be inside the other
            container[key], other[its] = copy.deepcopy(other[its]), copy.deepcopy(value)
    elif what == 3 and isinstance(value, (int, float)):
        container[key] = random.choice((value + 1, value - 1, -value, value * 1000, value * 2**40))
    else:
        container[key] = random.choice(HOSTILE_VALUES)
    return document


def _places(document: Any) -> list[tuple[Any, Any]]:
    """Each container in a document with each of its keys or indices."""
    found = []
    if isinstance(document, (dict, list)):
        for key in list(document) if isinstance(document, dict) else range(len(document)):
            found.append((document, key))
            found += _places(document[key])
    return found


def _zip(content: bytes, random: Random) -> bytes:
    """One member of an archive damaged, added, renamed or left out; all checksums and offsets are right."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        before = content[: min(member.header_offset for member in archive.infolist())]
        members = [(member.filename, archive.read(member)) for member in archive.infolist()]
    index = random.randrange(len(members))
    name, data = members[index]
    what = random.randrange(10)
    if what == 0:
        del members[index]
    elif what == 1:
        members.append((random.choice((name, "../outside", "/outside", "a/" * 500, "")), data))
    elif what == 2:
        members[index] = (random.choice(members)[0], data)
    else:
        members[index] = (name, _mutate_content(data, random))
    return before + _zipped(members, random.choice((zipfile.ZIP_STORED,) * 9 + (zipfile.ZIP_DEFLATED,)))


def _zipped(members: list[tuple[str, bytes]], compression: int) -> bytes:
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w") as archive:
        warnings.filterwarnings("ignore", "Duplicate name")
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name), data, compression)
    return out.getvalue()


def _safetensors(content: bytes, random: Random) -> bytes:
    """Another header of the right length."""
    end = 8 + int.from_bytes(content[:8], "little")
    header = _changed(json.loads(content[8:end]), random)
    text = _dumped(header)
    return len(text).to_bytes(8, "little") + text + content[end:]


def _tflite(content: bytes, random: Random) -> bytes:
    """Another graph under a card that has its checksum, as somebody who wants it to be opened would write it."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
        size = min(member.header_offset for member in archive.infolist())
    graph = random.choice(BYTES)(content[:size], random)
    card = json.loads(members["swiftformer.json"])
    card["flatbuffer"] = {"bytes": len(graph), "sha256": hashlib.sha256(graph).hexdigest()}
    members["swiftformer.json"] = json.dumps(card).encode()
    out = io.BytesIO(graph)
    with zipfile.ZipFile(out, "a") as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return out.getvalue()


def _png(content: bytes, random: Random) -> bytes:
    """Another size or kind of picture in a header with a right checksum."""
    header = bytearray(content[12:29])
    if random.random() < 0.7:
        struct.pack_into(">I", header, random.choice((4, 8)), random.choice((*HOSTILE_NUMBERS, 9000, 13_000)))
    else:
        header[random.randrange(12, 17)] = random.choice((0, 1, 2, 3, 4, 6, 8, 16))
    return content[:12] + header + struct.pack(">I", zlib.crc32(header)) + content[33:]


def _is_json(content: bytes) -> bool:
    try:
        return isinstance(json.loads(content), (dict, list))
    except (ValueError, RecursionError):
        return False


def _is_zip(content: bytes) -> bool:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return bool(archive.namelist()) and archive.testzip() is None
    except Exception:  # damaged already, in whatever way
        return False


def _is_safetensors(content: bytes) -> bool:
    return content[8:9] == b"{" and _is_json(content[8 : 8 + int.from_bytes(content[:8], "little")])


def _is_card_holder(content: bytes) -> bool:
    if content[4:8] != b"TFL3" or not _is_zip(content):
        return False
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return "swiftformer.json" in archive.namelist() and _is_json(archive.read("swiftformer.json"))


FORMATS: tuple[tuple[Callable[[bytes], bool], Mutation], ...] = (
    (_is_json, _json),
    (_is_zip, _zip),
    (_is_safetensors, _safetensors),
    (_is_card_holder, _tflite),
    (lambda content: content.startswith(b"\x89PNG"), _png),
)
