#include "engine/toy_mixers.h"

#include <cmath>
#include <cstring>

#include "blocks/attention.h"
#include "blocks/gated_mlp.h"
#include "blocks/rope_config.h"

namespace godwit {
namespace {

float dot(const float* a, const float* b, int64_t n) {
  float sum = 0.0f;
  for (int64_t i = 0; i < n; ++i) sum = std::fma(a[i], b[i], sum);
  return sum;
}

float sigmoid(float x) { return 1.0f / (1.0f + std::exp(-x)); }

/// y[p] = sum over n of a[n] state[n][p].
void read_state(const float* state, const float* a, int64_t d_k, int64_t d_v, float* y) {
  for (int64_t p = 0; p < d_v; ++p) y[p] = 0.0f;
  for (int64_t n = 0; n < d_k; ++n)
    for (int64_t p = 0; p < d_v; ++p) y[p] = std::fma(a[n], state[n * d_v + p], y[p]);
}

/// The first position of the chunk that `position` lies in, with edges so many tokens early.
int64_t chunk_start(int64_t position, int64_t shift) {
  return std::max<int64_t>(0, position - (position + shift) % kEdgeTokens);
}

}  // namespace

void DiagonalCore::step(float* tail, float* h, const float* x, float* y) const {
  for (int64_t c = 0; c < width; ++c) {
    float sum = 0.0f;
    for (int64_t i = 0; i < kTail; ++i) sum = std::fma(tap(i), tail[i * width + c], sum);
    sum = std::fma(tap(kTail), x[c], sum);
    y[c] = h[c] = std::fma(decay(c), h[c], (1.0f - decay(c)) * sum);
  }
  std::memmove(tail, tail + width, static_cast<size_t>((kTail - 1) * width) * sizeof(float));
  std::memcpy(tail + (kTail - 1) * width, x, static_cast<size_t>(width) * sizeof(float));
}

void LinearAttentionCore::token(const MatrixChunk& c, const float* q, float* y) const {
  const size_t t = c.k.size() - 1;
  std::vector<float> cumulative(t + 1);
  for (int64_t h = 0; h < n_heads; ++h) {
    const float* qh = q + h * d_k;
    float* yh = y + h * d_v;
    float sum = 0.0f;
    for (size_t j = 0; j <= t; ++j) cumulative[j] = sum += c.g[j][h];
    read_state(c.state + h * d_k * d_v, qh, d_k, d_v, yh);
    for (int64_t p = 0; p < d_v; ++p) yh[p] *= std::exp(cumulative[t]);
    for (size_t j = 0; j <= t; ++j) {
      const float weight = dot(qh, c.k[j] + h * d_k, d_k) * std::exp(cumulative[t] - cumulative[j]);
      for (int64_t p = 0; p < d_v; ++p) yh[p] = std::fma(weight, c.v[j][h * d_v + p], yh[p]);
    }
  }
}

void LinearAttentionCore::move(const MatrixChunk& c, float* state) const {
  for (int64_t h = 0; h < n_heads; ++h) {
    float* s = state + h * d_k * d_v;
    float all = 0.0f, sum = 0.0f;
    for (const float* g : c.g) all += g[h];
    for (int64_t i = 0; i < d_k * d_v; ++i) s[i] *= std::exp(all);
    for (size_t j = 0; j < c.k.size(); ++j) {
      sum += c.g[j][h];
      const float decay = std::exp(all - sum);
      for (int64_t n = 0; n < d_k; ++n)
        for (int64_t p = 0; p < d_v; ++p)
          s[n * d_v + p] = std::fma(c.k[j][h * d_k + n], decay * c.v[j][h * d_v + p], s[n * d_v + p]);
    }
  }
}

void DeltaRuleCore::token(const MatrixChunk& c, const float* q, float* y) const {
  const size_t t = c.k.size() - 1;
  std::vector<float> seen(static_cast<size_t>(d_v));
  for (int64_t h = 0; h < n_heads; ++h) {
    const float *kh = c.k[t] + h * d_k, *qh = q + h * d_k, *s = c.state + h * d_k * d_v;
    float *u = c.v[t] + h * d_v, *yh = y + h * d_v;
    read_state(s, kh, d_k, d_v, seen.data());
    for (size_t j = 0; j < t; ++j) {  // forward substitution
      const float weight = dot(kh, c.k[j] + h * d_k, d_k);
      for (int64_t p = 0; p < d_v; ++p)
        seen[static_cast<size_t>(p)] = std::fma(weight, c.v[j][h * d_v + p], seen[static_cast<size_t>(p)]);
    }
    for (int64_t p = 0; p < d_v; ++p) u[p] = c.g[t][h] * (u[p] - seen[static_cast<size_t>(p)]);
    read_state(s, qh, d_k, d_v, yh);
    for (size_t j = 0; j <= t; ++j) {
      const float weight = dot(qh, c.k[j] + h * d_k, d_k);
      for (int64_t p = 0; p < d_v; ++p) yh[p] = std::fma(weight, c.v[j][h * d_v + p], yh[p]);
    }
  }
}

void DeltaRuleCore::move(const MatrixChunk& c, float* state) const {
  for (int64_t h = 0; h < n_heads; ++h)
    for (size_t j = 0; j < c.k.size(); ++j)
      for (int64_t n = 0; n < d_k; ++n)
        for (int64_t p = 0; p < d_v; ++p) {
          float& s = state[(h * d_k + n) * d_v + p];
          s = std::fma(c.k[j][h * d_k + n], c.v[j][h * d_v + p], s);
        }
}

// ---------------------------------------------------------------- blocks

DiagonalMixer::DiagonalMixer(const Scope& s, int64_t d_model, const ToyFault& fault)
    : fault_(fault),
      core_{d_model},
      in_(linear_weight(s, "toy_in", d_model, d_model)),
      out_(linear_weight(s, "toy_out", d_model, d_model)) {}

std::vector<StatePart> DiagonalMixer::state(const CacheTypes&) const {
  return {{.name = "conv", .keep = Keep::kNow, .shape = {DiagonalCore::kTail, core_.width}, .dtype = DType::kF32},
          {.name = "h", .keep = Keep::kNow, .shape = {core_.width}, .dtype = DType::kF32},
          {.name = "x", .keep = Keep::kSinceEdge, .shape = {core_.width}, .dtype = DType::kF32}};
}

Tensor DiagonalMixer::forward(Context& cx, Tensor input, const StepInput& in) const {
  const Tensor x = linear(cx, input, in_);
  Tensor y = empty(cx, x.shape);
  const auto width = static_cast<size_t>(core_.width);
  for (const Row& row : in.step.batch.rows) {
    if (cx.dry) break;
    float *tail = in.now(row, 0), *h = in.now(row, 1);
    std::vector<float> unused(width);
    for (int64_t p = row.state->now_at; p < row.past; ++p) core_.step(tail, h, in.since_edge(row, 2, p), unused.data());
    for (int32_t i = 0; i < row.count; ++i) {
      const int64_t position = row.past + i, at = (row.first + i) * core_.width;
      std::memcpy(in.since_edge(row, 2, position), x.f32() + at, width * sizeof(float));
      core_.step(tail, h, x.f32() + at, y.f32() + at);
      if ((position + 1 + fault_.edge_shift) % kEdgeTokens != 0) continue;
      std::memcpy(in.edge(row, 0), tail, DiagonalCore::kTail * width * sizeof(float));
      std::memcpy(in.edge(row, 1), h, width * sizeof(float));
    }
  }
  return linear(cx, y, out_);
}

MatrixMixer::MatrixMixer(const Scope& s, int64_t d_model, std::unique_ptr<MatrixCore> core, const ToyFault& fault)
    : fault_(fault), core_(std::move(core)) {
  q_ = linear_weight(s, "toy_q", core_->n_heads * core_->d_k, d_model);
  k_ = linear_weight(s, "toy_k", core_->n_heads * core_->d_k, d_model);
  v_ = linear_weight(s, "toy_v", core_->n_heads * core_->d_v, d_model);
  gate_ = linear_weight(s, "toy_gate", core_->n_heads, d_model);
  out_ = linear_weight(s, "toy_out", d_model, core_->n_heads * core_->d_v);
}

std::vector<StatePart> MatrixMixer::state(const CacheTypes&) const {
  const int64_t heads = core_->n_heads;
  return {{.name = "s", .keep = Keep::kEdge, .shape = {heads, core_->d_k, core_->d_v}, .dtype = DType::kF32},
          {.name = "k", .keep = Keep::kSinceEdge, .shape = {heads, core_->d_k}, .dtype = DType::kF32},
          {.name = "v", .keep = Keep::kSinceEdge, .shape = {heads, core_->d_v}, .dtype = DType::kF32},
          {.name = "g", .keep = Keep::kSinceEdge, .shape = {heads}, .dtype = DType::kF32}};
}

void MatrixMixer::row(const Row& row, const StepInput& in, const float* q, const float* k, const float* v,
                      const float* g, float* y) const {
  const int64_t heads = core_->n_heads, d_k = core_->d_k, d_v = core_->d_v;
  float* state = in.edge(row, 0);
  MatrixChunk chunk{state, {}, {}, {}};
  const auto add = [&](int64_t position) {
    chunk.k.push_back(in.since_edge(row, 1, position));
    chunk.v.push_back(in.since_edge(row, 2, position));
    chunk.g.push_back(in.since_edge(row, 3, position));
  };
  const auto move = [&] {
    core_->move(chunk, state);
    chunk = {state, {}, {}, {}};
  };
  for (int64_t p = fault_.restarts ? row.past : chunk_start(row.past, fault_.edge_shift); p < row.past; ++p) add(p);
  for (int64_t i = row.first; i < row.first + row.count; ++i) {
    const int64_t position = row.past + i - row.first;
    add(position);
    for (int64_t h = 0; h < heads; ++h) {  // keys of length 1
      const float* key = k + (i * heads + h) * d_k;
      const float length = std::sqrt(dot(key, key, d_k) + 1e-6f);
      for (int64_t n = 0; n < d_k; ++n) chunk.k.back()[h * d_k + n] = key[n] / length;
      const float gate = sigmoid(g[i * heads + h]);
      chunk.g.back()[h] = dynamic_cast<const DeltaRuleCore*>(core_.get()) != nullptr ? gate : -0.1f * gate;
    }
    std::memcpy(chunk.v.back(), v + i * heads * d_v, static_cast<size_t>(heads * d_v) * sizeof(float));
    core_->token(chunk, q + i * heads * d_k, y + i * heads * d_v);
    if ((position + 1 + fault_.edge_shift) % kEdgeTokens == 0) move();
  }
  if (fault_.restarts) move();
}

Tensor MatrixMixer::forward(Context& cx, Tensor x, const StepInput& in) const {
  const LinearWeight* projections[] = {&q_, &k_, &v_, &gate_};
  const std::vector<Tensor> p = linear(cx, x, projections);
  Tensor y = empty(cx, {x.rows(), core_->n_heads * core_->d_v});
  for (const Row& r : in.step.batch.rows)
    if (!cx.dry) row(r, in, p[0].f32(), p[1].f32(), p[2].f32(), p[3].f32(), y.f32());
  return linear(cx, y, out_);
}

// ---------------------------------------------------------------- the stack

std::unique_ptr<OpenModel> toy_stack(DType type, const ToyFault& fault) {
  constexpr int64_t kWidth = 32, kHeads = 2, kHeadDim = 16;
  auto m = std::make_unique<OpenModel>();
  m->config.source = m->config.architecture = "toy";
  m->config.set("context_length", int64_t{4096});
  m->config.set("embedding_length", kWidth);
  m->config.set("vocab_size", int64_t{61});
  m->config.set("tie_embeddings", true);
  m->weights = std::make_unique<Weights>(random_source(5, type, false), LoadOptions{});
  m->model = std::make_unique<Model>(m->config, *m->weights, Model::Head{});
  AttentionSpec attention{.d_model = kWidth,
                          .n_heads = kHeads,
                          .n_kv_heads = 1,
                          .head_dim = kHeadDim,
                          .rope = rope_from(m->config, kHeadDim, false)};
  const auto add = [&](const auto& make_mixer) {
    const Scope s = m->weights->block(static_cast<int64_t>(m->model->layers().size()));
    auto mlp = std::make_unique<GatedMlp>(s, MlpSpec{.d_model = kWidth, .d_ff = 64});
    m->model->add(pre_norm(s, kWidth, 1e-6f, make_mixer(s), std::move(mlp)));
  };
  add([&](const Scope& s) { return std::make_unique<DiagonalMixer>(s, kWidth, fault); });
  add([&](const Scope& s) { return std::make_unique<Attention>(s, attention); });
  add([&](const Scope& s) {
    return std::make_unique<MatrixMixer>(s, kWidth, std::make_unique<LinearAttentionCore>(kHeads, 8, 16), fault);
  });
  attention.window = 40;
  add([&](const Scope& s) { return std::make_unique<Attention>(s, attention); });
  add([&](const Scope& s) {
    return std::make_unique<MatrixMixer>(s, kWidth, std::make_unique<DeltaRuleCore>(kHeads, 8, 16), fault);
  });
  ThreadPool pool(1);
  m->weights->load(pool, [](int64_t, int64_t) {});
  return m;
}

}  // namespace godwit
