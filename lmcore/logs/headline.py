"""By which metric two logs are compared: two Evaluations go in, the name of a metric comes out."""

from lmcore.errors import InputError
from lmcore.logs.evaluation import Evaluation

# The metric of a suite is the first of these that it has, or else the first one that was logged
HEADLINES = ["accuracy", "surprisal_per_byte", "surprisal_per_word", "target_logprob"]


def headline(a: Evaluation, b: Evaluation, metrics: list[str] | None = None) -> str:
    """The first of `metrics` that both have; by default of HEADLINES, else the first in both.

    Raises InputError where there is none.
    """
    there = [name for name in b.metrics() if name in a.metrics()]
    for name in metrics or HEADLINES:
        if name in there:
            return name
    if not metrics and there:
        return there[0]
    raise InputError(
        f"{b.task}: A and B have no metric {' or '.join(metrics or HEADLINES)} in common;"
        f" A has {', '.join(a.metrics())}; B has {', '.join(b.metrics())}"
    )
