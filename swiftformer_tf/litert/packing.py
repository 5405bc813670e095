"""Serialization of files: models as flatbuffers without duplicate vectors, and int4 values packed two to a byte."""

from typing import Any

import numpy as np

__all__ = ["IDENTIFIER", "pack_int4", "pack_model", "unpack_int4"]

# The file identifier of TFLite, at byte 4.
IDENTIFIER = b"TFL3"


def pack_model(model: Any) -> bytes:
    """Packs the generated schema's `ModelT` as a flatbuffer that shares equal vectors of numbers, except weights.

    For per-channel scales, LiteRT needs as many zero points, each of which takes eight bytes of zeros: 5 % of an int4
    file.
    """
    import flatbuffers

    class SharingBuilder(flatbuffers.Builder):
        """Writes each vector of numbers once; vectors of bytes are the model's buffers, which are not shared."""

        def __init__(self) -> None:
            super().__init__(1024)
            self.written: dict[tuple[str, bytes], int] = {}

        def CreateNumpyVector(self, x: np.ndarray) -> int:  # noqa: N802  the generated code's name
            if x.dtype == np.uint8:
                return int(super().CreateNumpyVector(x))
            key = x.dtype.str, x.tobytes()
            if key not in self.written:
                self.written[key] = int(super().CreateNumpyVector(x))
            return self.written[key]

    builder = SharingBuilder()
    builder.Finish(model.Pack(builder), file_identifier=IDENTIFIER)
    return bytes(builder.Output())


def pack_int4(values: np.ndarray) -> np.ndarray:
    """Packs integers from -8 to 7 two to a byte, the first in the lower half, without gaps between rows.

    Rows are not padded to whole bytes: XNNPACK reads them continuously and would compute wrong results.

    Examples:
        >>> pack_int4(np.array([[1, -1], [7, -8]])).tolist()
        [241, 135]
    """
    flat = values.astype(np.int8).reshape(-1)
    halves = np.append(flat, np.zeros(flat.size % 2, np.int8)).view(np.uint8) & 0xF
    return halves[::2] | halves[1::2] << 4


def unpack_int4(data: bytes, shape: tuple[int, ...]) -> np.ndarray:
    """Unpacks to an int8 array of a shape.

    Examples:
        >>> unpack_int4(bytes([241, 135]), (2, 2)).tolist()
        [[1, -1], [7, -8]]
    """
    packed = np.frombuffer(data, np.uint8)
    halves = np.stack([packed << 4, packed], axis=1).view(np.int8) >> 4
    return halves.reshape(-1)[: int(np.prod(shape))].reshape(shape)
