// What the classes of recurrent models make of keys that others read differently. Source: transformers 5.23.
#include <gtest/gtest.h>

#include "base/json.h"
#include "formats/scratch.h"
#include "models/open.h"

namespace godwit::recurrent_keys {
namespace {

const Architecture* architecture_of(const char* hf_class) {
  const HfClass* found = nullptr;
  return find_hf_architecture(Json{{"architectures", {hf_class}}}, found);
}

// The class's tiny configuration with these keys changed, opened.
Config changed(const char* hf_class, const Json& changes) {
  const Scratch scratch;
  OpenOptions options;
  options.random_seed = 1;
  Json json = Json::parse(architecture_of(hf_class)->tiny);
  json["architectures"] = Json::array({hf_class});
  json.erase("model_type");
  json.update(changes);
  return open_model(scratch.write("config.json", json.dump()), options)->config;
}

Json written(const char* hf_class, const Config& config) {
  Json hf;
  architecture_of(hf_class)->to_hf(config, hf);
  return hf;
}

// Falcon-Mamba-7B has expand 16 and twice the width.
TEST(RecurrentKeys, MambasWidthIsWhatTheFileSays) {
  const Config c = changed("FalconMambaForCausalLM", {{"hidden_size", 64}, {"expand", 16}, {"intermediate_size", 128}});
  EXPECT_EQ(c.integer("ssm.inner_size"), 128);
  EXPECT_EQ(written("FalconMambaForCausalLM", c)["intermediate_size"], 128);
  EXPECT_EQ(changed("MambaForCausalLM", {{"hidden_size", 64}, {"expand", 3}}).integer("ssm.inner_size"), 192);
}

TEST(RecurrentKeys, FalconsNormsAreByTheClass) {
  EXPECT_TRUE(changed("FalconMambaForCausalLM", Json::object()).boolean("ssm.dt_b_c_rms", false));
  EXPECT_FALSE(changed("MambaForCausalLM", {{"mixer_rms_eps", 1e-6}}).boolean("ssm.dt_b_c_rms", true));
}

TEST(RecurrentKeys, NemotronHasAHeadOfItsOwn) {
  EXPECT_FALSE(changed("NemotronHForCausalLM", {{"tie_word_embeddings", true}}).boolean("tie_embeddings", true));
}

TEST(RecurrentKeys, WholeHeadsRotateWhereTheClassReadsNoPart) {
  for (const char* name : {"Lfm2ForCausalLM", "Lfm2MoeForCausalLM", "GraniteMoeHybridForCausalLM",
                           "FalconH1ForCausalLM", "Zamba2ForCausalLM"}) {
    const Config c = changed(
        name, {{"partial_rotary_factor", 0.5},
               {"rope_parameters", {{"rope_type", "default"}, {"rope_theta", 1e4}, {"partial_rotary_factor", 0.5}}}});
    EXPECT_EQ(c.integer("rope.dimension_count"), c.integer("attention.key_length")) << name;
  }
}

TEST(RecurrentKeys, RecurrentGemmaSaysHowMuchRotates) {
  const char* name = "RecurrentGemmaForCausalLM";
  const Config c = changed(
      name, {{"rope_parameters", {{"rope_type", "default"}, {"rope_theta", 1e4}, {"partial_rotary_factor", 1.0}}},
             {"sliding_window", 24}});
  EXPECT_EQ(c.integer("rope.dimension_count"), c.integer("attention.key_length"));
  EXPECT_EQ(c.integer("attention.sliding_window"), 24);
  EXPECT_EQ(written(name, c)["rope_parameters"]["partial_rotary_factor"], 1.0);
}

// Numbers that no integer holds.
TEST(RecurrentKeys, HugeRotationsAreRefused) {
  const Json yarn = {{"rope_type", "yarn"}, {"rope_theta", 1e4}, {"factor", 2.0}};
  Json huge = yarn;
  huge["original_max_position_embeddings"] = 1e300;
  EXPECT_THROW(changed("Lfm2ForCausalLM", {{"rope_parameters", huge}}), Error);
  EXPECT_THROW(changed("RecurrentGemmaForCausalLM",
                       {{"rope_parameters", {{"rope_theta", 1e4}, {"partial_rotary_factor", 1e300}}}}),
               Error);
  for (const char* name : {"BambaForCausalLM", "Lfm2ForCausalLM", "FalconH1ForCausalLM"})
    EXPECT_THROW(changed(name, {{"head_dim", INT64_MAX}}), Error) << name;
}

}  // namespace
}  // namespace godwit::recurrent_keys
