"""Training and fine-tuning through plain `compile` and `fit`: recipes, batches, teachers, averages.

`train` goes from folders of photographs to a trained model, `train_classifier` and `train_segmenter` from a model; each
part works alone too.
"""

from swiftformer_tf.training.batch_norm import update_batch_norm
from swiftformer_tf.training.callbacks import AveragedWeights, RunFolder, Validation, best_epoch, validation_figures
from swiftformer_tf.training.dataset import steps_per_epoch, training_dataset
from swiftformer_tf.training.from_folders import train
from swiftformer_tf.training.models import adapted_model, class_labels, freeze, new_model
from swiftformer_tf.training.optimization import ClippedAdamW, adamw, compile_for, learning_rate
from swiftformer_tf.training.photographs import training_photographs
from swiftformer_tf.training.processes import distribute
from swiftformer_tf.training.recipes import TRAINING_RECIPES, Augmentation, TrainingRecipe, training_recipe
from swiftformer_tf.training.running import train_classifier
from swiftformer_tf.training.segmentation import segmenter_on, train_segmenter
from swiftformer_tf.training.segmentation_recipes import SEGMENTATION_RECIPES, SegmentationRecipe
from swiftformer_tf.training.teachers import Teacher, TeacherLogits

__all__ = [
    "SEGMENTATION_RECIPES",
    "TRAINING_RECIPES",
    "Augmentation",
    "AveragedWeights",
    "ClippedAdamW",
    "RunFolder",
    "SegmentationRecipe",
    "Teacher",
    "TeacherLogits",
    "TrainingRecipe",
    "Validation",
    "adamw",
    "adapted_model",
    "best_epoch",
    "class_labels",
    "compile_for",
    "distribute",
    "freeze",
    "learning_rate",
    "new_model",
    "segmenter_on",
    "steps_per_epoch",
    "train",
    "train_classifier",
    "train_segmenter",
    "training_dataset",
    "training_photographs",
    "training_recipe",
    "update_batch_norm",
    "validation_figures",
]
