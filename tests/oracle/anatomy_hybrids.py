"""Layers of state spaces and hybrids, read from config.json as anatomy.py needs them. Defaults and layouts are those
of the transformers classes; a layer is a tuple of blocks."""
from anatomy_blocks import Block, Matrix, add_shared, attend, gated_conv, mamba1, mamba2, mixture, mlp, \
    mlp_without_gate, rg_lru

UNBOUNDED = 1 << 20  # the context of models that name none
MAMBA1 = dict(state_size=16, expand=2, conv_kernel=4, use_bias=False, use_conv_bias=True, time_step_rank="auto",
              tie_word_embeddings=True, max_position_embeddings=UNBOUNDED)
MAMBA2 = dict(mamba_n_heads=128, mamba_n_groups=1, mamba_d_state=256, mamba_d_conv=4, mamba_expand=2,
              mamba_conv_bias=True, mamba_proj_bias=False)

DEFAULTS = {
    "MambaForCausalLM": MAMBA1,
    "FalconMambaForCausalLM": MAMBA1,
    "Mamba2ForCausalLM": dict(num_heads=128, head_dim=64, state_size=128, expand=2, conv_kernel=4, n_groups=8,
                              use_conv_bias=True, max_position_embeddings=UNBOUNDED),
    "RecurrentGemmaForCausalLM": dict(num_key_value_heads=None, lru_width=None, attention_window_size=2048,
                                      conv1d_width=4, logits_soft_cap=30.0, tie_word_embeddings=True,
                                      max_position_embeddings=UNBOUNDED),
    "JambaForCausalLM": dict(num_key_value_heads=8, num_experts=16, num_experts_per_tok=2, expert_layer_period=2,
                             expert_layer_offset=1, attn_layer_period=8, attn_layer_offset=4, mamba_d_state=16,
                             mamba_d_conv=4, mamba_expand=2, mamba_dt_rank="auto", mamba_conv_bias=True,
                             mamba_proj_bias=False, max_position_embeddings=262144),
    "Lfm2ForCausalLM": dict(num_key_value_heads=8, conv_L_cache=3, conv_bias=False, block_multiple_of=256,
                            block_ffn_dim_multiplier=1.0, block_auto_adjust_ff_dim=True, tie_word_embeddings=True,
                            max_position_embeddings=128000),
    "Lfm2MoeForCausalLM": dict(num_key_value_heads=8, conv_L_cache=3, conv_bias=False, num_dense_layers=2,
                               num_experts=32, num_experts_per_tok=4, moe_intermediate_size=1792,
                               use_expert_bias=True, tie_word_embeddings=True, max_position_embeddings=128000),
    "GraniteMoeHybridForCausalLM": MAMBA2 | dict(num_key_value_heads=None, num_local_experts=8, num_experts_per_tok=2,
                                                 shared_intermediate_size=1024, max_position_embeddings=2048),
    "BambaForCausalLM": MAMBA2 | dict(num_key_value_heads=8, max_position_embeddings=262144),
    "FalconH1ForCausalLM": MAMBA2 | dict(num_key_value_heads=8, mamba_d_ssm=1024, mamba_rms_norm=False,
                                         projectors_bias=False, max_position_embeddings=8192),
    "NemotronHForCausalLM": dict(num_key_value_heads=8, head_dim=128, ssm_state_size=128, mamba_num_heads=128,
                                 mamba_head_dim=64, n_groups=8, conv_kernel=4, use_conv_bias=True,
                                 n_routed_experts=8, num_experts_per_tok=2, moe_intermediate_size=7688,
                                 moe_shared_expert_intermediate_size=7688, max_position_embeddings=4096),
    "Zamba2ForCausalLM": dict(num_key_value_heads=None, mamba_d_state=64, mamba_d_conv=4, mamba_expand=2,
                              mamba_ngroups=1, n_mamba_heads=8, num_mem_blocks=1, adapter_rank=128,
                              tie_word_embeddings=True, max_position_embeddings=4096),
}
NULLABLE = ("mamba_d_ssm", "block_ffn_dim_multiplier")  # null is a value of its own, not the default
SINGLE = ("MambaForCausalLM", "FalconMambaForCausalLM", "Mamba2ForCausalLM", "NemotronHForCausalLM",
          "Zamba2ForCausalLM")  # one norm and one residual a layer


