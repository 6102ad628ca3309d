#include "formats/hf_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <array>
#include <optional>

#include "formats/safetensors_bytes.h"
#include "formats/scratch.h"

namespace godwit {
namespace {

using testing::AllOf;
using testing::HasSubstr;

const char kConfig[] = R"({"architectures":["LlamaForCausalLM"]})";
const char kIndex[] = "model.safetensors.index.json";

/// A file of F32 scalars of these names.
std::string scalars(const std::vector<std::string>& names) {
  std::string header = "{";
  for (size_t i = 0; i < names.size(); ++i)
    header += fmt::format(R"({}"{}":{{"dtype":"F32","shape":[],"data_offsets":[{},{}]}})", i > 0 ? "," : "", names[i],
                          4 * i, 4 * i + 4);
  return safetensors_bytes(header + "}", 4 * names.size());
}

std::string weight_map(const std::string& entries) {
  return fmt::format(R"({{"metadata":{{"total_size":"wrong",  "weight_map":[1]}},"weight_map":{{{}}}}})", entries);
}

std::string open_error(const std::string& path) {
  return error_of([&] { open_hf_folder(path); });
}

/// Of a folder whose index holds these entries, with files 1 (a, b) and 2 (c).
std::string map_error(const std::string& entries) {
  const Scratch scratch;
  scratch.write("config.json", kConfig);
  scratch.write("1.safetensors", scalars({"a", "b"}));
  scratch.write("2.safetensors", scalars({"c"}));
  scratch.write(kIndex, weight_map(entries));
  return open_error(scratch.path());
}

std::string config_error(std::string_view config) {
  const Scratch scratch;
  scratch.write("config.json", config);
  scratch.write("model.safetensors", scalars({"a"}));
  return open_error(scratch.path());
}

TEST(HfFolder, OneFile) {
  const Scratch scratch;
  scratch.write("config.json", kConfig);
  scratch.write("model.safetensors", scalars({"a", "b"}));
  scratch.write(kIndex, "not read when there is one file");
  const StoredModel model = open_hf_folder(scratch.path());
  EXPECT_EQ(model.container, Container::kHuggingFace);
  EXPECT_EQ(model.path, scratch.path());
  EXPECT_EQ(model.config_json, kConfig);
  EXPECT_EQ(model.tensors.size(), 2u);
}

TEST(HfFolder, ShardsGoByWeightMap) {
  const Scratch scratch;
  scratch.write("config.json", kConfig);
  scratch.write("1.safetensors", scalars({"a", "b"}));
  scratch.write("parts/2.safetensors", scalars({"c", "unlisted"}));
  scratch.write("stray.safetensors", "never opened");
  scratch.write(kIndex, weight_map(R"("c":"parts/2.safetensors","a":"1.safetensors","b":"1.safetensors")"));
  const StoredModel model = open_hf_folder(scratch.path());
  ASSERT_EQ(model.files.size(), 2u);
  ASSERT_EQ(model.tensors.size(), 4u);
  EXPECT_THAT(model.files[static_cast<size_t>(model.find("c")->file)].path(), HasSubstr("parts/2.safetensors"));
  EXPECT_THAT(model.files[static_cast<size_t>(model.find("b")->file)].path(), HasSubstr("1.safetensors"));
}

TEST(HfFolder, ModelsWrittenByTransformers) {
  const std::string tiny = std::string(GODWIT_SOURCE_DIR) + "/tests/oracle/tiny/";
  const StoredModel sharded = open_hf_folder(tiny + "qwen3-yarn");
  EXPECT_EQ(sharded.files.size(), 4u);
  int64_t parameters = 0;
  for (const StoredTensor& t : sharded.tensors) parameters += t.shape.count();
  EXPECT_EQ(parameters, 43500);  // total_parameters of its index
  EXPECT_NE(sharded.find("model.embed_tokens.weight"), nullptr);
  size_t opened = 0;
  for (const auto& entry : std::filesystem::directory_iterator(tiny)) {
    if (!std::filesystem::exists(entry.path() / "config.json")) continue;
    EXPECT_FALSE(open_hf_folder(entry.path().string()).tensors.empty()) << entry.path();
    ++opened;
  }
  EXPECT_GT(opened, 10u);
}

TEST(HfFolder, S24NamesThatLeaveTheFolder) {
  for (const char* name : {"../../secret", "/etc/hostname", "..", "parts/../../secret", "../1.safetensors"})
    EXPECT_THAT(map_error(fmt::format(R"("a":"{}")", name)),
                AllOf(HasSubstr(kIndex), HasSubstr(name), HasSubstr("a file in the model's folder")));
  EXPECT_THAT(map_error(R"("a":"")"), HasSubstr("a file in the model's folder"));
  EXPECT_THAT(map_error(R"("a":"1.safetensors\u0000x")"), HasSubstr("1.safetensors\\x00x"));
  EXPECT_THAT(map_error(R"("a":"none.safetensors")"), HasSubstr("\"none.safetensors\": cannot be opened"));
  EXPECT_NE(map_error(R"("a":".")"), "");  // a directory
}

TEST(HfFolder, S24LinksThatLeaveTheFolder) {
  const Scratch scratch;
  const std::string secret = scratch.write("secret/real.safetensors", scalars({"a"}));
  scratch.write("secret/config.json", kConfig);
  scratch.write("model/config.json", kConfig);
  scratch.link("model/model.safetensors", "../secret/real.safetensors");
  EXPECT_THAT(open_error(scratch.path("model")), HasSubstr("is a link that leaves the model's folder"));
  scratch.write("sharded/config.json", kConfig);
  scratch.write("sharded/model.safetensors.index.json", weight_map(R"("a":"in/real.safetensors")"));
  scratch.link("sharded/in", secret.substr(0, secret.rfind('/')));
  EXPECT_THAT(open_error(scratch.path("sharded")), HasSubstr("is a link that leaves"));
  scratch.write("linked/model.safetensors", scalars({"a"}));
  scratch.link("linked/config.json", "../secret/config.json");
  EXPECT_THAT(open_error(scratch.path("linked")), HasSubstr("config.json"));
  scratch.write("circle/config.json", kConfig);
  scratch.link("circle/model.safetensors.index.json", "model.safetensors.index.json");
  EXPECT_NE(open_error(scratch.path("circle")), "");
}

TEST(HfFolder, LinksWithinTheFolderAndToTheFolderAreFollowed) {
  const Scratch scratch;
  scratch.write("model/config.json", kConfig);
  scratch.write("model/data/weights", scalars({"a"}));
  scratch.link("model/model.safetensors", "data/weights");
  scratch.link("alias", "model");
  EXPECT_EQ(open_hf_folder(scratch.path("model")).tensors.size(), 1u);
  EXPECT_EQ(open_hf_folder(scratch.path("alias")).tensors.size(), 1u);
  EXPECT_EQ(open_hf_folder(scratch.path("model/")).tensors.size(), 1u);
}

TEST(HfFolder, S25TheMapMustAgreeWithTheFiles) {
  EXPECT_EQ(map_error(R"("a":"1.safetensors","b":"1.safetensors","c":"2.safetensors")"), "");
  EXPECT_THAT(map_error(R"("a":"1.safetensors","b":"2.safetensors","c":"2.safetensors")"),
              HasSubstr("tensor \"b\" should lie in \"2.safetensors\", but another file holds it"));
  EXPECT_THAT(map_error(R"("a":"1.safetensors","x":"1.safetensors","c":"2.safetensors")"),
              HasSubstr("tensor \"x\" should lie in \"1.safetensors\", which does not hold it"));
  EXPECT_THAT(map_error(R"("c":"1.safetensors","a":"2.safetensors")"), HasSubstr("which does not hold it"));
  EXPECT_THAT(map_error(R"("a":"1.safetensors","a":"2.safetensors")"), HasSubstr("duplicate tensor \"a\""));
  EXPECT_THAT(map_error(""), HasSubstr("weight_map is empty"));
}

TEST(HfFolder, TheIndexIsChecked) {
  const auto index_error = [](const std::string& index) {
    const Scratch scratch;
    scratch.write("config.json", kConfig);
    scratch.write("1.safetensors", scalars({"a"}));
    scratch.write(kIndex, index);
    return open_error(scratch.path());
  };
  EXPECT_EQ(index_error(R"({"weight_map":{"a":"1.safetensors"}})"), "");
  for (const char* value : {"1", "-1", "1.5", "null", "true", "[]", "\"x\""})
    EXPECT_THAT(index_error(fmt::format(R"({{"weight_map":{}}})", value)), HasSubstr("weight_map: expected an object"));
  for (const char* value : {"1", "-1", "1.5", "null", "true", "[]", "{}"})
    EXPECT_THAT(index_error(fmt::format(R"({{"weight_map":{{"a":{}}}}})", value)),
                HasSubstr("weight_map: \"a\": expected a file name"));
  EXPECT_THAT(index_error(R"({"weight_map":{},"weight_map":{}})"), HasSubstr("duplicate key \"weight_map\""));
  EXPECT_THAT(index_error(R"({"metadata":{"weight_map":{"a":"1.safetensors"}}})"), HasSubstr("no weight_map"));
  EXPECT_THAT(index_error("[]"), HasSubstr("expected an object"));
  EXPECT_THAT(index_error(R"(["weight_map"])"), HasSubstr("expected an object"));
  EXPECT_THAT(index_error("{"), HasSubstr("invalid JSON"));
  EXPECT_NE(index_error("{\"x\":" + std::string(1'000'000, '[')), "");
  std::string many = R"({"weight_map":{)";
  for (int i = 0; i < 5000; ++i) many += fmt::format(R"("t{}":"{}.safetensors",)", i, i);
  many.back() = '}';
  EXPECT_THAT(index_error(many + "}"), HasSubstr("over 4096 files"));
}

TEST(HfFolder, ConfigIsCheckedForWhatParsingCanTell) {
  EXPECT_EQ(config_error("{}"), "");
  EXPECT_THAT(config_error(""), HasSubstr("config.json: byte 0"));
  EXPECT_THAT(config_error("[]"), HasSubstr("config.json: expected an object, got array"));
  EXPECT_THAT(config_error("{\"a\":1,\"a\":2}"), HasSubstr("duplicate key"));
  EXPECT_THAT(config_error("{\"a\":\"\xFF\"}"), HasSubstr("invalid UTF-8"));
  std::string recursive;  // K19
  for (int i = 0; i < 10'000; ++i) recursive += "{\"rope_scaling\":";
  EXPECT_THAT(config_error(recursive), HasSubstr("nested deeper than 128"));
  EXPECT_THAT(config_error("{\"temperature\":NaN}"), HasSubstr("invalid JSON: unexpected \"N"));  // K22
  EXPECT_EQ(config_error("{\"hidden_size\":9223372036854775808,\"vocab_size\":-1}"), "");  // K16: for the architecture
  EXPECT_EQ(config_error(R"({"auto_map":{"AutoModel":"evil.Model"}})"), "");               // K21
  std::string ids = "{\"eos_token_id\":[0";                                                // K23
  for (int i = 1; i < 500'000; ++i) ids += ",2";
  EXPECT_EQ(config_error(ids + "]}"), "");
  EXPECT_THAT(config_error(ids + std::string(4 << 20, ' ') + "]}"), HasSubstr("expected at most 4194304 bytes"));
}

TEST(HfFolder, QuantizedCheckpointsAreRefusedByName) {
  for (const char* method : {"gptq", "awq", "compressed-tensors", "bitnet", "bitsandbytes", "FP8"})
    EXPECT_THAT(
        config_error(fmt::format(R"({{"quantization_config":{{"bits":4,"quant_method":"{}"}}}})", method)),
        HasSubstr(fmt::format("config.json: quantization_config.quant_method: {} is not supported yet, expected "
                              "mxfp4, fp8 or an unquantized checkpoint",
                              method)));
  EXPECT_THAT(config_error(R"({"text_config":{"quantization_config":{"quant_method":"fp8"}}})"),
              HasSubstr("text_config.quantization_config.quant_method: fp8 is not supported here"));
  EXPECT_THAT(config_error(R"({"compression_config":{"quant_method":"compressed-tensors"}})"),
              HasSubstr("compression_config.quant_method: compressed-tensors"));
  for (const char* value : {"{}", "1", "[]", R"({"quant_method":1})", "\"fp8\""})
    EXPECT_THAT(config_error(fmt::format(R"({{"quantization_config":{}}})", value)), HasSubstr("an unnamed method"))
        << value;
  EXPECT_EQ(config_error(R"({"quantization_config":null})"), "");
  EXPECT_THAT(config_error(R"({"quantization_config":{"quant_method":"\u001b[2J"}})"), HasSubstr("\\x1b[2J"));
}

TEST(HfFolder, QuantizedCheckpointsThatAreRead) {
  const auto opened = [](const std::string& quantization) {
    const Scratch scratch;
    scratch.write("config.json", fmt::format(R"({{"quantization_config":{}}})", quantization));
    scratch.write("model.safetensors", scalars({"a"}));
    return open_hf_folder(scratch.path());
  };
  EXPECT_EQ(opened("null").quant_method, "");
  EXPECT_EQ(opened(R"({"quant_method":"mxfp4","modules_to_not_convert":["lm_head"]})").quant_method, "mxfp4");
  const StoredModel fp8 = opened(R"({"quant_method":"fp8","weight_block_size":[64,32]})");
  EXPECT_EQ(fp8.quant_method, "fp8");
  EXPECT_EQ(fp8.fp8_block_rows, 64);
  EXPECT_EQ(fp8.fp8_block_columns, 32);
  EXPECT_EQ(opened(R"({"quant_method":"fp8"})").fp8_block_rows, 128);
  EXPECT_EQ(opened(R"({"quant_method":"fp8","weight_block_size":null})").fp8_block_columns, 128);
  for (const char* size : {"128", "[128]", "[128,128,128]", "[0,128]", "[128,-1]", "[1.5,128]", "[\"1\",2]",
                           "[2147483648,1]", "{}", "true"})
    EXPECT_THAT(
        config_error(fmt::format(R"({{"quantization_config":{{"quant_method":"fp8","weight_block_size":{}}}}})", size)),
        HasSubstr("quantization_config.weight_block_size: expected two sizes"))
        << size;
}

TEST(HfFolder, MissingFilesSayWhatIsThere) {
  const Scratch scratch;
  EXPECT_THAT(open_error(scratch.path("none")), HasSubstr("cannot be opened"));
  EXPECT_THAT(open_error(scratch.path()), AllOf(HasSubstr("config.json"), HasSubstr("here are nothing")));
  EXPECT_THAT(open_error(scratch.write("file", "")), HasSubstr("expected a model folder"));
  scratch.write("config.json", kConfig);
  EXPECT_THAT(open_error(scratch.path()), AllOf(HasSubstr("expected model.safetensors or model.safetensors.index.json"),
                                                HasSubstr("config.json, file")));
  scratch.write("pytorch_model.bin", "");
  EXPECT_THAT(open_error(scratch.path()),
              AllOf(HasSubstr("pytorch_model.bin: a pickle can run code"), HasSubstr("convert")));
}

TEST(HfFolder, APipeIsRefusedWithoutWaiting) {
  const Scratch scratch;
  scratch.write("config.json", kConfig);
  ASSERT_EQ(mkfifo(scratch.path("model.safetensors").c_str(), 0600), 0);
  EXPECT_THAT(open_error(scratch.path()), HasSubstr("expected a regular file"));
}

// The cache.

const std::string kCommit = "0123456789abcdef0123456789abcdef01234567";
const std::string kOther = "ffffffffffffffffffffffffffffffffffffffff";

class HfCache : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : kVariables) {
      const char* value = getenv(name);
      saved_.push_back(value == nullptr ? std::nullopt : std::optional<std::string>(value));
      unsetenv(name);
    }
    setenv("HF_HUB_CACHE", scratch_.path("hub").c_str(), 1);
  }
  void TearDown() override {
    for (size_t i = 0; i < kVariables.size(); ++i) {
      if (saved_[i]) setenv(kVariables[i], saved_[i]->c_str(), 1);
      if (!saved_[i]) unsetenv(kVariables[i]);
    }
  }

  /// A file of a snapshot, as the hub's client stores it: a blob and a relative link to it.
  void add(const std::string& model, const std::string& commit, const std::string& file, const std::string& bytes) {
    const std::string blob = fmt::format("{:016x}", blobs_++);
    scratch_.write("hub/" + model + "/blobs/" + blob, bytes);
    std::string up = "../../";
    for (char c : file) up += c == '/' ? "../" : "";
    scratch_.link("hub/" + model + "/snapshots/" + commit + "/" + file, up + "blobs/" + blob);
  }
  std::string snapshot(const std::string& model, const std::string& commit) const {
    return scratch_.path("hub/" + model + "/snapshots/" + commit);
  }
  static std::string find_error(const std::string& name) {
    return error_of([&] { find_in_hf_cache(name); });
  }

  static constexpr std::array<const char*, 5> kVariables = {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME",
                                                            "XDG_CACHE_HOME", "HOME"};
  Scratch scratch_;

 private:
  std::vector<std::optional<std::string>> saved_;
  int blobs_ = 0;
};

TEST_F(HfCache, ASnapshotIsFoundAndOpensThroughItsLinks) {
  add("models--org--name", kCommit, "config.json", kConfig);
  add("models--org--name", kCommit, "model.safetensors.index.json",
      weight_map(R"("a":"1.safetensors","b":"2.safetensors")"));
  add("models--org--name", kCommit, "1.safetensors", scalars({"a"}));
  add("models--org--name", kCommit, "2.safetensors", scalars({"b"}));
  scratch_.write("hub/models--org--name/refs/main", kCommit);
  const std::string path = find_in_hf_cache("org/name");
  EXPECT_EQ(path, snapshot("models--org--name", kCommit));
  EXPECT_EQ(open_hf_folder(path).tensors.size(), 2u);
  EXPECT_EQ(find_in_hf_cache("hf:org/name"), path);
  EXPECT_EQ(find_in_hf_cache("org/name@main"), path);
  EXPECT_EQ(find_in_hf_cache("org/name@" + kCommit), path);
}

TEST_F(HfCache, LinksMayReachOnlyTheBlobsOfTheSameModelOrTheSharedStore) {
  add("models--org--name", kCommit, "config.json", kConfig);
  scratch_.write("hub/models--other--name/blobs/x", scalars({"a"}));
  const std::string link = "hub/models--org--name/snapshots/" + kCommit + "/model.safetensors";
  scratch_.link(link, "../../../models--other--name/blobs/x");
  EXPECT_THAT(open_error(snapshot("models--org--name", kCommit)), HasSubstr("is a link that leaves"));
  std::filesystem::remove(scratch_.path(link));
  scratch_.write("hub/blobs/ab/abcd", scalars({"a"}));
  scratch_.link("hub/models--org--name/blobs/abcd", "../../blobs/ab/abcd");
  scratch_.link(link, "../../blobs/abcd");
  EXPECT_EQ(open_hf_folder(snapshot("models--org--name", kCommit)).tensors.size(), 1u);
}

TEST_F(HfCache, RevisionsAreBranchesTagsAndCommits) {
  add("models--o--m", kCommit, "config.json", kConfig);
  add("models--o--m", kCommit, "model.safetensors", scalars({"a"}));
  add("models--o--m", kOther, "config.json", kConfig);
  add("models--o--m", kOther, "model.safetensors", scalars({"a"}));
  scratch_.write("hub/models--o--m/refs/main", kCommit + "\n");
  scratch_.write("hub/models--o--m/refs/refs/pr/1", kOther);
  EXPECT_EQ(find_in_hf_cache("o/m"), snapshot("models--o--m", kCommit));
  EXPECT_EQ(find_in_hf_cache("o/m@refs/pr/1"), snapshot("models--o--m", kOther));
  EXPECT_EQ(find_in_hf_cache("o/m@" + kOther), snapshot("models--o--m", kOther));
  EXPECT_THAT(find_error("o/m@v2"), AllOf(HasSubstr("revision \"v2\""), HasSubstr("refs/v2"), HasSubstr("main, refs")));
  EXPECT_THAT(find_error("o/m@" + std::string(40, '1')), HasSubstr("does not exist"));
  scratch_.write("hub/models--o--m/refs/bad", "../../../etc");
  EXPECT_THAT(find_error("o/m@bad"), HasSubstr("expected a commit"));
  scratch_.write("hub/models--o--m/refs/long", std::string(100'000, 'a'));
  EXPECT_NE(find_error("o/m@long"), "");
}

TEST_F(HfCache, AQuantizationChoosesAmongGgufFiles) {
  const std::string model = "models--o--m-GGUF";
  scratch_.write("hub/" + model + "/refs/main", kCommit);
  for (const char* file :
       {"m-Q4_K_M.gguf", "m-Q4_K_S.gguf", "m.q8_0.gguf", "mmproj-m-Q8_0.gguf", "F16/m-F16-00002-of-00002.gguf",
        "F16/m-F16-00001-of-00002.gguf", "m-IQ4_XS-00002-of-00002.gguf", "UD/m-UD-Q4_K_M.gguf.part"})
    add(model, kCommit, file, "");
  const std::string at = snapshot(model, kCommit) + "/";
  EXPECT_EQ(find_in_hf_cache("o/m-GGUF:Q4_K_M"), at + "m-Q4_K_M.gguf");
  EXPECT_EQ(find_in_hf_cache("o/m-GGUF:q4_k_s"), at + "m-Q4_K_S.gguf");
  EXPECT_EQ(find_in_hf_cache("o/m-GGUF@main:Q8_0"), at + "m.q8_0.gguf");
  EXPECT_EQ(find_in_hf_cache("o/m-GGUF:F16"), at + "F16/m-F16-00001-of-00002.gguf");
  EXPECT_THAT(find_error("o/m-GGUF:Q6_K"), AllOf(HasSubstr("ends in \"Q6_K\""), HasSubstr("m-Q4_K_M.gguf")));
  EXPECT_THAT(find_error("o/m-GGUF:IQ4_XS"), HasSubstr("ends in \"IQ4_XS\""));  // its first part is missing
  EXPECT_THAT(find_error("o/m-GGUF"), AllOf(HasSubstr("4 .gguf files fit"), HasSubstr("org/name:QUANT")));
  add(model, kCommit, "UD-Q4_K_M.gguf", "");
  EXPECT_THAT(find_error("o/m-GGUF:Q4_K_M"), HasSubstr("2 .gguf files fit"));
  EXPECT_EQ(find_in_hf_cache("o/m-GGUF:UD-Q4_K_M"), at + "UD-Q4_K_M.gguf");
}

TEST_F(HfCache, TheOnlyGgufNeedsNoQuantization) {
  scratch_.write("hub/models--o--m/refs/main", kCommit);
  add("models--o--m", kCommit, "config.json", kConfig);
  add("models--o--m", kCommit, "m-Q4_0.gguf", "");
  EXPECT_EQ(find_in_hf_cache("o/m"), snapshot("models--o--m", kCommit) + "/m-Q4_0.gguf");
  add("models--o--m", kCommit, "model.safetensors", scalars({"a"}));
  EXPECT_EQ(find_in_hf_cache("o/m"), snapshot("models--o--m", kCommit));
}

TEST_F(HfCache, WhatIsNotThereIsNamed) {
  EXPECT_THAT(find_error("org/name"),
              AllOf(HasSubstr(scratch_.path("hub/models--org--name")), HasSubstr("hf download org/name")));
  scratch_.write("hub/models--o--m/refs/main", kCommit);
  EXPECT_THAT(find_error("o/m"), HasSubstr("does not exist"));
  add("models--o--m", kCommit, "README.md", "");
  EXPECT_THAT(find_error("o/m"), HasSubstr("neither config.json nor a .gguf, but README.md"));
}

TEST_F(HfCache, NamesCannotLeaveTheCache) {
  for (const char* name : {"", "name", "/", "a/", "/b", "a/b/c", "../b", "a/..", "a/b@../x", "a/b@/x", "a/b@",
                           "a/b:", "a/b:../x", "a b/c", "a/b\n", ".a/b", "a/b@x/../../y", "a/b@.x"})
    EXPECT_THAT(find_error(name), HasSubstr("expected a name such as org/name")) << name;
  EXPECT_NE(find_error(std::string(100'000, 'a') + "/b"), "");
  EXPECT_NE(find_error(std::string("a/b\0c", 5)), "");
}

TEST_F(HfCache, TheFirstVariableThatIsSetDecides) {
  const auto looked_in = [&](const std::string& folder) {
    EXPECT_THAT(find_error("o/m"), HasSubstr(scratch_.path(folder) + "/models--o--m")) << folder;
  };
  setenv("HUGGINGFACE_HUB_CACHE", scratch_.path("old").c_str(), 1);
  setenv("HF_HOME", scratch_.path("hf").c_str(), 1);
  setenv("XDG_CACHE_HOME", scratch_.path("xdg").c_str(), 1);
  setenv("HOME", scratch_.path("home").c_str(), 1);
  looked_in("hub");
  setenv("HF_HUB_CACHE", "", 1);
  looked_in("old");
  unsetenv("HUGGINGFACE_HUB_CACHE");
  looked_in("hf/hub");
  setenv("HF_HOME", "~/mine", 1);
  looked_in("home/mine/hub");
  unsetenv("HF_HOME");
  looked_in("xdg/huggingface/hub");
  unsetenv("XDG_CACHE_HOME");
  looked_in("home/.cache/huggingface/hub");
}

}  // namespace
}  // namespace godwit
