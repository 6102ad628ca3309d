// The notation of patterns: what it stands for, and where each mistake is said to be.
#include "models/pattern.h"

#include <gtest/gtest.h>

#include <chrono>

#include "base/error.h"
#include "base/json.h"
#include "formats/scratch.h"
#include "models/open.h"

namespace godwit {
namespace {

const PatternWords kWords{.mixers = {"attention", "window", "mamba2"}, .feed_forwards = {"mlp", "moe"}};
using Layers = std::vector<LayerParts>;

Layers parsed(const std::string& text) { return parse_pattern(text, kWords, "config.json: key layers"); }

std::string refusal(const std::string& text) {
  try {
    const size_t n = parsed(text).size();
    return fmt::format("{} layers", n);
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kInvalid);
    return e.what();
  }
}

TEST(Pattern, Layers) {
  const LayerParts a{"attention", ""}, am{"attention", "moe"}, m{"mamba2", "mlp"}, w{"window", "mlp"}, f{"", "mlp"};
  EXPECT_EQ(parsed("attention"), Layers{a});
  EXPECT_EQ(parsed("attention+none"), Layers{a});
  EXPECT_EQ(parsed("mlp"), Layers{f});
  EXPECT_EQ(parsed("none+mlp"), Layers{f});
  EXPECT_EQ(parsed("attention + moe"), Layers{am});
  EXPECT_EQ(parsed("3*(mamba2+mlp), attention+moe"), (Layers{m, m, m, am}));
  EXPECT_EQ(parsed("2*(2*(mamba2+mlp), window+mlp)"), (Layers{m, m, w, m, m, w}));
  EXPECT_EQ(parsed(" 2 * attention ,\tmlp\n"), (Layers{a, a, f}));
  EXPECT_EQ(parsed("((attention)),(mlp,attention)"), (Layers{a, f, a}));
  EXPECT_EQ(parsed("attention,2*(mlp,2*attention),003*mlp"), (Layers{a, f, a, a, f, a, a, f, f, f}));
}

TEST(Pattern, AsManyLayersAsAModelMayHave) {
  EXPECT_EQ(parsed("1024*attention").size(), 1024U);
  EXPECT_EQ(parsed("32*(31*(attention+mlp), mlp)").size(), 1024U);
  EXPECT_EQ(parsed("1000*attention, 24*mlp").size(), 1024U);
}

struct Wrong {
  std::string text;
  size_t at;  // from 1
  std::string what;
};

TEST(Pattern, MistakesAreSaidWhereTheyAre) {
  const std::vector<Wrong> cases = {
      {"3*(mamba3+mlp)", 4,
       "\"mamba3\" is not a mixer or feed-forward; known: attention, window, mamba2, mlp, moe, none"},
      {"attention+Mlp", 11, "\"Mlp\" is not a mixer or feed-forward"},
      {"", 1, "the pattern is empty"},
      {" \n", 3, "the pattern is empty"},
      {"()", 2, "expected a mixer or a feed-forward, got \")\""},
      {"attention,", 11, "expected a mixer or a feed-forward, got the end"},
      {",attention", 1, "expected a mixer or a feed-forward, got \",\""},
      {"attention,,mlp", 11, "expected a mixer or a feed-forward, got \",\""},
      {"attention+", 11, "expected a mixer or a feed-forward, got the end"},
      {"+mlp", 1, "expected a mixer or a feed-forward, got \"+\""},
      {"attention mlp", 11, "expected \",\" or the end, got \"m\""},
      {"(attention", 11, "expected \",\" or the \")\" of \"(\" at 1, got the end"},
      {"mlp, (attention(", 16, "expected \",\" or the \")\" of \"(\" at 6, got \"(\""},
      {"attention)", 10, "expected \",\" or the end, got \")\""},
      {"(attention)+mlp", 12, "expected \",\" or the end, got \"+\""},
      {"2*", 3, "expected a mixer or a feed-forward, got the end"},
      {"2 attention", 3, "expected \"*\" after \"2\", got \"a\""},
      {"2", 2, "expected \"*\" after \"2\", got the end"},
      {"2*3*mlp", 3, "\"3\" is not a mixer or feed-forward"},
      {"-1*mlp", 1, "\"-1\" is not a mixer or feed-forward"},
      {"mlp, 0*mlp", 6, "0 repetitions"},
      {"000*(mlp)", 1, "0 repetitions"},
      {"2*attention+mlp", 3, "write (attention+mlp): a repeated layer of two parts stands in parentheses"},
      {"attention+window", 11, "\"window\" is a mixer: a layer has one, and then a feed-forward"},
      {"none+window", 6, "\"window\" is a mixer"},
      {"mlp+attention", 1, "\"mlp\" is a feed-forward: a layer's mixer comes first"},
      {"mlp+moe", 1, "\"mlp\" is a feed-forward: a layer's mixer comes first"},
      {"attention+mlp+moe", 14, "a layer has at most two parts"},
      {"none", 1, "a layer of nothing"},
      {"none+none", 1, "a layer of nothing"},
      {"1025*mlp", 1, "1025 repetitions of 1 after 0 layers: a model has at most 1024"},
      {"10000000*(attention+mlp)", 1, "10000000 repetitions of 1 after 0 layers"},
      {"mlp, 1024*mlp", 6, "1024 repetitions of 1 after 1 layers"},
      {"mlp, 1000*(1000*(10*mlp))", 12, "1000 repetitions of 10 after 1 layers"},
      {"18446744073709551617*mlp", 1, "18446744073709551617 repetitions"},
      {"4294967296*(4294967296*mlp)", 13, "4294967296 repetitions"},
      {"mlp\xff", 4, "expected \",\" or the end, got \"\\xff\""},
  };
  for (const Wrong& c : cases) {
    const std::string got = refusal(c.text), at = fmt::format(": at {}: ", c.at);
    EXPECT_TRUE(got.starts_with("config.json: key layers: \"")) << c.text << ": " << got;
    EXPECT_NE(got.find(at + c.what), std::string::npos) << c.text << ": " << got;
    EXPECT_EQ(got.find('\n'), std::string::npos) << got;
  }
  EXPECT_EQ(refusal("3*(mamba3+mlp)").find("config.json: key layers: \"3*(mamba3+mlp)\": at 4: \"mamba3\" is not"), 0U);
}

TEST(Pattern, LongTextsAreShownWhereTheyAreWrong) {
  std::string text;
  for (int i = 0; i < 100; ++i) text += "attention, ";
  text += "mambo, ";
  for (int i = 0; i < 100; ++i) text += "mlp, ";
  const std::string got = refusal(text + "mlp");
  EXPECT_NE(got.find("mambo, mlp, mlp"), std::string::npos) << got;
  EXPECT_NE(got.find("\"...: at 1101: \"mambo\" is not"), std::string::npos) << got;
  EXPECT_LT(got.size(), 300U);
}

TEST(Pattern, HugeTextsTakeLinearTime) {
  const auto start = std::chrono::steady_clock::now();
  const auto repeated = [](const std::string& piece, size_t n) {
    std::string text;
    for (size_t i = 0; i < n; ++i) text += piece;
    return text;
  };
  constexpr size_t kMany = 1'000'000;
  EXPECT_NE(refusal(repeated("(", kMany)).find("more than 32 parentheses"), std::string::npos);
  EXPECT_NE(refusal(repeated("2*(", kMany)).find("more than 32 parentheses"), std::string::npos);
  EXPECT_NE(refusal(repeated("mlp,", kMany)).find("more than 1024 layers"), std::string::npos);
  EXPECT_NE(refusal(repeated("9", kMany) + "*mlp").find(": at 1: "), std::string::npos);
  EXPECT_NE(refusal(repeated("x", kMany)).find("is not a mixer"), std::string::npos);
  EXPECT_EQ(refusal(repeated(" ", kMany) + "mlp" + repeated(" ", kMany)), "1 layers");
  EXPECT_EQ(refusal(repeated("(", 32) + "mlp" + repeated(")", 32)), "1 layers");
  std::string nested = "mlp";
  for (int i = 0; i < 32; ++i) nested = "1024*(" + nested + ")";
  EXPECT_NE(refusal(nested).find("1024 repetitions of 1024"), std::string::npos);
  EXPECT_LT(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), 2.0);
}