def rank_of(rank, d):
    return -(-d // 16) if rank == "auto" else rank


def plain(c, window=None, pairs=None, bias=None, out_bias=None):
    """Attention as most have it; `pairs` of a head that rotate (all)."""
    heads = c["num_attention_heads"]
    dim = c.get("head_dim") or c["hidden_size"] // heads
    bias = bool(c.get("attention_bias")) if bias is None else bias
    return attend(c["hidden_size"], heads, c["num_key_value_heads"] or heads, dim, dim // 2 if pairs is None else pairs,
                  bias, bias if out_bias is None else out_bias, window)


def mamba_layers(c, kind):
    d = c["hidden_size"]
    norms = "bare" if kind == "FalconMambaForCausalLM" else None
    mixer = mamba1(d, int(c["expand"] * d), c["state_size"], rank_of(c["time_step_rank"], d), c["conv_kernel"],
                   bool(c["use_bias"]), c["use_conv_bias"], norms)
    return [(mixer,)] * c["num_hidden_layers"]


def mamba2_layers(c, _):
    mixer = mamba2(c["hidden_size"], c["num_heads"], c["head_dim"], c["n_groups"], c["state_size"], c["conv_kernel"],
                   bool(c.get("use_bias")), c["use_conv_bias"])
    return [(mixer,)] * c["num_hidden_layers"]


def usual_mamba2(c, inner=None, **further):
    """By the keys that Granite, Bamba and Falcon-H1 share."""
    heads, inner = c["mamba_n_heads"], inner or int(c["mamba_expand"] * c["hidden_size"])
    return mamba2(c["hidden_size"], heads, inner // heads, c["mamba_n_groups"], c["mamba_d_state"],
                  c["mamba_d_conv"], c["mamba_proj_bias"], c["mamba_conv_bias"], **further)


def recurrent_gemma_layers(c, _):
    d, heads = c["hidden_size"], c["num_attention_heads"]
    attention = plain({**c, "head_dim": None}, c["attention_window_size"], d // heads // 2 // 2, out_bias=True)
    recurrent = rg_lru(d, c["lru_width"] or d, heads, c["conv1d_width"])
    kinds = c.get("block_types") or ["recurrent", "recurrent", "attention"]
    feed = mlp(d, c["intermediate_size"] // 2, True)
    return [(attention if kinds[i % len(kinds)] == "attention" else recurrent, feed)
            for i in range(c["num_hidden_layers"])]


def jamba_layers(c, _):
    d = c["hidden_size"]
    mixer = mamba1(d, c["mamba_expand"] * d, c["mamba_d_state"], rank_of(c["mamba_dt_rank"], d), c["mamba_d_conv"],
                   c["mamba_proj_bias"], c["mamba_conv_bias"], "gain")
    dense = mlp(d, c["intermediate_size"])
    sparse = mixture(d, c["num_experts"], c["num_experts_per_tok"], c["intermediate_size"])
    return [(plain(c, pairs=0) if i % c["attn_layer_period"] == c["attn_layer_offset"] else mixer,
             sparse if c["num_experts"] > 1 and i % c["expert_layer_period"] == c["expert_layer_offset"] else dense)
            for i in range(c["num_hidden_layers"])]


def lfm2_width(c):
    width = c.get("block_ff_dim") or c["intermediate_size"]
    if not c["block_auto_adjust_ff_dim"]:
        return width
    width = int(2 * width / 3)
    if c["block_ffn_dim_multiplier"] is None:
        return width
    return -(-int(c["block_ffn_dim_multiplier"] * width) // c["block_multiple_of"]) * c["block_multiple_of"]


def lfm2_mixers(c):
    d, heads = c["hidden_size"], c["num_attention_heads"]
    attention = plain(c, bias=False)
    attention.vectors += [d // heads] * 2
    attention.flops += 4 * (heads + c["num_key_value_heads"]) * (d // heads)
    conv = gated_conv(d, c["conv_L_cache"], c["conv_bias"])
    n, chosen = c["num_hidden_layers"], c.get("full_attn_idxs")
    kinds = c.get("layer_types") or ["conv" if chosen is not None and i not in chosen else "full_attention"
                                     for i in range(n)]
    return [attention if kind == "full_attention" else conv for kind in kinds]


def lfm2_layers(c, _):
    return [(mixer, mlp(c["hidden_size"], lfm2_width(c))) for mixer in lfm2_mixers(c)]


def lfm2moe_layers(c, _):
    d = c["hidden_size"]
    sparse = mixture(d, c["num_experts"], c["num_experts_per_tok"], c["moe_intermediate_size"])
    sparse.vectors += [c["num_experts"]] if c["use_expert_bias"] else []
    dense = mlp(d, c["intermediate_size"])
    return [(mixer, dense if i < c["num_dense_layers"] else sparse) for i, mixer in enumerate(lfm2_mixers(c))]


def granite_feed(c):
    d, shared = c["hidden_size"], mlp(c["hidden_size"], c["shared_intermediate_size"])
    if not c["num_local_experts"]:
        return shared
    feed = mixture(d, c["num_local_experts"], c["num_experts_per_tok"], c["intermediate_size"])
    add_shared(feed, shared, d)
    return feed


def granite_layers(c, _):
    kinds = c.get("layer_types") or c.get("layers_block_type") or ["mamba"] * c["num_hidden_layers"]
    attention = plain(c, pairs=None if c.get("position_embedding_type") == "rope" else 0)
    return [(attention if kind in ("attention", "full_attention") else usual_mamba2(c), granite_feed(c))
            for kind in kinds]


def bamba_layers(c, _):
    dim = c["hidden_size"] // c["num_attention_heads"]
    attention = plain(c, pairs=dim // 2 // 2)  # the first half of a head rotates
    feed = mlp(c["hidden_size"], c["intermediate_size"], bool(c.get("mlp_bias")))
    return [(attention if i in (c.get("attn_layer_indices") or []) else usual_mamba2(c), feed)
            for i in range(c["num_hidden_layers"])]


def falcon_h1_layers(c, _):
    """Both mixers read one norm and are added to one stream. Of the multipliers those count that are neither part of
    an addition nor of the scale of scores."""
    d, width = c["hidden_size"], c["intermediate_size"]
    mixer = usual_mamba2(c, c["mamba_d_ssm"], out_bias=c["projectors_bias"], normed=c["mamba_rms_norm"])
    feed = mlp(d, width, bool(c.get("mlp_bias")))
    mixer.flops += d + sum(d for k in ("ssm_in_multiplier", "attention_in_multiplier") if c.get(k, 1) != 1)
    mixer.flops += mixer.matrices[0].n if any(m != 1 for m in c.get("ssm_multipliers") or []) else 0
    feed.flops += width if (c.get("mlp_multipliers") or [1])[0] != 1 else 0
    return [(mixer, plain(c), feed)] * c["num_hidden_layers"]


def nemotron_experts(c):
    d, latent, bias = c["hidden_size"], c.get("moe_latent_size"), bool(c.get("mlp_bias"))
    block = mixture(d, c["n_routed_experts"], c["num_experts_per_tok"], c["moe_intermediate_size"], gated=False,
                    latent=latent)
    block.vectors.append(c["n_routed_experts"])  # correction biases
    if latent:
        block.matrices += [Matrix(latent, d, bias), Matrix(d, latent, bias)]
    add_shared(block, mlp_without_gate(d, c["moe_shared_expert_intermediate_size"], bias), d)
    return block


def nemotron_layers(c, _):
    d = c["hidden_size"]
    words = {"M": "mamba", "*": "attention", "-": "mlp", "E": "moe", "linear_attention": "mamba",
             "full_attention": "attention"}
    block = {"mamba": mamba2(d, c["mamba_num_heads"], c["mamba_head_dim"], c["n_groups"], c["ssm_state_size"],
                             c["conv_kernel"], bool(c.get("use_bias")), c["use_conv_bias"]),
             "attention": plain(c, pairs=0, bias=False),
             "mlp": mlp_without_gate(d, c["intermediate_size"], bool(c.get("mlp_bias"))),
             "moe": nemotron_experts(c)}
    return [(block[words.get(kind, kind)],) for kind in c.get("layers_block_type") or c["hybrid_override_pattern"]]


def adapter(rank, width, outputs):
    """Low-rank products, each added to one of the shared block's."""
    return Block([m for n in outputs for m in (Matrix(rank, width), Matrix(n, rank))], flops=sum(outputs))


def zamba2_shared(c, again):
    """The transformer that hybrid layers share, on the stream beside the embedding."""
    d, heads, bias = c["hidden_size"], c["num_attention_heads"], bool(c.get("add_bias_linear"))
    dim = 2 * d // heads
    attention = attend(d, heads, c["num_key_value_heads"] or heads, dim, dim // 2 if c.get("use_mem_rope") else 0,
                       width=2 * d)
    width = c.get("intermediate_size") or 4 * d
    feed = Block([Matrix(2 * width, d, bias), Matrix(d, width, bias)], flops=5 * width)  # gate and up are one matrix
    attention.vectors += [2 * d, d]
    attention.flops += 4 * 3 * d
    attention.again = feed.again = again
    return [attention, feed]


def zamba2_layers(c, _):
    d, bias, rank = c["hidden_size"], bool(c.get("add_bias_linear")), c["adapter_rank"]
    heads, inner = c["n_mamba_heads"], int(c["mamba_expand"] * d)
    mixer = mamba2(d, heads, inner // heads, c["mamba_ngroups"], c["mamba_d_state"], c["mamba_d_conv"], bias, True)
    layers, hybrids = [], 0
    for kind in c["layers_block_type"]:
        layers.append((mixer,))
        if kind != "hybrid":
            continue
        own = [Block([Matrix(d, d)], flops=d),  # what comes back, added to what the mixer reads
               adapter(rank, d, [2 * (c.get("intermediate_size") or 4 * d)])]
        if c.get("use_shared_attention_adapter"):
            own.append(adapter(rank, 2 * d, [2 * d] * 3))
        layers[-1] += (*zamba2_shared(c, hybrids >= c["num_mem_blocks"]), *own)
        hybrids += 1
    return layers


LAYERS = {
    "MambaForCausalLM": mamba_layers, "FalconMambaForCausalLM": mamba_layers, "Mamba2ForCausalLM": mamba2_layers,
    "RecurrentGemmaForCausalLM": recurrent_gemma_layers, "JambaForCausalLM": jamba_layers,
    "Lfm2ForCausalLM": lfm2_layers, "Lfm2MoeForCausalLM": lfm2moe_layers,
    "GraniteMoeHybridForCausalLM": granite_layers, "BambaForCausalLM": bamba_layers,
    "FalconH1ForCausalLM": falcon_h1_layers, "NemotronHForCausalLM": nemotron_layers,
    "Zamba2ForCausalLM": zamba2_layers,
}


def layers(kind, c):
    return LAYERS[kind](c, kind)
