import pytest
import torch
import torch.nn.functional as F

from lmcore.training import loss
from lmcore.training.loss import Target, sum_loss

N, H, V = 23, 8, 31


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch):
    monkeypatch.setattr(loss, "CHUNK", 20 * V)  # chunks of rows that divide nothing


def tensors():
    torch.manual_seed(0)
    return (
        torch.randn(N, H, requires_grad=True),
        torch.randn(V, H, requires_grad=True),
        torch.randint(V, (N,)),
    )


def gradients(objective, *inputs):
    return torch.autograd.grad(objective, inputs)


def test_sum_loss_and_gradients_equal_those_of_whole_logits():
    hidden, head, labels = tensors()
    objective, entropy = sum_loss(hidden, head, labels)
    expected = F.cross_entropy(hidden @ head.T, labels, reduction="sum")
    torch.testing.assert_close(objective, expected)
    assert objective.item() == entropy.item()
    for ours, theirs in zip(
        gradients(3 * objective, hidden, head), gradients(3 * expected, hidden, head), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    with torch.no_grad():
        torch.testing.assert_close(sum_loss(hidden, head, labels)[0], expected)


def test_sum_loss_in_bf16_has_float32_statistics():
    hidden, head, labels = tensors()
    exact = F.cross_entropy(
        (hidden.bfloat16() @ head.bfloat16().T).float(), labels, reduction="sum"
    )
    objective, _ = sum_loss(hidden.bfloat16(), head, labels)
    torch.testing.assert_close(objective, exact, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
@pytest.mark.parametrize("weight", [1.0, 7.0])
def test_sum_loss_with_teachers_equals_the_published_formula(temperature, weight):
    hidden, head, labels = tensors()
    teachers = torch.randn(2, N, V).mean(0)
    target = Target(lambda start, stop: teachers[start:stop], 0.3, temperature, weight)
    objective, entropy = sum_loss(hidden, head, labels, target)
    logits = hidden @ head.T
    divergence = torch.nn.KLDivLoss(reduction="sum")(
        F.log_softmax(logits / temperature, 1), F.softmax(teachers / temperature, 1)
    )
    expected = (
        0.3 * F.cross_entropy(logits, labels, reduction="sum")
        + 0.7 * weight * divergence * temperature**2
    )
    torch.testing.assert_close(objective, expected)
    torch.testing.assert_close(entropy, F.cross_entropy(logits, labels, reduction="sum"))
    for ours, theirs in zip(
        gradients(objective, hidden, head), gradients(expected, hidden, head), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_batchmean_of_torch_weighs_a_token_as_often_as_a_chunk_has_tokens():
    """What `reduction: batchmean` stands for: torch divides by the number of chunks alone."""
    torch.manual_seed(1)
    ours, theirs = torch.randn(2, 4, 7, 5).log_softmax(-1)  # (chunks, tokens, vocabulary)
    per_token = (theirs.exp() * (theirs - ours)).sum(-1).mean()
    torch.testing.assert_close(
        torch.nn.KLDivLoss(reduction="batchmean", log_target=True)(ours, theirs), 7 * per_token
    )


def test_sum_loss_of_no_row_is_zero_and_has_no_gradient():
    hidden, head, labels = tensors()
    objective, entropy = sum_loss(hidden[:0], head, labels[:0])
    assert objective.item() == entropy.item() == 0
    assert not gradients(objective, head)[0].any()
    with torch.no_grad():
        assert sum_loss(hidden[:0], head, labels[:0])[0].item() == 0
