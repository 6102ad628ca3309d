// The program from outside: exit codes, what goes to stdout and stderr, JSON keys that others rely on.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <sstream>
#include <tuple>
#include "base/nlohmann.h"

#include "cli/program.h"

namespace godwit {
namespace {

TEST_F(Commands, WrongUseIsExit2WithASuggestion) {
  const std::pair<std::string, std::string> cases[] = {
      {"evall", "eval"},
      {"", "--help"},
      {"run " + tiny_ + " --ids 1,2 --tmp 1", "--temp"},
      {"run " + tiny_ + " --ids 1,2 -n -3", "-3"},
      {"run " + tiny_ + " --ids 1,two", "--ids"},
      {"run " + tiny_ + " --ids 1,99999", "96"},
      {"run " + tiny_, "--ids"},
      {"run " + tiny_ + " --ids 1 --kv-type q4", "q4"},
      {"run " + tiny_ + " --ids 1 --kv-type q8_0", "f16"},  // heads of 14 channels
      {"run " + tiny_ + " --ids 1 --numerics fast", "--numerics"},
      {"run " + tiny_ + " --ids 1 --activations q4", "q4"},
      {"run " + tiny_ + " --ids 1 --memory lots", "lots"},
      {"run " + tiny_ + " --ids 1,2,3,4,5 -c 3", "context"},
      {"run " + tiny_ + " --ids 1 --temp -1 -n 2", "temp"},
      {"run " + tiny_ + " --ids 1 --top-p 1.5 -n 2", "top"},
      {"run " + tiny_ + " --ids 1 --logit-bias 5 -n 2", "--logit-bias"},
      {"bench " + tiny_ + " --prompt 0 --generate 0", "nothing"},
      {"bench " + tiny_ + " --depth 100000", "context"},
      {"logits " + tiny_ + " -o x", "--ids"},
  };
  for (const auto& [arguments, hint] : cases) {
    const Result r = run(arguments);
    EXPECT_EQ(r.code, 2) << arguments << "\n" << r.err;
    EXPECT_NE(r.err.find(hint), std::string::npos) << arguments << "\n" << r.err;
    EXPECT_EQ(std::count(r.err.begin(), r.err.end(), '\n'), 1) << arguments << "\n" << r.err;
    EXPECT_EQ(r.out, "") << arguments;
  }
  EXPECT_EQ(run("run " + tiny_ + " --ids 1", "GODWIT_CPU=mmx").code, 2);
}

TEST_F(Commands, WhatCannotBeLoadedIsExit3AtOnce) {
  const std::string fifo = (folder_ / "model.gguf").string();
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  std::ofstream(folder_ / "junk.gguf") << "GGUFjunkjunkjunk";
  fs::create_directories(folder_ / "empty");
  for (const std::string& model :
       {fifo, (folder_ / "junk.gguf").string(), (folder_ / "empty").string(), (folder_ / "absent.gguf").string(),
        std::string("nobody/nothing"), std::string("/dev/zero")}) {
    const Result r = run("run " + model + " --ids 1", "HF_HUB_CACHE=" + folder_.string());
    EXPECT_EQ(r.code, 3) << model << "\n" << r.err;
    EXPECT_LT(r.seconds, 5.0) << model;
    EXPECT_EQ(std::count(r.err.begin(), r.err.end(), '\n'), 1) << r.err;
  }
}

TEST_F(Commands, TextFromAModelWithoutTokenizerIsRefused) {
  const Result r = run("run " + tiny_ + " -p hello");
  EXPECT_EQ(r.code, 3);
  EXPECT_NE(r.err.find("--ids"), std::string::npos) << r.err;
}

TEST_F(Commands, TooLargeIsExit4BeforeLoading) {
  const Result r = run("run " + tiny_ + "/config.json --random 1 --ids 1 -n 4 --memory 1KiB");
  EXPECT_EQ(r.code, 4) << r.err;
  EXPECT_NE(r.err.find("--memory"), std::string::npos) << r.err;
}

#ifndef GODWIT_SANITIZED  // sanitizers have an allocator, and address space, of their own
// Whatever refuses memory wherever: exit 4 and one line, or an answer.
class LittleMemory : public Commands {
 protected:
  void expect_answer_or_exit_4(const std::string& arguments, const std::string& environment) {
    const Result r = run(arguments, environment);
    ASSERT_TRUE(r.code == 0 || r.code == 4) << environment << arguments << ": exit " << r.code << "\n" << r.err;
    ++(r.code == 0 ? answered_ : refused_);
    if (r.code == 0) return;
    ASSERT_EQ(std::count(r.err.begin(), r.err.end(), '\n'), 1) << environment << "\n" << r.err;
    ASSERT_EQ(r.err.find("godwit: "), 0U) << environment << "\n" << r.err;
  }
  /// A folder with the tiny model and a tokenizer.
  std::string with_tokenizer() const {
    const fs::path model = folder_ / "with_tokenizer";
    fs::copy(tiny_, model);
    std::ofstream(model / "tokenizer.json")
        << R"({"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false}, "added_tokens": [],
               "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]}})";
    return model.string();
  }
  int answered_ = 0, refused_ = 0;
};

TEST_F(LittleMemory, AddressSpaceLimited) {
  const std::string options = " --ids 1,2,3 -n 4 -c 64 -t 2 -q";
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  const fs::path cached = cache != nullptr ? fs::path(cache) : fs::path(home != nullptr ? home : "/") / ".cache";
  for (const std::string& model :
       {with_tokenizer(), (cached / "godwit/models/SmolLM2-135M-Instruct.Q4_1.gguf").string()}) {
    if (!fs::exists(model)) continue;
    answered_ = refused_ = 0;
    for (int64_t kib = 16 << 10; kib < 1 << 20 && answered_ < 3; kib += kib / 24) {
      const std::string limit = "ulimit -v " + std::to_string(kib) + ";";
      if (run("--version", limit).code != 0) continue;  // the system's loader already fails
      ASSERT_NO_FATAL_FAILURE(expect_answer_or_exit_4("run " + model + options, limit));
    }
    EXPECT_GE(answered_, 3) << model;
    EXPECT_GE(refused_, 3) << model;
  }
}

TEST_F(LittleMemory, AllocationsFail) {
  const std::string requests = (folder_ / "requests.jsonl").string();
  std::ofstream(requests) << R"({"ids": [1, 2, 3]})" << '\n' << R"({"ids": [4, 5], "max_tokens": 2})" << '\n';
  const std::string arguments = "run " + with_tokenizer() + " --prompts " + requests + " -n 4 -t 2 -q";
  for (const char* how_many : {"1", "1000000000"}) {
    answered_ = refused_ = 0;
    for (int64_t n = 1; n < 4000000 && answered_ < 3; n += 1 + n / 16) {
      const std::string environment = std::string("LD_PRELOAD=") + GODWIT_FAILING_MALLOC +
                                      " GODWIT_FAIL_AT=" + std::to_string(n) + " GODWIT_FAIL_COUNT=" + how_many;
      ASSERT_NO_FATAL_FAILURE(expect_answer_or_exit_4(arguments, environment));
    }
    EXPECT_GE(answered_, 3);
    EXPECT_GE(refused_, 20);
  }
}
#endif

TEST_F(Commands, RunGivesTheDocumentedKeysAndTheSameIdsAgain) {
  const std::string arguments = "run " + tiny_ + " --ids 1,2,3 -n 8 --seed 5 --json";
  const Result a = run(arguments), b = run(arguments + " -t 1", "GODWIT_CPU=scalar");
  ASSERT_EQ(a.code, 0) << a.err;
  const auto json = nlohmann::json::parse(a.out);
  EXPECT_EQ(json["schema"], "godwit.run/1");
  EXPECT_EQ(json["prompt_tokens"], 3);
  EXPECT_EQ(json["completion_tokens"], 8);
  EXPECT_EQ(json["finish_reason"], "length");
  EXPECT_EQ(json["text"], "");
  for (const char* key : {"load_s", "prefill_s", "decode_s", "ttft_s"})
    EXPECT_TRUE(json["timing"][key].is_number()) << key;
  EXPECT_EQ(json["ids"], nlohmann::json::parse(b.out)["ids"]);
}

TEST_F(Commands, InspectGivesTheDocumentedKeys) {
  const Result r = run("inspect " + tiny_ + " --json");
  ASSERT_EQ(r.code, 0) << r.err;
  const auto json = nlohmann::json::parse(r.out);
  EXPECT_EQ(json["architecture"], "llama");
  EXPECT_EQ(json["layers"].size(), 2u);
  EXPECT_EQ(json["context_length"], 128);
  int64_t parameters = 0;
  for (const auto& tensor : json["tensors"]) {
    int64_t n = 1;
    for (const auto& size : tensor["shape"]) n *= size.get<int64_t>();
    parameters += n;
  }
  EXPECT_EQ(json["n_params"], parameters);
  EXPECT_EQ(json["n_active_params"], parameters);
  // Two layers, keys and values in F16, 2 kv heads of 14 channels: hand count.
  EXPECT_EQ(json["state"]["per_token_bytes"], 2 * 2 * 2 * 2 * 14);
  for (const char* key : {"weights_bytes", "state_bytes", "work_bytes"})
    EXPECT_TRUE(json["fit"][key].is_number()) << key;
}

TEST_F(Commands, InspectTellsActiveParametersAndLatentState) {
  const std::string oracle = std::string(GODWIT_SOURCE_DIR) + "/tests/oracle/tiny/";
  const Result r = run("inspect " + oracle + "qwen3moe-norm --json");
  ASSERT_EQ(r.code, 0) << r.err;
  const auto json = nlohmann::json::parse(r.out);
  EXPECT_EQ(json["n_params"], 53532);  // tests/oracle/anatomy.py
  EXPECT_EQ(json["n_active_params"], 41868);
  EXPECT_NE(run("inspect " + oracle + "qwen3moe-norm").out.find("0.1 M, 0.0 M active"), std::string::npos);
  // Two layers keep a latent vector of 18 and a rotary key of 6 each.
  for (const auto& [type, shown, bytes] : {std::tuple{"f32", "F32", 4}, {"f16", "F16", 2}, {"bf16", "BF16", 2}}) {
    const std::string line = "inspect " + oracle + "deepseek2-plain --kv-type " + type;
    EXPECT_EQ(nlohmann::json::parse(run(line + " --json").out)["state"]["per_token_bytes"], 2 * (18 + 6) * bytes);
    const std::string text = run(line).out;
    EXPECT_NE(text.find(std::string(shown) + " latents and rotary keys"), std::string::npos) << text;
    EXPECT_NE(text.find("latent attention + 3 of 8 experts and a shared one"), std::string::npos) << text;
  }
}

TEST_F(Commands, LogitsHaveOneRowAPosition) {
  const std::string out = (folder_ / "logits.safetensors").string();
  std::ofstream(folder_ / "ids.json") << "[[1,2,3],[4]]";
  const Result r = run("logits " + tiny_ + " --ids-file " + (folder_ / "ids.json").string() + " -o " + out + " --json");
  ASSERT_EQ(r.code, 0) << r.err;
  EXPECT_EQ(nlohmann::json::parse(r.out)["sequences"], 2);
  const std::string file = slurp(out);
  uint64_t length = 0;
  ASSERT_GT(file.size(), 8u);
  memcpy(&length, file.data(), 8);
  const auto header = nlohmann::json::parse(file.substr(8, length));
  EXPECT_EQ(header["logits.0"]["shape"], (nlohmann::json{3, 97}));
  EXPECT_EQ(header["logits.1"]["shape"], (nlohmann::json{1, 97}));
  EXPECT_EQ(header["logits.0"]["dtype"], "F32");
}

TEST_F(Commands, BenchInterleavesAndNamesItsLimits) {
  const Result r = run("bench " + tiny_ + " " + tiny_ + " --prompt 16 --generate 4,8 --batch 1,2 --repeat 2 --json");
  ASSERT_EQ(r.code, 0) << r.err;
  const auto json = nlohmann::json::parse(r.out);
  EXPECT_EQ(json["results"].size(), 2u * 2u * 3u);
  for (const auto& result : json["results"]) {
    EXPECT_EQ(result["tok_per_s"]["samples"].size(), 2u);
    EXPECT_GT(result["tok_per_s"]["median"].get<double>(), 0.0);
    EXPECT_GT(result["bytes_per_token"].get<double>(), 0.0);
    EXPECT_GT(result["limit_share"].get<double>(), 0.0);
  }
}

TEST_F(Commands, BenchCountsExperts) {
  const std::string model = std::string(GODWIT_SOURCE_DIR) + "/tests/oracle/tiny/qwen3moe-norm";
  const std::string line = "bench " + model + " --prompt 16 --generate 8 --batch 1,4 --repeat 1 -q";
  const Result r = run(line + " --json");
  ASSERT_EQ(r.code, 0) << r.err;
  const auto told = nlohmann::json::parse(r.out);
  for (const auto& result : told["results"]) {
    const auto& e = result["experts"];
    EXPECT_EQ(e["all"], 8);
    EXPECT_EQ(e["used"], 2);
    const double tokens = e["tokens_per_step"], distinct = e["distinct_per_step"];
    if (result["test"] == "decode") {
      EXPECT_EQ(tokens, result["batch"].get<double>());
    }
    EXPECT_GE(distinct, 2.0);
    EXPECT_LE(distinct, std::min(8.0, 2 * tokens));
    EXPECT_NEAR(e["distinct_per_token"].get<double>(), distinct / tokens, 1e-12);
    if (tokens > 1) continue;
    EXPECT_NEAR(distinct, 2.0, 1e-12);
    EXPECT_NEAR(result["bytes_per_token"].get<double>(), e["bytes_per_token_expected"].get<double>(), 1e-6);
  }
  EXPECT_NE(run(line).out.find("2 of 8 experts a token"), std::string::npos);
  const Result dense = run("bench " + tiny_ + " --prompt 4 --generate 0 --repeat 1 --json");
  EXPECT_FALSE(nlohmann::json::parse(dense.out)["results"][0].contains("experts"));
}

TEST_F(Commands, SamplingIsTheModelsOwnUnlessAFlagSaysElse) {
  fs::copy(tiny_, folder_ / "own");
  const auto ids = [&](const std::string& model, const std::string& flags) {
    const Result r = run("run " + (folder_ / model).string() + " --ids 1,2,3 -n 24 --json --seed 5 " + flags);
    EXPECT_EQ(r.code, 0) << r.err;
    return nlohmann::json::parse(r.out)["ids"];
  };
  const auto neutral = ids("own", ""), cut = ids("own", "--temp 0.5 --top-k 3"), greedy = ids("own", "--greedy");
  ASSERT_NE(neutral, cut);
  ASSERT_NE(greedy, cut);
  std::ofstream(folder_ / "own" / "generation_config.json") << R"({"temperature": 0.5, "top_k": 3, "do_sample": true})";
  EXPECT_EQ(ids("own", ""), cut);
  EXPECT_EQ(ids("own", "--temp 1 --top-k 0"), neutral);
  // Both containers say it.
  const std::string own = (folder_ / "own").string();
  ASSERT_EQ(run("convert " + own + " " + own + ".gguf -q").code, 0);
  EXPECT_EQ(ids("own.gguf", ""), cut);
  ASSERT_EQ(run("convert " + own + ".gguf " + own + "2 -q").code, 0);
  EXPECT_EQ(ids("own2", ""), cut);
  std::ofstream(folder_ / "own" / "generation_config.json") << R"({"temperature": 0.5, "do_sample": false})";
  EXPECT_EQ(ids("own", ""), greedy);
  for (const char* bad : {R"({"temperature": -1})", R"({"top_p": 1.5})", R"({"top_k": "3"})", R"({"min_p": 1e999})"}) {
    std::ofstream(folder_ / "own" / "generation_config.json") << bad;
    const Result r = run("run " + own + " --ids 1,2,3 -n 2");
    EXPECT_EQ(r.code, 3) << bad;
    EXPECT_NE(r.err.find("generation_config.json"), std::string::npos) << r.err;
  }
}

TEST_F(Commands, HelpTeaches) {
  for (const char* command : {"run", "logits", "inspect", "tokenize", "eval", "bench", "doctor"}) {
    const Result r = run(std::string(command) + " --help");
    EXPECT_EQ(r.code, 0);
    EXPECT_NE(r.out.find("godwit " + std::string(command)), std::string::npos) << r.out;
  }
}

TEST_F(Commands, VersionNamesCommitAndLevel) {
  const Result r = run("--version");
  EXPECT_EQ(r.code, 0);
  const std::regex form(R"(godwit \d+\.\d+\.\d+ \(([0-9a-f]{12}(-dirty)?|unknown), (scalar|avx2|avx512)\)\n)");
  EXPECT_TRUE(std::regex_match(r.out, form)) << r.out;
}

// ---------------------------------------------------------------- run --prompts

std::vector<nlohmann::json> json_lines(const std::string& text) {
  std::vector<nlohmann::json> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

class Prompts : public Commands {
 protected:
  void write(const std::string& text) { std::ofstream(folder_ / "in.jsonl", std::ios::binary) << text; }
  std::string in() const { return " --prompts " + (folder_ / "in.jsonl").string(); }
  std::string out() const { return (folder_ / "out.jsonl").string(); }
};

TEST_F(Prompts, AnswersInOrderWhatEachGivesAlone) {
  std::string text;
  for (int i = 0; i < 30; ++i) {
    text += nlohmann::json({{"id", i}, {"ids", {1, 2 + i, 3}}, {"max_tokens", 1 + (i * 7) % 20}, {"seed", i}}).dump();
    text += i % 5 == 0 ? "\n\n" : "\n";
  }
  write(text);
  const Result r = run("run " + tiny_ + in() + " --parallel 4 -q");
  ASSERT_EQ(r.code, 0) << r.err;
  const auto answers = json_lines(r.out);
  ASSERT_EQ(answers.size(), 30u);
  for (int i = 0; i < 30; ++i) {
    const auto& answer = answers[static_cast<size_t>(i)];
    EXPECT_EQ(answer["id"], i);
    const int n = 1 + (i * 7) % 20;
    const Result alone = run("run " + tiny_ + " --json --ids 1," + std::to_string(2 + i) + ",3 -n " +
                             std::to_string(n) + " --seed " + std::to_string(i));
    EXPECT_EQ(answer["ids"], nlohmann::json::parse(alone.out)["ids"]) << i;
    EXPECT_EQ(answer["finish_reason"], nlohmann::json::parse(alone.out)["finish_reason"]) << i;
  }
}

TEST_F(Prompts, WhatIsWrongWithALineIsItsOwnError) {
  std::string long_ids = "1";
  for (int i = 0; i < 5000; ++i) long_ids += ",2";
  const std::pair<std::string, std::string> wrong[] = {
      {R"({"ids": [1, 2)", "line 2"},
      {R"([1, 2])", "object"},
      {R"({"prompt": ""})", "empty"},
      {R"({"ids": []})", "no tokens"},
      {R"({"ids": [)" + long_ids + "]}", "context"},
      {R"({"ids": [1], "prompt": "x"})", "either"},
      {R"({})", "either"},
      {R"({"ids": [1, 99999]})", "99999"},
      {R"({"ids": [1.5]})", "ids"},
      {R"({"ids": [1], "temperature": "hot"})", "temperature"},
      {R"({"ids": [1], "temperature": -1})", "temp"},
      {R"({"ids": [1], "max_tokens": -1})", "max_tokens"},
      {R"({"ids": [1], "stop": [1]})", "stop"},
      {R"({"prompt": "text"})", "tokenizer"},
  };
  std::string text = "{\"ids\": [1, 2]}\n";
  for (const auto& [line, hint] : wrong) text += line + "\n";
  write(text + "{\"ids\": [1, 2]}");
  const Result r = run("run " + tiny_ + in() + " -n 5 --greedy");
  ASSERT_EQ(r.code, 0) << r.err;
  const auto answers = json_lines(r.out);
  ASSERT_EQ(answers.size(), std::size(wrong) + 2);
  for (size_t i = 0; i < std::size(wrong); ++i) {
    const auto& answer = answers[i + 1];
    ASSERT_TRUE(answer.contains("error")) << answer;
    EXPECT_NE(answer["error"]["message"].get<std::string>().find(wrong[i].second), std::string::npos) << answer;
    EXPECT_EQ(answer["line"], i + 2);
  }
  EXPECT_EQ(answers.front()["ids"].size(), 5u);
  EXPECT_EQ(answers.back()["ids"], answers.front()["ids"]);
  EXPECT_NE(r.err.find(std::to_string(std::size(wrong)) + " errors"), std::string::npos) << r.err;
}

TEST_F(Prompts, ResumesAfterTheLastWholeLine) {
  std::string text;
  for (int i = 0; i < 20; ++i)
    text += "{\"ids\": [" + std::to_string(1 + i) + "], \"id\": \"" + std::to_string(i) + "\"}\n";
  write(text);
  const std::string command = "run " + tiny_ + in() + " -q -n 8 --greedy -o " + out();
  ASSERT_EQ(run(command).code, 0);
  const std::string whole = slurp(out());
  ASSERT_EQ(json_lines(whole).size(), 20u);
  EXPECT_EQ(run(command).code, 2) << "the output exists";
  EXPECT_EQ(slurp(out()), whole);
  // Cut off wherever a kill may have cut it.
  for (size_t size : {size_t{0}, size_t{5}, whole.size() / 3, whole.size() / 2, whole.size() - 1, whole.size()}) {
    std::ofstream(out(), std::ios::binary) << whole.substr(0, size);
    const Result r = run(command + " --resume");
    EXPECT_EQ(r.code, 0) << r.err;
    EXPECT_EQ(slurp(out()), whole) << "cut at " << size;
  }
  // A blank line at the end changes nothing.
  std::ofstream(out(), std::ios::binary) << whole.substr(0, whole.find('\n') + 1) << "\n";
  EXPECT_EQ(run(command + " --resume").code, 0);
  EXPECT_EQ(json_lines(std::regex_replace(slurp(out()), std::regex("\n\n"), "\n")), json_lines(whole));
  // What is not an output stays as it is.
  for (const char* foreign : {"something else\n", "something else", "{\"a\": 1}\n", "{\"line\":0}\n", "{\"line\":-5}\n",
                              "{\"line\":18446744073709551615}\n"}) {
    std::ofstream(out(), std::ios::binary) << foreign;
    EXPECT_EQ(run(command + " --resume").code, 2) << foreign;
    EXPECT_EQ(slurp(out()), foreign);
  }
  std::ofstream(out()) << "{\"line\":21}\n";
  EXPECT_EQ(run(command + " --resume").code, 2) << "further than the prompts";
  write("{\"ids\": [1]}");
  EXPECT_EQ(run("run " + tiny_ + in() + " --resume -o " + (folder_ / "in.jsonl").string()).code, 2);
  EXPECT_EQ(slurp(folder_ / "in.jsonl"), "{\"ids\": [1]}");
  EXPECT_EQ(run("run nosuch.gguf" + in() + " -o " + (folder_ / "new").string()).code, 3);
  EXPECT_FALSE(fs::exists(folder_ / "new"));
  EXPECT_EQ(run("run " + tiny_ + in() + " --stop ''").code, 2);
  EXPECT_EQ(run("run " + tiny_ + " --prompts " + folder_.string()).code, 3);
  EXPECT_EQ(run("run " + tiny_ + in() + " --resume").code, 2);
  EXPECT_EQ(run("run " + tiny_ + in() + " -p x").code, 2);
  EXPECT_EQ(run("run " + tiny_ + " --prompts " + (folder_ / "absent").string()).code, 3);
}

// ---------------------------------------------------------------- Streams

class Streams : public Commands {
 protected:
  static int64_t lines(const std::string& text) { return std::count(text.begin(), text.end(), '\n'); }
  nlohmann::json tiny_config() const { return nlohmann::json::parse(slurp(tiny_ + "/config.json")); }
  /// $D/text: a folder with a tokenizer of bytes (GPT-2's) and random weights; room for 4096 tokens.
  void make_text_model() {
    nlohmann::json config = tiny_config();
    config["vocab_size"] = 512;
    config["max_position_embeddings"] = 4096;
    std::ofstream(folder_ / "config.json") << config;
    const Result r = shell("$G convert -q $D/config.json --random 1 --type f32 $D/text");
    ASSERT_EQ(r.code, 0) << r.err;
    const auto oracle =
        nlohmann::json::parse(slurp(std::string(GODWIT_SOURCE_DIR) + "/tests/oracle/tokenizers/gpt2.json"));
    std::ofstream(folder_ / "text" / "tokenizer.json") << oracle["tokenizer"];
  }
};

TEST_F(Streams, WhatStdoutLosesIsExit1) {
  make_text_model();
  for (const char* line : {"inspect $T", "inspect $T --json", "--version", "run --help", "run $T --ids 1 -n 2",
                           "run $D/text -p hi -n 40", "run $T --ids 1 -n 2 --json", "tokenize $D/text -p hi"}) {
    const Result full = shell("$G " + std::string(line) + " >/dev/full");
    EXPECT_EQ(full.code, 1) << line;
    EXPECT_EQ(lines(full.err), 1) << line << "\n" << full.err;
    EXPECT_NE(full.err.find("stdout"), std::string::npos) << line << "\n" << full.err;
    EXPECT_EQ(shell("$G " + std::string(line) + " >&-").code, 1) << line;
  }
  // The reader goes after the first byte; all 4000 tokens would be told in the last line.
  const Result gone = shell("$G run $D/text -p hi -n 4000 --ignore-eos | head -c 1 >/dev/null; exit ${PIPESTATUS[0]}");
  EXPECT_EQ(gone.code, 1);
  EXPECT_EQ(gone.err, "");
  EXPECT_LT(gone.seconds, 20.0);
  EXPECT_EQ(shell("{ sleep 0.2; $G --help-all; } | true").err, "");
}

TEST_F(Streams, AFileThatMayNotGrowIsExit1AndGone) {
  const Result r = shell("ulimit -f 8; $G convert $T/config.json --random 1 --type f32 $D/w.gguf");
  EXPECT_EQ(r.code, 1) << r.err;
  EXPECT_NE(r.err.find("w.gguf"), std::string::npos) << r.err;
  for (const auto& entry : fs::directory_iterator(folder_))
    EXPECT_FALSE(entry.path().filename().string().starts_with("w.")) << entry.path();
}

TEST_F(Streams, LostTalkChangesNoExitCode) {
  std::ofstream(folder_ / "junk.gguf") << "GGUFjunkjunkjunk";
  const std::pair<const char*, int> cases[] = {
      {"inspect $T", 0}, {"run $T --ids 1 -n 2", 0},        {"inspect $D/junk.gguf", 3}, {"run $T --tmp", 2},
      {"evall", 2},      {"run $T --ids 1 -t 1000 -n 1", 0}};
  for (const auto& [line, code] : cases)
    for (const char* to : {"2>/dev/full", "2>&-"})
      EXPECT_EQ(shell("$G " + std::string(line) + " " + to).code, code) << line << to;
}

TEST_F(Streams, ClosedStdinIsEmpty) {
  make_text_model();
  const Result r = shell("$G tokenize $D/text --no-bos -f - <&-");
  EXPECT_EQ(r.code, 0) << r.err;
  EXPECT_EQ(r.out, "\n");
  EXPECT_EQ(shell("$G run $D/text -n 2 -f - <&-").code, shell("$G run $D/text -n 2 -f - </dev/null").code);
}

TEST_F(Streams, TextsMayComeFromPipes) {
  make_text_model();
  const Result expected = shell("$G tokenize $D/text -p 'hello there'");
  ASSERT_EQ(expected.code, 0) << expected.err;
  for (const char* line :
       {"printf 'hello there' | $G tokenize $D/text -f -", "printf 'hello there' | $G tokenize $D/text -f /dev/stdin",
        "$G tokenize $D/text -f <(printf 'hello there')"}) {
    const Result r = shell(line);
    EXPECT_EQ(r.code, 0) << line << r.err;
    EXPECT_EQ(r.out, expected.out) << line;
  }
  const Result answer = shell("$G run $D/text -q -n 4 -p 'hello there'");
  EXPECT_EQ(shell("$G run $D/text -q -n 4 -f <(printf 'hello there')").out, answer.out);
  EXPECT_EQ(shell("printf 'hello there' | $G eval $D/text --json --text -").code, 0);
  for (const char* path : {"$D", "/dev/zero", "$D/absent"}) {
    const Result r = shell("$G run $D/text -n 4 -f " + std::string(path));
    EXPECT_EQ(r.code, 3) << path;
    EXPECT_EQ(lines(r.err), 1) << r.err;
  }
}

TEST_F(Streams, AnUnknownTokenizerLeavesTheModelUsable) {
  make_text_model();
  auto tokenizer = nlohmann::json::parse(slurp(folder_ / "text" / "tokenizer.json"));
  tokenizer["pre_tokenizer"] = {
      {"type", "Split"}, {"pattern", {{"Regex", "(a)\\1"}}}, {"behavior", "Isolated"}, {"invert", false}};
  std::ofstream(folder_ / "text" / "tokenizer.json") << tokenizer;
  std::ofstream(folder_ / "text" / "generation_config.json") << R"({"bos_token_id": 1, "eos_token_id": 2})";
  std::ofstream(folder_ / "text" / "tokenizer_config.json") << R"({"bos_token": "<|bos|>", "eos_token": "<|bos|>"})";
  EXPECT_EQ(shell("$G run $D/text --ids 1,2 -n 3").code, 0) << slurp(folder_ / "err");
  EXPECT_EQ(shell("$G inspect $D/text").code, 0) << slurp(folder_ / "err");
  const Result r = shell("$G tokenize $D/text -p a");
  EXPECT_EQ(r.code, 3);
  EXPECT_NE(r.err.find("tokenizer.json: not known"), std::string::npos) << r.err;
}

TEST_F(Streams, LogitsReplaceNothingTheyAreMadeFrom) {
  fs::copy(tiny_, folder_ / "m");
  std::ofstream(folder_ / "ids.json") << "[[1,2]]";
  fs::create_symlink("m/model.safetensors", folder_ / "link");
  for (const char* out : {"$D/m/model.safetensors", "$D/link", "$D/m/config.json", "$D/m/../ids.json"}) {
    const Result r = shell("$G logits $D/m --ids-file $D/ids.json -o " + std::string(out));
    EXPECT_EQ(r.code, 2) << out << r.err;
  }
  EXPECT_EQ(slurp(folder_ / "m/model.safetensors"), slurp(tiny_ + "/model.safetensors"));
  EXPECT_EQ(slurp(folder_ / "ids.json"), "[[1,2]]");
  std::ofstream(folder_ / "old") << "old";
  EXPECT_EQ(shell("$G logits $D/m --ids-file $D/ids.json -o $D/old").code, 0);
  EXPECT_GT(fs::file_size(folder_ / "old"), 100u);
}

TEST_F(Streams, InterruptedIs130AndLeavesNothing) {
  make_text_model();
  nlohmann::json config = tiny_config();
  config.update({{"hidden_size", 1024}, {"head_dim", 64}, {"intermediate_size", 4096}, {"vocab_size", 30000}});
  std::ofstream(folder_ / "large.json") << config;
  std::string ids = "1", list, text;
  for (int i = 0; i < 4000; ++i) ids += ",2";
  for (int i = 0; i < 20; ++i) list += (i == 0 ? "[[" : ",[") + ids + "]";
  std::ofstream(folder_ / "ids.json") << list << "]";
  for (int i = 0; i < 60000; ++i) text += "word ";
  std::ofstream(folder_ / "words") << text;
  // Signalled in the middle: once the partial file is there, or after half a second of what takes far longer.
  const std::pair<const char*, bool> cases[] = {{"run $D/text -f - < <(sleep 9)", false},
                                                {"eval $D/text --json --text $D/words", false},
                                                {"bench $D/text --json --prompt 2048 --repeat 1000", false},
                                                {"logits $D/text --ids-file $D/ids.json -o $D/w.safetensors", true},
                                                {"convert $D/large.json --random 1 --type f32 $D/w.gguf", true},
                                                {"convert $D/large.json --random 1 --type f32 $D/w", true}};
  for (const char* signal : {"INT", "TERM"})
    for (const auto& [line, partial] : cases) {
      const Result r =
          shell("$G " + std::string(line) + " & P=$!; " +
                (partial ? "until compgen -G \"$D/*.partial*\" >/dev/null; do sleep 0.01; done" : "sleep 0.5") +
                "; kill -" + signal + " $P; wait $P");
      EXPECT_EQ(r.code, 130) << signal << " " << line << "\n" << r.err;
      EXPECT_EQ(r.out, "") << line;
      EXPECT_EQ(lines(r.err), 1) << line << "\n" << r.err;
      EXPECT_FALSE(fs::exists(folder_ / "w")) << line;
      for (const auto& entry : fs::directory_iterator(folder_))
        EXPECT_FALSE(entry.path().filename().string().starts_with("w.")) << entry.path();
    }
}

TEST_F(Streams, ErrorsAreOneLineOfPrintableText) {
  const auto one_line = [&](const Result& r, const std::string& what) {
    EXPECT_EQ(lines(r.err), 1) << what << "\n" << r.err.substr(0, 1000);
    EXPECT_LE(r.err.size(), 512u) << what;
    EXPECT_EQ(r.err.find('\x1b'), std::string::npos) << what;
    EXPECT_NO_THROW(nlohmann::json(r.err).dump()) << what;  // throws unless UTF-8
  };
  const std::string large(100000, 'x'), raw = "na\x1b[31m\nme";
  const std::pair<std::string, nlohmann::json> wrong[] = {
      {"rope_parameters", {{"rope_theta", 1e4}, {"rope_type", large}}},
      {"rope_parameters", {{"rope_theta", 1e4}, {"rope_type", raw}}},
      {"layer_types", {large, large}},
      {"architectures", {raw}}};
  for (const auto& [key, value] : wrong) {
    nlohmann::json config = tiny_config();
    config["model_type"] = "mistral";
    config["architectures"] = {"MistralForCausalLM"};
    config["sliding_window"] = 8;
    config[key] = value;
    std::ofstream(folder_ / "config.json") << config;
    const Result r = shell("$G inspect $D/config.json --random 1");
    EXPECT_EQ(r.code, 3) << key;
    one_line(r, key);
    EXPECT_NE(r.err.find("not "), std::string::npos) << r.err;  // the reason is not cut off
  }
  // A value of a GGUF file, replaced by one of its length.
  nlohmann::json config = tiny_config();
  config["rope_parameters"] = {{"rope_theta", 1e4}, {"rope_type", "linear"}, {"factor", 2.0}};
  std::ofstream(folder_ / "config.json") << config;
  ASSERT_EQ(shell("$G convert -q $D/config.json --random 1 $D/m.gguf").code, 0);
  std::string file = slurp(folder_ / "m.gguf");
  const size_t at = file.find("linear", file.find("rope.scaling.type"));
  ASSERT_NE(at, std::string::npos);
  std::ofstream(folder_ / "m.gguf", std::ios::binary) << file.replace(at, 6,
                                                                      "\x1b\n\xff"
                                                                      "abc");
  const Result gguf = shell("$G inspect $D/m.gguf");
  EXPECT_EQ(gguf.code, 3);
  one_line(gguf, "gguf");
  EXPECT_NE(gguf.err.find("\\x1b\\n\\xff"), std::string::npos) << gguf.err;
  for (const char* line : {"inspect $'a\\n\\e[31m.gguf'", "run $T --ids $'1\\nz'", "run $T --ids $'\\xff'",
                           "run $T --ids 1 --logit-bias $'1\\n'", "$'e\\nx\\xff'", "run $T --$'e\\n\\e[0m'"})
    one_line(shell("$G " + std::string(line)), line);
  const std::string folder = (folder_ / "a\n\x1b[31m").string();
  fs::copy(tiny_, folder);
  const Result named = shell("$G inspect $D/$'a\\n\\e[31m' | head -1");
  EXPECT_EQ(named.out.find('\x1b'), std::string::npos);
  EXPECT_NE(named.out.find("a\\n\\x1b"), std::string::npos) << named.out;
}

TEST_F(Streams, ConvertsToFourBits) {
  nlohmann::json config = tiny_config();
  config["hidden_size"] = 64;  // the other width stays 50
  config["head_dim"] = 16;
  config["num_attention_heads"] = 4;
  std::ofstream(folder_ / "config.json") << config;
  ASSERT_EQ(shell("$G convert -q $D/config.json --random 1 --type f32 $D/wide.gguf").code, 0);
  ASSERT_EQ(shell("$G convert -q $D/wide.gguf --type q4_0 $D/m.gguf").code, 0);
  const Result inspected = shell("$G inspect $D/m.gguf --tensors --json");
  ASSERT_EQ(inspected.code, 0) << inspected.err;
  std::map<std::string, std::string> types;
  const auto told = nlohmann::json::parse(inspected.out);
  for (const auto& t : told["tensors"]) types[t["name"]] = t["type"];
  EXPECT_EQ(types["token_embd.weight"], "Q4_0");
  EXPECT_EQ(types["blk.1.attn_q.weight"], "Q4_0");
  EXPECT_EQ(types["blk.1.ffn_up.weight"], "Q4_0");
  EXPECT_EQ(types["blk.1.ffn_down.weight"], "F16");  // rows of 50 do not fill blocks of 32
  EXPECT_EQ(types["blk.1.ffn_norm.weight"], "F32");
  const std::string ids = " --ids 1,2,3 -n 9 --greedy --json -q | grep -o 'ids.*prompt'";
  const Result packed = shell("$G run $D/m.gguf" + ids);
  EXPECT_NE(packed.out, "");
  EXPECT_EQ(shell("$G run $D/m.gguf --no-repack" + ids).out, packed.out);
  EXPECT_EQ(shell("GODWIT_CPU=scalar $G run $D/m.gguf" + ids).out, packed.out);
  // Random weights are drawn as f32 and rounded alike.
  EXPECT_EQ(shell("$G run $D/config.json --random 1 --type q4_0" + ids).out, packed.out);
  EXPECT_EQ(shell("$G convert -q $D/wide.gguf --type q4_0 $D/folder").code, 2);
  for (const char* type : {"q4_0x16", "mxfp4", "q4"})
    EXPECT_EQ(shell("$G convert -q $D/wide.gguf --type " + std::string(type) + " $D/n.gguf").code, 2) << type;
}

TEST_F(Streams, EveryFlagHasItsVariable) {
  const auto ids = [&](const std::string& line) { return shell(line).out; };
  EXPECT_EQ(ids("GODWIT_GREEDY=1 GODWIT_SEED=3 $G run $T --ids 1,2 -n 9 --json | grep -o 'ids.*prompt'"),
            ids("$G run $T --ids 1,2 -n 9 --json --greedy | grep -o 'ids.*prompt'"));
  EXPECT_EQ(shell("GODWIT_JSON=1 GODWIT_QUIET=1 GODWIT_NO_REPACK=1 $G inspect $T").out.substr(0, 1), "{");
  EXPECT_EQ(shell("GODWIT_QUIET=1 $G run $T --ids 1 -n 2").err, "");
  EXPECT_EQ(shell("GODWIT_JSON=0 $G inspect $T").out.substr(0, 4), "file");
  EXPECT_EQ(shell("GODWIT_GREEDY=perhaps $G run $T --ids 1 -n 2").code, 2);
  EXPECT_EQ(shell("GODWIT_MODEL=$T $G bench --prompt 4 --generate 0 --repeat 1").code, 0);
  EXPECT_EQ(shell("$G bench -m $T --prompt 4 --generate 0 --repeat 1").code, 0);
  EXPECT_EQ(shell("$G bench --prompt 4").code, 2);
}

TEST_F(Streams, WhatWouldBeDroppedOrClampedIsExit2) {
  std::ofstream(folder_ / "text") << "hi";
  const std::pair<const char*, const char*> cases[] = {
      {"run $T -p hi --ids 1,2", "give one"},
      {"run $T -p hi -f $D/text", "give one"},
      {"run $T --ids 1 -o $D/o", "--prompts"},
      {"inspect $T --type q9_0", "--type"},
      {"convert $T $D/new.gguf --type q4_k", "--type"},
      {"run $T --ids 1 --resume", "--prompts"},
      {"run $T --ids 1 --seed 18446744073709551616", "--seed"},
      {"run $T --ids 1 --seed -1", "--seed"},
      {"run $T --ids 1 --top-k 9223372036854775808", "--top-k"},
      {"inspect $T/config.json --random 18446744073709551616", "--random"}};
  for (const auto& [line, hint] : cases) {
    const Result r = shell("$G " + std::string(line));
    EXPECT_EQ(r.code, 2) << line << r.err;
    EXPECT_NE(r.err.find(hint), std::string::npos) << line << "\n" << r.err;
  }
  EXPECT_EQ(shell("$G run $T --ids 1 -n 1 --seed 18446744073709551615").code, 0);
}

// A mixture of 300 GB: no machine that runs tests has them.
TEST_F(Streams, MoreThanThereIsMemoryIsExit4BeforeAnythingIsRead) {
  const nlohmann::json config{{"architectures", {"Qwen3MoeForCausalLM"}},
                              {"vocab_size", 1000},
                              {"hidden_size", 4096},
                              {"intermediate_size", 1536},
                              {"moe_intermediate_size", 1536},
                              {"num_hidden_layers", 64},
                              {"num_attention_heads", 32},
                              {"num_key_value_heads", 4},
                              {"head_dim", 128},
                              {"num_experts", 256},
                              {"num_experts_per_tok", 8},
                              {"max_position_embeddings", 4096}};
  std::ofstream(folder_ / "config.json") << config;
  for (const char* line : {"run $D/config.json --random 1 --ids 1 -n 1", "bench $D/config.json --random 1 -q",
                           "audit $D/config.json --random 1 -q --budget 1s"}) {
    const Result r = shell(std::string("$G ") + line);
    EXPECT_EQ(r.code, 4) << r.err;
    EXPECT_NE(r.err.find("MiB"), std::string::npos) << r.err;
  }
  const Result told = shell("$G inspect $D/config.json --random 1 --json");
  ASSERT_EQ(told.code, 0) << told.err;
  EXPECT_EQ(nlohmann::json::parse(told.out)["fit"]["fits"], false);
}

TEST_F(Streams, MappedWeightsNeedNoMemoryOfTheirOwn) {
  const std::string model = std::string(GODWIT_SOURCE_DIR) + "/tests/oracle/tiny/mixtral-plain";
  ASSERT_EQ(shell("$G convert -q " + model + " $D/m.gguf").code, 0);
  const Result r = shell("$G inspect $D/m.gguf --no-repack --json");
  ASSERT_EQ(r.code, 0) << r.err;
  const auto fit = nlohmann::json::parse(r.out)["fit"];
  EXPECT_EQ(fit["mapped_bytes"], fit["weights_bytes"]);  // all of them are F32
  EXPECT_EQ(fit["token_disk_bytes"], 0);
  EXPECT_LT(fit["token_bytes"].get<int64_t>(), fit["weights_bytes"].get<int64_t>());
  const auto repacked = nlohmann::json::parse(shell("$G inspect $D/m.gguf --json").out)["fit"];
  EXPECT_EQ(repacked["mapped_bytes"], 0);
  EXPECT_NE(shell("$G inspect $D/m.gguf --no-repack").out.find("are read from the file"), std::string::npos);
  // Weights of 200 KB against room for the state of a few tokens.
  const std::string line = "run $D/m.gguf --ids 1 -n 2 -c 8 -q --memory 100KiB";
  EXPECT_EQ(shell("$G " + line).code, 4);
  const Result mapped = shell("$G " + line + " --no-repack");
  EXPECT_EQ(mapped.code, 0) << mapped.err;
  EXPECT_EQ(mapped.out, shell("$G run $D/m.gguf --ids 1 -n 2 -c 8 -q").out);
}

}  // namespace
}  // namespace godwit
