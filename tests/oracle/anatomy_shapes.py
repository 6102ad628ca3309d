"""What a model is made of, read from config.json as anatomy.py needs it: matrices, vectors, and what else a token
costs. The defaults are those of the transformers classes."""
import anatomy_hybrids
from anatomy_blocks import Block, Matrix, add_shared, attend, mixture, mlp

DEFAULTS = anatomy_hybrids.DEFAULTS | {
    "LlamaForCausalLM": dict(num_key_value_heads=None),
    "MistralForCausalLM": dict(num_key_value_heads=8, sliding_window=4096),
    "MinistralForCausalLM": dict(num_key_value_heads=8, sliding_window=4096),
    "Qwen3ForCausalLM": dict(num_key_value_heads=32, head_dim=128, sliding_window=4096, max_window_layers=28),
    "Gemma3ForCausalLM": dict(num_key_value_heads=4, head_dim=256, tie_word_embeddings=True, sliding_window=4096,
                              sliding_window_pattern=6),
    "MixtralForCausalLM": dict(num_key_value_heads=8, num_local_experts=8, num_experts_per_tok=2),
    "Qwen2MoeForCausalLM": dict(num_key_value_heads=16, sliding_window=4096, max_window_layers=28, qkv_bias=True,
                                num_experts=60, num_experts_per_tok=4, moe_intermediate_size=1408,
                                shared_expert_intermediate_size=5632, decoder_sparse_step=1),
    "Qwen3MoeForCausalLM": dict(num_key_value_heads=4, sliding_window=4096, num_experts=128, num_experts_per_tok=8,
                                moe_intermediate_size=768, decoder_sparse_step=1),
    "OlmoeForCausalLM": dict(num_key_value_heads=None, num_experts=64, num_experts_per_tok=8),
    "DeepseekV2ForCausalLM": dict(q_lora_rank=1536, kv_lora_rank=512, qk_nope_head_dim=128, qk_rope_head_dim=64,
                                  v_head_dim=128, n_routed_experts=64, n_shared_experts=2, moe_intermediate_size=1407,
                                  first_k_dense_replace=0),
    "DeepseekV3ForCausalLM": dict(q_lora_rank=1536, kv_lora_rank=512, qk_nope_head_dim=128, qk_rope_head_dim=64,
                                  v_head_dim=128, n_routed_experts=256, num_experts_per_tok=8, n_shared_experts=1,
                                  moe_intermediate_size=2048, first_k_dense_replace=3),
    "Mistral4ForCausalLM": dict(q_lora_rank=1024, kv_lora_rank=256, qk_nope_head_dim=64, qk_rope_head_dim=64,
                                v_head_dim=128, n_routed_experts=128, num_experts_per_tok=4, n_shared_experts=1,
                                moe_intermediate_size=2048, first_k_dense_replace=0),
    "GptOssForCausalLM": dict(num_key_value_heads=8, head_dim=64, sliding_window=128, attention_bias=True,
                              num_local_experts=128, num_experts_per_tok=4),
    "Glm4MoeForCausalLM": dict(num_key_value_heads=8, n_routed_experts=128, num_experts_per_tok=8, n_shared_experts=1,
                               moe_intermediate_size=1408, first_k_dense_replace=1, partial_rotary_factor=0.5),
    "GraniteMoeForCausalLM": dict(num_key_value_heads=None, num_local_experts=8, num_experts_per_tok=2),
    "MiniMaxM2ForCausalLM": dict(num_key_value_heads=8, head_dim=128, num_local_experts=256, num_experts_per_tok=8),
}
LATENT = ("DeepseekV2ForCausalLM", "DeepseekV3ForCausalLM", "Mistral4ForCausalLM")
PER_HEAD_NORM = ("Qwen3ForCausalLM", "Gemma3ForCausalLM", "Qwen3MoeForCausalLM")
WHOLE_NORM = ("OlmoeForCausalLM", "MiniMaxM2ForCausalLM")
NULLABLE = ("q_lora_rank", *anatomy_hybrids.NULLABLE)  # null is a value of its own, not the default


def value(c, *names):
    return next(c[n] for n in names if n in c)


def windows(c, kind):
    """The window of each layer; None: it sees all."""
    n, w = c["num_hidden_layers"], c.get("sliding_window")
    if not w or (kind.startswith("Qwen") and not c.get("use_sliding_window")):
        return [None] * n
    if kind == "Qwen3MoeForCausalLM":
        slides = [True] * n
    elif c.get("layer_types"):
        slides = [t == "sliding_attention" for t in c["layer_types"]]
    elif kind == "Qwen3ForCausalLM":
        slides = [i >= c["max_window_layers"] for i in range(n)]
    elif kind == "Qwen2MoeForCausalLM":
        slides = [i % 2 == 0 and i < c["max_window_layers"] for i in range(n)]
    elif kind == "GptOssForCausalLM":
        slides = [i % 2 == 0 for i in range(n)]
    elif kind == "Gemma3ForCausalLM":
        slides = [(i + 1) % c["sliding_window_pattern"] != 0 for i in range(n)]
    else:
        slides = [kind in ("MistralForCausalLM", "MinistralForCausalLM", "MixtralForCausalLM")] * n
    return [w if slide else None for slide in slides]


