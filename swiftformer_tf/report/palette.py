"""One color per recipe, the same in every table and plot."""

from collections.abc import Sequence

from swiftformer_tf.recipes import RECIPES

__all__ = ["PALETTE", "colors"]

# On light and on dark paper. Each has a contrast of at least 3:1 with its paper; neighbors differ in lightness too,
# for eyes that do not tell red from green. Plots add a marker of its own, so no color carries a meaning alone.
PALETTE = (
    ("#16336b", "#a9c8ff"),
    ("#3f8fe0", "#2f86e8"),
    ("#4f9a3a", "#6fdc7c"),
    ("#a02c08", "#e8702a"),
    ("#8b22b8", "#b678ff"),
    ("#c77bad", "#ffc4e4"),
    ("#7d8288", "#8d949c"),
    ("#0b5f5d", "#35c9c0"),
)


def colors(names: Sequence[str]) -> dict[str, int]:
    """Returns the index in `PALETTE` of each recipe: fixed for those in `RECIPES`, followed by your own.

    Args:
        names: Names of the recipes on the page.

    Examples:
        >>> colors(["int8", "mine"])["float32"]
        0
    """
    known = dict.fromkeys([*RECIPES, *names])
    return {name: index % len(PALETTE) for index, name in enumerate(known)}
