// The program from outside: exit codes, what goes to stdout and stderr, JSON keys that others rely on.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>
#include <sstream>

namespace {

namespace fs = std::filesystem;

struct Result {
  int code = -1;
  std::string out, err;
  double seconds = 0;
};

std::string slurp(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class Commands : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("godwit_cli_" + std::to_string(getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  Result run(const std::string& arguments, const std::string& environment = "") {
    const auto start = std::chrono::steady_clock::now();
    const std::string command = environment + " " + GODWIT_BINARY + " " + arguments + " >" +
                                (folder_ / "out").string() + " 2>" + (folder_ / "err").string() + " </dev/null";
    const int status = std::system(command.c_str());
    Result r;
    r.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    r.out = slurp(folder_ / "out");
    r.err = slurp(folder_ / "err");
    r.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return r;
  }

  fs::path folder_;
  const std::string tiny_ = std::string(GODWIT_SOURCE_DIR) + "/tests/oracle/tiny/llama-plain-gqa";
};

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

}  // namespace
