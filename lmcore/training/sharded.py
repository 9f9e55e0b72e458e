"""A model that is split over the ranks: a whole one goes in, and each rank holds its share of it.

torch's FSDP2 splits weights, gradients and the optimiser's state, each tensor by its first
dimension. A rank holds a layer whole only while it computes with it. What is in no layer
(embeddings, last norm, head) is whole during all of a pass, because the loss reads the head.

Where products are in half precision, a layer's matrices are cast before they travel. So half as
much travels, and autocast makes no copies of them, which would be kept for the backward pass. Norms
travel apart, in float32. The numbers are those of autocast in a model that is not split.

All ranks must take the same number of passes (see lmcore.training.batches.passes).
"""

import copy

import torch
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DeviceMesh, init_device_mesh
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from lmcore.errors import InputError
from lmcore.training import ranks
from lmcore.training.objective import PassLoss, pass_loss
from lmcore.training.shares import whole


class Sharded(torch.nn.Module):
    """A copy of a model, split over the ranks, and the pass that computes its losses.

    `forward` is `pass_loss`, so that FSDP makes whole what it reads. Its backward pass leaves each
    rank its share of the gradients' sums over all ranks.
    """

    def __init__(self, model: PreTrainedModel, device: torch.device, dtype: torch.dtype):
        """Copy the weights of `model`, which lie on the CPU and stay there; dtype: of products.

        Raises InputError for a model without layers.
        """
        super().__init__()
        # weights that share storage with the model's: a whole copy would take as much again
        weights = {id(weight): _alias(weight) for weight in model.parameters()}
        self.model: PreTrainedModel = copy.deepcopy(model, weights)
        layers = _layers(self.model.base_model)
        if not layers:
            raise InputError(
                "train_model: sharded true splits a model by its layers; "
                f"expected some in this {model.config.model_type}, which has none"
            )
        if device.type == "cuda":
            torch.cuda.set_device(device)  # FSDP takes the current one
        mesh = init_device_mesh(device.type, (ranks.size(),))
        for layer in layers:
            _split(layer, mesh, dtype)
        fully_shard(self, mesh=mesh)
        for module in self.modules():
            if isinstance(module, FSDPModule):
                # losses are sums: they are divided by all targets later
                module.set_gradient_divide_factor(1.0)
                module.set_force_sum_reduction_for_comms(True)

    def forward(self, *arguments) -> PassLoss:
        """What lmcore.training.objective.pass_loss returns of the model and the arguments."""
        return pass_loss(self.model, *arguments)

    def free(self) -> None:
        """Let go of what a pass without gradients leaves whole; a backward pass does so itself."""
        if isinstance(self, FSDPModule):
            self.reshard()

    @torch.no_grad()
    def copy_into(self, model: PreTrainedModel) -> None:
        """Set the whole model to these weights. All ranks call this."""
        for name, weight in self.model.named_parameters():
            model.get_parameter(name).copy_(whole(weight))


def _alias(weight: torch.nn.Parameter) -> torch.nn.Parameter:
    return torch.nn.Parameter(weight.detach(), weight.requires_grad)


def _layers(body: torch.nn.Module) -> list[torch.nn.Module]:
    """The layers in a model's body (Llama's `layers`, GPT-2's `h`), without lists in layers."""
    layers = []
    for part in body.children():
        layers += list(part) if isinstance(part, torch.nn.ModuleList) else _layers(part)
    return layers


def _split(layer: torch.nn.Module, mesh: DeviceMesh, dtype: torch.dtype) -> None:
    """Split a layer whose products are in `dtype`."""
    if dtype == torch.float32:
        fully_shard(layer, mesh=mesh)
        return
    for module in layer.modules():
        is_product = isinstance(module, torch.nn.Linear | Conv1D)
        if list(module.parameters(recurse=False)) and not is_product:
            fully_shard(module, mesh=mesh)  # a norm
    # the residual stream, which comes in, stays float32
    cast = MixedPrecisionPolicy(dtype, torch.float32, cast_forward_inputs=False)
    fully_shard(layer, mesh=mesh, mp_policy=cast)
