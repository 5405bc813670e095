"""Bytes of files: four-bit integers, and what is written once."""

from collections.abc import Callable

import numpy as np
import pytest

from swiftformer_tf import LiteModel
from swiftformer_tf.litert.packing import pack_int4, pack_model, unpack_int4

Lite = Callable[..., LiteModel]


@pytest.mark.parametrize("shape", [(3, 4), (3, 5), (1,), (2, 1, 1, 7)])
def test_four_bits_are_read_as_they_were_written(shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).integers(-8, 8, shape)
    data = pack_int4(values)
    assert data.dtype == np.uint8
    assert len(data) == -(-values.size // 2)  # no row is filled up
    read = unpack_int4(data.tobytes(), shape)
    assert read.dtype == np.int8
    np.testing.assert_array_equal(read, values)


def test_the_first_of_two_is_in_the_lower_half() -> None:
    assert pack_int4(np.array([1, 2])).tolist() == [0x21]
    assert pack_int4(np.array([-8, 7, -1])).tolist() == [0x78, 0x0F]


def test_zero_points_of_many_channels_are_written_once(lite: Lite) -> None:
    from ai_edge_litert.tools import flatbuffer_utils

    content = lite("dynamic_int8").content
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    packed = pack_model(model)
    plain = bytes(flatbuffer_utils.convert_object_to_bytearray(model))
    points = [
        each.quantization.zeroPoint.tobytes()
        for each in model.subgraphs[0].tensors
        if each.quantization is not None and each.quantization.zeroPoint is not None
    ]
    repeated = sum(map(len, points)) - sum(map(len, set(points)))
    assert repeated > 100
    assert len(plain) - len(packed) >= repeated
    again = flatbuffer_utils.read_model_from_bytearray(bytearray(packed))
    for tensor, read in zip(model.subgraphs[0].tensors, again.subgraphs[0].tensors, strict=True):
        assert (tensor.name, tensor.type) == (read.name, read.type)
        np.testing.assert_array_equal(tensor.shape, read.shape)
        if tensor.quantization is not None:
            for field in ("scale", "zeroPoint"):
                np.testing.assert_array_equal(getattr(tensor.quantization, field), getattr(read.quantization, field))
    assert [each.data is None for each in model.buffers] == [each.data is None for each in again.buffers]
