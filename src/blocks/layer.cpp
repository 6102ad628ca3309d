#include "blocks/layer.h"

namespace godwit {

namespace {

// x += scale * post(block(pre(x))).
void add_block(Context& cx, Stream& stream, const Norm& pre, const Block& block, const std::optional<Norm>& post,
               float scale, const StepInput& in) {
  ArenaScope scope(cx.arena);
  Tensor y = block.forward(cx, pre(cx, stream.x), in);
  if (post) y = (*post)(cx, y);
  stream.x = residual(cx, stream.x, y, stream.next(), scale);
}

}  // namespace

void ResidualLayer::forward(Context& cx, Stream& stream, const StepInput& in) const {
  const Parts& p = parts_;
  add_block(cx, stream, p.mixer_norm, *p.mixer, p.mixer_post_norm, p.residual_scale, in);
  add_block(cx, stream, p.ffn_norm, *p.ffn, p.ffn_post_norm, p.residual_scale, in.at(in.place + 1));
}

std::unique_ptr<Layer> pre_norm(const Scope& s, int64_t d_model, float eps, std::unique_ptr<Block> mixer,
                                std::unique_ptr<Block> ffn, const char* ffn_norm, float residual_scale) {
  return std::make_unique<ResidualLayer>(ResidualLayer::Parts{.mixer_norm = norm(s, "attn_norm", d_model, eps),
                                                              .mixer = std::move(mixer),
                                                              .ffn_norm = norm(s, ffn_norm, d_model, eps),
                                                              .ffn = std::move(ffn),
                                                              .residual_scale = residual_scale});
}

void SingleLayer::forward(Context& cx, Stream& stream, const StepInput& in) const {
  add_block(cx, stream, parts_.norm, *parts_.block, std::nullopt, parts_.residual_scale, in);
}

std::unique_ptr<Layer> single(const Scope& s, const char* norm_name, int64_t d_model, float eps,
                              std::unique_ptr<Block> block, float residual_scale) {
  return std::make_unique<SingleLayer>(SingleLayer::Parts{
      .norm = norm(s, norm_name, d_model, eps), .block = std::move(block), .residual_scale = residual_scale});
}

}  // namespace godwit
