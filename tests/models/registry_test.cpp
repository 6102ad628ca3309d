// The registry against the folder, and configurations that no model has: each is refused, quickly, by name.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <limits>
#include <set>

#include "base/error.h"
#include "base/json.h"
#include "formats/gguf_builder.h"
#include "formats/scratch.h"
#include "models/open.h"

namespace godwit {
namespace {

TEST(Registry, HoldsWhatTheFolderHolds) {
  const std::set<std::string> shared = {"architecture",
                                        "hf_config",
                                        "mixer_stack",
                                        "dimensions",
                                        "usual",
                                        "rope_keys",
                                        "rope_to_hf",
                                        "save_forms",
                                        "open",
                                        "save",
                                        "save_hf",
                                        "parameter_stream",
                                        "llama_cpp",
                                        "latent",
                                        "hybrid",
                                        "lfm",
                                        "granite",
                                        "state_space_keys",
                                        "nemotron",
                                        "llama_cpp_hybrids",
                                        "falcon",
                                        "zamba",
                                        "nemotron_keys",
                                        "nemotron_words",
                                        "mixture",
                                        "mixture_keys",
                                        "shipped_fit",
                                        "attention_parts",
                                        "feed_forward_parts",
                                        "recurrent",
                                        "recurrent_parts",
                                        "pattern",
                                        "layer_parts",
                                        "shipped_patterns"};
  std::set<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(std::string(GODWIT_SOURCE_DIR) + "/src/models")) {
    const std::string stem = entry.path().stem().string();
    if (entry.path().extension() == ".cpp" && !shared.contains(stem)) files.insert(stem);
  }
  const std::vector<std::string>& registered = architecture_files();
  ASSERT_EQ(registered.size(), architectures().size());
  EXPECT_EQ(files, std::set<std::string>(registered.begin(), registered.end()));
  for (size_t i = 0; i < registered.size(); ++i) {
    const Architecture* a = architectures()[i];
    if (a->claims == nullptr) {  // else its name is another's too
      std::string file = a->name;
      std::replace(file.begin(), file.end(), '-', '_');
      EXPECT_EQ(registered[i], file);
      Config config;
      config.architecture = a->name;
      EXPECT_EQ(find_architecture(config), a);
    }
    for (const HfClass& c : a->hf_classes) {
      const HfClass* found = nullptr;
      Json json = Json::parse(a->tiny);
      json["architectures"] = Json::array({c.name});
      EXPECT_EQ(find_hf_architecture(json, found), a) << c.name;
      ASSERT_NE(found, nullptr);
      EXPECT_EQ(found->name, c.name);
    }
  }
}

TEST(Registry, ArchitecturesThatShareANameAreToldApartByWhatTheyClaim) {
  Config config;
  config.architecture = "llama";
  ASSERT_NE(find_architecture(config), nullptr);
  EXPECT_EQ(find_architecture(config)->claims, nullptr);
  config.set("expert_count", int64_t{8});
  EXPECT_EQ(find_architecture(config)->hf_classes.front().name, "MixtralForCausalLM");
  config.architecture = "no-such";
  EXPECT_EQ(find_architecture(config), nullptr);
}

// Which keys an architecture has besides the usual ones, by what its class takes for absent ones and its tiny model
// has.
bool has_key(const Architecture& a, const std::string& key) {
  return Json::parse(a.tiny).contains(key) || Json::parse(a.hf_classes[0].defaults).contains(key);
}
bool is_latent(const Architecture& a) { return has_key(a, "kv_lora_rank"); }
bool is_mixture(const Architecture& a) { return has_key(a, "num_experts_per_tok"); }

// Whether it has attention, so that the keys of every transformer mean something to it.
bool attends(const Architecture& a) { return has_key(a, "num_attention_heads"); }

// Whether its heads rotate.
bool rotates(const Architecture& a) { return has_key(a, "rope_theta") || has_key(a, "rope_parameters"); }

struct Hostile {
  const char* key;
  Json value;
};

// Values of config.json's keys that every architecture refuses.
std::vector<Hostile> hostile_values() {
  const int64_t kHuge = int64_t{1} << 62;
  std::vector<Hostile> list;
  for (const char* key : {"num_attention_heads", "num_key_value_heads", "num_hidden_layers", "hidden_size",
                          "intermediate_size", "vocab_size", "head_dim", "max_position_embeddings"})
    for (const Json& value : {Json(0), Json(-1), Json(int64_t{1} << 31), Json(kHuge), Json(UINT64_MAX), Json(1.5),
                              Json("4"), Json::array(), Json::object(), Json(true)})
      list.push_back({key, value});
  list.push_back({"num_key_value_heads", 8});  // more than the 4 heads
  list.push_back({"num_key_value_heads", 3});  // does not divide them
  list.push_back({"num_hidden_layers", 1025});
  list.push_back({"head_dim", 15});   // not in pairs
  list.push_back({"head_dim", 514});  // wider than the kernels' buffers
  list.push_back({"rms_norm_eps", -1.0});
  list.push_back({"rms_norm_eps", "nan"});
  list.push_back({"rope_theta", 0.0});
  list.push_back({"rope_theta", -1e4});
  list.push_back({"rope_theta", "x"});
  list.push_back({"tie_word_embeddings", 1});
  list.push_back({"attention_bias", "yes"});
  list.push_back({"architectures", Json::array({"NoSuchForCausalLM"})});
  list.push_back({"rope_parameters", Json{{"rope_type", "no such"}, {"rope_theta", 1e4}}});
  list.push_back({"rope_parameters", Json{{"rope_type", "linear"}, {"factor", 0.0}, {"rope_theta", 1e4}}});
  return list;
}

void expect_key_refused(const std::string& path, const OpenOptions& options, const std::string& what) {
  const auto start = std::chrono::steady_clock::now();
  try {
    open_model(path, options);
    ADD_FAILURE() << what << ": was opened";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kInvalid) << what << ": " << e.what();
    EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos) << what;
    EXPECT_EQ(std::string(e.what()).find("does not fit together"), std::string::npos) << what << ": " << e.what();
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  EXPECT_LT(seconds.count(), 2.0) << what;
}

