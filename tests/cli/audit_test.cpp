// godwit audit from outside.
#include <gmock/gmock.h>
#include <signal.h>

#include <algorithm>
#include <thread>
#include "base/nlohmann.h"

#include "cli/program.h"

namespace godwit {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

class AuditCommand : public Commands {
 protected:
  std::string tiny(const std::string& name) const {
    return std::string(GODWIT_SOURCE_DIR) + "/tests/oracle/tiny/" + name;
  }
  std::string report() const { return (folder_ / "report.json").string(); }
};

TEST_F(AuditCommand, TwoModelsSideBySide) {
  const Result r = run("audit " + tiny_ + " " + tiny("gemma3-window") + " --budget 3s --batch 1,2 -q -o " + report());
  ASSERT_EQ(r.code, 0) << r.err;
  EXPECT_EQ(r.err, "");
  for (const char* part : {"A  llama-plain-gqa", "B  gemma3-window", "break-even", "growth", "chat 1000/250",
                           "does not fit: needs 1250 tokens", "context"})
    EXPECT_THAT(r.out, HasSubstr(part));
  const json report_json = json::parse(slurp(report()));
  EXPECT_EQ(report_json["schema"], "godwit.audit/1");
  EXPECT_EQ(report_json["complete"], true);
  EXPECT_EQ(report_json["models"].size(), 2U);
  EXPECT_EQ(report_json["models"][0]["anatomy"]["architecture"], "llama");
  // The default sweep ends at the context less what is decoded there: 128 - 40.
  EXPECT_EQ(report_json["figures"]["points"].back()["context"], 88);
  const Result v = run("audit --verify " + report());
  EXPECT_EQ(v.code, 0) << v.err;
  // Its JSON can be had on stdout as well.
  const Result on_stdout = run("audit " + tiny_ + " --budget 0.5s --json -q");
  EXPECT_EQ(on_stdout.code, 0) << on_stdout.err;
  EXPECT_EQ(json::parse(on_stdout.out)["schema"], "godwit.audit/1");
}

TEST_F(AuditCommand, ArchitecturesOfOneSize) {
  const Result r =
      run("audit --like 1M --architectures dense,window,moe --budget 2s --batch 1,2 --contexts 16,32,64 -q"
          " -o " +
          report());
  ASSERT_EQ(r.code, 0) << r.err;
  for (const char* part : {"A  dense", "B  window", "C  moe", "1.00 M active parameters without embeddings",
                           "quality  not measured: random weights (seed 1)", "% of what was aimed at", "layers "})
    EXPECT_THAT(r.out, HasSubstr(part));
  EXPECT_EQ(run("audit --verify " + report()).code, 0);
  const json told = json::parse(slurp(report()));
  EXPECT_EQ(told["random_seed"], 1);
  for (const json& model : told["models"]) {
    const double count = model["like_parameters"];
    EXPECT_NEAR(count, 1e6, 0.15e6) << model["name"];  // so small a model cannot be fitted well
    const json& parameters = model["anatomy"]["parameters"];
    EXPECT_EQ(parameters["active"].get<int64_t>() - parameters["embedding"].get<int64_t>(), count) << model["name"];
  }
  // The configuration that the report has makes the same model.
  std::ofstream(folder_ / "again.json") << told["models"][1]["config"];
  const Result again =
      run("audit " + (folder_ / "again.json").string() + " --random 1 --budget 0.2s --contexts 16 --json -q");
  ASSERT_EQ(again.code, 0) << again.err;
  EXPECT_EQ(json::parse(again.out)["models"][0]["anatomy"]["parameters"], told["models"][1]["anatomy"]["parameters"]);
}

TEST_F(AuditCommand, AMixtureBesideADenseModel) {
  const Result r = run("audit " + tiny("qwen3moe-norm") + " " + tiny("qwen3-plain") +
                       " --budget 3s --batch 1,2,4 --contexts 16,64 -q -o " + report());
  ASSERT_EQ(r.code, 0) << r.err;
  for (const char* part : {"distinct experts a layer expected", "saving over dense models", "equal total size: B",
                           "equal active size: B", "half of the saving"})
    EXPECT_THAT(r.out, HasSubstr(part));
  EXPECT_EQ(run("audit --verify " + report()).code, 0);
  const json told = json::parse(slurp(report()));
  const json& parameters = told["models"][0]["anatomy"]["parameters"];
  EXPECT_EQ(parameters["total"], 53532);  // tests/oracle/anatomy.py
  EXPECT_EQ(parameters["active"], 41868);
  EXPECT_EQ(told["figures"]["cost_by_batch"].size(), 6U);
  // Two of eight experts for each sequence.
  for (const json& e : told["figures"]["experts"]) {
    EXPECT_GE(e["measured"]["value"].get<double>(), 2.0);
    EXPECT_LE(e["measured"]["value"].get<double>(), 2.0 * e["batch"].get<double>());
  }
  EXPECT_TRUE(told["models"][0]["kernel_ops_per_s"].contains("experts F32"));
}

TEST_F(AuditCommand, AChangedReportIsExit6) {
  ASSERT_EQ(run("audit " + tiny_ + " --budget 0.5s -q -o " + report()).code, 0);
  std::string text = slurp(report());
  const size_t at = text.find("\"seconds\":[") + 16;
  text[at] = text[at] == '1' ? '2' : '1';
  std::ofstream(report(), std::ios::binary) << text;
  const Result r = run("audit --verify " + report());
  EXPECT_EQ(r.code, 6);
  EXPECT_EQ(std::count(r.err.begin(), r.err.end(), '\n'), 1) << r.err;
  std::ofstream(report()) << "{}";
  EXPECT_EQ(run("audit --verify " + report()).code, 3);
  EXPECT_EQ(run("audit --verify " + (folder_ / "absent").string()).code, 3);
}

TEST_F(AuditCommand, BareConfigurationsWithRandomWeights) {
  const Result r = run("audit " + tiny_ + "/config.json --random 1 --budget 0.5s --json -q");
  ASSERT_EQ(r.code, 0) << r.err;
  EXPECT_GT(json::parse(r.out)["samples"].size(), 4U);
}

TEST_F(AuditCommand, WhatCannotBeAudited) {
  const std::string toml = (folder_ / "m.toml").string();
  std::ofstream(toml) << "price = nan\n";
  const std::tuple<std::string, int, std::string> cases[] = {
      {"audit", 2, "no model"},
      {"audit --like 1M " + tiny_, 2, "--like"},
      {"audit --like 0.1T", 3, "0.1T"},
      {"audit --like -5M", 2, "--like"},
      {"audit --like nan", 2, "--like"},
      {"audit --like 10k", 2, "--like"},
      {"audit --like " + tiny_, 2, "--like"},  // too small
      {"audit --like 1M --architectures dense,no-such", 2, "no-such"},
      {"audit --like 1M --architectures dense,dense", 2, "dense"},
      {"audit --like 1M --architectures ''", 2, "expected one of"},
      {"audit " + tiny_ + " --budget soon", 2, "--budget"},
      {"audit " + tiny_ + " --budget -5s", 2, "--budget"},
      {"audit " + tiny_ + " --budget nan", 2, "--budget"},
      {"audit " + tiny_ + " --batch 0", 2, "--batch"},
      {"audit " + tiny_ + " --contexts 1,x", 2, "--contexts"},
      {"audit " + tiny_ + " --contexts 4096,8192 -q", 2, "none of the contexts"},
      {"audit " + tiny_ + " -n 1", 2, "1"},
      {"audit " + tiny_ + " --machine " + toml, 3, "price"},
      {"audit " + tiny_ + " --machine " + toml + ".absent", 3, "absent"},
      {"audit " + tiny_ + " " + tiny_ + "-absent", 3, "absent"},
      {"audit " + tiny_ + "/config.json --random 1 --memory 1KiB", 4, "config.json"},
      {"audit " + tiny_ + " --budget 0.2s -o " + (folder_ / "none" / "r.json").string(), 1, "none"},
      {"audit " + tiny_ + " --verify x", 2, "--verify"},
      {"audit --verify x -o y", 2, "--verify"},
      {"audit " + tiny_ + " --batch 65", 2, "--batch"},
  };
  for (const auto& [arguments, code, hint] : cases) {
    const Result r = run(arguments);
    EXPECT_EQ(r.code, code) << arguments << "\n" << r.err;
    EXPECT_THAT(r.err, HasSubstr(hint)) << arguments;
    EXPECT_EQ(std::count(r.err.begin(), r.err.end(), '\n'), 1) << arguments << "\n" << r.err;
    EXPECT_EQ(r.out, "") << arguments;
  }
}

TEST_F(AuditCommand, ContextsBeyondTheModelsAreSaidNotMeasured) {
  const Result r = run("audit " + tiny_ + " --contexts 16,32,4096 --budget 0.5s --json");
  ASSERT_EQ(r.code, 0) << r.err;
  EXPECT_THAT(r.err, HasSubstr("context 4096"));
  const json report_json = json::parse(r.out);
  EXPECT_THAT(report_json["models"][0]["left_out"].dump(), HasSubstr("4096"));
  for (const json& p : report_json["figures"]["points"]) EXPECT_LE(p["context"], 32);
}

TEST_F(AuditCommand, OddShapesAndSizes) {
  const std::string config = (folder_ / "config.json").string();
  std::ofstream(config) << R"({"architectures":["LlamaForCausalLM"],"vocab_size":100,"hidden_size":64,
      "intermediate_size":64,"num_hidden_layers":1,"num_attention_heads":2,"max_position_embeddings":131072})";
  EXPECT_EQ(run("audit " + config + " --random 1 --contexts 32,64 --budget 0.3s -q -o " + report()).code, 0);
  EXPECT_EQ(run("audit --verify " + report()).code, 0);
  // More sequences than contexts are long, and none alone.
  const Result r = run("audit " + tiny_ + " --batch 64 --contexts 1,3 --budget 0.2s -n 2 --json -q");
  EXPECT_EQ(r.code, 0) << r.err;
  EXPECT_EQ(json::parse(r.out)["figures"]["points"][0]["batch"], 64);
}

