import pytest
import torch

from lmcore.models.llama import new_llama
from lmcore.models.shapes import new_model
from lmcore.training import llama_pass
from lmcore.training.llama_pass import can_run, hidden_states
from tests.lmcore.training.test_loop import SHAPE


def both(model, ids, dtype, compiled=False):
    """Logits and gradients of ours and of transformers' own pass."""
    found = []
    for ours in (True, False):
        if ours:
            logits = (
                hidden_states(model, ids, dtype, compiled) @ model.lm_head.weight.to(dtype).T
            ).view(*ids.shape, -1)
        else:
            with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
                logits = model(input_ids=ids).logits
        found.append(
            (
                logits.float(),
                torch.autograd.grad(
                    logits.float().log_softmax(-1)[..., 3].sum(), list(model.parameters())
                ),
            )
        )
    return found


@pytest.mark.parametrize("kv_heads", [2, 1])
@pytest.mark.parametrize(("dense", "block"), [(512, 128), (512, 5), (4, 128)])
def test_hidden_states_and_gradients_equal_transformers(
    tokenizer, monkeypatch, kv_heads, dense, block
):
    monkeypatch.setattr(llama_pass, "DENSE", dense)
    monkeypatch.setattr(llama_pass, "BLOCK", block)
    model = new_llama(
        {**SHAPE, "num_key_value_heads": kv_heads, "initializer_range": 0.3}, tokenizer, 0
    )
    (ours, our_gradients), (theirs, their_gradients) = both(
        model, torch.randint(300, (3, 13)), torch.float32
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    for one, two in zip(our_gradients, their_gradients, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-3)


def test_hidden_states_in_bf16_are_as_near_to_float32_as_transformers_are(tokenizer):
    model = new_llama({**SHAPE, "initializer_range": 0.3}, tokenizer, 0)
    ids = torch.randint(300, (8, 16))
    exact = model(input_ids=ids).logits
    (ours, _), (theirs, _) = both(model, ids, torch.bfloat16)
    assert (ours - exact).square().mean() < 1.5 * (theirs - exact).square().mean()


def test_hidden_states_of_another_model_are_its_own(tokenizer):
    model = new_model(
        {"model_type": "gpt2", "n_layer": 2, "n_embd": 16, "n_head": 2, "n_positions": 16},
        tokenizer,
        0,
    ).eval()
    ids = torch.randint(300, (2, 9))
    assert not can_run(model)
    logits = (hidden_states(model, ids, torch.float32) @ model.lm_head.weight.T).view(2, 9, -1)
    torch.testing.assert_close(logits, model(input_ids=ids).logits)


@pytest.mark.filterwarnings("ignore")  # torch's own, from within torch.compile
def test_compiled_pass_gives_the_same_within_rounding(tokenizer):
    model = new_llama({**SHAPE, "initializer_range": 0.3}, tokenizer, 0)
    ids = torch.randint(300, (2, 16))
    (ours, our_gradients), _ = both(model, ids, torch.float32, compiled=True)
    (eager, gradients), _ = both(model, ids, torch.float32)
    torch.testing.assert_close(ours, eager, rtol=1e-4, atol=1e-4)
    for one, two in zip(our_gradients, gradients, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-3)
