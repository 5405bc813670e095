"""Replaces operations that LiteRT supports only in floats with others that it supports in integers too."""

from swiftformer_tf.quantization.graph import Graph

__all__ = ["lower_float_only"]

# The steps in the place of an operation: a name, a fused activation, and what each input is: that input of the
# operation, what the step before made, or a number.
BEFORE = "before"
Steps = tuple[tuple[str, str, tuple[int | float | str, ...]], ...]

LOWERED: dict[str, Steps] = {
    # LiteRT supports it in 8 bits but not in 16, and XNNPACK in neither.
    "HARD_SWISH": (
        ("ADD", "RELU6", (0, 3.0)),
        ("MUL", "NONE", (BEFORE, 1 / 6)),
        ("MUL", "NONE", (0, BEFORE)),
    ),
    "NEG": (("MUL", "NONE", (0, -1.0)),),
    "RELU_N1_TO_1": (("MAXIMUM", "NONE", (0, -1.0)), ("MINIMUM", "NONE", (BEFORE, 1.0))),
    # Floor for a norm that has none: an integer may be zero where no float was.
    "RSQRT": (("MAXIMUM", "NONE", (0, 1e-24)), ("RSQRT", "NONE", (BEFORE,))),
    "SQUARE": (("MUL", "NONE", (0, 0)),),
    "SQUARED_DIFFERENCE": (("SUB", "NONE", (0, 1)), ("MUL", "NONE", (BEFORE, BEFORE))),
}


def lower_float_only(graph: Graph) -> Graph:
    """Returns a float graph with the same tensors, and new ones between them.

    Args:
        graph: A float graph from the converter.
    """
    graph = graph.copy()
    producers = {op.outputs[0]: op.name for op in graph.operations}
    for op in graph.operations:
        steps = LOWERED.get(op.name, ())
        if not steps or (op.name == "RSQRT" and producers.get(op.inputs[0]) == "MAXIMUM"):
            continue
        (output,), operations, made = op.outputs, [], -1
        for number, (name, activation, operands) in enumerate(steps, start=1):
            inputs = []
            for operand in operands:
                if isinstance(operand, float):
                    inputs.append(graph.add_scalar(output, f"/constant_{number}", operand))
                else:
                    inputs.append(made if operand == BEFORE else op.inputs[int(operand)])
            last = number == len(steps)
            made = output if last else graph.add_tensor(output, "float32", name=f"{graph.label(output)}/step_{number}")
            operations.append(graph.operation(name, tuple(inputs), made, activation))
        graph.replace_operation(graph.operations.index(op), operations)
    return graph
