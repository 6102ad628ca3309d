#include "models/falcon.h"

#include <cmath>

#include "base/error.h"
#include "base/text.h"

namespace godwit {
namespace {

struct Scalar {
  const char* key;
  float FalconScales::*value;
};
constexpr Scalar kScalars[] = {{"embedding_multiplier", &FalconScales::embedding},
                               {"lm_head_multiplier", &FalconScales::head},
                               {"key_multiplier", &FalconScales::key},
                               {"attention_in_multiplier", &FalconScales::attention_in},
                               {"attention_out_multiplier", &FalconScales::attention_out},
                               {"ssm_in_multiplier", &FalconScales::ssm_in},
                               {"ssm_out_multiplier", &FalconScales::ssm_out}};
constexpr const char* kMlp = "mlp_multipliers";
constexpr const char* kSsm = "ssm_multipliers";

std::vector<double> list_from(const HfConfig& hf, const char* key) {
  std::vector<double> list;
  for (const Json& item : hf.json[key]) {
    if (!item.is_number())
      invalid("{}: key {}: expected numbers, got {}", hf.source, key, printable(dump_json(item), 40));
    list.push_back(item.get<double>());
  }
  return list;
}

template <size_t N>
void read_list(const Config& c, const char* key, std::array<float, N>& values) {
  const auto list = c.reals(key);
  if (!list) return;
  if (list->size() != N) c.refuse(key, fmt::format("{} numbers", N), fmt::format("{}", list->size()));
  for (size_t i = 0; i < N; ++i) {
    values[i] = static_cast<float>((*list)[i]);
    if (!(values[i] > 0.0f && std::isfinite(values[i])))
      c.refuse(key, "positive numbers that fit a float", fmt::format("{}", (*list)[i]));
  }
}

// What a parameter of a layer is multiplied with, but for the segments of ssm_in.
float factor_of(const FalconScales& f, const std::string& stem, bool weight) {
  if (stem == "attn_q" || stem == "attn_v") return weight ? f.attention_in : 1.0f;
  if (stem == "attn_k") return weight ? f.attention_in * f.key : f.key;
  if (stem == "attn_output") return f.attention_out;
  if (stem == "ssm_in") return weight ? f.ssm_in : 1.0f;
  if (stem == "ssm_out") return f.ssm_out;
  if (stem == "ffn_gate") return f.mlp[0];
  if (stem == "ffn_down") return f.mlp[1];
  return 1.0f;
}

// Of the five segments of ssm_in's rows, the one that has the row.
size_t segment_of(const SsdSpec& d, int64_t row) {
  const int64_t shared = d.groups * d.d_state;
  const int64_t ends[] = {d.inner(), 2 * d.inner(), 2 * d.inner() + shared, 2 * d.inner() + 2 * shared};
  size_t i = 0;
  while (i < 4 && row >= ends[i]) ++i;
  return i;
}

}  // namespace

void falcon_scales_from_hf(const HfConfig& hf, Config& c) {
  for (const Scalar& s : kScalars)
    if (hf.has(s.key)) c.set(s.key, hf.real(s.key));
  for (const char* key : {kMlp, kSsm})
    if (hf.has(key)) c.set(key, list_from(hf, key));
}

void falcon_scales_to_hf(const FalconScales& scales, Json& hf) {
  for (const Scalar& s : kScalars) hf[s.key] = scales.*s.value;
  hf[kMlp] = scales.mlp;
  hf[kSsm] = scales.ssm;
}

FalconScales falcon_scales(const Config& c) {
  FalconScales scales;
  for (const Scalar& s : kScalars) scales.*s.value = positive_float(c, s.key, 1.0);
  read_list(c, kMlp, scales.mlp);
  read_list(c, kSsm, scales.ssm);
  return scales;
}

RowFactors falcon_bake(Config& c) {
  const FalconScales scales = falcon_scales(c);
  const SsdSpec ssd = mamba2_from(c, 1, 0.0f).ssd;
  bool any = false;
  for (const Scalar& s : kScalars) any |= c.values.erase(c.full_key(s.key)) > 0;
  for (const char* key : {kMlp, kSsm}) any |= c.values.erase(c.full_key(key)) > 0;
  if (!any) return {};
  if (scales.embedding != scales.head && c.boolean("tie_embeddings", false)) c.set("tie_embeddings", false);
  return [scales, ssd](const std::string& name, int64_t row) {
    if (name == "token_embd.weight") return scales.embedding;
    if (name == "output.weight") return scales.head;
    const SplitName split = split_gguf_name(name);
    const float factor = factor_of(scales, split.stem, split.suffix == ".weight");
    return split.stem == "ssm_in" ? factor * scales.ssm[segment_of(ssd, row)] : factor;
  };
}

}  // namespace godwit
