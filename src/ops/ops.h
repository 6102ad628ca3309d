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

/// y = x / rms(x) * gain over the last size. Source: Zhang and Sennrich 2019, equation 4.
Tensor rms_norm(Context& cx, Tensor x, Tensor gain, float eps, bool gain_plus_one);

/// Rotates x [tokens, heads, head_dim] by the step's table of this spec. Source: Su et al. 2021.
Tensor rope(Context& cx, Tensor x, const RopeSpec& spec, const Step& step);

/// Stores k [tokens, n_kv_heads, k_dim] and v of this step at the place, then attends: q [tokens, n_heads, k_dim] ->
/// [tokens, n_heads, v_dim]. The place's parts are k and v. Source: Vaswani et al. 2017.
Tensor attention(Context& cx, Tensor q, Tensor k, Tensor v, float scale, const StepInput& in);

/// act(gate) * up. Source: Shazeer 2020.
Tensor gated(Context& cx, Tensor gate, Tensor up, Activation activation);

/// a + b, written to `out` (which may be a or b).
Tensor residual(Context& cx, Tensor a, Tensor b, Tensor out);

/// cap * tanh(x / cap).
Tensor softcap(Context& cx, Tensor x, float cap);

/// log(softmax(x))[row, target] for each row of x [rows, vocab].
std::vector<double> log_probabilities(Context& cx, Tensor x, std::span<const int32_t> targets);

}  // namespace godwit
