"""A `.tflite` file: the value, its runner, its inspection, its metadata, and a process of its own to run it in."""