def rope_of(c):
    return c.get("rope_parameters") or c.get("rope_scaling") or {}


def attention(c, kind, window):
    d, heads = c["hidden_size"], c["num_attention_heads"]
    kv, dim = c["num_key_value_heads"] or heads, c.get("head_dim") or d // heads
    bias = bool(c.get("qkv_bias") if kind == "Qwen2MoeForCausalLM" else c.get("attention_bias"))
    out_bias = bias and kind not in ("Qwen2MoeForCausalLM", "Glm4MoeForCausalLM")
    partial = rope_of(c).get("partial_rotary_factor") or c.get("partial_rotary_factor") or 1.0
    pairs = (c["rotary_dim"] if c.get("rotary_dim") else int(dim * partial)) // 2
    block = attend(d, heads, kv, dim, pairs, bias, out_bias, window)
    per_head = kind in PER_HEAD_NORM or (kind == "Glm4MoeForCausalLM" and c.get("use_qk_norm"))
    if per_head or kind in WHOLE_NORM:
        block.vectors += [dim, dim] if per_head else [heads * dim, kv * dim]
        block.flops += 4 * (heads + kv) * dim
    if c.get("clip_qkv"):
        block.flops += 2 * (heads + 2 * kv) * dim
    if kind == "GptOssForCausalLM":
        block.vectors.append(heads)  # sinks
    return block


def latent_attention(c, kind):
    """Absorbed: each head's query goes through its k_b, the sum of latents through its v_b."""
    d, heads, r = c["hidden_size"], c["num_attention_heads"], c["kv_lora_rank"]
    nope, rot, v = c["qk_nope_head_dim"], c["qk_rope_head_dim"], c["v_head_dim"]
    q_rank, bias = c["q_lora_rank"], bool(c.get("attention_bias"))
    q = heads * (nope + rot)
    queries = [Matrix(q_rank, d, bias), Matrix(q, q_rank)] if q_rank else [Matrix(q, d)]
    norms = ([q_rank] if q_rank else []) + [r]
    block = Block([*queries, Matrix(r + rot, d, bias), Matrix(r, nope, copies=heads), Matrix(v, r, copies=heads),
                   Matrix(d, heads * v, bias)],
                  vectors=norms, flops=4 * sum(norms) + 6 * (heads + 1) * (rot // 2),
                  flops_per_key=2 * heads * (2 * r + rot), state_values=r + rot)
    if kind == "Mistral4ForCausalLM" and rope_of(c).get("llama_4_scaling_beta", 0.0 if rope_of(c) else 0.1):
        block.flops += heads * (r + rot)  # the temperature of queries
    return block


def experts(c, kind):
    d, k = c["hidden_size"], c["num_experts_per_tok"]
    n = value(c, "num_local_experts", "num_experts", "n_routed_experts")
    width, oss = value(c, "moe_intermediate_size", "intermediate_size"), kind == "GptOssForCausalLM"
    block = mixture(d, n, k, width, oss)
    if kind in ("DeepseekV3ForCausalLM", "Glm4MoeForCausalLM", "MiniMaxM2ForCausalLM"):
        block.vectors.append(n)  # correction biases
    shared = c.get("shared_expert_intermediate_size") or width * (c.get("n_shared_experts") or 0)
    if shared:
        add_shared(block, mlp(d, shared), d)
    if kind == "Qwen2MoeForCausalLM":
        block.matrices.append(Matrix(1, d, role="f32"))
        block.flops += 4 + d  # a sigmoid; times the shared output
    return block


def is_sparse(c, kind, i):
    if kind in ("Qwen2MoeForCausalLM", "Qwen3MoeForCausalLM"):
        return i not in (c.get("mlp_only_layers") or []) and (i + 1) % c["decoder_sparse_step"] == 0
    if "first_k_dense_replace" in c:
        return i >= c["first_k_dense_replace"]
    return "num_experts_per_tok" in c


class Model:
    """layers: of blocks (attention or a recurrence, feed-forward), or one block; norms and residuals: of a layer, each
    of d."""

    def __init__(self, config):
        kind = config["architectures"][0]
        c = {**DEFAULTS[kind], **{k: v for k, v in config.items() if v is not None or k in NULLABLE}}
        self.d, self.vocab, self.context = c["hidden_size"], c["vocab_size"], c["max_position_embeddings"]
        self.tied = c.get("tie_embedding", c.get("tie_word_embeddings", False))
        single = kind in anatomy_hybrids.SINGLE
        self.norms = 4 if kind == "Gemma3ForCausalLM" else 1 if single else 2
        self.residuals = 1 if single else 2
        capped = c.get("final_logit_softcapping") or c.get("logits_soft_cap")
        self.logit_flops = 3 if capped else int(c.get("logits_scaling", c.get("lm_head_multiplier", 1.0)) != 1.0)
        if kind in anatomy_hybrids.LAYERS:
            self.layers = anatomy_hybrids.layers(kind, c)
            return
        self.layers = []
        for i, window in enumerate(windows(c, kind)):
            mixer = latent_attention(c, kind) if kind in LATENT else attention(c, kind, window)
            dense = mlp(self.d, c["intermediate_size"], bool(c.get("mlp_bias")) and kind not in LATENT)
            self.layers.append((mixer, experts(c, kind) if is_sparse(c, kind, i) else dense))
