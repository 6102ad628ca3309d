// Mixtures of experts and latent attention from outside: what is wrong with a file is exit 3 and one line that names
// it, what turns up in a step is exit 1.
#include <algorithm>
#include <cstring>
#include <limits>

#include "cli/program.h"
#include "models/save.h"

namespace godwit {
namespace {

class Mixtures : public Commands {
 protected:
  static std::string tiny(const std::string& name) {
    return std::string(GODWIT_SOURCE_DIR) + "/tests/oracle/tiny/" + name;
  }

  void expect_refused(const std::string& arguments, int code, const std::string& named) {
    const Result r = run(arguments);
    EXPECT_EQ(r.code, code) << arguments << "\n" << r.err;
    EXPECT_NE(r.err.find(named), std::string::npos) << arguments << "\n" << r.err;
    EXPECT_EQ(std::count(r.err.begin(), r.err.end(), '\n'), 1) << arguments << "\n" << r.err;
    EXPECT_EQ(r.out, "") << arguments;
  }

  /// The tiny model, one of whose tensors has another value in its first element.
  std::string with_value(const std::string& model, const std::string& tensor, float value) {
    const fs::path folder = folder_ / "changed";
    fs::remove_all(folder);
    fs::copy(tiny(model), folder);
    std::string bytes = slurp(folder / "model.safetensors");
    uint64_t header = 0;
    std::memcpy(&header, bytes.data(), sizeof header);
    const Json json = Json::parse(bytes.substr(sizeof header, header));
    EXPECT_EQ(json.at(tensor)["dtype"], "F32") << tensor;
    const auto at = sizeof header + header + json.at(tensor)["data_offsets"][0].get<uint64_t>();
    std::memcpy(bytes.data() + at, &value, sizeof value);
    std::ofstream(folder / "model.safetensors", std::ios::binary) << bytes;
    return folder.string();
  }

  /// The tiny model, with another value in its config.json.
  std::string with_key(const std::string& model, const std::string& key, const Json& value) {
    const fs::path folder = folder_ / "changed";
    fs::remove_all(folder);
    fs::copy(tiny(model), folder);
    Json json = Json::parse(slurp(folder / "config.json"));
    json[key] = value;
    std::ofstream(folder / "config.json") << json.dump();
    return folder.string();
  }
};

TEST_F(Mixtures, ARouterThatIsNotFiniteIsExit1AtTheFirstStep) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    for (const std::string model : {"qwen3moe-norm", "deepseek3-groups"}) {
      const std::string layer = model == "qwen3moe-norm" ? "3" : "1";
      const std::string folder = with_value(model, "model.layers." + layer + ".mlp.gate.weight", bad);
      const std::string named = "blk." + layer + ".ffn_gate_inp.weight";
      expect_refused("run " + folder + " --ids 1,2,3 -n 4 -q", 1, named);
      const fs::path out = folder_ / "logits";
      expect_refused("logits " + folder + " --ids 1,2,3 -o " + out.string(), 1, named);
      EXPECT_FALSE(fs::exists(out));
    }
  }
}

TEST_F(Mixtures, KeysAndTensorsThatDoNotFitAreExit3) {
  const auto expect = [&](const std::string& model, const std::string& key, const Json& value,
                          const std::string& named) {
    expect_refused("run " + with_key(model, key, value) + " --ids 1,2 -n 2 -q", 3, named);
  };
  expect("qwen3moe-norm", "num_experts_per_tok", 9, "expert_used_count");
  expect("qwen3moe-norm", "num_local_experts", 0, "expert_count");
  expect("qwen3moe-norm", "num_local_experts", 7, "mlp.gate.weight");
  expect("qwen3moe-norm", "num_local_experts", 9, "mlp.gate.weight");
  expect("qwen3moe-norm", "mlp_only_layers", {"0"}, "mlp_only_layers");
  expect("deepseek3-groups", "n_group", 3, "expert_group_count");
  expect("deepseek3-groups", "topk_group", 0, "expert_group_used_count");
  expect("deepseek3-groups", "routed_scaling_factor", 0.0, "expert_weights_scale");
  expect("deepseek3-groups", "kv_lora_rank", 513, "kv_lora_rank");
  expect("deepseek3-groups", "kv_lora_rank", 17, "attn_kv_a_mqa");
  expect("deepseek3-groups", "v_head_dim", 12, "attn_output");
  expect("granitemoe-bias", "logits_scaling", 0, "logit_scale");
  const Result inspected = run("inspect " + with_key("deepseek3-groups", "n_group", 3));
  EXPECT_EQ(inspected.code, 3);
}

TEST_F(Mixtures, ScalesOfFp8ThatAreNoScalesAreExit3) {
  const std::string scales = "model.layers.1.mlp.experts.0.up_proj.weight_scale_inv";
  for (const float bad : {0.0f, -1.0f, std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()})
    expect_refused("run " + with_value("deepseek3-fp8-oldstyle", scales, bad) + " --ids 1,2 -n 2 -q", 3, scales);
}

TEST_F(Mixtures, AnEightBitCacheOfALatentThatDoesNotFillBlocksIsExit2) {
  expect_refused("run " + tiny("deepseek3-groups") + " --ids 1 -n 2 -q --kv-type q8_0", 2, "q8_0");
}

}  // namespace
}  // namespace godwit
