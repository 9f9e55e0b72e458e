"""Which models are scored on which suites: all on all, or those that a suite's `models` name.

It is no part of lmcore.suites, so a stage that needs this alone does not run again when a task
changes.
"""

from lmcore.errors import InputError


def is_scored(entry: dict | None, model: str) -> bool:
    """Whether a model is scored on the suite of this entry."""
    return model in ((entry or {}).get("models") or [model])


def suites_of_model(suites: dict[str, dict], model: str) -> dict[str, dict]:
    """The suites that a model is scored on: all but those whose entries name other `models`.

    Raises InputError where there is none.
    """
    chosen = {suite: entry for suite, entry in suites.items() if is_scored(entry, model)}
    if not chosen:
        raise InputError(
            f"params.yaml: suites: model '{model}' is scored on none of them; name it in the"
            " `models` of one, or leave it out of the section models"
        )
    return chosen


def models_of_suite(suite: str, entry: dict | None, models: list[str]) -> list[str]:
    """Those of `models` that are scored on a suite, in their order; all, if its entry names none.

    Raises InputError where the entry names a model that is not there.
    """
    for name in (entry or {}).get("models") or []:
        if name not in models:
            raise InputError(
                f"params.yaml: suites.{suite}.models: there is no model '{name}';"
                f" there are {', '.join(models)}"
            )
    return [model for model in models if is_scored(entry, model)]
