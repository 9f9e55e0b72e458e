"""The command of `lmcore` that names the checkpoints that BabyLM asks for: ladder."""

from pathlib import Path
from typing import Annotated

import typer


def ladder(
    model: Annotated[str, typer.Argument(help="of `trained` in params.yaml")],
    year: Annotated[int, typer.Option(help="of BabyLM: 2025 or 2026")] = 2026,
    track: Annotated[str, typer.Option(help="strict_small or strict")] = "strict_small",
) -> None:
    """Write what params.yaml must say to keep and score a model's checkpoints of a BabyLM track:
    `lmcore ladder babyllama > experiments/ladder.yaml && lmcore use experiments/ladder.yaml`.
    """
    from lmcore.commands.ladder import ladder_experiment
    from lmcore.params import yaml_text
    from lmcore.text_files import read_text

    path = Path("params.yaml")
    params = yaml_text.load_mapping(read_text(path, "YAML"), path)
    typer.echo(yaml_text.dump(ladder_experiment(model, year, track, params)), nl=False)
