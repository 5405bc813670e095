"""What `verify` says, as tests read it."""

from collections import Counter
from collections.abc import Iterable

from swiftformer_tf import RECIPES, LiteModel, Recipe, VerificationReport
from swiftformer_tf.litert.inspection import inspect_model
from swiftformer_tf.verification import VerificationCheck


def statuses(report: VerificationReport) -> dict[str, str]:
    """Each check's status, by its name."""
    return {check.name: check.status for check in report.checks}


def failing(checks: Iterable[VerificationCheck]) -> dict[str, str]:
    """What was measured by each check that did not pass, by its name."""
    return {check.name: check.measured for check in checks if check.status != "passed"}


def lenient(recipe: str) -> Recipe:
    """Thresholds for 8 channels of random weights; the checks are those of the recipe."""
    return RECIPES[recipe].replace(min_snr=8, min_agreement=0.7)


def stored_types(lite: LiteModel, at_least: int = 1) -> Counter[str]:
    """How many matrices of that many elements a file stores in each type."""
    return Counter(each.kind for each in inspect_model(lite).matrices(at_least))
