"""Verification: checks whether a TFLite file computes what its Keras model does, and holds what its recipe says."""

from swiftformer_tf.verification.comparison import Outputs, ReferenceAnswers, VerificationCheck, signal_to_noise
from swiftformer_tf.verification.file_checks import check_file
from swiftformer_tf.verification.verifying import (
    CALIBRATION_IMAGES,
    Verdict,
    VerificationReport,
    reference_answers,
    verify,
)

__all__ = [
    "CALIBRATION_IMAGES",
    "Outputs",
    "ReferenceAnswers",
    "Verdict",
    "VerificationCheck",
    "VerificationReport",
    "check_file",
    "reference_answers",
    "signal_to_noise",
    "verify",
]
