"""The command `lmcore race`: which of two models is better, with as few items as that takes."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from lmcore.commands.options import Data, Json
from lmcore.errors import InputError
from lmcore.shown import for_json


class About(StrEnum):
    """What a verdict is about."""

    population = "population"
    suite = "suite"


ModelA = Annotated[str, typer.Argument(metavar="A", help="a name of params.yaml, or a folder")]
ModelB = Annotated[str, typer.Argument(metavar="B", help="likewise; the verdict is of B against A")]
SuiteName = Annotated[
    str, typer.Argument(metavar="SUITE", help="of params.yaml, built by `dvc repro build_items`")
]
Margin = Annotated[
    float | None,
    typer.Option(help="differences within this are equal; by default that of params.yaml"),
]
Confidence = Annotated[float, typer.Option(help="with which the verdict is right")]
Of = Annotated[
    About,
    typer.Option(help="population: items like these, as `diff`; suite: this suite's final figure"),
]
Block = Annotated[
    int | None,
    typer.Option(
        min=1, help="items between two looks; by default a hundredth of them, at least 64"
    ),
]
RandomSeed = Annotated[int, typer.Option(min=0, help="of the order of the items")]
Recorded = Annotated[
    bool,
    typer.Option("--recorded", help="replay the race on data/scores, without running a model"),
]


def race(
    a: ModelA,
    b: ModelB,
    suite: SuiteName,
    margin: Margin = None,
    confidence: Confidence = 0.95,
    about: Of = About.population,
    block: Block = None,
    seed: RandomSeed = 0,
    recorded: Recorded = False,
    as_json: Json = False,
    data: Data = Path("data"),
) -> None:
    """Which of two models is better: scores items in random order and stops when it is clear.

    Nothing is kept. The verdict is right with --confidence, however often it looks.
    """
    from lmcore.comparing import race as racing
    from lmcore.params.ranges import OpenShare, Seed, Share
    from lmcore.params.schema import check
    from lmcore.statistics.anytime import Level

    check(confidence, OpenShare, "--confidence")
    check(margin, Share | None, "--margin")
    check(seed, Seed, "--seed")
    if a == b:
        raise InputError(f"{a}: cannot race against itself; name two models")
    params = _params()
    opened = _suite(params, suite, data)
    if margin is None:
        margin = _margin(params, racing.METRIC)
    level = Level(confidence, of_suite=about is About.suite)
    rules = racing.Rules(level, margin, block, seed)
    if recorded:
        scores = [data / "scores" / name / f"{suite}.parquet" for name in (a, b)]
        sides = [racing.recorded(path, opened) for path in scores]
    else:
        sides = _scoring(params, [a, b], opened, data)
    ended = racing.run(sides[0], sides[1], (a, b), opened, rules)._replace(recorded=recorded)
    if as_json:
        typer.echo(for_json(racing.as_data(ended), indent=2, allow_nan=False))
    else:
        typer.echo("\n".join(racing.as_lines(ended)))


def _params() -> dict[str, Any]:
    from lmcore.params import yaml_text
    from lmcore.text_files import read_text

    return yaml_text.load_mapping(read_text(Path("params.yaml"), "YAML"), "params.yaml")


def _suite(params: dict[str, Any], name: str, data: Path) -> Any:
    """The suite of this name. Raises InputError where params.yaml or `data` does not have it."""
    from lmcore.comparing.race import read_suite
    from lmcore.params.schema import check
    from lmcore.suites.conventions import convention_of
    from lmcore.suites.declare import Suites, kind_of

    suites = params.get("suites") or {}
    check(suites, Suites, "params.yaml: suites")
    if name not in suites:
        raise InputError(f"params.yaml: there is no suite '{name}'; there are {', '.join(suites)}")
    entry = suites[name] or {}
    ties = convention_of(name, entry)["ties"]
    return read_suite(data / "items" / f"{name}.parquet", kind_of(name, entry), ties)


def _margin(params: dict[str, Any], metric: str) -> float | None:
    """The margin of this metric in compare_models of params.yaml; None where it has none."""
    from lmcore.params.ranges import Share
    from lmcore.params.schema import check

    margins = (params.get("compare_models") or {}).get("margin") or {}
    check(margins, dict, "params.yaml: compare_models.margin")
    margin = margins.get(metric)
    check(margin, Share | None, f"params.yaml: compare_models.margin.{metric}")
    return margin


def _scoring(params: dict[str, Any], models: list[str], suite: Any, data: Path) -> list[Any]:
    """The two models, each of which scores items as extract_tokens of params.yaml says.

    Raises InputError for a model that is not there, and if the two are one.
    """
    from lmcore.comparing.race import scored_by
    from lmcore.machine.memory import keep_freed_memory
    from lmcore.models.find import find_model
    from lmcore.params.schema import check_mapping
    from lmcore.scoring import kernels
    from lmcore.scoring.extract import extract_suites

    settings = params.get("extract_tokens")
    check_mapping(settings, "params.yaml: extract_tokens", extract_suites)
    assert isinstance(settings, dict)
    folders = [find_model(model, data / "models") for model in models]
    if folders[0] == folders[1]:
        raise InputError(f"{models[0]} and {models[1]} are one model; name two models")
    on_gpu = kernels.choose() == "cuda"
    budget = settings.get("gpu_token_budget", 32_768) if on_gpu else settings["token_budget"]
    keep_freed_memory()
    return [
        scored_by(folder, suite, dtype=settings["dtype"], token_budget=budget) for folder in folders
    ]
