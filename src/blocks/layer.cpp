#include "blocks/layer.h"

namespace godwit {

void ResidualLayer::forward(Context& cx, Stream& stream, const StepInput& in) const {
  const auto step = [&](const Norm& pre, const Block& block, const std::optional<Norm>& post, int32_t place) {
    ArenaScope scope(cx.arena);
    Tensor y = block.forward(cx, pre(cx, stream.x), in.at(place));
    if (post) y = (*post)(cx, y);
    stream.x = residual(cx, stream.x, y, stream.next(), parts_.residual_scale);
  };
  step(parts_.mixer_norm, *parts_.mixer, parts_.mixer_post_norm, in.place);
  step(parts_.ffn_norm, *parts_.ffn, parts_.ffn_post_norm, in.place + 1);
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
  ArenaScope scope(cx.arena);
  const Tensor y = parts_.block->forward(cx, parts_.norm(cx, stream.x), in.at(in.place));
  stream.x = residual(cx, stream.x, y, stream.next(), parts_.residual_scale);
}

std::unique_ptr<Layer> single(const Scope& s, const char* norm_name, int64_t d_model, float eps,
                              std::unique_ptr<Block> block, float residual_scale) {
  return std::make_unique<SingleLayer>(SingleLayer::Parts{
      .norm = norm(s, norm_name, d_model, eps), .block = std::move(block), .residual_scale = residual_scale});
}

}  // namespace godwit
