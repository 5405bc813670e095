"""Training on several devices, or in several processes on one or more machines, with Keras's distribution API.

Every process runs the same training on its share of each batch. Keras's JAX backend sums losses, gradients and
BatchNorm statistics over the whole batch (between CPUs with Gloo), so that the result is that of a single process.
"""

import contextlib
import hashlib
import json
import socket
import sys
import time
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from swiftformer_tf.errors import ConfigError, first_line, how_to_install

__all__ = ["check_same_settings", "distribute", "is_first_process", "share_of_batch", "undistributed"]


# Seconds between two attempts to reach process 0.
RETRY_SECONDS = 0.5


def distribute(
    num_processes: int = 1, process_id: int = 0, coordinator_address: str | None = None, *, wait_seconds: float = 60
) -> None:
    """Distributes all further training over all devices of all processes; to be called before any computation.

    With one process on one device, it does nothing.

    Args:
        num_processes: Number of processes; each of them calls this function and waits for the others.
        process_id: Index of this process, from 0; process 0 writes the run's folder.
        coordinator_address: `"HOST:PORT"` at which process 0 listens.
        wait_seconds: Time in seconds for which the others try to reach process 0.

    Raises:
        ConfigError: There are several processes but no JAX backend or no address, a number is impossible, or nothing
            answers at the address.

    Examples:
        >>> import keras
        >>> distribute()
        >>> keras.distribution.distribution() is None
        True
    """
    if num_processes > 1:
        if keras.backend.backend() != "jax":
            raise ConfigError(
                f"num_processes={num_processes}: Keras runs on {keras.backend.backend()}; several processes need "
                f"its JAX backend: {how_to_install('jax')}, and set KERAS_BACKEND=jax"
            )
        if not 0 <= process_id < num_processes:
            raise ConfigError(f"process_id={process_id}: expected 0 to {num_processes - 1} for {num_processes=}")
        if not coordinator_address:
            raise ConfigError(f"num_processes={num_processes}: expected coordinator_address, HOST:PORT of process 0")
        host, _, port = coordinator_address.rpartition(":")
        if not host or not port.isdigit():
            raise ConfigError(f"coordinator_address={coordinator_address}: expected HOST:PORT, such as 10.0.0.1:1234")
        if process_id:
            _await_coordinator(host.strip("[]"), int(port), wait_seconds)
        else:
            print(f"waits at {coordinator_address} for the other processes", file=sys.stderr, flush=True)
        try:
            keras.distribution.initialize(coordinator_address, num_processes, process_id)
        except (RuntimeError, ValueError) as error:
            raise ConfigError(f"coordinator_address={coordinator_address}: {first_line(error)}") from None
    if keras.backend.backend() == "jax" and len(keras.distribution.list_devices()) > 1:
        # Our batches are shared out already.
        keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))


def _await_coordinator(host: str, port: int, wait_seconds: float) -> None:
    """Waits until process 0 listens; JAX would wait silently and then terminate this process without an exception."""
    print(f"waits for process 0 at {host}:{port}", file=sys.stderr, flush=True)
    give_up = time.monotonic() + wait_seconds
    while True:
        try:
            with socket.create_connection((host, port), timeout=max(RETRY_SECONDS, give_up - time.monotonic())):
                return
        except (OSError, OverflowError) as error:  # a port beyond 65535 is the latter
            if time.monotonic() >= give_up:
                raise ConfigError(
                    f"coordinator_address={host}:{port}: process 0 did not answer in {wait_seconds:g} s ({error}); "
                    "start it, or give the address at which this machine reaches it"
                ) from None
        time.sleep(RETRY_SECONDS)


def is_first_process() -> bool:
    """Whether this process writes files; true if there is only one."""
    return _processes()[0] == 0


def share_of_batch(batch_size: int) -> slice:
    """Returns the part of every batch that this process provides.

    Raises:
        ConfigError: The batch size is not divisible by the number of devices.

    Examples:
        >>> share_of_batch(64)
        slice(0, 64, None)
    """
    index, count, devices = _processes()
    if batch_size % devices:
        raise ConfigError(f"batch_size={batch_size}: expected a multiple of the {devices} devices")
    share = batch_size // count
    return slice(index * share, (index + 1) * share)


def _processes() -> tuple[int, int, int]:
    """The number of this process, how many there are, and how many devices they have."""
    if keras.distribution.distribution() is None:
        return 0, 1, 1
    import jax

    # Keras's distributions know them since 3.15.
    return jax.process_index(), jax.process_count(), jax.device_count()


@contextlib.contextmanager
def undistributed() -> Iterator[None]:
    """Within this context, models and computations are local to this process."""
    distribution = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(distribution)


def check_same_settings(about: dict[str, Any]) -> None:
    """Checks that all processes run the same training, before they would wait for each other forever.

    Args:
        about: Settings that must be equal, as JSON types; the message names the first field that differs.

    Raises:
        ConfigError: The settings differ.
    """
    if _processes()[1] == 1:
        return
    from jax.experimental import multihost_utils

    digests = [hashlib.sha256(json.dumps(value, sort_keys=True).encode()).digest()[:4] for value in about.values()]
    own = np.frombuffer(b"".join(digests), np.uint32)
    everyone = np.asarray(multihost_utils.process_allgather(own)).reshape(-1, len(own))
    for process, theirs in enumerate(everyone):
        for name, same in zip(about, theirs == everyone[0], strict=True):
            if not same:
                raise ConfigError(f"process {process} has another {name} than process 0; give every process the same")
