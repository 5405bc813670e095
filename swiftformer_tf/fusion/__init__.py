"""The deploy graph: a copy of a functional model with folded blocks, static shapes and named outputs."""

from swiftformer_tf.fusion.deploy_model import DeployModel, fuse, graph_config, output_names, tasks_of
from swiftformer_tf.fusion.graph_walk import in_float32

__all__ = ["DeployModel", "fuse", "graph_config", "in_float32", "output_names", "tasks_of"]
