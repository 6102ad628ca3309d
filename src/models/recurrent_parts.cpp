// Words of a pattern that are recurrent: mamba1, mamba2, rglru, conv.
#include <algorithm>
#include <cmath>

#include "blocks/gated_conv.h"
#include "blocks/mamba1.h"
#include "blocks/mamba2.h"
#include "blocks/rg_lru.h"
#include "models/layer_parts.h"
#include "models/usual.h"

namespace godwit {
namespace {

using Hf = const HfConfig&;
using C = const Config&;

constexpr int64_t kMamba2HeadDim = 64, kTaps = 4;  // where config.json is silent

/// Twice the width of the model, as its authors have it.
int64_t twice_the_width(Hf, C c) { return std::min(kMostPartChannels, 2 * sane_size(c, "embedding_length")); }

/// The largest divisor of `width` that is at most `most`, or 1.
int64_t parts_of(int64_t width, int64_t most) {
  int64_t parts = std::clamp<int64_t>(most, 1, width);
  while (width % parts != 0) --parts;
  return parts;
}

/// `key` of the configuration as a count that divides `of` things.
int64_t divisor(C c, const char* key, int64_t of, const char* what) {
  const int64_t n = c.integer(key);
  if (of % n != 0) c.refuse(key, fmt::format("a divisor of the {} {}", of, what), std::to_string(n));
  return n;
}

std::unique_ptr<Block> mamba1(const Scope& s, C c) {
  return std::make_unique<Mamba1>(s, Mamba1Spec{.d_model = c.integer("embedding_length"),
                                                .inner = c.integer("mamba1.inner_size"),
                                                .dt_rank = c.integer("mamba1.time_step_rank"),
                                                .d_state = c.integer("mamba1.state_size"),
                                                .taps = c.integer("mamba1.conv_kernel")});
}

std::unique_ptr<Block> conv(const Scope& s, C c) {
  return std::make_unique<GatedConv>(
      s, GatedConvSpec{.d_model = c.integer("embedding_length"), .taps = c.integer("shortconv.l_cache")});
}

std::unique_ptr<Block> rglru(const Scope& s, C c) {
  const int64_t width = c.integer("rglru.width");
  return std::make_unique<RgLru>(s, RgLruSpec{.d_model = c.integer("embedding_length"),
                                              .width = width,
                                              .heads = divisor(c, "rglru.head_count", width, "channels"),
                                              .taps = c.integer("rglru.conv_kernel"),
                                              .biased = false});
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

std::vector<PartSize> mamba1_sizes() {
  return {
      {"mamba1_inner_size", "mamba1.inner_size", 1, kMostPartChannels, twice_the_width},
      {"mamba1_time_step_rank", "mamba1.time_step_rank", 1, kMostPartChannels,
       [](Hf, C c) { return rounded_up(sane_size(c, "embedding_length"), 16) / 16; }},
      {"mamba1_state_size", "mamba1.state_size", 1, kMostDiagonal, [](Hf, C) { return int64_t{16}; }},
      {"mamba1_conv_kernel", "mamba1.conv_kernel", 1, kMostTaps, [](Hf, C) { return kTaps; }},
  };
}

std::vector<PartSize> rglru_sizes() {
  return {
      {"rglru_width", "rglru.width", 1, kMostPartChannels, [](Hf, C c) { return sane_size(c, "embedding_length"); }},
      {"rglru_num_heads", "rglru.head_count", 1, kMostPartChannels,
       [](Hf, C c) { return parts_of(sane_size(c, "rglru.width"), sane_size(c, "attention.head_count")); }},
      {"rglru_conv_kernel", "rglru.conv_kernel", 1, kMostTaps, [](Hf, C) { return kTaps; }},
  };
}

std::vector<PartSize> conv_sizes() {
  return {{"conv_L_cache", "shortconv.l_cache", 1, kMostTaps, [](Hf, C) { return int64_t{3}; }}};  // LFM2's
}

std::vector<PartSize> mamba2_sizes() {
  return {
      {"mamba2_inner_size", "mamba2.inner_size", 1, kMostPartChannels, twice_the_width},
      {"mamba2_num_heads", "mamba2.head_count", 1, kMostPartChannels,
       [](Hf, C c) {
         return parts_of(sane_size(c, "mamba2.inner_size"), c.integer("mamba2.inner_size") / kMamba2HeadDim);
       }},
      {"mamba2_state_size", "mamba2.state_size", 1, 4096, [](Hf, C) { return int64_t{128}; }},
      {"mamba2_n_groups", "mamba2.group_count", 1, 4096, [](Hf, C) { return int64_t{1}; }},
      {"mamba2_conv_kernel", "mamba2.conv_kernel", 1, kMostTaps, [](Hf, C) { return kTaps; }},
  };
}

/// Of all these words: a GGUF name is of one parameter, whatever the layer.
std::vector<TensorName> names() {
  return {{"ssm_in", "mixer.in_proj"},
          {"ssm_conv1d", "mixer.conv1d"},
          {"ssm_x", "mixer.x_proj"},
          {"ssm_dt", "mixer.dt_proj"},
          {.gguf = "ssm_a", .hf = "mixer.A_log", .gguf_minus_exp = true},
          {"ssm_d", "mixer.D"},
          {"ssm_norm", "mixer.norm"},
          {"ssm_out", "mixer.out_proj"},
          {"rec_x", "mixer.linear_x"},
          {"rec_y", "mixer.linear_y"},
          {"rec_out", "mixer.linear_out"},
          {"rec_input_gate", "mixer.input_gate"},
          {"rec_gate", "mixer.recurrent_gate"},
          {"rec_lambda", "mixer.recurrent_param"},
          {"shortconv.in_proj", "conv.in_proj"},
          {"shortconv.conv", "conv.conv"},
          {"shortconv.out_proj", "conv.out_proj"}};
}

}  // namespace

std::vector<LayerPart> recurrent_parts() {
  return {{"mamba1", true, mamba1_sizes(), names(), mamba1},
          {"mamba2", true, mamba2_sizes(), {}, mamba2},
          {"rglru", true, rglru_sizes(), {}, rglru},
          {"conv", true, conv_sizes(), {}, conv}};
}

}  // namespace godwit
