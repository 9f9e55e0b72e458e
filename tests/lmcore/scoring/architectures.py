"""Small random models of many architectures, as folders."""

from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from tests.lmcore.scoring.conftest import save_tokenizer

BASE = {
    "vocab_size": 300,
    "hidden_size": 48,
    "intermediate_size": 72,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "initializer_range": 0.2,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
SHORT = {
    "head_dim": 12,
    "sliding_window": 8,
    "layer_types": ["sliding_attention", "full_attention"],
}
EXPERTS = {"num_experts_per_tok": 2, "head_dim": 12}
MHA = {"num_key_value_heads": 4}
GPT = {"n_embd": 48, "n_layer": 2, "n_head": 4, "n_positions": 512}

# keys that are added to BASE, or replace the same keys there
PACKED: dict[str, dict] = {
    "cohere": {"logit_scale": 0.3},
    "cohere2": {"logit_scale": 0.3, **SHORT},
    "gemma": {"head_dim": 12},
    "gemma2": {"query_pre_attn_scalar": 12, **SHORT},
    "gemma3_text": {"query_pre_attn_scalar": 12, **SHORT},
    "gpt2": GPT,
    "gpt_bigcode": GPT,
    "gpt_neox": {"rotary_pct": 0.25, **MHA},
    "gpt_oss": {"num_local_experts": 4, **EXPERTS, **SHORT},
    "granite": {"logits_scaling": 4.0, "residual_multiplier": 0.5, "attention_multiplier": 0.2},
    "llama": {},
    "mistral": {"sliding_window": 8},
    "mixtral": {"num_local_experts": 4, **EXPERTS},
    "nemotron": {},
    "olmo2": {},
    "olmo3": SHORT,
    "opt": {"ffn_dim": 72, "word_embed_proj_dim": 32, "init_std": 0.2},
    "phi": {"partial_rotary_factor": 0.5, **MHA},
    "phi3": {},
    "qwen2": {},
    "qwen3": {"head_dim": 12},
    "qwen3_moe": {"num_experts": 4, "moe_intermediate_size": 40, **EXPERTS},
    "smollm3": {},
    "stablelm": {"partial_rotary_factor": 0.5},
    "starcoder2": {"sliding_window": 8},
}
PADDED: dict[str, dict] = {
    "bloom": {"n_layer": 2, "n_head": 4},
    "falcon": {"multi_query": True, "alibi": False, "new_decoder_architecture": False, **MHA},
    "gpt_neo": {
        "num_layers": 2,
        "num_heads": 4,
        "attention_types": [[["global", "local"], 1]],
        "window_size": 8,
    },
    "gptj": {**GPT, "rotary_dim": 4},
    "lfm2": {"layer_types": ["conv", "full_attention"]},
    "mamba": {"state_size": 4},
    "mpt": {"d_model": 48, "n_layers": 2, "n_heads": 4, "max_seq_len": 512},
}
DROPPED = {"mpt": ("hidden_size", "num_attention_heads", "num_hidden_layers")}


def save(name: str, path: Path, **changes) -> Path:
    """A random model of the architecture `name` in the folder, with a tokenizer of 300 tokens."""
    values = {**BASE, **(PACKED | PADDED).get(name, {}), **changes}
    values = {key: value for key, value in values.items() if key not in DROPPED.get(name, ())}
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(name, **values))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:  # norms, biases and sinks, of which some begin as ones or zeros
                parameter.add_(torch.randn_like(parameter) * 0.1)
    model.save_pretrained(path)
    save_tokenizer(path)
    return path
