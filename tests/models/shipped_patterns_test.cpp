// Shipped patterns have the number of parameters that was asked for, counted anew from their sizes.
#include "models/shipped_patterns.h"

#include <gtest/gtest.h>

#include <limits>

#include "base/error.h"
#include "formats/scratch.h"
#include "models/layer_parts.h"
#include "models/open.h"

namespace godwit {
namespace {

TEST(ShippedPatterns, HaveTheParametersAskedForWithin2Percent) {
  for (const std::string& name : shipped_names()) {
    for (const double target : {10e6, 20e6, 0.1e9, 0.4e9, 3e9}) {
      const Json json = shipped_config(name, target);
      const auto count = static_cast<double>(active_parameters(json));
      EXPECT_NEAR(count / target, 1.0, 0.02) << name << ", " << target << ": " << json.dump();
      // Shapes are sensible: as wide as 12 d^2 a layer says, within a factor.
      const auto layers =
          static_cast<double>(parse_pattern(json["layers"].get<std::string>(), pattern_words(), "layers").size());
      const double d = json["hidden_size"].get<double>();
      EXPECT_GT(12.0 * layers * d * d, 0.5 * target) << json.dump();
      EXPECT_LT(12.0 * layers * d * d, 2.6 * target) << json.dump();
    }
  }
}

// Against the closed form of Mamba-2 alone: rows z, x, B, C and dt, a convolution of x, B and C, two norms.
TEST(ShippedPatterns, CountOfMamba2IsThatOfItsSizes) {
  const Json j = shipped_config("mamba2", 20e6);
  const auto layers =
      static_cast<int64_t>(parse_pattern(j["layers"].get<std::string>(), pattern_words(), "layers").size());
  const int64_t d = j["hidden_size"].get<int64_t>(), inner = 2 * d, heads = inner / 64, channels = inner + 2 * 128;
  const int64_t layer = (inner + channels + heads) * d + channels * (4 + 1) + 3 * heads + inner + d * inner + d;
  EXPECT_EQ(active_parameters(j), layers * layer + d);
}

// Against the closed form, without a model: attention with grouped queries, three matrices a network, two norms.
TEST(ShippedPatterns, CountIsThatOfTheSizes) {
  for (const char* name : {"dense", "window", "moe"}) {
    const Json j = shipped_config(name, 20e6);
    const auto integer = [&](const char* key) { return j[key].get<int64_t>(); };
    const auto layers =
        static_cast<int64_t>(parse_pattern(j["layers"].get<std::string>(), pattern_words(), "layers").size());
    const int64_t d = integer("hidden_size"), q = integer("num_attention_heads") * 64,
                  kv = integer("num_key_value_heads") * 64;
    const bool moe = j.contains("num_experts");
    const int64_t networks = moe ? 8 : 1, d_ff = integer(moe ? "moe_intermediate_size" : "intermediate_size");
    const int64_t layer = 2 * d * q + 2 * d * kv + networks * 3 * d * d_ff + (moe ? 32 * d : 0) + 2 * d;
    EXPECT_EQ(active_parameters(j), layers * layer + d) << name;
  }
}

TEST(ShippedPatterns, OpenAsModels) {
  const Scratch scratch;
  OpenOptions options;
  options.random_seed = 1;
  for (const std::string& name : shipped_names()) {
    const auto open = open_model(scratch.write("config.json", shipped_config(name, 20e6, 1000).dump()), options);
    EXPECT_EQ(open->model->vocab_size(), 1000);
    EXPECT_TRUE(open->model->tied());
    // Every matrix fills blocks of 32.
    for (const Parameter& p : open->weights->parameters()) EXPECT_NE(p.file_type, DType::kF16) << name << " " << p.name;
  }
}

TEST(ShippedPatterns, OtherNamesAndSizesAreRefused) {
  const auto expect = [](const std::string& name, double target, const std::string& named) {
    try {
      shipped_config(name, target);
      ADD_FAILURE() << name << " " << target;
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::kUsage);
      EXPECT_NE(std::string(e.what()).find(named), std::string::npos) << e.what();
    }
  };
  expect("dens", 1e8, "\"dens\" is not a pattern that ships with godwit, expected one of dense, window, moe, mamba2");
  for (const double target : {0.0, -1e8, 9e4, 1.1e12, std::numeric_limits<double>::quiet_NaN()})
    expect("dense", target, "active parameters");
}

}  // namespace
}  // namespace godwit
