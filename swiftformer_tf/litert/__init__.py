"""TFLite files: their content, metadata, inspection and profiling, and running them in this process or a subprocess."""
