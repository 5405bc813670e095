from .batch_norm import update_batch_norm
from .callbacks import AveragedWeights, RunFolder, Validation, best_epoch, validation_figures
from .dataset import steps_per_epoch, training_dataset
from .from_folders import train
from .models import adapted_model, class_labels, freeze, new_model
from .optimization import ClippedAdamW, adamw, compile_for, learning_rate
from .photographs import training_photographs
from .processes import distribute
from .recipes import TRAINING_RECIPES, Augmentation, TrainingRecipe, training_recipe
from .running import train_classifier
from .segmentation import segmenter_on, train_segmenter
from .segmentation_recipes import SEGMENTATION_RECIPES, SegmentationRecipe
from .teachers import Teacher, TeacherLogits

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