// How the architecture's config.json spells a usual key.
std::string spelled(const Architecture& a, const std::string& key) {
  for (const char* other : {"norm_eps", "layer_norm_epsilon"})
    if (key == "rms_norm_eps" && has_key(a, other)) return other;
  return key;
}

TEST(Registry, HostileConfigJson) {
  const Scratch scratch;
  OpenOptions options;
  options.random_seed = 1;
  for (const Architecture* a : architectures()) {
    open_model(scratch.write("config.json", a->tiny), options);  // as it is, it opens
    for (const Hostile& h : hostile_values()) {
      if ((is_latent(*a) || has_key(*a, "adapter_rank")) && h.key == std::string("head_dim"))
        continue;  // these classes have no use for it
      if (!attends(*a) && !has_key(*a, h.key) && h.key != std::string("architectures")) continue;
      if (h.key == std::string("num_hidden_layers") && !has_key(*a, h.key)) continue;  // a list's length
      if (!rotates(*a) && (std::string_view(h.key).starts_with("rope_") || h.value == 15)) continue;
      Json json = Json::parse(a->tiny);
      json[spelled(*a, h.key)] = h.value;
      if (h.key == std::string("rope_theta") && has_key(*a, "rope_parameters"))
        json["rope_parameters"] = Json{{"rope_type", "default"}, {"rope_theta", h.value}};  // it has its own
      expect_key_refused(scratch.write("config.json", json.dump()), options,
                         a->name + ": " + h.key + " = " + h.value.dump());
    }
  }
}

// The keys that a GGUF model of any architecture needs.
struct GgufKeys {
  uint32_t heads = 4, kv_heads = 2, layers = 2, d_model = 64, d_ff = 96, head_dim = 16;
  uint64_t context = 2048;
  float eps = 1e-6f, base = 1e4f;
};

