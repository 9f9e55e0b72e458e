"""An ordered list of models, e.g. the checkpoints of one training, as curves: summaries go in, rows by suite come out."""

from lmcore.errors import InputError

CURVES = ("loss", "entropy", "accuracy")


def progression(
    order: list[str],
    summaries: dict[str, dict[str, dict]],
    metrics: dict[str, dict[str, dict]] | None = None,
) -> dict[str, list[dict]]:
    """Per suite that all of them have one row a model: `place` from 1, loss (nats a token), mean entropy (nats), and accuracy.

    summaries: by model and suite (lmcore.analysis.summary); metrics: by model and suite, whose `accuracy` is the suite's own; without it,
    or where a suite has none, it is how often the token was the model's first choice. Raises InputError for a model without a summary.
    """
    if unknown := [model for model in order if model not in summaries]:
        raise InputError(
            f"params.yaml: analyse_tokens: progression: there is no model '{unknown[0]}'; there are {', '.join(summaries)}"
        )
    found: dict[str, list[dict]] = {}
    for place, model in enumerate(order, 1):
        for suite, values in summaries[model].items():
            if any(suite not in summaries[other] for other in order):
                continue
            of_suite = (metrics or {}).get(model, {}).get(suite, {})
            row = {
                "place": place,
                "model": model,
                "loss": -values["logprob_mean"],
                "entropy": values["entropy"]["mean"],
            }
            found.setdefault(suite, []).append(
                row | {"accuracy": of_suite.get("accuracy", values["top_1_accuracy"])}
            )
    return found
