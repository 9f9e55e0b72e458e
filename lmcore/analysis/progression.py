"""An ordered list of models, such as the checkpoints of one training, as curves.

Summaries go in, rows by suite come out.
"""

from lmcore.analysis.checkpoints import Amounts
from lmcore.errors import InputError


def progression(
    order: list[str],
    summaries: dict[str, dict[str, dict]],
    metrics: dict[str, dict[str, dict]] | None = None,
    amounts: Amounts | None = None,
) -> dict[str, list[dict]]:
    """{suite: one row for each model of `order`}, of the suites that all of them have.

    A row has the `place` from 1, the loss (nats a token), the mean entropy (nats) and the accuracy;
    where `amounts` are known, also the `words` or `steps` that the model had read; and `spearman`,
    where it is a score of the suite.

    summaries: by model and suite (lmcore.analysis.summary). metrics: by model and suite; the
    `accuracy` there is the suite's own. Without metrics, or where a suite has no accuracy there, it
    is how often the token was the model's first choice.

    Raises InputError for a model without a summary.
    """
    if unknown := [model for model in order if model not in summaries]:
        raise InputError(
            f"params.yaml: analyse_tokens: progression: there is no model '{unknown[0]}'; "
            f"there are {', '.join(summaries)}"
        )
    curves: dict[str, list[dict]] = {}
    for place, model in enumerate(order, 1):
        for suite, values in summaries[model].items():
            if any(suite not in summaries[other] for other in order):
                continue
            suite_metrics = (metrics or {}).get(model, {}).get(suite, {})
            read = {amounts.unit: amounts.values[place - 1]} if amounts else {}
            row = {
                "place": place,
                **read,
                "model": model,
                "loss": -values["logprob_mean"],
                "entropy": values["entropy"]["mean"],
                "accuracy": suite_metrics.get("accuracy", values["top_1_accuracy"]),
            }
            if "spearman" in suite_metrics:
                row["spearman"] = suite_metrics["spearman"]
            curves.setdefault(suite, []).append(row)
    return curves
