"""A TFLite flatbuffer as a list of operations that can be read and rewritten."""

import copy
import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np

from swiftformer_tf.errors import ModelError
from swiftformer_tf.litert.integers import Kind, Quantization
from swiftformer_tf.litert.ops import CASTS, MATRIX_OPS, groups, operation_name
from swiftformer_tf.litert.packing import pack_int4, unpack_int4
from swiftformer_tf.litert.versions import option_version

__all__ = ["VARIANT", "Graph", "Operation", "numbered"]

# Between the name of a float tensor and what tells apart the others of a file that stand for it.
VARIANT = ";"


@dataclasses.dataclass(frozen=True, eq=False)
class Operation:
    """An operation; its tensors are indices into the graph.

    Args:
        name: LiteRT's name, such as `CONV_2D`.
        inputs: Activations and constants; -1 for an omitted optional input.
        outputs: Outputs; most operations have one.
        source: The flatbuffer's object, whose options are kept.
        version: Version of the operation in LiteRT's registry.
    """

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    source: Any = None
    version: int = 1

    @property
    def matrix(self) -> tuple[int, int, int]:
        """For one of `MATRIX_OPS`, its input, its matrix, and its bias, -1 if there is none."""
        first, weights, *others = (*self.inputs, -1)
        # The first input of a transposed convolution is the shape of its output.
        return (others[0], weights, others[1]) if self.name == "TRANSPOSE_CONV" else (first, weights, others[0])

    def with_matrix(self, source: int, weights: int, bias: int = -1) -> tuple[int, ...]:
        """Returns the inputs, with those of `matrix` replaced."""
        inputs = (self.inputs[0], weights, source, bias) if self.name == "TRANSPOSE_CONV" else (source, weights, bias)
        return inputs if bias >= 0 else inputs[:-1]


