#include "models/granite.h"

#include <cmath>

#include "base/error.h"

namespace godwit {

void granite_scales_from_hf(const HfConfig& hf, Config& c) {
  const double scale = hf.real("attention_multiplier");
  if (!(scale > 0.0)) invalid("{}: key attention_multiplier: expected a positive number, got {}", hf.source, scale);
  c.set("attention.scale", scale);
  c.set("residual_scale", hf.real("residual_multiplier"));
  c.set("embedding_scale", hf.real("embedding_multiplier"));
  c.set("logit_scale", hf.real("logits_scaling"));
}

void granite_scales_to_hf(const Config& c, int64_t head_dim, Json& hf) {
  const double natural = 1.0 / std::sqrt(static_cast<double>(head_dim)), scale = c.real("attention.scale", 0.0);
  hf["attention_multiplier"] = scale != 0.0 ? scale : natural;
  hf["residual_multiplier"] = c.real("residual_scale", 1.0);
  hf["embedding_multiplier"] = c.real("embedding_scale", 1.0);
  hf["logits_scaling"] = c.real("logit_scale", 1.0);
}

Model::Head granite_head(const Config& c, float eps) {
  return {.embedding_scale = positive_float(c, "embedding_scale", 1.0),
          .norm_eps = eps,
          .logit_scale = 1.0f / positive_float(c, "logit_scale", 1.0)};
}

std::vector<TensorName> granite_expert_names() {
  std::vector<TensorName> experts = expert_names("block_sparse_moe", "", "", "");
  experts[0].hf_forms = {{.name = "block_sparse_moe.input_linear.weight", .pick = Pick::kFirst},
                         {.name = "block_sparse_moe.experts.gate_up_proj", .pick = Pick::kFirst}};
  experts[1].hf_forms = {{.name = "block_sparse_moe.input_linear.weight", .pick = Pick::kLast},
                         {.name = "block_sparse_moe.experts.gate_up_proj", .pick = Pick::kLast}};
  experts[2].hf_forms = {{.name = "block_sparse_moe.output_linear.weight"},
                         {.name = "block_sparse_moe.experts.down_proj"}};
  experts[3].hf_forms = {{.name = "block_sparse_moe.router.layer.weight"}, {.name = "block_sparse_moe.router.weight"}};
  return experts;
}

}  // namespace godwit
