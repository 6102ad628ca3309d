#include "blocks/zamba2_layer.h"

#include <cmath>

namespace godwit {
namespace {

constexpr const char* kProjections[] = {"attn_q", "attn_k", "attn_v"};

// y + up(down x), in y's place.
Tensor adapted(Context& cx, Tensor y, Tensor x, const Adapter& a) {
  return residual(cx, y, linear(cx, linear(cx, x, a.down), a.up), y);
}

}  // namespace

Adapter adapter(const Scope& s, const std::string& name, int64_t n, int64_t rank, int64_t k) {
  return {linear_weight(s, name + ".0", rank, k), linear_weight(s, name + ".1", n, rank)};
}

SharedAttention::SharedAttention(const Scope& s, const SharedTransformerSpec& spec, int64_t place) : spec_(spec) {
  const int64_t k = 2 * spec.d_model;
  const int64_t widths[] = {spec.n_heads * spec.head_dim, spec.n_kv_heads * spec.head_dim,
                            spec.n_kv_heads * spec.head_dim};
  for (size_t i = 0; i < 3; ++i) {
    projections_[i] = linear_weight(s, kProjections[i], widths[i], k);
    if (spec.adapted_heads)
      adapters_[i] = adapter(s, fmt::format("{}_adapter.{}", kProjections[i], place), widths[i], spec.rank, k);
  }
  output_ = linear_weight(s, "attn_output", spec.d_model, widths[0]);
}

Tensor SharedAttention::forward(Context& cx, Tensor x, const StepInput& in) const {
  const int64_t tokens = x.rows(), d = spec_.head_dim;
  const LinearWeight* all[] = {&projections_[0], &projections_[1], &projections_[2]};
  std::vector<Tensor> qkv = linear(cx, x, all);
  for (size_t i = 0; i < 3; ++i) {
    if (adapters_[i]) qkv[i] = adapted(cx, qkv[i], x, *adapters_[i]);
    qkv[i] = qkv[i].view({tokens, i == 0 ? spec_.n_heads : spec_.n_kv_heads, d});
    if (i < 2 && spec_.rope.n_pairs > 0) qkv[i] = godwit::rope(cx, qkv[i], spec_.rope, in.step);
  }
  const auto scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(d) / 2.0));
  const Tensor y = attention(cx, qkv[0], qkv[1], qkv[2], {.scale = scale}, in);
  return linear(cx, y.view({tokens, spec_.n_heads * d}), output_);
}

std::vector<StatePart> SharedAttention::state(const CacheTypes& types) const {
  const Shape row{spec_.n_kv_heads, spec_.head_dim};
  return {{.name = "k", .shape = row, .dtype = types.k}, {.name = "v", .shape = row, .dtype = types.v}};
}

SharedMlp::SharedMlp(const Scope& s, const SharedTransformerSpec& spec, int64_t place)
    : d_ff_(spec.d_ff),
      gate_up_(linear_weight(s, "ffn_gate_up", 2 * spec.d_ff, spec.d_model, spec.biased)),
      down_(linear_weight(s, "ffn_down", spec.d_model, spec.d_ff, spec.biased)),
      adapter_(adapter(s, fmt::format("ffn_adapter.{}", place), 2 * spec.d_ff, spec.rank, spec.d_model)) {}

Tensor SharedMlp::forward(Context& cx, Tensor x, const StepInput&) const {
  const Tensor h = adapted(cx, linear(cx, x, gate_up_), x, adapter_);
  return linear(cx, gated(cx, columns(cx, h, 0, d_ff_), columns(cx, h, d_ff_, d_ff_), Activation::kGelu), down_);
}

Tensor Zamba2Layer::with_transformer(Context& cx, const Stream& stream, const StepInput& in) const {
  const Transformer& t = *transformer_;
  const Tensor a = t.attention->forward(cx, t.attn_norm(cx, concat(cx, stream.x, stream.embedding)), in);
  const Tensor y = linear(cx, t.ffn->forward(cx, t.ffn_norm(cx, a), in.at(in.place + 1)), t.linear);
  return residual(cx, stream.x, y, y);
}

void Zamba2Layer::forward(Context& cx, Stream& stream, const StepInput& in) const {
  const ArenaScope scope(cx.arena);
  const Tensor x = transformer_ ? with_transformer(cx, stream, in) : stream.x;
  const Tensor y = mamba2_->forward(cx, norm_(cx, x), transformer_ ? in.at(in.place + 2) : in);
  stream.x = residual(cx, stream.x, y, stream.next());
}

std::vector<Block*> Zamba2Layer::blocks() const {
  if (!transformer_) return {mamba2_.get()};
  return {transformer_->attention.get(), transformer_->ffn.get(), mamba2_.get()};
}

}  // namespace godwit
