"""The part of the public TFLite Metadata schema that image models need, written and read with `flatbuffers`.

It is implemented here because every package with the generated schema is too heavy a dependency: mediapipe (1.2.2)
brings OpenCV and 650 MB, and its metadata writers fail on import; tflite-support (0.4.4) needs NumPy below 2. Names and
slots are those of the schema; `tflite/clients/mediapipe_client.py` reads our files with mediapipe's own generated code.
"""

import struct
from collections.abc import Mapping
from typing import Any

import flatbuffers
from flatbuffers import number_types
from flatbuffers.table import Table

from swiftformer_tf.errors import ModelError, one_line

__all__ = ["decode", "encode"]

# A table by name: the slot and type of each field. A type is a scalar, `string`, a table, a union of tables (its value
# names the table it holds), or a list of one of them in brackets.
TABLES: dict[str, dict[str, tuple[int, str]]] = {
    "ModelMetadata": {
        "name": (0, "string"),
        "description": (1, "string"),
        "version": (2, "string"),
        "subgraph_metadata": (3, "[SubGraphMetadata]"),
        "author": (4, "string"),
        "license": (5, "string"),
        "min_parser_version": (7, "string"),
    },
    "SubGraphMetadata": {
        "name": (0, "string"),
        "description": (1, "string"),
        "input_tensor_metadata": (2, "[TensorMetadata]"),
        "output_tensor_metadata": (3, "[TensorMetadata]"),
        "custom_metadata": (9, "[CustomMetadata]"),
    },
    "CustomMetadata": {"name": (0, "string"), "data": (1, "[ubyte]")},
    "TensorMetadata": {
        "name": (0, "string"),
        "description": (1, "string"),
        "content": (3, "Content"),
        "process_units": (4, "[ProcessUnit]"),
        "stats": (5, "Stats"),
        "associated_files": (6, "[AssociatedFile]"),
    },
    # A union takes two slots: the kind of table, then the table.
    "Content": {"content_properties": (0, "ContentProperties")},
    "ProcessUnit": {"options": (0, "ProcessUnitOptions")},
    "FeatureProperties": {},
    "ImageProperties": {"color_space": (0, "int8"), "default_size": (1, "ImageSize")},
    "ImageSize": {"width": (0, "uint32"), "height": (1, "uint32")},
    "NormalizationOptions": {"mean": (0, "[float]"), "std": (1, "[float]")},
    "Stats": {"max": (0, "[float]"), "min": (1, "[float]")},
    "AssociatedFile": {"name": (0, "string"), "description": (1, "string"), "type": (2, "int8")},
    # From another schema, `image_segmenter_metadata_schema.fbs`; it goes into a `CustomMetadata`.
    "ImageSegmenterOptions": {"activation": (0, "int8"), "min_parser_version": (1, "string")},
}
UNIONS = {
    "ContentProperties": {1: "FeatureProperties", 2: "ImageProperties"},
    "ProcessUnitOptions": {1: "NormalizationOptions"},
}
SCALARS = {
    "int8": number_types.Int8Flags,
    "uint8": number_types.Uint8Flags,
    "uint32": number_types.Uint32Flags,
    "float": number_types.Float32Flags,
}

# By the table at the root.
IDENTIFIERS = {"ModelMetadata": b"M001", "ImageSegmenterOptions": b"V001"}

# Alignment of a `CustomMetadata`'s bytes in the file, so that their content can be read in place.
BYTES_ALIGNMENT = 16

# No image model's metadata is larger; a damaged length could claim gigabytes.
MAX_ITEMS = 10_000


def encode(metadata: Mapping[str, Any], table: str = "ModelMetadata") -> bytes:
    """Encodes a table as a flatbuffer, such as the metadata in a model.

    Args:
        metadata: Fields by name: tables as mappings, a union as a mapping from the name of its table, and bytes
            unchanged.
        table: One of `IDENTIFIERS`.

    Examples:
        >>> decode(encode({"name": "SwiftFormer", "license": "Apache-2.0"}))
        {'name': 'SwiftFormer', 'license': 'Apache-2.0'}
    """
    builder = flatbuffers.Builder(1024)
    builder.Finish(_write_table(builder, table, metadata), file_identifier=IDENTIFIERS[table])
    return bytes(builder.Output())


