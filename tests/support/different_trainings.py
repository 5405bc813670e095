"""A process of a training that its other process sets up in another way."""

from swiftformer_tf.errors import ConfigError
from swiftformer_tf.training.processes import check_same_settings, distribute, is_first_process, share_of_batch

__all__ = ["join"]


def join(process: int, address: str) -> None:
    """Prints this process's share of a batch of 6, and the errors about one of 7 and about another seed."""
    distribute(2, process, address)
    print(share_of_batch(6), is_first_process())
    try:
        share_of_batch(7)
    except ConfigError as error:
        print(error)
    check_same_settings({"recipe": {"epochs": 3}, "seed": 1})
    try:
        check_same_settings({"recipe": {"epochs": 3}, "seed": process})
    except ConfigError as error:
        print(error)
