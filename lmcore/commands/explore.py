"""The commands of `lmcore` that play with a model: next, surprisal, sample, blend. MODEL is a name in data/models, a folder, a hub id."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from lmcore.errors import InputError, error_line
from lmcore.shown import for_json, for_terminal
from lmcore.text_files import BOM, NEWLINE, checked_text, decoded, read_text, split_lines

app = typer.Typer()
Model = Annotated[str, typer.Argument(help="a name in data/models, a model folder, or a hub id")]
Data = Annotated[Path, typer.Option(help="the folder that the pipeline fills: models")]
Bos = Annotated[
    str, typer.Option(help="what stands before a text: prefix (BOS, else EOS), tokenizer or none")
]
Json = Annotated[bool, typer.Option("--json", help="JSON, unrounded")]


@app.command("next")
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
        found = next_tokens.next_tokens(find_model(model, data / "models"), prompt, k, bos)
    if as_json:
        write_lines([for_json(next_tokens.as_data(found, prompt), indent=2)])
    else:
        write_lines([next_tokens.as_text(found, prompt).removesuffix("\n")])


@app.command()
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
    write_lines(
        as_lines(score(model, texts, by=by, bos=bos, model_folder=data / "models"), texts, form)
    )


@app.command()
def sample(
    model: Model,
    prompts: Annotated[list[str], typer.Argument(help="one or several prompts")],
    max_new_tokens: Annotated[int, typer.Option(help="of a continuation")] = 32,
    seed: Annotated[int, typer.Option(help="of the draws")] = 0,
    bos: Bos = "prefix",
    as_json: Json = False,
    data: Data = Path("data"),
) -> None:
    """Sampling strategies side by side: texts, diversity, repetition, log-prob, and whether a second run writes the same.

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
        found, texts = compare_strategies(
            find_model(model, data / "models"), prompts, SHOWN, **settings
        )
    written = texts.select(["variant", "prompt", "text"]).to_pylist()
    if as_json:
        write_lines([for_json({"statistics": found, "texts": written}, indent=2)])
        return
    names = ("logprob", "distinct_2", "repeated_2", "same_again", "same_alone", "same_other_seed")
    lines = [f"{'strategy':<12}" + "".join(f"{name:>16}" for name in names)]
    lines += [
        f"{name:<12}" + "".join(f"{values[key]:>16.3f}" for key in names)
        for name, values in found.items()
    ]
    write_lines(
        [
            *lines,
            *(
                for_terminal(f"\n{row['variant']}: {row['prompt']}|{row['text']}", lines=True)
                for row in written
            ),
        ]
    )


@app.command()
def blend(
    model: Model,
    prompt: Annotated[list[str], typer.Option(help="a prompt; repeat it for several")],
    weight: Annotated[
        list[float] | None, typer.Option(help="of the prompts in their order; by default equal")
    ] = None,
    way: Annotated[str, typer.Option(help="embeddings, mixture or product")] = "embeddings",
    align: Annotated[
        str,
        typer.Option(help="of embeddings: which ends of the prompts lie together, left or right"),
    ] = "right",
    max_new_tokens: Annotated[int, typer.Option(help="of the text")] = 32,
    temperature: Annotated[float, typer.Option(help="0 takes the most probable token")] = 0.0,
    top_k: Annotated[int, typer.Option(help="tokens to draw from; 0 for all")] = 0,
    top_p: Annotated[float, typer.Option(help="the probability mass to draw from")] = 1.0,
    seed: Annotated[int, typer.Option(help="of the draws")] = 0,
    interactive: Annotated[
        bool, typer.Option("--interactive", help="read weights from the standard input; q ends")
    ] = False,
    bos: Bos = "prefix",
    as_json: Json = False,
    data: Data = Path("data"),
) -> None:
    """Go on from a weighted blend of prompts.

    Example: lmcore blend smollm2 --prompt "The cat sat on the" --weight 0.4 --prompt "The king ruled the" --weight 0.6
    """
    from lmcore.explorations.blending import Blender
    from lmcore.generating.sampling import Decoding
    from lmcore.machine.threads import one_thread
    from lmcore.models.find import find_model

    prompt = [typed_prompt(text) for text in prompt]
    blender = Blender(find_model(model, data / "models"), prompt, bos)
    decoding = Decoding(temperature, top_k, top_p)

    def lines(weights: list[float]) -> list[str]:
        with one_thread():
            found = blender.blend(
                weights,
                way=way,
                align=align,
                max_new_tokens=max_new_tokens,
                decoding=decoding,
                seed=seed,
            )
        under: list[dict[str, Any]] = [
            {"prompt": text, "weight": value, "logprob": logprob}
            for text, value, logprob in zip(prompt, weights, found.logprobs)
        ]
        if as_json:
            return [for_json({"text": found.text, "prompts": under})]
        after = [
            f"  weight {value:g}, {logprob:.3f} nats a token after '{for_terminal(text)}'"
            for text, value, logprob in zip(prompt, weights, found.logprobs)
        ]
        return [for_terminal(found.text, lines=True), *after]

    if weight or not interactive:
        write_lines(lines(weight or [1.0] * len(prompt)))
    while interactive:
        typer.echo(f"{len(prompt)} weights, or q: ", err=True, nl=False)
        answer = sys.stdin.readline()
        if not answer or answer.strip() == "q":
            break
        try:
            write_lines(lines([float(number) for number in answer.replace(",", " ").split()]))
        except ValueError as error:  # an InputError is one, too
            typer.echo(f"error: {error_line(error) or for_terminal(str(error))}", err=True)


def read_input(name: str) -> str:
    """The text of a file, or of the standard input for `-`, with \\n line ends. Raises InputError where it is no text."""
    if name == "-":
        return NEWLINE.sub("\n", decoded(sys.stdin.buffer.read(), "the standard input"))
    return read_text(Path(name), "a text file, or - for the standard input")


def typed_prompt(text: str) -> str:
    """A prompt of the command line, without the mark that `"$(cat FILE)"` brings along. Raises InputError for bytes that are no UTF-8."""
    return checked_text(text.lstrip(BOM), "the prompt")


def write_lines(lines: Iterable[str]) -> None:
    """Print the lines."""
    for line in lines:
        sys.stdout.write(line + "\n")
    sys.stdout.flush()
