// Figures against the formulas that the samples were made by.
#include "audit/figures.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "audit/report_harness.h"
#include "base/json.h"

namespace godwit {
namespace {

const Json* find(const Json& list, const std::map<std::string, Json>& keys) {
  for (const Json& entry : list) {
    bool all = true;
    for (const auto& [key, value] : keys) all = all && entry.value(key, Json()) == value;
    if (all) return &entry;
  }
  return nullptr;
}

TEST(Figures, PointsAreMediansWithinTheirIntervals) {
  const Json figures = figures_of(made_up_report());
  const Json* p = find(figures["points"], {{"model", "rising"}, {"context", 2048.0}});
  ASSERT_NE(p, nullptr);
  EXPECT_NEAR((*p)["decode"]["value"].get<double>(), 1 / (0.002 + 0.002048), 1e-6);
  // Rounds differ by 1 % up and down: no interval is wider.
  EXPECT_LE((*p)["decode"]["low"], (*p)["decode"]["value"]);
  EXPECT_GE((*p)["decode"]["high"], (*p)["decode"]["value"]);
  EXPECT_GT((*p)["decode"]["low"].get<double>(), 0.98 * (*p)["decode"]["value"].get<double>());
  EXPECT_EQ((*p)["decode"]["n"], 5);
  EXPECT_EQ((*p)["decode"]["method"], "measured");
  double prompt = 0;
  for (int i = 0; i < 2048; ++i) prompt += made_up_s(0, i) / 10;
  EXPECT_NEAR((*p)["first_token"]["value"].get<double>(), prompt + 0.001, 1e-9);
  EXPECT_NEAR((*p)["prefill"]["value"].get<double>(), 2048 / prompt, 1e-6);
  // Bytes of a step at 10 GB/s against its time.
  EXPECT_EQ((*p)["decode_limit"]["of"], "read");
  EXPECT_NEAR((*p)["decode_limit"]["value"].get<double>(), (10e6 + 20000.0 * 2048) / 1e10 / 0.004048, 1e-6);
}

TEST(Figures, CostsIntegrateWhatWasMeasured) {
  const Report report = made_up_report(0);
  const Json figures = figures_of(report);
  const double per_s = report.profile.cost_per_s();
  const Json* c = find(figures["cost"], {{"model", "rising"}, {"workload", "chat"}});
  ASSERT_NE(c, nullptr);
  // Linear within chunks: the sum over 1000 tokens, to a part of a chunk.
  double in = 0.001, out = 0;
  for (int i = 0; i < 1000; ++i) in += made_up_s(0, i) / 10;
  for (int i = 1000; i < 1250; ++i) out += made_up_s(0, i + 0.5);
  EXPECT_NEAR((*c)["seconds_in"]["value"].get<double>(), in, 0.004 * in);
  EXPECT_NEAR((*c)["seconds_out"]["value"].get<double>(), out, 1e-9);
  EXPECT_NEAR((*c)["per_request"]["value"].get<double>(), per_s * (in + out), 0.004 * per_s * (in + out));
  EXPECT_NEAR((*c)["per_million_out"]["value"].get<double>(), 1e6 * per_s * out / 250, 1e-12);
  EXPECT_NEAR((*c)["energy"]["value"].get<double>(), 120 * (in + out), 0.2);
  EXPECT_EQ((*c)["energy"]["method"], "assumed");
  EXPECT_NE(find(figures["cost"], {{"model", "flat"}, {"workload", "reasoning"}})->find("per_request"),
            find(figures["cost"], {{"model", "flat"}, {"workload", "reasoning"}})->end());
}

TEST(Figures, NoWorkloadIsExtrapolated) {
  Report report = made_up_report();
  std::erase_if(report.samples, [](const Sample& s) { return s.to > 4096; });
  report.models[1].anatomy.context_length = 5500;
  const Json figures = figures_of(report);
  for (const char* workload : {"document", "reasoning"}) {
    const Json* c = find(figures["cost"], {{"model", "rising"}, {"workload", workload}});
    ASSERT_NE(c, nullptr);
    EXPECT_FALSE(c->contains("per_request"));
    EXPECT_THAT((*c)["not"].get<std::string>(), testing::HasSubstr("to 4096"));
  }
  EXPECT_THAT((*find(figures["cost"], {{"model", "flat"}, {"workload", "document"}}))["not"].get<std::string>(),
              testing::HasSubstr("does not fit: needs 6500 tokens, the context is 5500"));
}

TEST(Figures, BreakEvenWithItsInterval) {
  const Json figures = figures_of(made_up_report(0.02));
  const Json* b = find(figures["break_even"], {{"metric", "decode"}});
  ASSERT_NE(b, nullptr);
  const Json& m = (*b)["measured"];
  ASSERT_EQ(m["state"], "at") << m.dump();
  // 2 ms + 1 us c = 5 ms at c = 3000; between the contexts 2048 and 4096 the curves are taken as linear by log.
  const double share = (3000.0 - 2048) / 2048, expected = 2048 * std::pow(2.0, share);
  EXPECT_NEAR(m["context"].get<double>(), expected, 0.02 * expected);
  EXPECT_LE(m["low"], m["context"]);
  EXPECT_GE(m["high"], m["context"]);
  EXPECT_EQ(m["cheaper_below"], "rising");
  EXPECT_EQ(m["cheaper_above"], "flat");
  // By bytes at 10 GB/s: 10 MB + 20 kB c against 40 MB + 10 B c, and the products' operations are faster still.
  ASSERT_EQ((*b)["predicted"]["state"], "at");
  EXPECT_NEAR((*b)["predicted"]["context"].get<double>(), 30e6 / 19990.0, 15);
}

TEST(Figures, BreakEvensThatSamplesDoNotSettleAreSaidSo) {
  // 30 % from round to round.
  const Json noisy = figures_of(made_up_report(0.3));
  EXPECT_EQ((*find(noisy["break_even"], {{"metric", "decode"}}))["measured"]["state"], "undetermined");
  // One is cheaper throughout.
  Report report = made_up_report(0.01);
  for (Sample& s : report.samples)
    if (s.model == 1)
      for (double& t : s.seconds) t *= 4;
  const Json figures = figures_of(report);
  const Json& m = (*find(figures["break_even"], {{"metric", "decode"}}))["measured"];
  EXPECT_EQ(m["state"], "none");
  EXPECT_EQ(m["cheaper"], "rising");
}

TEST(Figures, GrowthOfLinearAndFlatCosts) {
  const Json figures = figures_of(made_up_report(0.01));
  const auto exponent = [&](const char* model, const char* metric) {
    const Json* g = find(figures["growth"], {{"model", model}, {"metric", metric}});
    return (*g)["exponent"]["value"].get<double>();
  };
  EXPECT_NEAR(exponent("flat", "first_token"), 1.0, 0.01);
  EXPECT_NEAR(exponent("flat", "answer"), 1.0, 0.01);
  // 2 ms c + 1 us c^2 / 2 grows by an exponent between 1 and 2: the slope by log at its middle, c = 2900, is
  // (2 + 2.9) / (2 + 1.45).
  EXPECT_NEAR(exponent("rising", "first_token"), 4.9 / 3.45, 0.03);
  EXPECT_GT(exponent("rising", "answer"), 1.2);
  EXPECT_NEAR(exponent("flat", "decode"), 0.0, 0.01);
  EXPECT_GT(exponent("rising", "decode"), 0.2);
}

// Two rounds that differ by d are d / sqrt(2) from their middle, as single rounds are from the true one.
TEST(Figures, TwoRoundsAreNoBetterThanTheyAre) {
  const Json figures = figures_of(made_up_report(0.04, 2));  // rounds are 4 % below and equal, or 2 % above and below
  const Json& decode = (*find(figures["points"], {{"model", "rising"}, {"context", 2048.0}}))["decode_step"];
  const double half = (0.04 + 0.0) / 2 / 0.98 * std::sqrt(2.0);
  EXPECT_NEAR(decode["high"].get<double>() / decode["value"].get<double>(), 1 + half, 0.02 * half);
  EXPECT_NEAR(decode["low"].get<double>() / decode["value"].get<double>(), 1 - half, 0.02 * half);
}

// Eight sequences, once: they are as uncertain as rounds of one sequence show.
TEST(Figures, OneRoundOfSeveralSequencesBorrowsItsNoise) {
  Report report = made_up_report(0.04);
  for (AuditedModel& m : report.models) m.anatomy.batches[8] = m.anatomy.batches.at(1);
  std::vector<Sample> eight;
  for (Sample s : report.samples) {
    if (s.round > 0) continue;
    s.batch = 8;
    eight.push_back(s);
  }
  report.samples.insert(report.samples.end(), eight.begin(), eight.end());
  const Json figures = figures_of(report);
  for (const char* what : {"first_token", "decode_step"}) {
    const Json& f = (*find(figures["points"], {{"model", "rising"}, {"context", 2048.0}, {"batch", 8}}))[what];
    ASSERT_FALSE(f["low"].is_null()) << what;
    EXPECT_EQ(f["n"], 1);
    EXPECT_GT(f["high"].get<double>() / f["low"].get<double>(), 1.04) << what;
  }
}

// Rounds of decoding say nothing of prompts that were measured once.
TEST(Figures, OneRoundOfPromptsHasNoInterval) {
  Report report = made_up_report(0.01);
  std::erase_if(report.samples, [](const Sample& s) { return s.kind == Sample::Kind::kPrefill && s.round > 0; });
  const Json figures = figures_of(report);
  for (const Json& p : figures["points"]) {
    EXPECT_TRUE(p["first_token"]["low"].is_null()) << p.dump();
    EXPECT_TRUE(p["prefill"]["low"].is_null());
    EXPECT_FALSE(p["decode"]["low"].is_null());
  }
  for (const Json& g : figures["growth"]) EXPECT_EQ(g["exponent"]["low"].is_null(), g["metric"] == "first_token");
  size_t costs = 0;
  for (const Json& c : figures["cost"]) {
    if (c.contains("not")) continue;
    ++costs;
    for (const char* key : {"seconds_in", "per_million_in", "per_request", "energy"})
      EXPECT_TRUE(c[key]["low"].is_null()) << key;
    EXPECT_FALSE(c["per_million_out"]["low"].is_null());
  }
  EXPECT_GT(costs, 0U);
}

// Twelve layers of 32 experts, 4 of them used: 1 MB each, and 5 MB that every token reads.
AuditedModel made_up_mixture() {
  constexpr int64_t kExpert = 1000000;
  const auto step_of = [](int64_t tokens, int64_t rows, bool flops) {
    StepCost s = step(tokens, rows, 1000 * tokens, 0, 5000000, 0, 15000);
    const double touched = 12 * 32 * (1 - std::pow(0.875, static_cast<double>(tokens)));
    const auto expected = static_cast<int64_t>(std::llround(touched * kExpert));
    const int64_t least = 12 * 4 * kExpert, most = 12 * std::min<int64_t>(32, 4 * tokens) * kExpert;
    OpCost& op = s.ops["experts q8_0x16"];
    op = {.calls = 24, .flops = {}, .weight_bytes = {expected, expected}, .state_bytes = {0, 0}};
    op.fewer_bytes = {expected - least, expected - least};
    op.more_bytes = {most - expected, most - expected};
    if (flops) op.flops = {12 * 4 * 2 * tokens * kExpert, 12 * 4 * 2 * tokens * kExpert};
    return s;
  };
  AuditedModel m{.name = "mixture",
                 .source = "c",
                 .weight_types = "",
                 .anatomy = made_up_anatomy(40000000, 10),
                 .kernel_rates = {},
                 .left_out = {}};
  m.anatomy.n_active_params = 6000000;
  m.anatomy.experts = {{12, 32, 4}};
  m.anatomy.token = step_of(1, 1, true);
  for (const int64_t batch : {1, 8})
    m.anatomy.batches[batch] = {step_of(batch, batch, true), step_of(512, batch, false)};
  return m;
}

TEST(Figures, ExpertsAreProductsOfAsManyRowsAsEachOfThemGets) {
  AuditedModel m = made_up_mixture();
  const Limits limits = made_up_report().limits;
  m.kernel_rates["experts q8_0x16"] = {{1, 1e9}, {2, 1.5e9}};
  m.kernel_rates["linear q8_0x16"] = {{1, 1e15}};
  const double calls = (24 + 10 + 5) * limits.call_s;
  EXPECT_NEAR(predicted_decode_s(m, limits, 1, 0), 12 * 4 * 2e6 / 1e9 + calls, 1e-6);
  // 8 tokens: 32 rows for 32 (1 - 0.875^8) = 21 experts, 1.52 each. One row takes 1 / 1e9 of its operations, two 2
  // / 1.5e9.
  const double touched = 32 * (1 - std::pow(0.875, 8)), rows = 32 / touched;
  const double each_s = 1 / 1e9 + (rows - 1) * (2 / 1.5e9 - 1 / 1e9);
  EXPECT_NEAR(predicted_decode_s(m, limits, 8, 0), 12 * touched * 2e6 * each_s + calls, 1e-6);
  // Without a rate: the bytes that are expected, by the limit.
  m.kernel_rates.clear();
  EXPECT_NEAR(predicted_decode_s(m, limits, 8, 0), (12 * touched * 1e6 + 5e6) / 1e10 + calls, 1e-6);
}

// Adds rounds of a decoding step at context 1024 that takes so long; `experts`: read in the first round, one more in
// each further one.
void add_decoding(Report& report, size_t model, int64_t batch, double seconds, double experts) {
  for (int64_t round = 0; round < 3; ++round) {
    Sample s{.model = model,
             .batch = batch,
             .round = round,
             .kind = Sample::Kind::kDecode,
             .from = 1024,
             .to = 1024,
             .seconds = {seconds}};
    if (experts > 0) s.experts = experts + static_cast<double>(round);
    report.samples.push_back(s);
  }
}

TEST(Figures, MixturesBesideDenseModels) {
  Report report = made_up_report(0);
  EXPECT_FALSE(figures_of(report).contains("savings"));
  report.models.push_back(made_up_mixture());
  // "flat" has its total size and takes 5 ms.
  add_decoding(report, 0, 8, 0.030, 0);
  add_decoding(report, 1, 8, 0.020, 0);
  add_decoding(report, 2, 1, 0.002, 4);
  add_decoding(report, 2, 8, 0.016, 17.5);
  const Json figures = figures_of(report);
  ASSERT_EQ(figures["savings"].size(), 1U);
  const Json& total = figures["savings"][0]["equal_total"];
  EXPECT_EQ(total["model"], "flat");
  EXPECT_NEAR(total["rows"][0]["saving"]["value"].get<double>(), 0.6, 1e-9);
  EXPECT_NEAR(total["rows"][1]["saving"]["value"].get<double>(), 0.2, 1e-9);
  // 0.6 to 0.2 over three doublings: 0.3 is left after 2.25 of them.
  EXPECT_NEAR(total["half"]["batch"].get<double>(), std::exp2(2.25), 1e-6);
  const Json* cost = find(figures["cost_by_batch"], {{"model", "mixture"}, {"batch", 8}});
  ASSERT_NE(cost, nullptr);
  EXPECT_EQ((*cost)["context"], 1024);
  EXPECT_NEAR((*cost)["per_million"]["value"].get<double>(), 1e6 * report.profile.cost_per_s() * 0.016 / 8, 1e-12);
  const Json* e = find(figures["experts"], {{"model", "mixture"}, {"batch", 8}});
  ASSERT_NE(e, nullptr);
  EXPECT_NEAR((*e)["measured"]["value"].get<double>(), 18.5, 1e-12);
  EXPECT_NEAR((*e)["expected"]["value"].get<double>(), 32 * (1 - std::pow(0.875, 8)), 1e-9);
  EXPECT_NEAR((*e)["decode_weight_bytes_per_token"]["least"].get<double>(), (12 * 4e6 + 5e6) / 8, 1);
  EXPECT_NEAR((*e)["decode_weight_bytes_per_token"]["most"].get<double>(), (12 * 32e6 + 5e6) / 8, 1);
  // The whole report comes back from its text.
  const std::string text = report_text(report);
  EXPECT_EQ(report_text(verified_report(text, "report.json")), text);
}

TEST(Figures, ARunWithoutSamplesHasNone) {
  Report report = made_up_report();
  report.samples.clear();
  const Json figures = figures_of(report);
  EXPECT_TRUE(figures["points"].empty());
  EXPECT_TRUE(figures["break_even"].empty());
  EXPECT_EQ(figures["anatomy"].size(), 2U);
}

TEST(Figures, MeasuredEnergyIsSaidToBe) {
  Report report = made_up_report(0);
  for (Sample& s : report.samples)
    for (double t : s.seconds) s.joules += 30 * t;
  const Json figures = figures_of(report);
  const Json* c = find(figures["cost"], {{"model", "flat"}, {"workload", "chat"}});
  EXPECT_EQ((*c)["energy"]["method"], "measured");
  const double seconds = (*c)["seconds_in"]["value"].get<double>() + (*c)["seconds_out"]["value"].get<double>();
  EXPECT_NEAR((*c)["energy"]["value"].get<double>(), 30 * seconds, 1e-6);
}

}  // namespace
}  // namespace godwit
