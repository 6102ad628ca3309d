// The ops: the unit of checking, kernel choice, threading and cost. An op never changes its inputs (but for `residual`,
// whose output buffer is the caller's); its result lies in the arena. Every op throws Bug unless shapes agree.
#pragma once

#include <span>
#include <vector>

#include "ops/batch.h"
#include "ops/context.h"

namespace godwit {

/// A matrix [n, k] of any type with an optional bias [n].
struct LinearWeight {
  Tensor weight;
  Tensor bias;  // empty: none
};

/// y_i = x w_i^T + bias_i for several matrices that read the same x [tokens, k] -> [tokens, n_i]. x is rounded once per
/// form that the weights ask for (docs/numerics.md), one task list, one barrier. At most 4 matrices.
std::vector<Tensor> linear(Context& cx, Tensor x, std::span<const LinearWeight* const> weights);
Tensor linear(Context& cx, Tensor x, const LinearWeight& weight);

/// Rows `ids` of a table [n, d], times scale -> [ids, d].
Tensor embed(Context& cx, std::span<const int32_t> ids, Tensor table, float scale);

/// Rows `index` of x [tokens, d] -> [index, d].
Tensor gather_rows(Context& cx, Tensor x, std::span<const int32_t> index);

/// y = x / rms(x) * gain over the last size; with gain [G, d] row r takes gain r % G, without one (empty) 1. Source:
/// Zhang and Sennrich 2019, equation 4.
Tensor rms_norm(Context& cx, Tensor x, Tensor gain, float eps, bool gain_plus_one);

/// Rotates x [tokens, heads, head_dim] by the step's table of this spec. Source: Su et al. 2021.
Tensor rope(Context& cx, Tensor x, const RopeSpec& spec, const Step& step);

/// How scores are made and what joins their softmax (AttentionArgs).
struct AttentionOptions {
  float scale = 1.0f;
  float softcap = 0.0f;  // 0: none
  Tensor sinks = {};     // [n_heads]; empty: none
};

/// Stores k [tokens, n_kv_heads, k_dim] and v of this step at the place, then attends: q [tokens, n_heads, k_dim] ->
/// [tokens, n_heads, v_dim]. The place's parts are "k" and "v". Source: Vaswani et al. 2017.
Tensor attention(Context& cx, Tensor q, Tensor k, Tensor v, const AttentionOptions& options, const StepInput& in);

/// Multi-head latent attention in its absorbed form: stores the latents c [tokens, r] and rotary keys k_pe [tokens, p]
/// of this step, then attends to (c, k_pe) as the one key of all heads and to c as its value: q [tokens, n_heads, r +
/// p]
/// -> [tokens, n_heads, r]. The place's parts are "k_pe" [1, p] and "latent" [1, r]. Source: DeepSeek-AI 2024
/// (DeepSeek-V2), section 2.1 and appendix C.
Tensor latent_attention(Context& cx, Tensor q, Tensor c, Tensor k_pe, float scale, const StepInput& in);

/// act(gate) * up; without `up` (empty): act(gate). limit and alpha are those of kSwigluClamped. Source: Shazeer 2020.
Tensor gated(Context& cx, Tensor gate, Tensor up, Activation activation, float limit = 0.0f, float alpha = 0.0f);

/// x [tokens, ...] times each token's factor of factors [tokens].
Tensor scale_rows(Context& cx, Tensor x, Tensor factors);

/// x times one factor.
Tensor scaled(Context& cx, Tensor x, float factor);

/// Columns [first, first + count) of every row of x [..., width] -> [..., count].
Tensor columns(Context& cx, Tensor x, int64_t first, int64_t count);

/// a [..., n] and b [..., m] side by side -> [..., n + m].
Tensor concat(Context& cx, Tensor a, Tensor b);

/// x to [-limit, limit]; NaN stays.
Tensor clamp(Context& cx, Tensor x, float limit);

/// a + scale * b, rounded once, written to `out` (which may be a or b).
Tensor residual(Context& cx, Tensor a, Tensor b, Tensor out, float scale = 1.0f);

/// cap * tanh(x / cap).
Tensor softcap(Context& cx, Tensor x, float cap);

/// log(softmax(x))[row, target] for each row of x [rows, vocab].
std::vector<double> log_probabilities(Context& cx, Tensor x, std::span<const int32_t> targets);

}  // namespace godwit
