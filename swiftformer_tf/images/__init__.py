"""Photographs: transforms, folders, model inputs, labels and samples."""
