// Words of a pattern that are recurrent: mamba2.
#include <algorithm>
#include <cmath>

#include "blocks/mamba2.h"
#include "models/layer_parts.h"
#include "models/usual.h"

namespace godwit {
namespace {

using Hf = const HfConfig&;
using C = const Config&;

constexpr int64_t kHeadDim = 64, kTaps = 4;  // where config.json is silent

/// Twice the width of the model, as its authors have it.
int64_t expanded(Hf, C c) { return std::min(kMostPartChannels, 2 * sane_size(c, "embedding_length")); }

/// The most parts of `width` that have `least` channels or more, and no rest; 1 where it is narrower.
int64_t parts_of(int64_t width, int64_t least) {
  int64_t parts = std::max<int64_t>(1, width / least);
  while (width % parts != 0) --parts;
  return parts;
}

/// `key` of the configuration as a count that divides `of` things.
int64_t divisor(C c, const char* key, int64_t of, const char* what) {
  const int64_t n = c.integer(key);
  if (of % n != 0) c.refuse(key, fmt::format("a divisor of the {} {}", of, what), std::to_string(n));
  return n;
}

std::unique_ptr<Block> mamba2(const Scope& s, C c) {
  const Dimensions d = dimensions(c);
  Mamba2Spec spec{.d_model = d.d_model, .taps = c.integer("mamba2.conv_kernel"), .eps = d.eps};
  const int64_t inner = c.integer("mamba2.inner_size");
  spec.ssd.heads = divisor(c, "mamba2.head_count", inner, "channels");
  spec.ssd.head_dim = inner / spec.ssd.heads;
  spec.ssd.d_state = c.integer("mamba2.state_size");
  spec.ssd.groups = divisor(c, "mamba2.group_count", spec.ssd.heads, "heads");
  spec.ssd.dt_high = INFINITY;
  return std::make_unique<Mamba2>(s, spec);
}

std::vector<PartSize> mamba2_sizes() {
  return {
      {"mamba2_inner_size", "mamba2.inner_size", 1, kMostPartChannels, expanded},
      {"mamba2_num_heads", "mamba2.head_count", 1, kMostPartChannels,
       [](Hf, C c) { return parts_of(sane_size(c, "mamba2.inner_size"), kHeadDim); }},
      {"mamba2_state_size", "mamba2.state_size", 1, 4096, [](Hf, C) { return int64_t{128}; }},
      {"mamba2_n_groups", "mamba2.group_count", 1, 4096, [](Hf, C) { return int64_t{1}; }},
      {"mamba2_conv_kernel", "mamba2.conv_kernel", 1, kMostTaps, [](Hf, C) { return kTaps; }},
  };
}

/// Of all these words: a GGUF name is of one parameter, whatever the layer.
std::vector<TensorName> names() {
  return {{"ssm_in", "mixer.in_proj"},  {"ssm_conv1d", "mixer.conv1d"},
          {"ssm_dt", "mixer.dt_proj"},  {.gguf = "ssm_a", .hf = "mixer.A_log", .gguf_minus_exp = true},
          {"ssm_d", "mixer.D"},         {"ssm_norm", "mixer.norm"},
          {"ssm_out", "mixer.out_proj"}};
}

}  // namespace

std::vector<LayerPart> recurrent_parts() { return {{"mamba2", true, mamba2_sizes(), names(), mamba2}}; }

}  // namespace godwit
