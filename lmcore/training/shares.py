"""Tensors that are split over the ranks, each by its first dimension, and whole ones."""

import torch
from torch.distributed.tensor import DTensor, distribute_tensor


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor without gradient. One that is split is gathered: all ranks call this."""
    tensor = tensor.detach()
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def split_as(like: torch.Tensor, tensor: torch.Tensor) -> torch.Tensor:
    """A whole tensor, which all ranks have, split as `like` is and on its device.

    It stays whole where `like` is, and where it has another shape (a count of steps).
    """
    tensor = tensor.to(like.device)
    if not isinstance(like, DTensor) or tensor.shape != like.shape:
        return tensor
    return distribute_tensor(tensor, like.device_mesh, like.placements, src_data_rank=None)


def is_split(tensor: torch.Tensor) -> bool:
    """Whether this rank holds a share of the tensor only."""
    return isinstance(tensor, DTensor)
