import numpy as np
import pytest


def bigrams() -> np.ndarray:
    """Chunks (25, 16) of a bigram language: the next id is the last one plus 0 or 1."""
    rng = np.random.default_rng(0)
    first_ids, steps = rng.integers(0, 50, (25, 1)), rng.integers(0, 2, (25, 16))
    return ((first_ids + steps.cumsum(1)) % 300).astype(np.int32)


@pytest.fixture
def chunks():
    return bigrams()
