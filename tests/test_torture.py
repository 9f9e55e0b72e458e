"""Five random kills of a few stages; `make torture` does the same, and more, to all stages."""

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.small_pipeline import small_params
from tests.torture import VICTIMS, torture

pytestmark = pytest.mark.pipeline


def few_stages(data: Path) -> dict[str, Any]:
    """Params with one model and one suite, of which few stages are needed."""
    params = small_params(data)
    params["models"] = ["babyllama"]
    params["suites"] = {"heldout": params["suites"]["heldout"]}
    params["import_model"] = {}
    return params


@pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux tells a process that its parent has ended"
)
def test_killed_pipeline_run_again_ends_in_the_undisturbed_lock(tmp_path):
    tortured = torture(tmp_path, few_stages, ["fold_scores"], n_kills=5, seed=1, parts="kills")
    assert tortured.failures == []
    assert sum(tortured.counts[f"kills of {victim}"] for victim in VICTIMS) == 5
