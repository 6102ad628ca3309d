// A layer whose mixers stand side by side.
#pragma once

#include "blocks/layer.h"

namespace godwit {

/// h = norm(x); x += sum over the mixers of out_scale mixer(in_scale h); x += ffn_scale ffn(ffn_norm(x)). Source:
/// Falcon-H1 (2025), section 2.
class ParallelLayer final : public Layer {
 public:
  struct Branch {
    std::unique_ptr<Block> mixer;
    float in_scale = 1.0f, out_scale = 1.0f;
  };
  struct Parts {
    Norm norm;
    std::vector<Branch> branches;  // one or more
    Norm ffn_norm;
    std::unique_ptr<Block> ffn;
    float ffn_scale = 1.0f;
  };
  explicit ParallelLayer(Parts parts) : parts_(std::move(parts)) {}
  void forward(Context& cx, Stream& stream, const StepInput& in) const override;
  std::vector<Block*> blocks() const override;

 private:
  Parts parts_;
};

}  // namespace godwit
