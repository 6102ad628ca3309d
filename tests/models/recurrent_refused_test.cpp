// Recurrent mixers that no file may have: each is refused by one line that names the key.
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/json.h"
#include "formats/scratch.h"
#include "models/open.h"

namespace godwit {
namespace {

struct Refused {
  const char* hf_class;
  const char* key;
  Json value;
  const char* named;  // by the message
};

TEST(RefusedRecurrent, SizesOfConfigJson) {
  const int64_t kTwo31 = int64_t{1} << 31;
  const std::vector<Refused> cases = {
      {"Mamba2ForCausalLM", "n_groups", 0, "ssm.group_count"},
      {"Mamba2ForCausalLM", "n_groups", 3, "ssm.group_count"},  // of 4 heads
      {"Mamba2ForCausalLM", "n_groups", kTwo31, "ssm.group_count"},
      {"Mamba2ForCausalLM", "state_size", 0, "ssm.state_size"},
      {"Mamba2ForCausalLM", "state_size", -1, "ssm.state_size"},
      {"Mamba2ForCausalLM", "state_size", kTwo31, "ssm.state_size"},
      {"Mamba2ForCausalLM", "state_size", "8", "state_size"},
      {"Mamba2ForCausalLM", "conv_kernel", 0, "ssm.conv_kernel"},
      {"Mamba2ForCausalLM", "conv_kernel", kTwo31, "ssm.conv_kernel"},
      {"Mamba2ForCausalLM", "num_heads", 0, "num_heads"},
      {"Mamba2ForCausalLM", "num_heads", 3, "num_heads"},  // of 16 do not fill 64
      {"Mamba2ForCausalLM", "num_heads", INT64_MAX, "num_heads"},
      {"Mamba2ForCausalLM", "head_dim", 0, "num_heads"},
      {"Mamba2ForCausalLM", "expand", "x", "expand"},
      {"Mamba2ForCausalLM", "hidden_act", "gelu", "hidden_act"},
      {"Mamba2ForCausalLM", "time_step_limit", Json{{0.0, 1.0, 2.0}}, "time_step_limit"},
      {"Mamba2ForCausalLM", "time_step_limit", Json{{"0", 1.0}}, "time_step_limit"},
      {"Mamba2ForCausalLM", "time_step_limit", 3, "time_step_limit"},
      {"Mamba2ForCausalLM", "num_hidden_layers", 10000000, "block_count"},
      {"MambaForCausalLM", "state_size", 0, "ssm.state_size"},
      {"MambaForCausalLM", "state_size", 257, "ssm.state_size"},
      {"MambaForCausalLM", "state_size", kTwo31, "ssm.state_size"},
      {"MambaForCausalLM", "state_size", 1.5, "state_size"},
      {"MambaForCausalLM", "conv_kernel", 0, "ssm.conv_kernel"},
      {"MambaForCausalLM", "conv_kernel", 33, "ssm.conv_kernel"},
      {"MambaForCausalLM", "conv_kernel", kTwo31, "ssm.conv_kernel"},
      {"MambaForCausalLM", "time_step_rank", 0, "ssm.time_step_rank"},
      {"MambaForCausalLM", "time_step_rank", kTwo31, "ssm.time_step_rank"},
      {"MambaForCausalLM", "time_step_rank", "automatic", "time_step_rank"},
      {"MambaForCausalLM", "time_step_rank", Json::array({3}), "time_step_rank"},
      {"MambaForCausalLM", "expand", 0, "expand"},
      {"MambaForCausalLM", "expand", -2, "expand"},
      {"MambaForCausalLM", "expand", 1e300, "expand"},
      {"MambaForCausalLM", "expand", "2", "expand"},
      {"MambaForCausalLM", "hidden_size", INT64_MAX, "expand"},
      {"MambaForCausalLM", "hidden_size", 0, "expand"},
      {"MambaForCausalLM", "hidden_act", "gelu", "hidden_act"},
      {"MambaForCausalLM", "use_conv_bias", 1, "use_conv_bias"},
      {"MambaForCausalLM", "layer_norm_epsilon", -1.0, "layer_norm_rms_epsilon"},
      {"MambaForCausalLM", "num_hidden_layers", 0, "block_count"},
      {"RecurrentGemmaForCausalLM", "block_types", Json::array(), "block_types"},
      {"RecurrentGemmaForCausalLM", "block_types", Json{"recurrent", "mamba"}, "block_types"},
      {"RecurrentGemmaForCausalLM", "block_types", Json{1, 2}, "block_types"},
      {"RecurrentGemmaForCausalLM", "block_types", "recurrent", "block_types"},
      {"RecurrentGemmaForCausalLM", "lru_width", 0, "rglru.width"},
      {"RecurrentGemmaForCausalLM", "lru_width", 63, "rglru.width"},  // of 2 heads
      {"RecurrentGemmaForCausalLM", "lru_width", kTwo31, "rglru.width"},
      {"RecurrentGemmaForCausalLM", "conv1d_width", 0, "rglru.conv_kernel"},
      {"RecurrentGemmaForCausalLM", "conv1d_width", kTwo31, "rglru.conv_kernel"},
      {"RecurrentGemmaForCausalLM", "attention_window_size", 0, "attention.sliding_window"},
      {"RecurrentGemmaForCausalLM", "logits_soft_cap", -1.0, "final_logit_softcapping"},
      {"RecurrentGemmaForCausalLM", "hidden_activation", "silu", "hidden_activation"},
      {"FalconMambaForCausalLM", "mixer_rms_eps", -1e-6, "dt_b_c_rms_epsilon"},
      {"FalconMambaForCausalLM", "mixer_rms_eps", "1e-6", "mixer_rms_eps"},
  };
  const Scratch scratch;
  OpenOptions options;
  options.random_seed = 1;
  for (const Refused& c : cases) {
    const HfClass* found = nullptr;
    const Architecture* a = find_hf_architecture(Json{{"architectures", {c.hf_class}}}, found);
    ASSERT_NE(a, nullptr) << c.hf_class;
    Json json = Json::parse(a->tiny);
    json["architectures"] = Json::array({c.hf_class});
    json[c.key] = c.value;
    const std::string what = std::string(c.hf_class) + ": " + c.key + " = " + c.value.dump();
    try {
      open_model(scratch.write("config.json", json.dump()), options);
      ADD_FAILURE() << what << ": was opened";
    } catch (const Error& e) {
      const std::string message = e.what();
      EXPECT_EQ(e.kind(), ErrorKind::kInvalid) << what << ": " << message;
      EXPECT_NE(message.find(c.named), std::string::npos) << what << ": " << message;
      EXPECT_EQ(message.find('\n'), std::string::npos) << what << ": " << message;
      EXPECT_EQ(message.find("does not fit together"), std::string::npos) << what << ": " << message;
    }
  }
}

}  // namespace
}  // namespace godwit