def decode(content: bytes, table: str = "ModelMetadata") -> dict[str, Any]:
    """Reverts `encode`; fields that are not in `TABLES` are ignored.

    Raises:
        ModelError: The bytes are not TFLite Metadata, or are damaged.
    """
    if content[4:8] != IDENTIFIERS[table]:
        raise ModelError(f"the TFLite Metadata is damaged: no {IDENTIFIERS[table].decode()} at its byte 4")
    try:
        (root,) = struct.unpack_from("<I", content)
        return _read_table(table, Table(bytearray(content), root))
    except (struct.error, TypeError, ValueError, IndexError, RecursionError) as error:
        raise ModelError(f"the TFLite Metadata is damaged ({type(error).__name__}: {one_line(error)})") from None


def _write_table(builder: flatbuffers.Builder, table: str, values: Mapping[str, Any]) -> int:
    # The values that a table points to are written before it.
    written: list[tuple[int, str, Any]] = []
    for name, value in values.items():
        slot, kind = TABLES[table][name]
        if kind in UNIONS:
            ((member, content),) = value.items()
            number = next(number for number, each in UNIONS[kind].items() if each == member)
            written += [(slot, "uint8", number), (slot + 1, member, _write_table(builder, member, content))]
        else:
            written.append((slot, kind, value if kind in SCALARS else _write_value(builder, kind, value)))
    builder.StartObject(1 + max((slot for slot, _, _ in written), default=-1))
    for slot, kind, value in written:
        if kind in SCALARS:
            builder.PrependSlot(SCALARS[kind], slot, value, 0)
        else:
            builder.PrependUOffsetTRelativeSlot(slot, value, 0)
    return int(builder.EndObject())


def _write_value(builder: flatbuffers.Builder, kind: str, value: Any) -> int:
    if kind == "string":
        return int(builder.CreateString(value))
    if not kind.startswith("["):
        return _write_table(builder, kind, value)
    if kind == "[ubyte]":
        builder.StartVector(1, len(value), BYTES_ALIGNMENT)
        builder.head -= len(value)
        builder.Bytes[builder.Head() : builder.Head() + len(value)] = value
        return int(builder.EndVector())
    if kind == "[float]":
        builder.StartVector(4, len(value), 4)
        for number in reversed(value):
            builder.PrependFloat32(number)
        return int(builder.EndVector())
    offsets = [_write_table(builder, kind[1:-1], each) for each in value]
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def _read_table(kind: str, table: Table) -> dict[str, Any]:
    values = {}
    for name, (slot, each) in TABLES[kind].items():
        value = _read_union(each, slot, table) if each in UNIONS else _read_field(each, slot, table)
        if value is not None:
            values[name] = value
    return values


def _read_union(kind: str, slot: int, table: Table) -> dict[str, Any] | None:
    member = UNIONS[kind].get(_read_field("uint8", slot, table) or 0)
    if member is None:
        return None  # of a kind that image classifiers do not have
    return {member: _read_field(member, slot + 1, table)}


def _read_field(kind: str, slot: int, table: Table) -> Any:
    position = table.Offset(4 + 2 * slot)
    if not position:
        return None
    position += table.Pos
    if kind in SCALARS:
        return table.Get(SCALARS[kind], position)
    if kind == "string":
        return table.String(position).decode("utf-8")
    if not kind.startswith("["):
        return _read_table(kind, Table(table.Bytes, table.Indirect(position)))
    # The vector's position is asked for relative to the table, as generated code does.
    start, length = table.Vector(position - table.Pos), table.VectorLen(position - table.Pos)
    if length > MAX_ITEMS:
        raise ModelError(f"the TFLite Metadata is damaged: a list of {length} items")
    if kind == "[ubyte]":
        return bytes(table.Bytes[start : start + length])
    if kind == "[float]":
        return [table.Get(SCALARS["float"], start + 4 * index) for index in range(length)]
    return [_read_table(kind[1:-1], Table(table.Bytes, table.Indirect(start + 4 * index))) for index in range(length)]
