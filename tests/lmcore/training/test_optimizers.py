import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from lmcore.models.llama import new_llama
from lmcore.training.optimizers import body_matrices, make_optimizer, peak_lrs
from lmcore.training.settings import Settings
from tests.lmcore.training.test_loop import OPTIONS, SHAPE

MUON = {
    **OPTIONS,
    "optimizer": "muon",
    "muon": {"lr": 0.02, "momentum": 0.9, "weight_decay": 0.5},
}


def names_of(model, parameters) -> set[str]:
    ids = {id(parameter) for parameter in parameters}
    return {name for name, parameter in model.named_parameters() if id(parameter) in ids}


@pytest.mark.parametrize("tied", [False, True])
def test_body_matrices_of_a_llama_are_those_of_its_layers(tokenizer, tied):
    model = new_llama({**SHAPE, "tie_word_embeddings": tied}, tokenizer, 0)
    names = names_of(model, body_matrices(model))
    assert len(names) == 2 * 7
    assert all("proj.weight" in name for name in names)


def test_body_matrices_of_gpt2_leave_out_the_embeddings_of_positions():
    config = GPT2Config(vocab_size=30, n_positions=16, n_embd=8, n_layer=2, n_head=2)
    names = names_of(model := GPT2LMHeadModel(config), body_matrices(model))
    assert len(names) == 2 * 4
    assert not any("wte" in name or "wpe" in name or "bias" in name for name in names)


def test_make_optimizer_muon_updates_every_parameter_once(tokenizer):
    model = new_llama(SHAPE, tokenizer, 0)
    optimizer = make_optimizer(model, Settings(**MUON))
    updated = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    assert len(updated) == len({id(parameter) for parameter in updated})
    assert names_of(model, updated) == {name for name, _ in model.named_parameters()}
    # Muon's matrices, AdamW's, and vectors
    assert peak_lrs(optimizer) == [0.02, 0.01, 0.01]
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.5, 0.1, 0.0]


def test_make_optimizer_muon_keeps_one_moment_of_body_matrices_and_two_of_the_rest(tokenizer):
    model = new_llama(SHAPE, tokenizer, 0)
    optimizer = make_optimizer(model, Settings(**MUON))
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    body = {id(parameter) for parameter in body_matrices(model)}
    for parameter in model.parameters():
        keys = {"momentum_buffer"} if id(parameter) in body else {"step", "exp_avg", "exp_avg_sq"}
        assert set(optimizer.state[parameter]) == keys


def test_make_optimizer_muon_moves_a_matrix_as_far_as_adamw_with_the_same_lr(tokenizer):
    """An orthogonal (A, B) matrix has an RMS of 1 / sqrt(max(A, B)); scaled by 0.2 sqrt(max(A, B)),
    it has 0.2, whatever its shape. The singular values are 0.7 to 1.2 instead of 1.
    """
    model = new_llama({**SHAPE, "hidden_size": 64, "intermediate_size": 256}, tokenizer, 0)
    no_decay = {"lr": 0.02, "momentum": 0.9, "weight_decay": 0.0}
    optimizer = make_optimizer(model, Settings(**{**MUON, "muon": no_decay}))
    torch.manual_seed(0)
    before = [matrix.detach().clone() for matrix in body_matrices(model)]
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimizer.step()
    for matrix, old in zip(body_matrices(model), before, strict=True):
        rms = (matrix.detach() - old).square().mean().sqrt().item()
        assert rms == pytest.approx(0.2 * 0.02, rel=0.3)


def test_make_optimizer_muon_skips_a_step_as_a_whole_where_one_gradient_overflowed(tokenizer):
    model = new_llama(SHAPE, tokenizer, 0)
    optimizer = make_optimizer(model, Settings(**MUON))
    before = [parameter.detach().clone() for parameter in model.parameters()]
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    model.model.embed_tokens.weight.grad[0, 0] = torch.inf  # one of AdamW's
    scaler = torch.amp.GradScaler("cpu")
    scaler.scale(torch.ones(()))  # makes the scale
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    for parameter, old in zip(model.parameters(), before, strict=True):
        assert torch.equal(parameter, old)


def test_make_optimizer_of_half_a_frozen_model_leaves_the_frozen_half(tokenizer):
    model = new_llama(SHAPE, tokenizer, 0)
    model.model.layers[0].requires_grad_(False)
    optimizer = make_optimizer(model, Settings(**MUON))
    updated = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    assert not any("layers.0." in name for name in names_of(model, updated))