TEST_F(AuditCommand, OneRoundGivesNoInterval) {
  const Result r = run("audit " + tiny_ + " " + tiny("qwen3-plain") + " --batch 1 --budget 0.000001s --json -q");
  ASSERT_EQ(r.code, 0) << r.err;
  const json figures = json::parse(r.out)["figures"];
  ASSERT_FALSE(figures["points"].empty());
  for (const json& p : figures["points"]) {
    EXPECT_EQ(p["decode"]["n"], 1);
    EXPECT_TRUE(p["decode"]["low"].is_null());
  }
  for (const json& b : figures["break_even"]) EXPECT_EQ(b["measured"]["state"], "undetermined");
}

TEST_F(AuditCommand, WritesOverReportsOnly) {
  const std::string config = (folder_ / "config.json").string();
  fs::copy(tiny_ + "/config.json", config);
  const Result r = run("audit " + config + " --random 1 --budget 0.2s -q -o " + config);
  EXPECT_EQ(r.code, 2);
  EXPECT_THAT(r.err, HasSubstr("no audit report"));
  EXPECT_EQ(slurp(config), slurp(tiny_ + "/config.json"));
  for (int i = 0; i < 2; ++i) EXPECT_EQ(run("audit " + tiny_ + " --budget 0.2s -q -o " + report()).code, 0);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 4);  // config, report, out, err: nothing partial
}

