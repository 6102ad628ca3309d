// What models share whose layers are one mixer each and nothing else (Mamba, Mamba-2): keys, names, layers.
#pragma once

#include "models/usual.h"

namespace godwit {

/// The keys besides the mixer's, from config.json and back; `tied`: what the class takes where the file is silent.
void mixer_stack_from_hf(const HfConfig& hf, bool tied, Config& config);
void mixer_stack_to_hf(const Config& config, Json& hf);

/// The model without layers. Throws Error (kInvalid) naming the key.
Model mixer_stack(const Config& config, Weights& weights);
float mixer_stack_eps(const Config& config);

/// All layers, each a Mixer of this spec behind a norm.
template <class Mixer, class Spec>
Model with_mixers(Model model, const Config& c, Weights& w, const Spec& spec) {
  for (int64_t i = 0; i < c.integer_in("block_count", 1, 1024); ++i) {
    const Scope s = w.block(i);
    model.add(single(s, "attn_norm", model.d_model(), mixer_stack_eps(c), std::make_unique<Mixer>(s, spec)));
  }
  return model;
}

/// The names of everything, those of the mixer given.
TensorNames mixer_stack_names(std::vector<TensorName> mixer);

}  // namespace godwit
