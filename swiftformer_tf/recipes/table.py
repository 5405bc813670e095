"""The quantization recipes."""

from swiftformer_tf.recipes.recipe import Recipe

__all__ = ["INT8_LAYERS", "RECIPES"]

# Operations that XNNPACK supports only in float, or runs better in float. With these in float between int8 matrices,
# the graph remains a single partition.
MIXED_FLOAT_OPS = {
    "ADD": "residual sums: eight bits of them are the largest loss of an integer SwiftFormer",
    "DEPTHWISE_CONV_2D": "XNNPACK is as fast in float, and what they read and write stays whole",
    "GELU": "XNNPACK takes it in float only",
    "MUL": "norms and token weights of the attention: products of eight bits lose the small ones",
    "MEAN": "norms and token weights of the attention",
    "MAXIMUM": "norms of the attention: a floor far below an integer's step",
    "RSQRT": "norms of the attention: XNNPACK takes it in float only",
    "SUM": "norms of embeddings, as MEAN",
    "MINIMUM": "norms of embeddings: a bound far beyond them",
    "SUB": "normalization of pixels by their exact mean",
    "FULLY_CONNECTED": "the last matrix, int8 times floats: logits are not rounded to steps",
    "RESHAPE": "shape of the logits",
    "RESIZE_BILINEAR": "maps of a segmenter: their sums and logits are not rounded to steps",
    "SOFTMAX": "probabilities are not rounded to steps",
}

# Layers of XS with the highest loss in int4 per byte saved, worst first: docs/results/int4.md.
INT8_LAYERS = (
    *("stages-0-blocks-0-pwconv1", "stages-0-blocks-2-local_representation-pwconv1", "stages-0-blocks-1-pwconv1"),
    *("stages-0-blocks-2-attn-to_query", "head", "stages-0-blocks-2-local_representation-pwconv2"),
    *("stages-0-blocks-2-attn-to_key", "stages-0-blocks-0-pwconv2", "stages-0-blocks-2-attn-global"),
    *("stages-2-blocks-5-local_representation-pwconv1", "stages-1-blocks-1-pwconv1", "stages-0-blocks-1-pwconv2"),
    *("stages-1-blocks-2-local_representation-pwconv1", "stages-1-blocks-0-pwconv1", "stages-2-blocks-4-pwconv1"),
    *("stages-2-blocks-2-pwconv1",),
)

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            name="float32",
            description="as trained",
            weights="float32",
            activations="float32",
            min_snr=92,
            min_agreement=1.0,
            min_pixel_agreement=0.9999,
            max_partitions=1,
        ),
        Recipe(
            name="float16",
            description="half the size; computes in float32 on a CPU, in float16 on a GPU",
            weights="float16",
            activations="float32",
            min_snr=50,
            min_agreement=0.99,
            min_pixel_agreement=0.999,
            max_partitions=1,
        ),
        Recipe(
            name="dynamic_int8",
            description="a quarter of the size; int8 matrices, ranges measured while it runs; needs no calibration",
            weights="int8",
            activations="float32",
            min_snr=30,
            min_agreement=0.97,
            min_pixel_agreement=0.995,
            max_partitions=1,
            equalize=0.65,
        ),
        Recipe(
            name="dynamic_int4",
            description="a sixth of the size; int4 matrices, the most sensitive ones int8",
            weights="int4",
            activations="float32",
            min_snr=20,
            min_agreement=0.93,
            max_partitions=1,
            equalize=0.5,
            correct_output_bias=True,
            int8_layers=INT8_LAYERS,
        ),
        Recipe(
            name="mixed_int8",
            description="for CPUs and Qualcomm's NPUs: int8 matrices, float where XNNPACK is just as fast",
            weights="int8",
            activations="int8",
            min_snr=26,
            min_agreement=0.94,
            min_pixel_agreement=0.995,
            max_partitions=1,
            float_ops=MIXED_FLOAT_OPS,
            float_pixels=True,
            lower_float_only=True,
            equalize=0.65,
            correct_output_bias=True,
        ),
        Recipe(
            name="int8",
            description="integer, with functions that XNNPACK turns into lookup tables; for CPUs without fast floats",
            weights="int8",
            activations="int8",
            min_snr=20,
            min_agreement=0.93,
            float_probabilities=True,
            lower_float_only=True,
            fit_norm_ranges=True,
            equalize=0.65,
            lower_gelu=True,
            lower_rsqrt=True,
            lower_mean=True,
            correct_output_bias=True,
        ),
        Recipe(
            name="static_int8",
            description="integer throughout, each function one operation; for NPUs other than Qualcomm's",
            weights="int8",
            activations="int8",
            min_snr=20,
            min_agreement=0.93,
            lower_float_only=True,
            fit_norm_ranges=True,
            equalize=0.65,
            lower_mean=True,
            correct_output_bias=True,
        ),
        Recipe(
            name="int16x8",
            description="int8 weights, int16 activations; the most accurate integer recipe",
            caution="for comparisons: on a CPU, LiteRT's reference kernels are about 30 times slower than float32, "
            "and neither Qualcomm's nor Arm's compiler for NPUs takes it whole",
            weights="int8",
            activations="int16",
            min_snr=30,
            min_agreement=0.97,
            min_pixel_agreement=0.995,
            lower_float_only=True,
            equalize=0.0,
        ),
    )
}
"""The package's recipes by name, in the order in which all tables list them. A recipe of your own need not be added.

`min_snr` is in dB and `min_agreement` a share of images, see docs/results/quantization.md.

Example:
    >>> for recipe in RECIPES.values():
    ...     print(f"{recipe.name:12} {recipe.weights:7} {recipe.activations:7} {recipe.min_snr} {recipe.min_agreement}")
    float32      float32 float32 92 1.0
    float16      float16 float32 50 0.99
    dynamic_int8 int8    float32 30 0.97
    dynamic_int4 int4    float32 20 0.93
    mixed_int8   int8    int8    26 0.94
    int8         int8    int8    20 0.93
    static_int8  int8    int8    20 0.93
    int16x8      int8    int16   30 0.97
"""
