"""A TFLite flatbuffer as a list of operations that can be read, and written anew."""

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

__all__ = ["Graph", "Kind", "Operation", "Quantization"]

Kind = Literal["float32", "int8", "uint8", "int16", "int32", "int64"]


@dataclasses.dataclass(frozen=True, eq=False)
class Quantization:
    """What the integers of a tensor stand for: `scale * (integer - zero_point)`.

    Args:
        scale: float32 (1,) for the whole tensor, or one per entry of `axis`.
        zero_point: An integer; zero where there are many scales.
        axis: Of the scales, where there are many.
    """

    scale: np.ndarray
    zero_point: int = 0
    axis: int = 0


@dataclasses.dataclass(frozen=True, eq=False)
class Operation:
    """One operation: tensors are indices into the graph.

    Args:
        name: LiteRT's, such as `CONV_2D`.
        inputs: Activations and constants; -1 where an optional one is left out.
        outputs: All of ours have one.
        source: The flatbuffer's own object, whose options are kept.
        version: Of the operation, in LiteRT's registry.
    """

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    source: Any = None
    version: int = 1


class Graph:
    """Reads a flatbuffer of one subgraph; writes it with other operations and further tensors.

    Args:
        content: The flatbuffer.
    """

    def __init__(self, content: bytes) -> None:
        from ai_edge_litert import schema_py_generated as schema
        from ai_edge_litert.tools import flatbuffer_utils

        self._schema = schema
        self._model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
        (self._subgraph,) = self._model.subgraphs
        names = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
        codes = [names[max(code.builtinCode, code.deprecatedBuiltinCode)] for code in self._model.operatorCodes]
        self.operations = tuple(
            Operation(
                codes[op.opcodeIndex],
                tuple(map(int, op.inputs)),
                tuple(map(int, op.outputs)),
                op,
                self._model.operatorCodes[op.opcodeIndex].version,
            )
            for op in self._subgraph.operators
        )
        self.inputs = tuple(map(int, self._subgraph.inputs))
        self.outputs = tuple(map(int, self._subgraph.outputs))

    def shape(self, tensor: int) -> tuple[int, ...]:
        """Of a tensor."""
        shape = self._subgraph.tensors[tensor].shape
        return () if shape is None else tuple(map(int, shape))

    def label(self, tensor: int) -> str:
        """The converter's name of a tensor."""
        return self._subgraph.tensors[tensor].name.decode()

    def constant(self, tensor: int) -> np.ndarray | None:
        """The value of a constant; None for what is computed."""
        found = self._subgraph.tensors[tensor]
        data = self._model.buffers[found.buffer].data
        if data is None:
            return None
        return np.frombuffer(bytes(data), self.kind(tensor)).reshape(self.shape(tensor))

    def kind(self, tensor: int) -> Kind:
        """Type of a tensor in numpy's word."""
        types = vars(self._schema.TensorType).items()
        kinds: dict[int, Any] = {value: name.lower() for name, value in types if isinstance(value, int)}
        return kinds[self._subgraph.tensors[tensor].type]

    def quantization(self, tensor: int) -> Quantization | None:
        """What the integers of a tensor stand for; None for floats and for integers that are plain numbers."""
        found = self._subgraph.tensors[tensor].quantization
        if found is None or found.scale is None or not len(found.scale):
            return None
        return Quantization(np.array(found.scale, np.float32), int(found.zeroPoint[0]), int(found.quantizedDimension))

    def activation(self, op: Operation) -> str:
        """The function that is fused into an operation: `NONE`, `RELU` and so on."""
        value = getattr(op.source.builtinOptions, "fusedActivationFunction", 0)
        kinds = vars(self._schema.ActivationFunctionType).items()
        return next(name for name, kind in kinds if kind == value and not name.startswith("_"))

    def replace_weights(self, index: int, arrays: list[np.ndarray]) -> None:
        """Gives the operation at that place other float32 constants in the place of its second input and on."""
        op = self.operations[index]
        constants = [
            self.add_tensor(tensor, "float32", value=value) for tensor, value in zip(op.inputs[1:], arrays, strict=True)
        ]
        changed = dataclasses.replace(op, inputs=(op.inputs[0], *constants))
        op.source.inputs = [*changed.inputs]  # for `watched`
        self.operations = (*self.operations[:index], changed, *self.operations[index + 1 :])

    def shift_bias(self, index: int, shift: np.ndarray) -> None:
        """Adds floats (channels,) to the bias of the operation at that place, whatever type it has."""
        op = self.operations[index]
        source, weights, bias = op.inputs
        value, quantization = self.constant(bias), self.quantization(bias)
        assert value is not None
        shifted = value + (shift if quantization is None else np.rint(shift / quantization.scale))
        kind = self.kind(bias)
        changed = self.add_tensor(bias, kind, value=shifted, quantization=quantization)
        moved = dataclasses.replace(op, inputs=(source, weights, changed))
        self.operations = (*self.operations[:index], moved, *self.operations[index + 1 :])

    def add_tensor(
        self,
        like: int,
        kind: Kind,
        *,
        value: np.ndarray | None = None,
        quantization: Quantization | None = None,
        shape: tuple[int, ...] | None = None,
        name: str | None = None,
    ) -> int:
        """A further tensor with the name of another, and its shape, where none is given; returns its index."""
        schema, source = self._schema, self._subgraph.tensors[like]
        tensor = schema.TensorT(
            shape=list(self.shape(like) if value is None else value.shape) if shape is None else list(shape),
            type=getattr(schema.TensorType, kind.upper()),
            name=source.name if name is None else name.encode(),
            hasRank=True,
        )
        if quantization is not None:
            tensor.quantization = schema.QuantizationParametersT(
                scale=[float(scale) for scale in quantization.scale],
                zeroPoint=[quantization.zero_point] * len(quantization.scale),
                quantizedDimension=quantization.axis,
            )
        if value is not None:
            self._model.buffers.append(schema.BufferT(data=np.frombuffer(value.astype(kind).tobytes(), np.uint8)))
            tensor.buffer = len(self._model.buffers) - 1
        self._subgraph.tensors.append(tensor)
        return len(self._subgraph.tensors) - 1

    def add_scalar(self, like: int, value: float) -> int:
        """A further constant with the name of another tensor, one number in four dimensions; returns its index."""
        return self.add_tensor(like, "float32", value=np.full((1, 1, 1, 1), value, np.float32))

    def operation(self, name: str, inputs: tuple[int, ...], output: int) -> Operation:
        """A further float operation with default options, for `replace_operation`."""
        schema, codes = self._schema, self._model.operatorCodes
        codes.append(_operator_code(schema, name, version=1))
        source = schema.OperatorT(opcodeIndex=len(codes) - 1, inputs=[*inputs], outputs=[output])
        if name in ("ADD", "MUL"):
            kind = f"{name.capitalize()}Options"
            source.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
            source.builtinOptions = getattr(schema, f"{kind}T")()
        return Operation(name, inputs, (output,), source)

    def replace_operation(self, index: int, operations: Sequence[Operation]) -> None:
        """Puts others in the place of the operation at that place."""
        self._subgraph.operators[index : index + 1] = [op.source for op in operations]  # for `watched`
        self.operations = (*self.operations[:index], *operations, *self.operations[index + 1 :])

    def fully_connected(self, op: Operation) -> Any:
        """Options of a `FULLY_CONNECTED` in the place of a convolution: four dimensions and its activation stay."""
        schema = self._schema
        options = schema.FullyConnectedOptionsT(
            fusedActivationFunction=op.source.builtinOptions.fusedActivationFunction,
            keepNumDims=True,
            asymmetricQuantizeInputs=True,
        )
        return schema.OperatorT(builtinOptionsType=schema.BuiltinOptions.FullyConnectedOptions, builtinOptions=options)

    def reshape(self, shape: Sequence[int]) -> Any:
        """Options of a `RESHAPE`, in the place of an operation's `source`."""
        schema = self._schema
        options = schema.ReshapeOptionsT(newShape=[int(size) for size in shape])
        return schema.OperatorT(builtinOptionsType=schema.BuiltinOptions.ReshapeOptions, builtinOptions=options)

    def source_with(self, op: Operation, options: Mapping[str, int]) -> Any:
        """An operation's `source` with other values in some fields of its options, which have the schema's names."""
        if not options:
            return op.source
        source = copy.copy(op.source)
        source.builtinOptions = copy.copy(source.builtinOptions)
        vars(source.builtinOptions).update(options)
        return source

    def watched(self, tensors: tuple[int, ...]) -> bytes:
        """The flatbuffer with other outputs, and no signature that could contradict them."""
        outputs, signatures = self._subgraph.outputs, self._model.signatureDefs
        self._subgraph.outputs, self._model.signatureDefs = list(tensors), []
        try:
            return self._packed()
        finally:
            self._subgraph.outputs, self._model.signatureDefs = outputs, signatures

    def rewritten(
        self, operations: list[tuple[Operation, int]], inputs: tuple[int, ...], outputs: tuple[int, ...]
    ) -> bytes:
        """The flatbuffer with other operations; tensors and constants that none of them uses are left out.

        The graph itself is used up: its tensors are renumbered.

        Args:
            operations: In the order in which they run, each with its version.
            inputs: Tensors that take the place of the graph's inputs, one by one.
            outputs: Likewise.
        """
        schema, model, subgraph = self._schema, self._model, self._subgraph
        codes: dict[tuple[str, int], int] = {}
        operators = []
        for operation, version in operations:
            code = codes.setdefault((operation.name, version), len(codes))
            operator = schema.OperatorT(opcodeIndex=code, inputs=[*operation.inputs], outputs=[*operation.outputs])
            if operation.source is not None:
                operator.builtinOptionsType = operation.source.builtinOptionsType
                operator.builtinOptions = operation.source.builtinOptions
            operators.append(operator)
        model.operatorCodes = [_operator_code(schema, name, version) for name, version in codes]
        for signature in model.signatureDefs:
            for items, old, new in (
                (signature.inputs, self.inputs, inputs),
                (signature.outputs, self.outputs, outputs),
            ):
                for item in items:
                    item.tensorIndex = new[old.index(item.tensorIndex)]
        subgraph.operators, subgraph.inputs, subgraph.outputs = operators, [*inputs], [*outputs]
        self._drop_unused()
        return self._packed()

    def _drop_unused(self) -> None:
        model, subgraph = self._model, self._subgraph
        lists = [
            subgraph.inputs,
            subgraph.outputs,
            *(each for op in subgraph.operators for each in (op.inputs, op.outputs)),
        ]
        used = list(dict.fromkeys(index for indices in lists for index in indices if index >= 0))
        place = {index: position for position, index in enumerate(used)} | {-1: -1}
        for indices in lists:
            indices[:] = [place[index] for index in indices]
        for signature in model.signatureDefs:
            for item in (*signature.inputs, *signature.outputs):
                item.tensorIndex = place[item.tensorIndex]
        subgraph.tensors = [subgraph.tensors[index] for index in used]
        # Buffer 0 is the empty one; those of the file's metadata stay.
        kept = {0: 0}
        owners = [(tensor, "buffer") for tensor in subgraph.tensors] + [
            (each, "buffer") for each in model.metadata or ()
        ]
        for owner, field in owners:
            setattr(owner, field, kept.setdefault(getattr(owner, field), len(kept)))
        model.buffers = [model.buffers[index] for index in kept]

    def _packed(self) -> bytes:
        from ai_edge_litert.tools import flatbuffer_utils

        return bytes(flatbuffer_utils.convert_object_to_bytearray(self._model))


def _operator_code(schema: Any, name: str, version: int) -> Any:
    code = getattr(schema.BuiltinOperator, name)
    # Old readers look into a byte, which holds a mark for codes that do not fit.
    return schema.OperatorCodeT(builtinCode=code, deprecatedBuiltinCode=min(code, 127), version=version)
