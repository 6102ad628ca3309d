// What the tests of whole models share: golden files, runs of a model, comparison of bits.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/cpu.h"
#include "base/json.h"
#include "base/random.h"
#include "engine/runner.h"
#include "models/open.h"

namespace godwit {

inline std::string oracle(const std::string& name) { return std::string(GODWIT_SOURCE_DIR) + "/tests/oracle/" + name; }

/// The tensors of a trusted safetensors file as bytes; unlike the product's reader it knows I32.
class GoldenFile {
 public:
  explicit GoldenFile(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    const std::string all{std::istreambuf_iterator<char>(in), {}};
    uint64_t header = 0;
    if (all.size() < sizeof header) throw std::runtime_error(path + ": not readable");
    std::memcpy(&header, all.data(), sizeof header);
    const Json json = Json::parse(all.substr(sizeof header, header));
    for (const auto& [name, entry] : json.items()) {
      if (name == "__metadata__") continue;
      const auto from = entry["data_offsets"][0].get<uint64_t>(), to = entry["data_offsets"][1].get<uint64_t>();
      tensors_[name] = all.substr(sizeof header + header + from, to - from);
    }
  }
  template <class T>
  std::vector<T> get(const std::string& name) const {
    const std::string& bytes = tensors_.at(name);
    std::vector<T> values(bytes.size() / sizeof(T));
    std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
    return values;
  }

 private:
  std::map<std::string, std::string> tensors_;
};

/// A model with its weights in memory.
inline std::unique_ptr<OpenModel> opened(const std::string& path, const OpenOptions& options = {}) {
  auto open = open_model(path, options);
  ThreadPool pool(1);
  open->weights->load(pool, [](int64_t, int64_t) {});
  return open;
}

inline RunnerOptions best_level() {
  RunnerOptions options;
  options.level = static_cast<int>(cpu_level());
  return options;
}

/// `n` token ids below `vocab`, from a seed.
inline std::vector<TokenId> random_ids(uint64_t seed, int64_t n, int64_t vocab) {
  std::vector<TokenId> ids;
  for (int64_t i = 0; i < n; ++i)
    ids.push_back(static_cast<TokenId>(random_bits(seed, 0, static_cast<uint64_t>(i)) % static_cast<uint64_t>(vocab)));
  return ids;
}

/// Logits of all tokens [n, vocab], in chunks of options.chunk; `kernels` replace those of options.level.
inline std::vector<float> all_logits(const OpenModel& open, RunnerOptions options, const std::vector<TokenId>& ids,
                                     const std::optional<Kernels>& kernels = {}) {
  const auto n = static_cast<int64_t>(ids.size());
  options.context = std::max(options.context, n);
  options.chunk = std::min(options.chunk, n);
  Runner runner(open, options, kernels);
  SequenceState state;
  state.rope_length = n;
  std::vector<float> logits;
  runner.feed(state, ids, Want::kAll,
              [&](size_t, int64_t, Tensor l) { logits.insert(logits.end(), l.f32(), l.f32() + l.size()); });
  runner.pool().release(state);
  return logits;
}

/// Whether two results have the same bits.
inline bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

/// Where the first bits differ, for messages.
inline std::string first_difference(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return fmt::format("{} and {} values", a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i)
    if (std::memcmp(&a[i], &b[i], sizeof(float)) != 0)
      return fmt::format("value {} of {}: {} and {}", i, a.size(), a[i], b[i]);
  return "no difference";
}

/// Only the order of sums and the last bit of functions differ from a reference in float.
inline RunnerOptions exact_options() {
  RunnerOptions options = best_level();
  options.exact = true;
  options.cache = {DType::kF32, DType::kF32};
  return options;
}

/// How far logits are from those of a tiny model's golden file, in parts of the largest; infinite where one is not
/// finite.
inline float apart_from_golden(const std::string& name, const std::optional<Kernels>& kernels = {}) {
  const GoldenFile golden(oracle("tiny/" + name + "/golden.safetensors"));
  const auto expected = golden.get<float>("logits");
  const auto got = all_logits(*opened(oracle("tiny/" + name)), exact_options(), golden.get<TokenId>("ids"), kernels);
  constexpr float kInf = std::numeric_limits<float>::infinity();
  if (got.size() != expected.size()) return kInf;
  float largest = 0.0f, apart = 0.0f;
  for (size_t i = 0; i < got.size(); ++i) {
    largest = std::max(largest, std::abs(expected[i]));
    apart = std::isfinite(got[i]) ? std::max(apart, std::abs(got[i] - expected[i])) : kInf;
  }
  return apart / largest;
}

}  // namespace godwit