// ---------------------------------------------------------------- the architecture

class GodwitConfig : public testing::Test {
 protected:
  std::unique_ptr<OpenModel> open(const Json& json) {
    OpenOptions options;
    options.random_seed = 1;
    return open_model(scratch_.write("config.json", json.dump()), options);
  }
  void refused(const std::string& key, const Json& value, const std::string& named) {
    const HfClass* found = nullptr;
    Json json = Json::parse(find_hf_architecture({{"model_type", "godwit"}}, found)->tiny);
    json[key] = value;
    try {
      open(json);
      ADD_FAILURE() << key << " = " << value.dump() << ": was opened";
    } catch (const Error& e) {
      const std::string message = e.what();
      EXPECT_EQ(e.kind(), ErrorKind::kInvalid) << message;
      EXPECT_NE(message.find(named), std::string::npos) << message;
      EXPECT_EQ(message.find('\n'), std::string::npos) << message;
      EXPECT_EQ(message.find("does not fit together"), std::string::npos) << message;
    }
  }
  Scratch scratch_;
};

TEST_F(GodwitConfig, DefaultsWhereItIsSilent) {
  const auto model = open({{"model_type", "godwit"}, {"layers", "window+moe, mla+mlp, attention"}});
  const Config& c = model->config;
  const std::vector<std::pair<const char*, int64_t>> expected = {{"vocab_size", 32000},
                                                                 {"embedding_length", 512},
                                                                 {"context_length", 131072},
                                                                 {"feed_forward_length", 1408},
                                                                 {"attention.head_count", 8},
                                                                 {"attention.head_count_kv", 8},
                                                                 {"attention.key_length", 64},
                                                                 {"attention.sliding_window", 1024},
                                                                 {"expert_count", 32},
                                                                 {"expert_used_count", 8},
                                                                 {"expert_feed_forward_length", 192},
                                                                 {"attention.kv_lora_rank", 256},
                                                                 {"block_count", 3}};
  for (const auto& [key, value] : expected) EXPECT_EQ(c.integer(key), value) << key;
  EXPECT_TRUE(model->model->tied());
  EXPECT_EQ(open({{"model_type", "godwit"}, {"layers", "attention"}, {"hidden_size", 96}, {"num_attention_heads", 3}})
                ->config.integer("attention.key_length"),
            32);
  const auto recurrent =
      open({{"model_type", "godwit"}, {"layers", "2*(mamba2+mlp)"}, {"hidden_size", 416}, {"vocab_size", 100}});
  const std::vector<std::pair<const char*, int64_t>> sizes = {{"mamba2.inner_size", 832},
                                                              {"mamba2.head_count", 13},
                                                              {"mamba2.state_size", 128},
                                                              {"mamba2.group_count", 1},
                                                              {"mamba2.conv_kernel", 4}};
  for (const auto& [key, value] : sizes) EXPECT_EQ(recurrent->config.integer(key), value) << key;
  // Of 200 channels, for which there are 3 heads of attention, 2 make blocks.
  const auto diagonal = open(
      {{"model_type", "godwit"}, {"layers", "mamba1, rglru+mlp, conv"}, {"hidden_size", 200}, {"vocab_size", 100}});
  const std::vector<std::pair<const char*, int64_t>> theirs = {
      {"mamba1.inner_size", 400}, {"mamba1.time_step_rank", 13}, {"mamba1.state_size", 16}, {"mamba1.conv_kernel", 4},
      {"rglru.width", 200},       {"rglru.head_count", 2},       {"rglru.conv_kernel", 4},  {"shortconv.l_cache", 3}};
  for (const auto& [key, value] : theirs) EXPECT_EQ(diagonal->config.integer(key), value) << key;
  // 200 channels are no heads of 64: 2 heads of 100.
  EXPECT_EQ(open({{"model_type", "godwit"}, {"layers", "mamba2"}, {"hidden_size", 100}, {"vocab_size", 100}})
                ->config.integer("mamba2.head_count"),
            2);
}

