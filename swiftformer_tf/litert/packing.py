"""Bytes of a file: models as flatbuffers that write nothing twice, and two integers of four bits in a byte."""

from typing import Any

import numpy as np

__all__ = ["pack_int4", "pack_model", "unpack_int4"]

# The file identifier of TFLite.
IDENTIFIER = b"TFL3"


def pack_model(model: Any) -> bytes:
    """A flatbuffer of the generated schema's `ModelT`, in which all equal vectors of numbers but weights are one.

    Of a scale for each channel LiteRT wants a zero point each, eight bytes of zero: 5 % of an int4 file.
    """
    import flatbuffers

    class SharingBuilder(flatbuffers.Builder):
        """Writes each vector of numbers once; those of bytes are the model's buffers, each with an owner."""

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
    """Bytes of integers from -8 to 7, the first in its lower half, one row right behind the other.

    No row is filled up: XNNPACK reads on, and answers wrongly where one is.

    Examples:
        >>> pack_int4(np.array([[1, -1], [7, -8]])).tolist()
        [241, 135]
    """
    flat = values.astype(np.int8).reshape(-1)
    halves = np.append(flat, np.zeros(flat.size % 2, np.int8)).view(np.uint8) & 0xF
    return halves[::2] | halves[1::2] << 4


def unpack_int4(data: bytes, shape: tuple[int, ...]) -> np.ndarray:
    """int8 of that shape.

    Examples:
        >>> unpack_int4(bytes([241, 135]), (2, 2)).tolist()
        [[1, -1], [7, -8]]
    """
    packed = np.frombuffer(data, np.uint8)
    halves = np.stack([packed << 4, packed], axis=1).view(np.int8) >> 4
    return halves.reshape(-1)[: int(np.prod(shape))].reshape(shape)
