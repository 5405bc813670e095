"""Matches the tensors of an integer graph with those of its float graph, and separates the operations of both."""

import dataclasses
import math
from collections.abc import Collection, Iterator

import numpy as np

from swiftformer_tf.errors import ModelError
from swiftformer_tf.litert.integers import Kind, Quantization, dequantized, quantized
from swiftformer_tf.litert.ops import CASTS
from swiftformer_tf.quantization.graph import Graph, Operation

__all__ = ["Pair", "Separated", "as_stored", "integer_range", "pair", "restored_floats", "separate"]


@dataclasses.dataclass(frozen=True, eq=False)
class Pair:
    """An output of an operation in the integer graph, and its counterpart in the float graph.

    Args:
        op: Operation in the integer graph.
        output: Tensor of the integer graph that it writes; most operations write one.
        counterpart: Operation in the float graph; None for a cast, whose output is a float tensor that occurs
            elsewhere.
        tensor: Tensor of the float graph that the output should equal.
    """

    op: Operation
    output: int
    counterpart: Operation | None
    tensor: int


@dataclasses.dataclass(frozen=True, eq=False)
class Separated:
    """Both graphs, separated between all operations, so that the caller provides the inputs of each operation.

    Args:
        integer: Flatbuffer whose inputs are `feeds` and whose outputs are those of the pairs.
        reference: The float operations on the same inputs in float32; its outputs are those of the pairs that have a
            counterpart.
        feeds: Tensors of the integer graph, each with the tensor of the float graph whose value it takes.
    """

    integer: bytes
    reference: bytes
    feeds: dict[int, int]


def pair(graph: Graph, reference: Graph) -> tuple[list[Pair], dict[int, int]]:
    """Finds the float graph's tensors in the integer graph by name.

    Args:
        graph: Graph of a file with int8 weights.
        reference: The float graph of the same deploy graph.

    Returns:
        The pairs in the order of execution, without casts to float and reshapes of maps to rows, which change no
        values; and the float tensor of each activation of the integer graph.

    Raises:
        ModelError: A tensor of the float graph is missing or has a different shape, unless it is a maximum that changes
            no integers, which files may omit.
    """
    producers = {output: op for op in reference.operations for output in op.outputs}
    tensors = {reference.label(tensor): tensor for tensor in (*reference.inputs, *producers)}
    outputs = [output for op in graph.operations for output in op.outputs]
    found = {each: tensors[graph.label(each)] for each in (*graph.inputs, *outputs) if graph.label(each) in tensors}
    cause = "expected the model that the file was made from, and a file that this version exported"
    known = set(found.values())
    idle = {op.outputs[0] for op in _left_out_maxima(reference, known)}
    if missing := [name for name, tensor in tensors.items() if tensor not in known | idle]:
        raise ModelError(
            f"{len(missing)} of the {len(tensors)} tensors of the reference's float graph are not in the file, "
            f"the first {missing[0]}: {cause}"
        )
    for each, tensor in found.items():
        if _pixels(graph.shape(each)) != _pixels(reference.shape(tensor)):
            raise ModelError(
                f"{graph.label(each)} has the shape {graph.shape(each)} in the file and "
                f"{reference.shape(tensor)} in the reference's float graph: {cause}"
            )
    pairs = [
        Pair(op, output, None if op.name in CASTS else producers[found[output]], found[output])
        for op in graph.operations
        for output in op.outputs
        if output in found and not _changes_nothing(op, producers.get(found[output]))
    ]
    return pairs, found


def _left_out_maxima(reference: Graph, known: Collection[int]) -> list[Operation]:
    """Maxima of the float graph that the integer graph omits, although it has what they read and what reads them.

    Args:
        reference: The float graph.
        known: Its tensors that the integer graph has.
    """
    return [
        op
        for op in reference.operations
        if op.name == "MAXIMUM"
        and op.outputs[0] not in known
        and all(each in known for each in reference.computed_inputs(op))
        and all(each.outputs[0] in known for each in reference.operations if op.outputs[0] in each.inputs)
    ]