TEST_F(GodwitConfig, WhatNoModelHasIsRefused) {
  refused("layers", "3*(mamba9+mlp)", "config.json: key layers: \"3*(mamba9+mlp)\": at 4: \"mamba9\" is not");
  refused("layers", "10000000*mlp", "10000000 repetitions");
  refused("layers", "", "the pattern is empty");
  refused("layers", Json(), "key layers: missing");
  refused("layers", 3, "key layers: expected a string");
  refused("layers", Json::array({"attention"}), "key layers: expected a string");
  refused("num_hidden_layers", 4, "key num_hidden_layers: expected the 9 of key layers or nothing, got 4");
  refused("num_key_value_heads", 3, "attention.head_count_kv");
  refused("head_dim", 15, "rope.dimension_count");
  refused("head_dim", 514, "attention.key_length");
  for (const Json& n : {Json(0), Json(-1), Json(int64_t{1} << 62)}) refused("sliding_window", n, "sliding_window");
  refused("sliding_window", "40", "sliding_window");
  for (const Json& n : {Json(0), Json(-1), Json(513), Json(int64_t{1} << 31), Json("64")})
    refused("kv_lora_rank", n, "kv_lora_rank");
  for (const Json& n : {Json(-1), Json(int64_t{1} << 31)}) refused("q_lora_rank", n, "q_lora_rank");
  for (const int64_t n : {0, 1, 15, 1024}) refused("qk_rope_head_dim", n, "rope.dimension_count");
  for (const int64_t n : {0, 513}) refused("qk_nope_head_dim", n, "nope_length_mla");
  for (const int64_t n : {0, 1025}) refused("v_head_dim", n, "value_length_mla");
  refused("num_experts", 1025, "expert_count");
  refused("num_experts_per_tok", 9, "expert_used_count");
  refused("shared_expert_intermediate_size", -1, "expert_shared_feed_forward_length");
  for (const Json& n : {Json(0), Json(-1), Json(int64_t{1} << 31), Json("128")}) {
    refused("mamba2_inner_size", n, "mamba2");
    refused("mamba2_num_heads", n, "mamba2");
    refused("mamba2_state_size", n, "mamba2");
    refused("mamba2_n_groups", n, "mamba2");
    refused("mamba2_conv_kernel", n, "mamba2");
    refused("mamba1_inner_size", n, "mamba1");
    refused("mamba1_time_step_rank", n, "mamba1");
    refused("mamba1_state_size", n, "mamba1");
    refused("mamba1_conv_kernel", n, "mamba1");
    refused("conv_L_cache", n, "conv");
    refused("rglru_width", n, "rglru");
    refused("rglru_num_heads", n, "rglru");
    refused("rglru_conv_kernel", n, "rglru");
  }
  refused("mamba2_num_heads", 3, "mamba2.head_count: expected a divisor of the 128 channels, got 3");
  refused("rglru_num_heads", 3, "rglru.head_count: expected a divisor of the 64 channels, got 3");
  refused("mamba2_n_groups", 3, "mamba2.group_count: expected a divisor of the 2 heads, got 3");
  refused("norm_topk_prob", 1, "norm_topk_prob");
  refused("hidden_act", "gelu", "hidden_act");
  refused("hidden_size", int64_t{1} << 62, "embedding_length");
  // Heads that do not divide, where no width of a head is given.
  try {
    open({{"model_type", "godwit"}, {"layers", "attention"}, {"hidden_size", 100}, {"num_attention_heads", 3}});
    ADD_FAILURE();
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("key num_attention_heads: 3 heads do not divide hidden_size 100"),
              std::string::npos)
        << e.what();
  }
}

TEST_F(GodwitConfig, ALayerOfOneBlockHasOnePlaceAndOneNorm) {
  const auto model = open({{"model_type", "godwit"}, {"layers", "attention, mlp, attention+mlp"}, {"hidden_size", 64}});
  std::vector<size_t> places;
  for (const auto& layer : model->model->layers()) places.push_back(layer->blocks().size());
  EXPECT_EQ(places, (std::vector<size_t>{1, 1, 2}));
  std::vector<std::string> norms;
  for (const Parameter& p : model->weights->parameters())
    if (p.name.ends_with("norm.weight")) norms.push_back(p.name);
  std::sort(norms.begin(), norms.end());
  EXPECT_EQ(norms, (std::vector<std::string>{"blk.0.attn_norm.weight", "blk.1.ffn_norm.weight",
                                             "blk.2.attn_norm.weight", "blk.2.ffn_norm.weight", "output_norm.weight"}));
}

}  // namespace
}  // namespace godwit
