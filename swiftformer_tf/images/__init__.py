"""Photographs: the transform of the weights, folders, inputs of a model, labels, samples."""