std::string gguf(const Architecture& a, const GgufKeys& k) {
  const std::string& name = a.name;
  GgufBuilder b;
  b.text("general.architecture", name);
  b.key(name + ".attention.head_count", kU32, k.heads);
  b.key(name + ".attention.head_count_kv", kU32, k.kv_heads);
  b.key(name + ".attention.key_length", kU32, k.head_dim);
  b.key(name + ".attention.value_length", kU32, k.head_dim);
  b.key(name + ".block_count", kU32, k.layers);
  b.key(name + ".embedding_length", kU32, k.d_model);
  b.key(name + ".feed_forward_length", kU32, k.d_ff);
  b.key(name + ".context_length", kU64, k.context);
  b.key(name + ".attention.layer_norm_rms_epsilon", kF32, k.eps);
  b.key(name + ".rope.freq_base", kF32, k.base);
  if (name == "godwit") b.text(name + ".layers", "2*(attention+mlp)");
  if (is_mixture(a)) {
    b.key(name + ".expert_count", kU32, uint32_t{8});
    b.key(name + ".expert_used_count", kU32, uint32_t{2});
  }
  if (is_latent(a)) {
    b.key(name + ".attention.kv_lora_rank", kU32, uint32_t{32});
    b.key(name + ".rope.dimension_count", kU32, uint32_t{8});
  }
  if (name == "recurrent_gemma") {
    b.key(name + ".final_logit_softcapping", kF32, 30.0f);
    b.key(name + ".attention.sliding_window", kU32, uint32_t{40});
    b.key(name + ".rglru.width", kU32, uint32_t{64});
    b.key(name + ".rglru.conv_kernel", kU32, uint32_t{4});
    b.key(name + ".rglru.layers", kU32, uint32_t{1});  // all of them
  }
  if (name == "zamba2") b.key(name + ".adapter_rank", kU32, uint32_t{8});
  if (!attends(a) || name == "jamba" || name == "falcon-h1" || name == "zamba2") {
    b.key(name + ".ssm.conv_kernel", kU32, uint32_t{4});
    b.key(name + ".ssm.inner_size", kU32, uint32_t{128});
    b.key(name + ".ssm.state_size", kU32, uint32_t{16});
    b.key(name + ".ssm.time_step_rank", kU32, uint32_t{4});
  }
  b.tensor("token_embd.weight", {64, 100}, 0, 0);
  if (name.starts_with("lfm2")) b.key(name + ".shortconv.l_cache", kU32, uint32_t{3});
  b.tensor(name.starts_with("lfm2") ? "token_embd_norm.weight" : "output_norm.weight", {64}, 0, 64 * 100 * 4);
  return b.build(64 * 101 * 4);
}

TEST(Registry, HostileGguf) {
  const Scratch scratch;
  const std::vector<std::pair<const char*, GgufKeys>> cases = {
      {"attention.head_count", {.heads = 0}},
      {"attention.head_count", {.heads = 0xffffffff}},
      {"attention.head_count_kv", {.kv_heads = 0}},
      {"attention.head_count_kv", {.kv_heads = 8}},
      {"attention.head_count_kv", {.kv_heads = 3}},
      {"block_count", {.layers = 0}},
      {"block_count", {.layers = 0x80000000}},
      {"block_count", {.layers = 1025}},
      {"token_embd.weight", {.d_model = 128}},
      {"embedding_length", {.d_model = 0}},
      {"feed_forward_length", {.d_ff = 0}},
      {"key_length", {.head_dim = 0}},
      {"key_length", {.head_dim = 513}},
      {"context_length", {.context = 0}},
      {"context_length", {.context = uint64_t{1} << 40}},
      {"context_length", {.context = UINT64_MAX}},
      {"layer_norm_rms_epsilon", {.eps = std::numeric_limits<float>::quiet_NaN()}},
      {"layer_norm_rms_epsilon", {.eps = std::numeric_limits<float>::infinity()}},
      {"layer_norm_rms_epsilon", {.eps = -1.0f}},
      {"rope.freq_base", {.base = std::numeric_limits<float>::quiet_NaN()}},
      {"rope.freq_base", {.base = 0.0f}},
      {"blk.0.", {}},  // all keys are right; the layers' tensors are missing
  };
  for (const Architecture* a : architectures()) {
    for (const auto& [named, keys] : cases) {
      const std::string_view key = named;
      const bool of_attention = key.starts_with("attention.head") || key.starts_with("rope.") ||
                                key == "feed_forward_length" || key == "key_length";
      if (!attends(*a) && of_attention) continue;
      if (key.starts_with("rope.") && !rotates(*a)) continue;
      const std::string path = scratch.write("model.gguf", gguf(*a, keys));
      const std::string what = a->name + ": " + named;
      expect_key_refused(path, {}, what);
      // Latent attention has one head of keys, and those of the expanded model may be wider.
      const bool unused = keys.kv_heads != 2 || keys.head_dim == 513;
      if (is_latent(*a) && unused) continue;
      try {
        open_model(path, {});
      } catch (const Error& e) {
        EXPECT_NE(std::string(e.what()).find(named), std::string::npos) << what << ": " << e.what();
      }
    }
  }
}

}  // namespace
}  // namespace godwit
