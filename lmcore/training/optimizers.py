"""The optimiser of a training: a model and settings go in, one optimiser comes out.

AdamW decays matrices and leaves vectors (norms, biases) as they are. With `optimizer: muon`, Muon
updates the matrices of the model's body: its parameters of two dimensions, except embeddings and
the head, which AdamW updates with the rest. An update of Muon is as large as one of AdamW with the
same learning rate usually is (RMS 0.2). Each optimiser has a peak learning rate of its own; the
schedule is common.

Muon orthogonalises its updates in bfloat16, whatever the precision of the training. A matrix that
holds several (GPT-2's queries, keys and values) is orthogonalised as one. Matrices that are split
over ranks are made whole for it, one after the other.

Sources: AdamW: Loshchilov & Hutter 2019, https://arxiv.org/abs/1711.05101; what decays:
transformers' Trainer. Muon: Jordan et al. 2024, https://kellerjordan.github.io/posts/muon; the size
of its updates and their decay: Liu et al. 2025 (Moonshot), https://arxiv.org/abs/2502.16982.
"""

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel

from lmcore.training.settings import Settings
from lmcore.training.shares import split_as, whole

SIZE = "match_rms_adamw"  # of Muon's updates


def make_optimizer(model: PreTrainedModel, settings: Settings) -> torch.optim.Optimizer:
    """The optimiser of all parameters that are trained; their state is in its `state`."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if settings.optimizer == "adamw":
        return _adamw(parameters, settings)
    ids = {id(parameter) for parameter in body_matrices(model)}
    kind = _SplitMuon if settings.sharded else torch.optim.Muon
    muon = kind(
        [parameter for parameter in parameters if id(parameter) in ids],
        **settings.muon,
        adjust_lr_fn=SIZE,
    )
    rest = [parameter for parameter in parameters if id(parameter) not in ids]
    return _Joined([muon, _adamw(rest, settings)])


def body_matrices(model: PreTrainedModel) -> list[torch.nn.Parameter]:
    """The parameters of two dimensions, except the head and embeddings of tokens or positions."""
    embeddings = [module for module in model.modules() if isinstance(module, torch.nn.Embedding)]
    outer = [*embeddings, model.get_output_embeddings()]
    outer_ids = {id(module.weight) for module in outer if module is not None}
    return [
        parameter
        for parameter in model.parameters()
        if parameter.ndim == 2 and id(parameter) not in outer_ids and parameter.requires_grad
    ]


def peak_lrs(optimizer: torch.optim.Optimizer) -> list[float]:
    """The peak learning rate of every parameter group: the one that the optimiser was made with."""
    return [group["lr"] for group in optimizer.param_groups]


def _adamw(parameters: list[torch.nn.Parameter], settings: Settings) -> torch.optim.Optimizer:
    """AdamW in which matrices decay and vectors (norms, biases) do not."""
    groups = [
        {
            "params": [parameter for parameter in parameters if parameter.ndim > 1],
            "weight_decay": settings.weight_decay,
        },
        {
            "params": [parameter for parameter in parameters if parameter.ndim <= 1],
            "weight_decay": 0.0,
        },
    ]
    betas = (settings.betas[0], settings.betas[1])
    return torch.optim.AdamW(groups, lr=settings.lr, betas=betas, fused=True)


class _SplitMuon(torch.optim.Muon):
    """Muon of matrices that are split over ranks.

    Its momentum is split as they are. Each rank orthogonalises the whole update and takes its
    share. torch's own Muon takes sums over the parts of a split matrix in bfloat16: then the ranks
    would be in the numbers.
    """

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                update = self._momentum(parameter, parameter.grad, group["momentum"])
                moved = split_as(parameter, _moved(whole(update), group["lr"]))
                parameter.mul_(1 - group["lr"] * group["weight_decay"]).add_(moved)

    def _momentum(
        self, parameter: torch.nn.Parameter, gradient: torch.Tensor, momentum: float
    ) -> torch.Tensor:
        """Nesterov's momentum with this gradient, split as the parameter is."""
        state = self.state[parameter]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(gradient)
        buffer = state["momentum_buffer"].lerp_(gradient, 1 - momentum)
        return gradient.lerp(buffer, momentum)


def _moved(update: torch.Tensor, lr: float) -> torch.Tensor:
    """Where torch's Muon moves a matrix of zeros by this update alone."""
    matrix = torch.nn.Parameter(torch.zeros_like(update))
    matrix.grad = update
    torch.optim.Muon(
        [matrix], lr=lr, momentum=0.0, weight_decay=0.0, nesterov=False, adjust_lr_fn=SIZE
    ).step()
    return matrix.detach()


class _Joined(torch.optim.Optimizer):
    """Several optimisers of different parameters as one.

    They share parameter groups and state with it. So gradient scaling of fp16 skips a step of all
    of them, or of none.
    """

    def __init__(self, parts: Sequence[torch.optim.Optimizer]):
        super().__init__([group for part in parts for group in part.param_groups], {})
        self.parts = parts
        for part in parts:
            self.state.update(part.state)
            part.state = self.state

    def step(self, closure=None):
        for part in self.parts:
            part.step(closure)
