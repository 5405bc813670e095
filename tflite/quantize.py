"""The quantisation script: `python tflite/quantize.py MODEL -o DIR --recipe int8 ...` is `swiftformer-tf export`."""

import sys

from swiftformer_tf.cli import main

main(["export", *sys.argv[1:]])
