"""An experiment that keeps the checkpoints of a BabyLM track and scores them.

The parameters and the name of a model go in. What differs from them comes out.
"""

from typing import Any

from lmcore.babylm_year import ladder_entries
from lmcore.errors import InputError


def ladder_experiment(model: str, year: int, track: str, params: dict[str, Any]) -> dict[str, Any]:
    """What `lmcore use` merges into `params`, with entries for each checkpoint of the track.

    DVC makes a stage of each entry, so each must stand in params.yaml. The checkpoints are added to
    the models that are scored, and they are the curve of `analyse_tokens.progression`.

    Raises InputError for a model that is not in `trained`, and for an unknown year or track.
    """
    trained = params.get("trained") or {}
    if model not in trained:
        raise InputError(
            f"params.yaml: trained: there is no model '{model}', whose steps could be kept; "
            f"there are {', '.join(trained)}"
        )
    entries = ladder_entries(model, year, track)
    models = [name for name in params["models"] if name not in entries]
    return {
        "keep_checkpoint": entries,
        "models": [*models, *entries],
        "analyse_tokens": {"progression": list(entries)},
    }
