"""The command `lmcore compare`: models on the same texts."""

from pathlib import Path
from typing import Annotated, Any

import typer

from lmcore.commands.options import Bos, Data, Temperature, TopK, TopP
from lmcore.errors import InputError
from lmcore.shown import for_terminal

Models = Annotated[
    list[str],
    typer.Argument(
        help="names of params.yaml, model folders, or hub ids, in the order of their curves"
    ),
]
Out = Annotated[Path, typer.Option(help="the folder to write")]
Texts = Annotated[
    Path | None,
    typer.Option(help="a .txt with one text a line, or a data file with a column `text`"),
]
Prompts = Annotated[
    Path | None,
    typer.Option(help="likewise; read teacher-forced, or continued with --generate"),
]
Names = Annotated[str | None, typer.Option(help="what to call the models, separated by commas")]
Generate = Annotated[bool, typer.Option("--generate", help="let the models continue the prompts")]
MaxNewTokens = Annotated[int, typer.Option(help="of a continuation, up to 4,096")]
MinP = Annotated[float, typer.Option(help="of the most probable token's probability, to be drawn")]
Seeds = Annotated[str, typer.Option(help="separated by commas, where the temperature is above 0")]
Slide = Annotated[bool, typer.Option("--slide", help="go on where the model's window is full")]
By = Annotated[str, typer.Option(help="word; or token, which needs one tokenizer")]
Corrected = Annotated[
    bool, typer.Option("--corrected", help="correct word probabilities at word boundaries")
]
Force = Annotated[bool, typer.Option("--force", help="overwrite what this command wrote")]
Csv = Annotated[
    Path | None,
    typer.Option(
        help="another folder to write: each model's tokens as CSV, MODEL/all.csv and a file a text"
    ),
]


def compare(
    models: Models,
    out: Out,
    texts: Texts = None,
    prompts: Prompts = None,
    names: Names = None,
    generate: Generate = False,
    max_new_tokens: MaxNewTokens = 64,
    temperature: Temperature = 0.0,
    top_k: TopK = 0,
    top_p: TopP = 1.0,
    min_p: MinP = 0.0,
    seeds: Seeds = "0",
    slide: Slide = False,
    bos: Bos = "prefix",
    by: By = "word",
    corrected: Corrected = False,
    csv: Csv = None,
    force: Force = False,
    data: Data = Path("data"),
) -> None:
    """Compare any models on any texts, or on what they write: token tables, by token, by entropy,
    summaries, paired differences, a page.
    """
    from lmcore.commands import compare_texts
    from lmcore.commands.token_files import refuse_csv_folder

    source = texts or prompts
    if source is None or (texts and prompts) or (generate and not prompts):
        raise InputError("name either --texts FILE or --prompts FILE; --generate needs --prompts")
    if csv:
        refuse_csv_folder(csv, out, force)
    compare_texts.refuse_existing(out, force)
    shared: dict[str, Any] = {
        "names": names.split(",") if names else [],
        "source": source,
        "out": out,
        "model_folder": data / "models",
        "csv": csv,
    }
    if generate:
        decoding: dict[str, Any] = {"temperature": temperature, "top_k": top_k}
        decoding |= {"top_p": top_p, "min_p": min_p, "seeds": _seeds(seeds)}
        writing = compare_texts.Writing(
            bos,
            max_new_tokens,
            decodings={"greedy" if temperature == 0 else "sampled": decoding},
            at_window="slide" if slide else "stop",
        )
        compare_texts.compare_generated(models, **shared, writing=writing)
    else:
        reading = compare_texts.Reading(bos, by, corrected, confidence=0.95)
        compare_texts.compare_texts(models, **shared, reading=reading)
    typer.echo(for_terminal(f"{out}: {out / 'index.html'}"))


def _seeds(text: str) -> list[int]:
    """The seeds in the option --seeds. Raises InputError where it holds anything else."""
    seeds = text.split(",")
    if not all(seed.strip().isdecimal() for seed in seeds):
        raise InputError(f"--seeds: expected whole numbers separated by commas, not {text!r}")
    return [int(seed) for seed in seeds]