def _pixels(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Number of pixels and of channels, since a map may be reshaped to a row."""
    return (math.prod(shape[:-1]), *shape[-1:])


def _changes_nothing(op: Operation, producer: Operation | None) -> bool:
    return op.name == "DEQUANTIZE" or (op.name == "RESHAPE" and producer is not None and producer.name != "RESHAPE")


def separate(graph: Graph, reference: Graph, pairs: list[Pair], found: dict[int, int]) -> Separated:
    """Separates both graphs between all operations that they have in common.

    Args:
        graph: The integer graph.
        reference: The float graph.
        pairs: The pairs from `pair`.
        found: The float tensor of each activation, from `pair`.
    """
    graph, reference = graph.copy(), reference.copy()
    paired = {row.op for row in pairs}
    # Operations without a tensor in the float graph are treated as parts of the operations that read them.
    parts = {op.outputs[0]: op for op in graph.operations if op.outputs[0] not in found}

    def sources(op: Operation) -> Iterator[int]:
        """Yields the inputs of an operation and of its parts that the float graph has, too."""
        for each in op.inputs:
            if each in found:
                yield each
            elif each in parts:
                yield from sources(parts[each])

    used = {source for row in pairs for source in sources(row.op)}
    feeds = {each: tensor for each, tensor in found.items() if each in used}
    fresh: dict[int, int] = {}
    fresh_floats: dict[int, int] = {}
    for each, tensor in feeds.items():
        fresh[each] = graph.add_tensor(each, graph.kind(each), quantization=graph.quantization(each))
        fresh_floats[each] = reference.add_tensor(tensor, "float32")
    operations = [
        (dataclasses.replace(op, inputs=tuple(fresh.get(each, each) for each in op.inputs)), op.version)
        for op in graph.operations
        if op in paired or op.outputs[0] in parts
    ]
    idle = {op.outputs[0]: op for op in _left_out_maxima(reference, set(found.values()))}
    counterparts = []
    for row in pairs:
        if row.counterpart is not None and row.output == row.op.outputs[0]:
            # Matched by tensor, not by position: an operation may have been replaced by one with additional inputs.
            given = {feeds[source]: fresh_floats[source] for source in sources(row.op)}
            # A maximum that the file leaves out is a part of what reads it.
            read = [idle.pop(each) for each in row.counterpart.inputs if each in idle]
            for op in (*read, row.counterpart):
                inputs = tuple(given.get(source, source) for source in op.inputs)
                counterparts.append((dataclasses.replace(op, inputs=inputs), op.version))
    compared = tuple(row.tensor for row in pairs if row.counterpart is not None)
    return Separated(
        graph.rewritten(operations, tuple(fresh.values()), tuple(row.output for row in pairs)),
        reference.rewritten(counterparts, tuple(fresh_floats.values()), compared),
        feeds,
    )


def integer_range(kind: str, quantization: Quantization | None) -> tuple[float, float] | None:
    """Minimum and maximum value that a tensor's integers can represent; None for floats."""
    if quantization is None:
        return None
    limits = np.iinfo(kind)
    low, high = restored_floats(np.array([limits.min, limits.max]), quantization).tolist()
    return low, high


def as_stored(values: np.ndarray, kind: Kind, quantization: Quantization | None) -> tuple[np.ndarray, np.ndarray]:
    """Returns floats as a tensor stores them, and the floats that these represent.

    Args:
        values: float32.
        kind: Type of the tensor.
        quantization: Quantization of the tensor; None for floats.
    """
    if quantization is None:
        return values, values
    stored = quantized(values, quantization, kind)
    return stored, dequantized(stored, quantization)


def restored_floats(stored: np.ndarray, quantization: Quantization | None) -> np.ndarray:
    """Returns the values of a tensor as float32, whether it stores integers or floats."""
    return stored if quantization is None else dequantized(stored, quantization)
