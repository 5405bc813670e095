"""litert-quantizer on a file, in the environment of the peers from PyTorch. `tflite/four_bits.py` runs this:

`SOURCE OUT RECIPE` quantizes a file without calibration.
"""

import sys
from pathlib import Path

import numpy as np

__all__ = ["quantized"]


def quantized(source: Path, path: Path, recipe: str, calibration: np.ndarray) -> None:
    """Quantizes a file with litert-quantizer, as its guide shows; images (N, ...) are what the file takes."""
    from litert_quantizer import quantizer
    from litert_quantizer import recipe as recipes

    engine = quantizer.Quantizer(str(source))
    engine.load_quantization_recipe(getattr(recipes, recipe)())
    result = None
    if engine.need_calibration:
        from ai_edge_litert.interpreter import Interpreter

        signature, details = next(iter(Interpreter(str(source)).get_signature_list().items()))
        images = [{details["inputs"][0]: image[None]} for image in calibration]
        result = engine.calibrate({signature: images})
    engine.quantize(result).export_model(str(path), overwrite=True)


if __name__ == "__main__":
    quantized(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], np.empty(0))
