#include "blocks/moe.h"

namespace godwit {

Moe::Moe(const Scope& s, const MoeSpec& spec) : spec_(spec), router_name_(s.full_name("ffn_gate_inp.weight")) {
  const int64_t e = spec.router.n_experts, f = spec.d_ff, d = spec.latent > 0 ? spec.latent : spec.d_model;
  router_ = linear_weight(s, "ffn_gate_inp", e, spec.d_model, spec.router_biased);
  if (spec.latent > 0) {
    latent_down_ = linear_weight(s, "ffn_latent_down", d, spec.d_model, spec.latent_biased);
    latent_up_ = linear_weight(s, "ffn_latent_up", spec.d_model, d, spec.latent_biased);
  }
  if (spec.selection_bias) selection_bias_ = s.get("exp_probs_b.bias", {e});
  const auto stack = [&](const char* name, int64_t n, int64_t k) {
    return s.get(fmt::format("{}.weight", name), {e, n, k});
  };
  const auto bias = [&](const char* name, int64_t n) {
    return spec.biased ? s.get(fmt::format("{}.bias", name), {e, n}) : Tensor{};
  };
  if (spec.gated) {
    experts_.gate = stack("ffn_gate_exps", f, d);
    experts_.gate_bias = bias("ffn_gate_exps", f);
  }
  experts_.up = stack("ffn_up_exps", f, d);
  experts_.up_bias = bias("ffn_up_exps", f);
  experts_.down = stack("ffn_down_exps", d, f);
  experts_.down_bias = bias("ffn_down_exps", d);
  if (spec.shared_d_ff == 0) return;
  shared_.emplace(s, MlpSpec{.d_model = spec.d_model,
                             .d_ff = spec.shared_d_ff,
                             .activation = spec.activation.function,
                             .biased = spec.shared_biased,
                             .gated = spec.gated,
                             .suffix = "_shexp"});
  if (spec.shared_gated) shared_gate_.weight = s.get("ffn_gate_inp_shexp.weight", {spec.d_model});
}

Tensor Moe::forward(Context& cx, Tensor x, const StepInput& in) const {
  const Tensor logits = linear(cx, x, router_);
  const Routing routing = route(cx, logits, selection_bias_, spec_.router);
  if (routing.invalid >= 0)
    fail(ErrorKind::kFailed, "{}: the router's logits or weights of token {} of this step are not finite", router_name_,
         routing.invalid);
  if (spec_.latent == 0) return with_shared(cx, x, godwit::experts(cx, x, routing, experts_, spec_.activation), in);
  const Tensor y = godwit::experts(cx, linear(cx, x, latent_down_), routing, experts_, spec_.activation);
  return with_shared(cx, x, linear(cx, y, latent_up_), in);
}

Tensor Moe::with_shared(Context& cx, Tensor x, Tensor y, const StepInput& in) const {
  if (!shared_) return y;
  Tensor shared = shared_->forward(cx, x, in);
  if (spec_.shared_gated) shared = scale_rows(cx, shared, sigmoid(cx, linear(cx, x, shared_gate_)).view({x.rows()}));
  return residual(cx, y, shared, empty(cx, y.shape));
}

std::string Moe::kind() const {
  return fmt::format("{} of {} experts{}", spec_.router.top_k, spec_.router.n_experts,
                     spec_.shared_d_ff > 0 ? " and a shared one" : "");
}

int64_t Moe::idle_parameters() const {
  int64_t n = 0;
  for (const Tensor& t :
       {experts_.gate, experts_.up, experts_.down, experts_.gate_bias, experts_.up_bias, experts_.down_bias})
    if (!t.empty()) n += t.size() / spec_.router.n_experts * (spec_.router.n_experts - spec_.router.top_k);
  return n;
}

}  // namespace godwit
