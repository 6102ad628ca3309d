// Figures against the formulas that the samples were made by.
#include "audit/figures.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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
