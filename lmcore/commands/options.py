"""The options that several commands of `lmcore` share: annotations of their parameters."""

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[
    Path, typer.Option(help="the folder that the pipeline fills: items, tokens, models, corpus")
]
Bos = Annotated[
    str, typer.Option(help="what stands before a text: prefix (BOS, else EOS), tokenizer or none")
]
Json = Annotated[bool, typer.Option("--json", help="JSON, unrounded")]
Temperature = Annotated[float, typer.Option(help="0 takes the most probable token")]
TopK = Annotated[int, typer.Option(help="tokens to draw from; 0 for all")]
TopP = Annotated[float, typer.Option(help="the probability mass to draw from")]
