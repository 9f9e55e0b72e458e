from pathlib import Path

import pytest

from lmcore.babylm.tree import Project
from tests.lmcore.babylm.entries import (
    CHECKPOINTS,
    constant,
    long_is_probable,
    make_entry,
    short_is_probable,
)


@pytest.fixture
def project(tmp_path: Path, tokenizer: Path) -> Project:
    """Three models, and two checkpoints of the first."""
    models = {
        "mine": short_is_probable,
        "longer": long_is_probable,
        "flat": constant,
        **dict.fromkeys(CHECKPOINTS, short_is_probable),
    }
    return make_entry(tmp_path / "data", tokenizer, models)