class Graph:
    """Reads a flatbuffer with one subgraph, and writes it with new operations and tensors.

    Args:
        content: The flatbuffer.

    Raises:
        ModelError: There are several subgraphs.
    """

    def __init__(self, content: bytes) -> None:
        from ai_edge_litert import schema_py_generated as schema
        from ai_edge_litert.tools import flatbuffer_utils

        self._schema = schema
        types = vars(schema.TensorType).items()
        self._kinds: dict[int, Any] = {value: name.lower() for name, value in types if isinstance(value, int)}
        self._model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
        if len(self._model.subgraphs) != 1:
            count = len(self._model.subgraphs)
            raise ModelError(f"the model has {count} subgraphs: expected one; give recurrent layers unroll=True")
        (self._subgraph,) = self._model.subgraphs
        codes = [operation_name(code) for code in self._model.operatorCodes]
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

    def copy(self) -> Self:
        """Returns an independent copy of the graph."""
        graph = copy.copy(self)
        graph._model, graph._subgraph = copy.copy(self._model), copy.copy(self._subgraph)
        graph._model.subgraphs = [graph._subgraph]
        graph._model.operatorCodes, graph._model.buffers = [*self._model.operatorCodes], [*self._model.buffers]
        graph._model.signatureDefs = copy.deepcopy(self._model.signatureDefs)
        graph._model.metadata = copy.deepcopy(self._model.metadata)
        graph._subgraph.operators = [*self._subgraph.operators]
        graph._subgraph.tensors = [copy.copy(tensor) for tensor in self._subgraph.tensors]
        return graph

    def shape(self, tensor: int) -> tuple[int, ...]:
        """Returns the shape of a tensor."""
        shape = self._subgraph.tensors[tensor].shape
        return () if shape is None else tuple(map(int, shape))

    def label(self, tensor: int) -> str:
        """Returns the name of the float graph's tensor that a tensor represents."""
        return str(self._subgraph.tensors[tensor].name.decode()).partition(VARIANT)[0]

    def computed_inputs(self, op: Operation) -> list[int]:
        """Returns the inputs that are not constants."""
        return [each for each in op.inputs if each >= 0 and self.constant(each) is None]

    def is_matrix(self, op: Operation) -> bool:
        """Whether an operation multiplies by constants rather than multiplying two computed tensors."""
        return op.name in MATRIX_OPS and self.constant(op.matrix[1]) is not None

    def groups(self, op: Operation) -> int:
        """Returns the number of groups of a matrix or filter: sets of channels with separate outputs."""
        source, weights, _ = op.matrix
        return groups(op.name, self.shape(source), self.shape(weights))

    def bias_name(self, op: Operation) -> str:
        """Returns a name derived from the operation's matrix: the converter shares a constant among equal biases."""
        return self.label(op.inputs[1]).rpartition("/")[0] + "/bias"

    def signature_names(self) -> dict[int, str]:
        """Returns the names of the inputs and outputs in the signature."""
        return {
            int(item.tensorIndex): item.name.decode()
            for signature in self._model.signatureDefs or ()
            for item in (*signature.inputs, *signature.outputs)
        }

    def rename(self, names: Mapping[int, str]) -> None:
        """Renames tensors."""
        for tensor, name in names.items():
            self._subgraph.tensors[tensor].name = name.encode()

    def constant(self, tensor: int) -> np.ndarray | None:
        """Returns the value of a constant; None for a computed tensor."""
        found = self._subgraph.tensors[tensor]
        data = self._model.buffers[found.buffer].data
        if data is None:
            return None
        if (kind := self.kind(tensor)) == "int4":
            return unpack_int4(bytes(data), self.shape(tensor))
        return np.frombuffer(bytes(data), kind).reshape(self.shape(tensor))

    def kind(self, tensor: int) -> Kind:
        """Returns the type of a tensor, by NumPy's name."""
        kind: Kind = self._kinds[self._subgraph.tensors[tensor].type]
        return kind

    def quantization(self, tensor: int) -> Quantization | None:
        """Returns the quantization of a tensor; None for floats and for integers without a scale."""
        found = self._subgraph.tensors[tensor].quantization
        if found is None or found.scale is None or not len(found.scale):
            return None
        return Quantization(np.array(found.scale, np.float32), int(found.zeroPoint[0]), int(found.quantizedDimension))

    def activation(self, op: Operation) -> str:
        """Returns the activation function fused into an operation: `NONE`, `RELU` and so on."""
        value = getattr(op.source.builtinOptions, "fusedActivationFunction", 0)
        kinds = vars(self._schema.ActivationFunctionType).items()
        return str(next(name for name, kind in kinds if kind == value and not name.startswith("_")))

    def replace_weights(self, index: int, arrays: list[np.ndarray]) -> None:
        """Replaces the second and following inputs of the operation at an index with float32 constants."""
        op = self.operations[index]
        first, weights, bias = op.matrix
        constants = [
            self.add_tensor(tensor, "float32", value=value, name=name)
            for tensor, value, name in zip(
                (weights, bias), arrays, (self.label(weights), self.bias_name(op)), strict=False
            )
        ]
        source = copy.copy(op.source)
        source.inputs = [*op.with_matrix(first, *constants)]  # for `watched`
        self.replace_operation(index, [dataclasses.replace(op, inputs=tuple(source.inputs), source=source)])

    def shift_bias(self, index: int, shift: np.ndarray) -> None:
        """Adds floats (channels,) to the bias, of any type, of the operation at an index."""
        op = self.operations[index]
        source, weights, bias = op.matrix
        value, quantization = self.constant(bias), self.quantization(bias)
        assert value is not None
        shifted = value + (shift if quantization is None else np.rint(shift / quantization.scale))
        kind = self.kind(bias)
        changed = self.add_tensor(bias, kind, value=shifted, quantization=quantization)
        moved = dataclasses.replace(op, inputs=op.with_matrix(source, weights, changed))
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
        """Adds a tensor with the label of another and, by default, its shape; returns the new index."""
        schema = self._schema
        tensor = schema.TensorT(
            shape=list(self.shape(like) if value is None else value.shape) if shape is None else list(shape),
            type=getattr(schema.TensorType, kind.upper()),
            name=(self.label(like) if name is None else name).encode(),
            hasRank=True,
        )
        if quantization is not None:
            tensor.quantization = schema.QuantizationParametersT(
                scale=[float(scale) for scale in quantization.scale],
                zeroPoint=[quantization.zero_point] * len(quantization.scale),
                quantizedDimension=quantization.axis,
            )
        if value is not None:
            data = pack_int4(value) if kind == "int4" else np.frombuffer(value.astype(kind).tobytes(), np.uint8)
            self._model.buffers.append(schema.BufferT(data=data))
            tensor.buffer = len(self._model.buffers) - 1
        self._subgraph.tensors.append(tensor)
        return len(self._subgraph.tensors) - 1

    def add_scalar(self, like: int, suffix: str, value: float) -> int:
        """Adds a constant named after another tensor, a single number with as many dimensions; returns its index."""
        number = np.full((1,) * len(self.shape(like)), value, np.float32)
        return self.add_tensor(like, "float32", value=number, name=self.label(like) + suffix)

    def operation(self, name: str, inputs: tuple[int, ...], output: int, activation: str = "NONE") -> Operation:
        """Creates a float operation with default options, for `replace_operation`."""
        schema, codes = self._schema, self._model.operatorCodes
        codes.append(_operator_code(schema, name, version=1))
        source = schema.OperatorT(opcodeIndex=len(codes) - 1, inputs=[*inputs], outputs=[output])
        if name in ("ADD", "DIV", "MUL", "SUB"):
            kind = f"{name.capitalize()}Options"
            source.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
            source.builtinOptions = getattr(schema, f"{kind}T")()
            source.builtinOptions.fusedActivationFunction = getattr(schema.ActivationFunctionType, activation)
        return Operation(name, inputs, (output,), source)

    def replace_operation(self, index: int, operations: Sequence[Operation]) -> None:
        """Replaces the operation at an index with others."""
        self._subgraph.operators[index : index + 1] = [op.source for op in operations]  # for `watched`
        self.operations = (*self.operations[:index], *operations, *self.operations[index + 1 :])

    def fully_connected(self, op: Operation) -> Any:
        """Creates the options of a `FULLY_CONNECTED` that replaces a convolution, in 4-D and with its activation."""
        schema = self._schema
        options = schema.FullyConnectedOptionsT(
            fusedActivationFunction=op.source.builtinOptions.fusedActivationFunction,
            keepNumDims=True,
            asymmetricQuantizeInputs=True,
        )
        return schema.OperatorT(builtinOptionsType=schema.BuiltinOptions.FullyConnectedOptions, builtinOptions=options)

    def pointwise(self) -> Any:
        """Creates the options of a 1x1 `CONV_2D`, to replace an operation's `source`."""
        schema = self._schema
        options = schema.Conv2DOptionsT(
            padding=schema.Padding.VALID, strideH=1, strideW=1, dilationHFactor=1, dilationWFactor=1
        )
        return schema.OperatorT(builtinOptionsType=schema.BuiltinOptions.Conv2DOptions, builtinOptions=options)

    def reduction(self) -> Any:
        """Options of a `REDUCE_MAX` that keeps the dimension, in the place of an operation's `source`."""
        schema = self._schema
        options = schema.ReducerOptionsT(keepDims=True)
        return schema.OperatorT(builtinOptionsType=schema.BuiltinOptions.ReducerOptions, builtinOptions=options)

    def reshape(self, shape: Sequence[int]) -> Any:
        """Creates the options of a `RESHAPE`, to replace an operation's `source`."""
        schema = self._schema
        options = schema.ReshapeOptionsT(newShape=[int(size) for size in shape])
        return schema.OperatorT(builtinOptionsType=schema.BuiltinOptions.ReshapeOptions, builtinOptions=options)

    def source_with(self, op: Operation, options: Mapping[str, int]) -> Any:
        """Returns an operation's `source` with some fields of its options, by the schema's names, changed."""
        if not options:
            return op.source
        source = copy.copy(op.source)
        source.builtinOptions = copy.copy(source.builtinOptions)
        vars(source.builtinOptions).update(options)
        return source

    def watched(self, tensors: tuple[int, ...]) -> bytes:
        """Returns the flatbuffer with different outputs, and without a signature that could contradict them."""
        graph = self.copy()
        graph._subgraph.outputs, graph._model.signatureDefs = list(tensors), []
        return graph._packed()

    def rewritten(
        self, operations: list[tuple[Operation, int]], inputs: tuple[int, ...], outputs: tuple[int, ...]
    ) -> bytes:
        """Returns the flatbuffer with different operations, without unused tensors and constants.

        Each tensor has a unique name: its label and, if an earlier one has the same, the operation that wrote it or its
        type.

        Args:
            operations: The operations in the order of execution, each with the version that its types need; its shapes
                and options may need a newer one.
            inputs: Tensors that replace the graph's inputs, one by one.
            outputs: Tensors that replace the graph's outputs, one by one.
        """
        graph = self.copy()
        schema, model, subgraph = graph._schema, graph._model, graph._subgraph
        codes: dict[tuple[str, int], int] = {}
        operators = []
        for operation, version in operations:
            operator = schema.OperatorT() if operation.source is None else copy.copy(operation.source)
            shapes = [None if each < 0 else self.shape(each) for each in operation.inputs]
            needed = max(version, option_version(operation.name, operator.builtinOptions, shapes))
            code = codes.setdefault((operation.name, needed), len(codes))
            operator.opcodeIndex = code
            operator.inputs, operator.outputs = [*operation.inputs], [*operation.outputs]
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
        producers = {output: op for op, _ in operations for output in op.outputs}
        graph._tell_apart({tensor: op.name for tensor, op in producers.items()})
        graph._drop_unused()
        return graph._packed()

    def _used(self) -> list[int]:
        subgraph = self._subgraph
        ends = [*subgraph.inputs, *subgraph.outputs]
        inner = [index for op in subgraph.operators for each in (op.inputs, op.outputs) for index in each if index >= 0]
        return list(dict.fromkeys((*ends, *inner)))

    def _tell_apart(self, made_by: Mapping[int, str]) -> None:
        names: dict[str, int] = {}
        for tensor in self._used():
            label, producer = self.label(tensor), made_by.get(tensor, "")
            what = producer.lower() if producer in (*CASTS, "RESHAPE") else self.kind(tensor)
            tried = itertools.chain([label], numbered(label + VARIANT + what))
            names[next(name for name in tried if name not in names)] = tensor
        self.rename({tensor: name for name, tensor in names.items()})

    def _drop_unused(self) -> None:
        model, subgraph = self._model, self._subgraph
        lists = [
            subgraph.inputs,
            subgraph.outputs,
            *(each for op in subgraph.operators for each in (op.inputs, op.outputs)),
        ]
        used = self._used()
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


def numbered(name: str) -> Iterator[str]:
    """Yields the name, and then the name followed by a number."""
    yield name
    yield from (f"{name}_{number}" for number in itertools.count(1))
