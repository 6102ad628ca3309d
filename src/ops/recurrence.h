// Ops of recurrent mixers. Their state lies in the record of the sequence (ops/state.h); each op says which parts of
// the place it uses, in order, and a block's list of parts is made of theirs.
#pragma once

#include "ops/batch.h"

namespace godwit {

/// What a causal depthwise convolution remembers, 2 parts, and `then` what comes after it.
std::vector<StatePart> conv_state(int64_t channels, int64_t taps, const std::vector<StatePart>& then = {});

/// A convolution's weight [channels, taps] and bias [channels] or empty.
struct ConvWeight {
  Tensor weight, bias;
};

/// Convolves columns [first, first + channels) of x [tokens, width] along each sequence, then SiLU where asked ->
/// [tokens, channels]. Its state is the place's parts from `part` on (kernels.h, ShortConvArgs).
Tensor short_conv(Context& cx, Tensor x, int64_t first, const ConvWeight& w, bool silu, const StepInput& in,
                  size_t part);

/// What a selective scan learns: a_log [channels, d_state], d and dt_bias [channels].
struct ScanWeight {
  Tensor a_log, d, dt_bias;
};

/// What it remembers: 4 parts.
std::vector<StatePart> scan_state(int64_t channels, int64_t d_state);

/// x and raw time steps dt [tokens, channels], b and c [tokens, d_state] -> [tokens, channels]. Source: Gu and Dao 2023
/// (Mamba), algorithm 2.
Tensor selective_scan(Context& cx, Tensor x, Tensor dt, Tensor b, Tensor c, const ScanWeight& w, const StepInput& in,
                      size_t part);

/// What a real-gated linear recurrence learns: width values each.
struct RgLruWeight {
  Tensor input_bias, recurrent_bias, lambda;
};

/// What it remembers: 3 parts.
std::vector<StatePart> rg_lru_state(int64_t width);

/// x [tokens, width], and what its two gates are the sigmoids of (before their biases) -> [tokens, width]. Source: De
/// et al. 2024 (Griffin), section 2.4.
Tensor rg_lru(Context& cx, Tensor x, Tensor input_gate, Tensor recurrent_gate, const RgLruWeight& w,
              const StepInput& in, size_t part);

/// Sizes of a state-space dual layer and the limits of its time steps.
struct SsdSpec {
  int64_t heads = 0, head_dim = 0, d_state = 0, groups = 1;
  float dt_low = 0.0f, dt_high = 0.0f;
  int64_t inner() const { return heads * head_dim; }
  int64_t channels() const { return inner() + 2 * groups * d_state; }  // x | B | C
};
struct SsdWeight {
  Tensor a_log, d, dt_bias;  // heads values each
};

/// What it remembers: 4 parts.
std::vector<StatePart> ssd_state(const SsdSpec& spec);

/// xbc [tokens, channels()] and raw time steps in columns [dt_first, dt_first + heads) of dt -> [tokens, inner()].
/// Source: Dao and Gu 2024 (Mamba-2), section 6.
Tensor ssd(Context& cx, Tensor xbc, Tensor dt, int64_t dt_first, const SsdWeight& w, const SsdSpec& spec,
           const StepInput& in, size_t part);

}  // namespace godwit