// Ctrl-C at random moments: exit 130, and a report of what was measured until then, which verifies.
TEST_F(AuditCommand, AnInterruptKeepsWhatWasMeasured) {
  const std::string config = (folder_ / "config.json").string();
  std::ofstream(config) << R"({"architectures":["LlamaForCausalLM"],"vocab_size":500,"hidden_size":128,
      "intermediate_size":256,"num_hidden_layers":4,"num_attention_heads":4,"max_position_embeddings":8192})";
  const std::string audit = std::string(GODWIT_BINARY) + " audit " + config + " --random 1 --budget 60s -q";
  size_t with_samples = 0;
  for (int i = 0; i < 10 || (with_samples < 3 && i < 40); ++i) {  // a loaded machine gets longer
    fs::remove(report());
    const int wait_ms = 30 + 200 * i;
    const Result r = execute(
        "timeout --signal=INT --foreground " + std::to_string(wait_ms / 1000.0) + " " + audit + " -o " + report(),
        " </dev/null");
    ASSERT_EQ(r.code, 124) << r.err;  // timeout's own
    // A loaded machine may not have come as far as main yet: there is nothing to lose then.
    if (r.err.empty() && !fs::exists(report())) continue;
    EXPECT_EQ(std::count(r.err.begin(), r.err.end(), '\n'), 1) << r.err;
    EXPECT_THAT(r.err, HasSubstr("interrupted"));
    EXPECT_LT(r.seconds, 20);
    ASSERT_TRUE(fs::exists(report())) << wait_ms;
    const json report_json = json::parse(slurp(report()));
    EXPECT_EQ(report_json["complete"], false);
    with_samples += report_json["samples"].empty() ? 0 : 1;
    EXPECT_EQ(run("audit --verify " + report()).code, 0);
  }
  EXPECT_GE(with_samples, 3U);
  const Result r = execute("timeout --signal=INT --foreground --preserve-status 1 " + audit, " </dev/null");
  EXPECT_EQ(r.code, 130);
}

}  // namespace
}  // namespace godwit
