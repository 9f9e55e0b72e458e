"""The report's section on what models write: the tables and statistics of lmcore.generating.continuations go in, HTML comes out."""

import json
from pathlib import Path

from lmcore.shown import for_html
from lmcore.tables import GENERATIONS, read

STATISTICS = {  # of metrics/generated: what the column is called, and its digits
    "logprob": ("log-prob of a token, nats", 2),
    "entropy": ("entropy, nats", 2),
    "sampling_entropy": ("entropy of what was drawn from", 2),
    "distinct_1": ("distinct words", 2),
    "distinct_2": ("distinct pairs", 2),
    "repeated_3": ("repeated threes", 2),
}


def writing_section(models: list[str], generated: Path, statistics: Path) -> str:
    """`statistics`/MODEL.json as a table, a row a model and decoding, and below it the texts of `generated`/MODEL/generations.parquet."""
    if not models:
        return ""
    heads = "".join(f'<th scope="col">{title}</th>' for title, _ in STATISTICS.values())
    rows, texts = "", ""
    for model in models:
        for decoding, values in json.loads(
            (statistics / f"{model}.json").read_text("utf-8")
        ).items():
            cells = "".join(
                f"<td>{values[name]:.{digits}f}</td>" for name, (_, digits) in STATISTICS.items()
            )
            rows += (
                f'<tr><th scope="row">{for_html(model)}, {for_html(decoding)}</th>{cells}</tr>\n'
            )
        written = read(generated / model / "generations.parquet", GENERATIONS).to_pylist()
        body = "".join(_continuation(row) for row in written)
        texts += f"<details><summary><code>{for_html(model)}</code>: {len(written)} texts</summary>{body}</details>\n"
    return (
        '<p class="caption">Each prompt was continued under each decoding and seed. Distinct n-grams are a share of all in the texts of a '
        "decoding, so longer texts have fewer; repeated ones are those that the same text held before.</p>\n"
        f'<div class="card scroll wide"><table><thead><tr><td></td>{heads}</tr></thead><tbody>\n{rows}</tbody></table></div>\n{texts}'
    )


def _continuation(row: dict) -> str:
    how = f"{row['variant']}, seed {row['seed']}, {row['n_tokens']} tokens, ended by {row['stop_reason']}"
    return f'<p><span class="muted">{for_html(row["prompt"])}</span>{for_html(row["text"])} <small>({for_html(how)})</small></p>\n'
