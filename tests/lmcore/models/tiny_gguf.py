"""A small Llama written as a GGUF file, as llama.cpp's converter lays it out."""

import json
from pathlib import Path

import gguf
import numpy as np
import torch
from tokenizers import Tokenizer

LAYER = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def write_gguf(path: Path, model, tokenizer: Tokenizer, pre: str | None, **metadata) -> None:
    """Write `model`, a LlamaForCausalLM, to `path`.

    metadata: keys below `llama.` (with `__` for each dot) and their values, floats or texts.
    """
    config, writer = model.config, gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_vocab_size(config.vocab_size)
    for key, value in metadata.items():
        name = "llama." + key.replace("__", ".")
        if isinstance(value, str):
            writer.add_string(name, value)
        else:
            writer.add_float32(name, value)
    _add_tokenizer(writer, tokenizer, pre)
    names = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
    for layer in range(config.num_hidden_layers):
        names |= {
            f"model.layers.{layer}.{ours}": f"blk.{layer}.{theirs}"
            for ours, theirs in LAYER.items()
        }
    state = model.state_dict()
    for ours, theirs in names.items():
        weights = state[ours + ".weight"].float().numpy()
        if "q_proj" in ours or "k_proj" in ours:
            weights = _permuted(weights, config.num_attention_heads)
        writer.add_tensor(theirs + ".weight", np.ascontiguousarray(weights))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_tokenizer(writer: gguf.GGUFWriter, tokenizer: Tokenizer, pre: str | None) -> None:
    content = json.loads(tokenizer.to_str())
    special = {token["id"] for token in content["added_tokens"]}
    writer.add_tokenizer_model("gpt2")
    if pre is not None:
        writer.add_tokenizer_pre(pre)
    ids = range(tokenizer.get_vocab_size())
    writer.add_token_list([tokenizer.id_to_token(number) for number in ids])
    writer.add_token_types([3 if number in special else 1 for number in ids])
    writer.add_token_merges([" ".join(pair) for pair in content["model"]["merges"]])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)


def _permuted(weights: np.ndarray, heads: int) -> np.ndarray:
    """The rows of query and key in GGUF's order: the halves of each rotary pair side by side."""
    rows, width = weights.shape
    return weights.reshape(heads, 2, rows // heads // 2, width).swapaxes(1, 2).reshape(rows, width)


def randomise(model) -> None:
    """Give the model weights so large that a wrong rotary angle changes its logits visibly."""
    torch.manual_seed(5)
    for parameter in model.parameters():
        if parameter.dim() > 1:
            parameter.data.normal_(0, 0.3)
