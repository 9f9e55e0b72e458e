"""The commands of `lmcore` for trying out one model: next, surprisal, sample, blend.

MODEL is a name in data/models, a folder, or a hub id.
"""

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from lmcore.commands.options import Bos, Json, Temperature, TopK, TopP
from lmcore.errors import InputError, error_line
from lmcore.shown import for_json, for_terminal
from lmcore.text_files import BOM, NEWLINE, checked_text, decoded, read_text, split_lines

Model = Annotated[str, typer.Argument(help="a name in data/models, a model folder, or a hub id")]
Data = Annotated[Path, typer.Option(help="the folder that the pipeline fills: models")]

# Of `sample`: the statistics of a strategy that the table shows
STATISTICS = (
    "logprob",
    "distinct_2",
    "repeated_2",
    "same_again",
    "same_alone",
    "same_other_seed",
)

# Of `blend`
BlendedPrompts = Annotated[list[str], typer.Option(help="a prompt; repeat it for several")]
Weights = Annotated[
    list[float] | None, typer.Option(help="of the prompts in their order; by default equal")
]
Way = Annotated[str, typer.Option(help="embeddings, mixture or product")]
Align = Annotated[
    str,
    typer.Option(help="of embeddings: which ends of the prompts lie together, left or right"),
]
Interactive = Annotated[
    bool, typer.Option("--interactive", help="read weights from the standard input; q ends")
]


def next_(
    model: Model,
    prompt: Annotated[
        str, typer.Argument(help="the text before; - or nothing reads the standard input")
    ] = "-",
    k: Annotated[int, typer.Option("-k", help="how many tokens to show")] = 10,
    bos: Bos = "prefix",
    as_json: Json = False,
    data: Data = Path("data"),
) -> None:
    """What comes next: the most probable tokens after a prompt, and the entropy.

    Example: lmcore next smollm2 "The capital of France is" -k 5
    """
    from lmcore.explorations import next_tokens
    from lmcore.machine.threads import one_thread
    from lmcore.models.find import find_model

    prompt = read_input(prompt).rstrip("\n") if prompt == "-" else typed_prompt(prompt)
    with one_thread():
        predicted = next_tokens.next_tokens(find_model(model, data / "models"), prompt, k, bos)
    if as_json:
        write_lines([for_json(next_tokens.as_data(predicted, prompt), indent=2)])
    else:
        write_lines([next_tokens.as_text(predicted, prompt).removesuffix("\n")])


def surprisal(
    model: Model,
    file: Annotated[
        str, typer.Argument(help="a text file; - or nothing reads the standard input")
    ] = "-",
    by: Annotated[str, typer.Option(help="token or word")] = "token",
    form: Annotated[str, typer.Option("--format", help="table, csv, jsonl or colour")] = "table",
    lines: Annotated[bool, typer.Option("--lines", help="every line is a text of its own")] = False,
    bos: Bos = "prefix",
    data: Data = Path("data"),
) -> None:
    """Surprisal (bits), rank and entropy of every token or word of a text.

    Example: echo "The cat sat on the mat." | lmcore surprisal smollm2 --by word
    """
    from lmcore.api import score
    from lmcore.explorations.surprisal import as_lines

    text = read_input(file).rstrip("\n")
    texts = [line for line in split_lines(text) if line.strip()] if lines else [text]
    if not text.strip():
        raise InputError(f"{'the standard input' if file == '-' else file}: holds no text")
    scores = score(model, texts, by=by, bos=bos, model_folder=data / "models")
    write_lines(as_lines(scores, texts, form))


def sample(
    model: Model,
    prompts: Annotated[list[str], typer.Argument(help="one or several prompts")],
    max_new_tokens: Annotated[int, typer.Option(help="of a continuation")] = 32,
    seed: Annotated[int, typer.Option(help="of the draws")] = 0,
    bos: Bos = "prefix",
    as_json: Json = False,
    data: Data = Path("data"),
) -> None:
    """Sampling strategies side by side: texts, diversity, repetition, log-prob, and whether a
    second run writes the same.

    Example: lmcore sample smollm2 "Once upon a time" "The old man" --max-new-tokens 24
    """
    from lmcore.explorations.strategies import SHOWN, compare_strategies
    from lmcore.machine.threads import one_thread
    from lmcore.models.find import find_model

    settings: dict[str, Any] = {
        "bos": bos,
        "max_new_tokens": max_new_tokens,
        "batch_size": 16,
        "seed": seed,
        "digits": 4,
    }
    prompts = [typed_prompt(prompt) for prompt in prompts]
    with one_thread():
        statistics, table = compare_strategies(
            find_model(model, data / "models"), prompts, SHOWN, **settings
        )
    texts = table.select(["variant", "prompt", "text"]).to_pylist()
    if as_json:
        write_lines([for_json({"statistics": statistics, "texts": texts}, indent=2)])
        return
    lines = _statistics_lines(statistics)
    for row in texts:
        text = f"\n{row['variant']}: {row['prompt']}|{row['text']}"
        lines.append(for_terminal(text, lines=True))
    write_lines(lines)


