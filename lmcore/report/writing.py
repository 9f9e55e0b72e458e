"""The report's section on what models write.

The tables and statistics of lmcore.generating.continuations go in, HTML comes out.
"""

import json
from pathlib import Path

from lmcore.shown import for_html
from lmcore.tables import GENERATIONS, read

# for each statistic of metrics/generated: what its column is called, and its decimals
STATISTICS = {
    "logprob": ("log-prob of a token, nats", 2),
    "entropy": ("entropy, nats", 2),
    "sampling_entropy": ("entropy of what was drawn from", 2),
    "distinct_1": ("distinct words", 2),
    "distinct_2": ("distinct pairs", 2),
    "repeated_3": ("repeated threes", 2),
}


def writing_section(models: list[str], generated: Path, statistics: Path) -> str:
    """A table of `statistics`/MODEL.json, with a row for each model and decoding, and the texts.

    The texts of `generated`/MODEL/generations.parquet stand below the table. The section is empty
    without models.
    """
    if not models:
        return ""
    heads = "".join(f'<th scope="col">{title}</th>' for title, _ in STATISTICS.values())
    rows, texts = "", ""
    for model in models:
        by_decoding = json.loads((statistics / f"{model}.json").read_text("utf-8"))
        for decoding, values in by_decoding.items():
            rows += _row(model, decoding, values)
        written = read(generated / model / "generations.parquet", GENERATIONS).to_pylist()
        body = "".join(_continuation(row) for row in written)
        summary = f"<summary><code>{for_html(model)}</code>: {len(written)} texts</summary>"
        texts += f"<details>{summary}{body}</details>\n"
    return (
        '<p class="caption">Each prompt was continued under each decoding and seed. Distinct '
        "n-grams are a share of all in the texts of a decoding, so longer texts have fewer; "
        "repeated ones are those that the same text held before.</p>\n"
        f'<div class="card scroll wide"><table><thead><tr><td></td>{heads}</tr></thead><tbody>\n'
        f"{rows}</tbody></table></div>\n{texts}"
    )


def _row(model: str, decoding: str, values: dict[str, float]) -> str:
    """The statistics of one model's texts under one decoding."""
    cells = "".join(
        f"<td>{values[name]:.{decimals}f}</td>" for name, (_, decimals) in STATISTICS.items()
    )
    return f'<tr><th scope="row">{for_html(model)}, {for_html(decoding)}</th>{cells}</tr>\n'


def _continuation(row: dict) -> str:
    """One prompt with the text that a model wrote after it."""
    origin = (
        f"{row['variant']}, seed {row['seed']}, {row['n_tokens']} tokens, "
        f"ended by {row['stop_reason']}"
    )
    return (
        f'<p><span class="muted">{for_html(row["prompt"])}</span>{for_html(row["text"])} '
        f"<small>({for_html(origin)})</small></p>\n"
    )
