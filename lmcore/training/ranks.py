"""Training on several devices or machines: one process (rank) each, which sum their gradients.

torchrun starts the ranks. Without torchrun there is a single one. A killed rank ends the others'
communication; torchrun then starts all of them anew, and they go on from the checkpoint.
"""

import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
import torch.distributed as dist

from lmcore.errors import InputError
from lmcore.kept_files import locked

POLL = 0.2  # seconds
CONNECT = 5  # seconds, to reach a port


def launch(world_size: int, module: str, *arguments: str) -> None:
    """Become torchrun with `world_size` processes of `python -m module`.

    Nothing happens where one process is enough, or where torchrun has started this one. Across
    machines the user starts torchrun on each. Raises InputError where torchrun was started with
    another number of processes, or on several machines in a way that waits for ever after one was
    lost.
    """
    started = os.environ.get("WORLD_SIZE")
    if started is not None and int(started) != world_size:
        raise InputError(
            f"world_size is {world_size}, but torchrun started {started} processes; "
            "the bits depend on it, so they must agree"
        )
    # each machine counts its own restarts, and one that comes back would be given no store
    may_restart = os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0") != "0"
    if os.environ.get("GROUP_WORLD_SIZE", "1") != "1" and may_restart and _is_shared():
        raise InputError(
            "torchrun --max-restarts on several machines: "
            "set TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 on each before torchrun starts"
        )
    if started is None and world_size > 1:
        options = [
            "--standalone",
            f"--nproc-per-node={world_size}",
            "--max-restarts=3",
            "-m",
            module,
            *arguments,
        ]
        os.execv(sys.executable, [sys.executable, "-m", "torch.distributed.run", *options])


@contextmanager
def alone(work: Path) -> Iterator[None]:
    """Hold the lock of a training's work folder.

    The first rank holds it for all; the others wait in `join`.
    """
    if not is_first():
        yield
        return
    with locked(work):
        yield


def join() -> None:
    """Meet the other ranks, if there are any: by NCCL between GPUs, by gloo between CPUs.

    The first rank may wait for hours for a lock before it comes, so the others wait without end.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        return
    store = _store_of_attempt()
    backend = "nccl" if device().type == "cuda" else "gloo"
    dist.init_process_group(
        backend, store=store, rank=int(os.environ["RANK"]), world_size=int(os.environ["WORLD_SIZE"])
    )


def _store_of_attempt() -> dist.Store:
    """Where the ranks of this attempt find each other's addresses, and none of a dead attempt."""
    host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    if not _is_shared():
        # a port of this attempt alone, on which the first rank holds the store
        while not (is_first() or _is_open(host, port)):
            time.sleep(POLL)
        return dist.TCPStore(host, port, is_master=is_first(), wait_for_workers=False)
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    store = dist.PrefixStore(f"attempt{attempt}", dist.TCPStore(host, port, is_master=False))
    if is_first():
        store.set("ready", "yes")
    while not store.check(["ready"]):
        time.sleep(POLL)
    return store


def _is_shared() -> bool:
    """Whether all attempts of torchrun share one store, as they do by default."""
    return os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"


def _is_open(host: str, port: int) -> bool:
    """Whether something listens there."""
    with suppress(OSError), socket.create_connection((host, port), CONNECT):
        return True
    return False


def leave() -> None:
    """Part from the other ranks when all are done."""
    if dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()


def rank() -> int:
    """The number of this rank, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def is_first() -> bool:
    """Whether this process writes what all ranks made.

    The environment says so, because that also holds before the ranks meet and after they part.
    """
    return os.environ.get("RANK", "0") == "0"


def size() -> int:
    """The number of ranks."""
    return dist.get_world_size() if dist.is_initialized() else 1


def device() -> torch.device:
    """This rank's own GPU.

    It is the CPU where there is no GPU, and where the environment says LMCORE_DEVICE=cpu.
    """
    if torch.cuda.is_available() and os.environ.get("LMCORE_DEVICE", "cuda") == "cuda":
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("cpu")


def add_up(tensors: list[torch.Tensor]) -> None:
    """Replace each tensor by its sum over ranks; all travel as one tensor."""
    if size() == 1:
        return
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    dist.all_reduce(flat)
    sums = flat.split([tensor.numel() for tensor in tensors])
    for tensor, summed in zip(tensors, sums, strict=True):
        tensor.copy_(summed.view_as(tensor))
