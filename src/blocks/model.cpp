#include "blocks/model.h"

#include <algorithm>

namespace godwit {
namespace {

constexpr int64_t kMostTokens = int64_t{1} << 30;
constexpr int64_t kMostChannels = int64_t{1} << 20;
constexpr int64_t kLogitsSliceBytes = int64_t{32} << 20;

}  // namespace

Model::Model(const Config& c, Weights& weights, const Head& head) : spec_(head) {
  context_length_ = c.integer_in("context_length", 1, kMostTokens);
  const int64_t d = c.integer_in("embedding_length", 1, kMostChannels);
  const int64_t vocab = c.integer_in("vocab_size", 1, int64_t{1} << 24);
  const Scope s = weights.root();
  embedding_ = s.get("token_embd.weight", {vocab, d});
  output_norm_ = norm(s, head.norm_name, d, head.norm_eps, head.norm_plus_one);
  // config.json says whether the head is the embedding; a GGUF file says it by having no head.
  if (!c.has("tie_embeddings")) {
    output_.weight = s.find("output.weight", {vocab, d});
  } else if (!c.boolean("tie_embeddings", false)) {
    output_.weight = s.get("output.weight", {vocab, d});
  }
  tied_ = output_.weight.empty();
  if (tied_) output_.weight = embedding_;
}

void Model::add(std::unique_ptr<Layer> layer) {
  first_place_.push_back(n_places_);
  for (Block* block : layer->blocks()) {
    ++n_places_;
    RopeSpec* spec = block->rope();
    if (spec == nullptr) continue;
    size_t i = 0;
    while (i < ropes_.size() && !ropes_[i].same(*spec)) ++i;
    if (i == ropes_.size()) ropes_.push_back(*spec);
    spec->table = static_cast<int32_t>(i);
  }
  layers_.push_back(std::move(layer));
}

StateLayout Model::state_layout(const CacheTypes& types) const {
  StateLayout layout;
  for (const auto& layer : layers_) {
    for (const Block* block : layer->blocks()) {
      const auto parts = block->state(types);
      for (const StatePart& part : parts)
        if (part.dtype == DType::kQ8_0 && part.shape[1] % 32 != 0)
          fail(ErrorKind::kUsage, "--kv-type q8_0: heads of {} channels do not fill blocks of 32; use f16",
               part.shape[1]);
      layout.add_place(parts);
    }
  }
  return layout;
}

int64_t Model::idle_parameters() const {
  int64_t n = 0;
  for (const auto& layer : layers_)
    for (const Block* block : layer->blocks()) n += block->idle_parameters();
  return n;
}

std::vector<ExpertCount> Model::experts() const {
  std::vector<ExpertCount> all;
  for (const auto& layer : layers_)
    for (const Block* block : layer->blocks())
      if (const ExpertCount count = block->experts(); count.all > 0) all.push_back(count);
  return all;
}

int64_t Model::rope_choice(int64_t length) const {
  // No term ever falls, so equal sums mean equal terms.
  int64_t sum = 0;
  for (const RopeSpec& rope : ropes_) sum += rope.choice(length);
  return sum;
}

void Model::forward(Context& cx, const Batch& batch, const StateLayout& layout, const LogitsSink& sink) const {
  ArenaScope scope(cx.arena);
  const Step step(cx, batch, layout, ropes_);
  Stream stream(cx, step.n_tokens(), d_model());
  stream.x = stream.embedding = embed(cx, batch.tokens, embedding_, spec_.embedding_scale);
  for (size_t i = 0; i < layers_.size(); ++i) {
    ArenaScope layer_scope(cx.arena);
    layers_[i]->forward(cx, stream, {step, first_place_[i]});
  }
  head(cx, stream.x, batch.wanted, sink);
}

void Model::head(Context& cx, Tensor x, const std::vector<int32_t>& wanted, const LogitsSink& sink) const {
  const auto n = static_cast<int64_t>(wanted.size());
  const int64_t slice = std::max<int64_t>(1, kLogitsSliceBytes / 4 / vocab_size());
  for (int64_t first = 0; first < n; first += slice) {
    ArenaScope scope(cx.arena);
    const int64_t count = std::min(slice, n - first);
    Tensor h = gather_rows(cx, x, std::span(wanted).subspan(static_cast<size_t>(first), static_cast<size_t>(count)));
    Tensor logits = linear(cx, output_norm_(cx, h), output_);
    if (spec_.logit_scale != 1.0f) logits = scaled(cx, logits, spec_.logit_scale);
    if (spec_.logit_softcap > 0.0f) logits = softcap(cx, logits, spec_.logit_softcap);
    if (sink) sink(first, logits);
  }
}

}  // namespace godwit
