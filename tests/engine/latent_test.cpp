// Latent attention, which is computed absorbed, against keys and values made for every head; and what its cache takes.
#include <cmath>
#include <numeric>

#include "engine/harness.h"
#include "temp_folder.h"

namespace godwit {
namespace {

// Odd sizes; all layers dense, so that only attention is new here.
std::string config_json(int64_t q_rank, bool interleaved) {
  return fmt::format(R"({{"architectures":["DeepseekV3ForCausalLM"],"vocab_size":61,"hidden_size":36,
      "intermediate_size":50,"moe_intermediate_size":11,"num_hidden_layers":2,"num_attention_heads":4,
      "num_key_value_heads":4,"q_lora_rank":{},"kv_lora_rank":18,"qk_nope_head_dim":10,"qk_rope_head_dim":6,
      "v_head_dim":13,"n_routed_experts":4,"n_group":1,"topk_group":1,"num_experts_per_tok":2,
      "first_k_dense_replace":2,"rope_interleave":{},"max_position_embeddings":512}})",
                     q_rank > 0 ? std::to_string(q_rank) : "null", interleaved);
}

std::unique_ptr<OpenModel> open_json(const std::string& json) {
  const TempFolder folder;
  OpenOptions options;
  options.random_seed = 5;
  options.random_type = DType::kF32;
  return opened(folder.write("config.json", json), options);
}

using Vector = std::vector<double>;

/// The definition, token by token, in double: DeepSeek-V2 (2024), equations 9 to 19.
class Expanded {
 public:
  Expanded(const OpenModel& open, int64_t q_rank, bool interleaved)
      : open_(open), q_rank_(q_rank), interleaved_(interleaved) {}

  /// Logits of the next token.
  Vector feed(TokenId id) {
    const Tensor table = weight("token_embd.weight");
    Vector x(table.f32() + id * kModel, table.f32() + (id + 1) * kModel);
    for (int layer = 0; layer < 2; ++layer) {
      const std::string blk = fmt::format("blk.{}.", layer);
      add(x, attention(blk, norm(x, blk + "attn_norm"), layers_[layer]));
      const Vector n = norm(x, blk + "ffn_norm");
      Vector hidden = times(blk + "ffn_gate", n);
      const Vector up = times(blk + "ffn_up", n);
      for (size_t i = 0; i < hidden.size(); ++i) hidden[i] *= up[i] / (1 + std::exp(-hidden[i]));
      add(x, times(blk + "ffn_down", hidden));
    }
    ++position_;
    return times("output", norm(x, "output_norm"));
  }

 private:
  static constexpr int64_t kModel = 36, kHeads = 4, kRank = 18, kNope = 10, kRope = 6, kValue = 13;
  struct Head {
    std::vector<Vector> keys, values;  // of each token
  };
  using Heads = Head[kHeads];

  Tensor weight(const std::string& name) const {
    for (const Parameter& p : open_.weights->parameters())
      if (p.name == name) return p.tensor;
    ADD_FAILURE() << name;
    return {};
  }
  Vector times(const std::string& name, const Vector& x) const { return times(weight(name + ".weight"), 0, x); }
  /// Matrix number `slice` of a stack.
  static Vector times(const Tensor& w, int64_t slice, const Vector& x) {
    const int64_t n = w.shape[-2], k = w.width();
    const float* rows = w.f32() + slice * n * k;
    Vector y(static_cast<size_t>(n));
    for (int64_t o = 0; o < n; ++o)
      for (int64_t i = 0; i < k; ++i) y[o] += static_cast<double>(rows[o * k + i]) * x[i];
    return y;
  }
  Vector norm(const Vector& x, const std::string& name) const {
    const double mean = std::inner_product(x.begin(), x.end(), x.begin(), 0.0) / static_cast<double>(x.size());
    const float* gain = weight(name + ".weight").f32();
    Vector y;
    for (size_t i = 0; i < x.size(); ++i) y.push_back(x[i] / std::sqrt(mean + 1e-6) * gain[i]);
    return y;
  }
  static void add(Vector& x, const Vector& y) {
    for (size_t i = 0; i < x.size(); ++i) x[i] += y[i];
  }
  Vector rotated(Vector x) const {
    for (int64_t i = 0; i < kRope / 2; ++i) {
      const auto frequency = static_cast<float>(std::pow(10000.0, -2.0 * static_cast<double>(i) / kRope));
      const double angle = static_cast<float>(position_) * frequency;  // rounded once, as docs/numerics.md says
      double& a = x[interleaved_ ? 2 * i : i];
      double& b = x[interleaved_ ? 2 * i + 1 : i + kRope / 2];
      const double turned = a * std::cos(angle) - b * std::sin(angle);
      b = a * std::sin(angle) + b * std::cos(angle);
      a = turned;
    }
    return x;
  }
  static Vector part(const Vector& x, int64_t from, int64_t n) { return {x.begin() + from, x.begin() + from + n}; }

