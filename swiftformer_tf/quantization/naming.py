"""Names the tensors of a float graph uniquely: the name of the layer, followed by the tensor's role in it."""

import re
from collections.abc import Collection, Iterator

from swiftformer_tf.litert.ops import MATRIX_OPS
from swiftformer_tf.quantization.graph import VARIANT, Graph, Operation, numbered
from swiftformer_tf.quantization.kernels import PLAIN_VERSIONS

__all__ = ["name_tensors"]

# What the constants of an operation are, by the operation and their place among its inputs.
CONSTANTS = {("MEAN", 1): "axes", ("SUM", 1): "axes", ("PAD", 1): "paddings", ("RESHAPE", 1): "shape"} | {
    (op, place): name
    for op in MATRIX_OPS
    for place, name in (
        ((0, "shape"), (1, "kernel"), (3, "bias")) if op == "TRANSPOSE_CONV" else ((1, "kernel"), (2, "bias"))
    )
}


def name_tensors(content: bytes, layers: Collection[str]) -> bytes:
    """Gives each tensor of a float flatbuffer a unique name that says where it comes from.

    The converter's names depend on how often the process traced a model, join everything that it fused, and number
    constants. These names depend only on the graph: `stages-0-blocks-1-attn-to_key/kernel`, `.../conv_2d`, `.../mean`.
    A tensor that does not come from a layer is named after the last layer whose output it uses.

    Args:
        content: The flatbuffer from the converter.
        layers: The names of the model's layers.

    Returns:
        The same graph; inputs and outputs have their names in the signature, and each operation the first version that
        it needs.
    """
    graph = Graph(content)
    graph.rename(_Namer(graph, layers).names)
    return graph.rewritten([(op, _version(graph, op)) for op in graph.operations], graph.inputs, graph.outputs)


def _version(graph: Graph, op: Operation) -> int:
    """The version that the types of an operation need.

    The converter's is the newest that any operation of the same name needs.
    """
    known = PLAIN_VERSIONS.get(graph.kind(op.outputs[0]).upper())
    return op.version if known is None else known.get(op.name, 1)


class _Namer:
    def __init__(self, graph: Graph, layers: Collection[str]) -> None:
        self.graph, self.layers = graph, frozenset(layers)
        self.names: dict[int, str] = {}
        self.taken: set[str] = set()
        # float16 constants reach their operation through a cast.
        self.stored = {
            op.outputs[0]: op.inputs[0]
            for op in graph.operations
            if op.name == "DEQUANTIZE" and self._is_stored(op.inputs[0])
        }
        # For each tensor, the place in the graph's order of the operation that makes it, and its layer.
        self.owners: dict[int, tuple[int, str]] = {}
        for tensor, name in graph.signature_names().items():
            self._give(tensor, name)
            self.owners[tensor] = -1, name
        for place, op in enumerate(graph.operations):
            if op.outputs[0] not in self.stored:
                self._name(place, op)

    def _name(self, place: int, op: Operation) -> None:
        layer = self._layer(op)
        for output in op.outputs:
            self._give(output, f"{layer}/{op.name.lower()}")
            self.owners[output] = place, layer
        for number, tensor in enumerate(op.inputs):
            stored = self.stored.get(tensor, tensor)
            if tensor < 0 or not self._is_stored(stored):
                continue
            start = layer if op.name in MATRIX_OPS else self.names[op.outputs[0]]
            self._give(stored, f"{start}/{CONSTANTS.get((op.name, number), 'constant')}")
            if stored != tensor:
                self._give(tensor, f"{self.names[stored]}{VARIANT}dequantize")

    def _layer(self, op: Operation) -> str:
        labeled = [*op.inputs[1:2], *op.outputs] if op.name in MATRIX_OPS else op.outputs
        named = (layer for tensor in labeled if tensor >= 0 for layer in self._layers_in(self.graph.label(tensor)))
        read = (self.owners[tensor] for tensor in op.inputs if tensor in self.owners)
        return next(named, "") or max(read, default=(0, "constant"))[1]

    def _layers_in(self, label: str) -> Iterator[str]:
        """The layers among the scopes that TensorFlow joined; it appends a number to repeated names."""
        for scopes in label.split(";"):
            for scope in reversed(scopes.split("/")):
                for name in (scope, re.sub(r"_\d+$", "", scope)):
                    if name in self.layers:
                        yield name

    def _is_stored(self, tensor: int) -> bool:
        return tensor >= 0 and self.graph.constant(tensor) is not None

    def _give(self, tensor: int, name: str) -> None:
        if tensor not in self.names:
            self.names[tensor] = next(each for each in numbered(name) if each not in self.taken)
            self.taken.add(self.names[tensor])
