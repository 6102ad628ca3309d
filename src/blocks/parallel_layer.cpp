#include "blocks/parallel_layer.h"

namespace godwit {

void ParallelLayer::forward(Context& cx, Stream& stream, const StepInput& in) const {
  const ArenaScope scope(cx.arena);
  int32_t place = in.place;
  const Tensor h = parts_.norm(cx, stream.x), out = stream.next();
  for (const Branch& branch : parts_.branches) {
    const Tensor x = branch.in_scale == 1.0f ? h : scaled(cx, h, branch.in_scale);
    stream.x = residual(cx, stream.x, branch.mixer->forward(cx, x, in.at(place++)), out, branch.out_scale);
  }
  const Tensor y = parts_.ffn->forward(cx, parts_.ffn_norm(cx, stream.x), in.at(place));
  stream.x = residual(cx, stream.x, y, stream.next(), parts_.ffn_scale);
}

std::vector<Block*> ParallelLayer::blocks() const {
  std::vector<Block*> all;
  for (const Branch& branch : parts_.branches) all.push_back(branch.mixer.get());
  all.push_back(parts_.ffn.get());
  return all;
}

}  // namespace godwit
