"""Quantizes a model: `python tflite/quantize.py MODEL -o DIR --recipe int8 ...`, as `swiftformer-tf export`."""

import sys

from swiftformer_tf.cli import main

if __name__ == "__main__":
    main(["export", *sys.argv[1:]])