  Vector attention(const std::string& blk, const Vector& x, Heads& heads) const {
    const Vector q = q_rank_ > 0 ? times(blk + "attn_q_b", norm(times(blk + "attn_q_a", x), blk + "attn_q_a_norm"))
                                 : times(blk + "attn_q", x);
    const Vector kv = times(blk + "attn_kv_a_mqa", x);
    const Vector latent = norm(part(kv, 0, kRank), blk + "attn_kv_a_norm"), k_pe = rotated(part(kv, kRank, kRope));
    const Tensor k_b = weight(blk + "attn_k_b.weight"), v_b = weight(blk + "attn_v_b.weight");
    Vector all;
    for (int64_t h = 0; h < kHeads; ++h) {
      Vector key(kNope);  // k_b is kept transposed
      for (int64_t r = 0; r < kRank; ++r)
        for (int64_t i = 0; i < kNope; ++i) key[i] += k_b.f32()[(h * kRank + r) * kNope + i] * latent[r];
      key.insert(key.end(), k_pe.begin(), k_pe.end());
      heads[h].keys.push_back(key);
      heads[h].values.push_back(times(v_b, h, latent));
      Vector query = part(q, h * (kNope + kRope), kNope);
      const Vector q_pe = rotated(part(q, h * (kNope + kRope) + kNope, kRope));
      query.insert(query.end(), q_pe.begin(), q_pe.end());
      const Vector y = attend(query, heads[h]);
      all.insert(all.end(), y.begin(), y.end());
    }
    return times(blk + "attn_output", all);
  }
  static Vector attend(const Vector& query, const Head& head) {
    Vector scores;
    for (const Vector& key : head.keys)
      scores.push_back(std::inner_product(key.begin(), key.end(), query.begin(), 0.0) / std::sqrt(kNope + kRope));
    const double most = *std::max_element(scores.begin(), scores.end());
    Vector y(kValue);
    double sum = 0;
    for (size_t j = 0; j < scores.size(); ++j) {
      const double p = std::exp(scores[j] - most);
      sum += p;
      for (int64_t i = 0; i < kValue; ++i) y[i] += p * head.values[j][i];
    }
    for (double& v : y) v /= sum;
    return y;
  }

  const OpenModel& open_;
  int64_t q_rank_;
  bool interleaved_;
  int64_t position_ = 0;
  Heads layers_[2];
};

TEST(LatentAttention, AbsorbedEqualsExpanded) {
  for (const auto& [q_rank, interleaved] : {std::pair{22, true}, {0, true}, {22, false}}) {
    const auto open = open_json(config_json(q_rank, interleaved));
    const auto ids = random_ids(3, 150, open->model->vocab_size());
    Expanded expanded(*open, q_rank, interleaved);
    Vector expected;
    for (const TokenId id : ids) {
      const Vector logits = expanded.feed(id);
      expected.insert(expected.end(), logits.begin(), logits.end());
    }
    double largest = 0;
    for (const double v : expected) largest = std::max(largest, std::fabs(v));
    for (const int64_t chunk : {150, 64, 7, 1}) {
      RunnerOptions options = best_level();
      options.exact = true;
      options.cache = {DType::kF32, DType::kF32};
      options.chunk = chunk;
      const auto got = all_logits(*open, options, ids);
      ASSERT_EQ(got.size(), expected.size());
      double apart = 0;
      for (size_t i = 0; i < got.size(); ++i) apart = std::max(apart, std::fabs(got[i] - expected[i]));
      EXPECT_LE(apart, 1e-5 * largest) << "q rank " << q_rank << (interleaved ? ", interleaved" : "") << ", chunk "
                                       << chunk;
    }
  }
}

// ---------------------------------------------------------------- what the cache takes

const Architecture& latent_architecture(const std::string& name) {
  for (const Architecture* a : architectures())
    if (a->name == name) return *a;
  throw std::runtime_error(name);
}

TEST(LatentAttention, CacheHoldsTheLatentAndTheRotaryPart) {
  constexpr int64_t kLayers = 2, kLatent = 64, kRotary = 16, kTokens = 640;
  for (const char* name : {"deepseek2", "mistral4"}) {
    const auto open = open_json(latent_architecture(name).tiny);
    const std::pair<DType, double> types[] = {
        {DType::kF32, 4.0 * (kLatent + kRotary)},
        {DType::kF16, 2.0 * (kLatent + kRotary)},
        {DType::kBF16, 2.0 * (kLatent + kRotary)},
        {DType::kQ8_0, kLatent * 34.0 / 32.0 + 2.0 * kRotary},  // the rotary part stays f16
    };
    for (const auto& [type, bytes] : types) {
      const auto per_token = static_cast<int64_t>(kLayers * bytes);
      const StateLayout layout = open->model->state_layout({type, type});
      EXPECT_EQ(layout.bytes_per_token(), per_token) << name << " " << godwit::name(type);
      ASSERT_EQ(layout.groups.size(), 1U);
      EXPECT_EQ(layout.groups[0].page_bytes, kPageTokens * per_token);

      RunnerOptions options = best_level();
      options.cache = {type, type};
      options.context = kTokens;
      options.chunk = 64;
      Runner runner(*open, options);
      SequenceState state;
      runner.feed(state, random_ids(1, kTokens, open->model->vocab_size()), Want::kNone, {});
      const int64_t pages = kTokens / kPageTokens;
      EXPECT_GE(runner.pool().used_bytes(), kTokens * per_token);
      EXPECT_LE(runner.pool().used_bytes(), pages * PageStore::rounded(kPageTokens * per_token));
      runner.pool().release(state);
    }
  }
}

TEST(LatentAttention, ALatentThatDoesNotFillBlocksHasNoEightBitCache) {
  const auto open = open_json(config_json(22, true));  // of 18
  try {
    open->model->state_layout({DType::kQ8_0, DType::kQ8_0});
    ADD_FAILURE() << "18 channels in blocks of 32";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kUsage) << e.what();
    EXPECT_NE(std::string(e.what()).find("q8_0"), std::string::npos) << e.what();
  }
}

}  // namespace
}  // namespace godwit