def _statistics_lines(statistics: dict[str, dict]) -> list[str]:
    """A table with a line for each strategy and a column for each of STATISTICS."""
    lines = [f"{'strategy':<12}" + "".join(f"{name:>16}" for name in STATISTICS)]
    for strategy, values in statistics.items():
        cells = [f"{values[name]:>16.3f}" for name in STATISTICS]
        lines.append(f"{strategy:<12}" + "".join(cells))
    return lines


def blend(
    model: Model,
    prompt: BlendedPrompts,
    weight: Weights = None,
    way: Way = "embeddings",
    align: Align = "right",
    max_new_tokens: Annotated[int, typer.Option(help="of the text")] = 32,
    temperature: Temperature = 0.0,
    top_k: TopK = 0,
    top_p: TopP = 1.0,
    seed: Annotated[int, typer.Option(help="of the draws")] = 0,
    interactive: Interactive = False,
    bos: Bos = "prefix",
    as_json: Json = False,
    data: Data = Path("data"),
) -> None:
    """Go on from a weighted blend of prompts.

    Example: lmcore blend smollm2 --prompt "The cat sat on the" --weight 0.4
    --prompt "The king ruled the" --weight 0.6
    """
    from lmcore.explorations.blending import Blender
    from lmcore.generating.sampling import Decoding
    from lmcore.machine.threads import one_thread
    from lmcore.models.find import find_model

    prompts = [typed_prompt(text) for text in prompt]
    blender = Blender(find_model(model, data / "models"), prompts, bos)
    settings: dict[str, Any] = {
        "way": way,
        "align": align,
        "max_new_tokens": max_new_tokens,
        "decoding": Decoding(temperature, top_k, top_p),
        "seed": seed,
    }

    def show(weights: list[float]) -> None:
        with one_thread():
            blended = blender.blend(weights, **settings)
        rows = list(zip(prompts, weights, blended.logprobs))
        write_lines(_blend_lines(blended.text, rows, as_json))

    if weight or not interactive:
        show(weight or [1.0] * len(prompts))
    if interactive:
        _ask_for_weights(len(prompts), show)


def _blend_lines(text: str, rows: list[tuple[str, float, float]], as_json: bool) -> list[str]:
    """The text after a blend, and each prompt's weight and log-prob.

    A row is (prompt, weight, log-prob), where the log-prob is the mean of a token of the text after
    this prompt alone, in nats.
    """
    if as_json:
        prompts = [
            {"prompt": prompt, "weight": weight, "logprob": logprob}
            for prompt, weight, logprob in rows
        ]
        return [for_json({"text": text, "prompts": prompts})]
    lines = [for_terminal(text, lines=True)]
    for prompt, weight, logprob in rows:
        after = f"{logprob:.3f} nats a token after '{for_terminal(prompt)}'"
        lines.append(f"  weight {weight:g}, {after}")
    return lines


def _ask_for_weights(n_prompts: int, show: Callable[[list[float]], None]) -> None:
    """Read lines of weights from the standard input, and `show` the blend of each.

    The line `q` ends this, and so does the end of the input. Weights that cannot be used are an
    error in one line, after which the next line is read.
    """
    while True:
        typer.echo(f"{n_prompts} weights, or q: ", err=True, nl=False)
        answer = sys.stdin.readline()
        if not answer or answer.strip() == "q":
            return
        try:
            show([float(number) for number in answer.replace(",", " ").split()])
        except ValueError as error:  # an InputError is a ValueError, too
            typer.echo(f"error: {error_line(error) or for_terminal(str(error))}", err=True)


def read_input(name: str) -> str:
    """The text of a file, or of the standard input for `-`, with \\n as line ends.

    Raises InputError where it is not text.
    """
    if name == "-":
        return NEWLINE.sub("\n", decoded(sys.stdin.buffer.read(), "the standard input"))
    return read_text(Path(name), "a text file, or - for the standard input")


def typed_prompt(text: str) -> str:
    """A prompt of the command line, without the byte-order mark that `"$(cat FILE)"` brings along.

    Raises InputError for bytes that are not UTF-8.
    """
    return checked_text(text.lstrip(BOM), "the prompt")


def write_lines(lines: Iterable[str]) -> None:
    """Print the lines."""
    for line in lines:
        sys.stdout.write(line + "\n")
    sys.stdout.flush()
