// What mixtures save, against numbers made by hand.
#include "audit/saving.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/json.h"

namespace godwit {
namespace {

// A mixture of 100 parameters of which 40 are active, a dense model as large, and one as its active part. The first
// saves 0.75 - slope log2(batch) of the second's cost. `noise`: by draw, on its cost.
std::vector<DecodingCost> made_up(const std::vector<double>& noise = {1.0, 1.0, 1.0}, double slope = 0.15) {
  std::vector<DecodingCost> models{{"mixture", 100, 40}, {"large", 110, 110}, {"small", 42, 42}, {"huge", 300, 300}};
  for (const int64_t batch : {1, 2, 4, 8, 16, 32})
    for (const double factor : noise) {
      const double large = 8.0 / static_cast<double>(batch) + 1;
      models[0].per_million[batch].push_back(factor * large * (0.25 + slope * std::log2(static_cast<double>(batch))));
      models[1].per_million[batch].push_back(large);
      models[2].per_million[batch].push_back(large / 2.5);
      models[3].per_million[batch].push_back(3 * large);
    }
  return models;
}

TEST(Saving, HalfOfItIsWhereTheCurveSaysSo) {
  const Json all = savings_of(made_up());
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0]["model"], "mixture");
  const Json& total = all[0]["equal_total"];
  EXPECT_EQ(total["model"], "large");
  EXPECT_NEAR(total["size_ratio"].get<double>(), 1.1, 1e-12);
  ASSERT_EQ(total["rows"].size(), 6U);
  EXPECT_EQ(total["rows"][3]["batch"], 8);
  EXPECT_NEAR(total["rows"][3]["saving"]["value"].get<double>(), 0.75 - 0.45, 1e-12);
  EXPECT_EQ(total["half"]["state"], "at");
  EXPECT_NEAR(total["half"]["batch"].get<double>(), std::exp2(2.5), 1e-9);
  EXPECT_NEAR(total["half"]["saving_of_one"].get<double>(), 0.75, 1e-12);
  EXPECT_EQ(all[0]["equal_active"]["model"], "small");
  // 0.25 against 1 / 2.5.
  EXPECT_NEAR(all[0]["equal_active"]["rows"][0]["saving"]["value"].get<double>(), 1 - 0.25 * 2.5, 1e-12);
  EXPECT_FALSE(all[0]["equal_active"].contains("half"));
}

TEST(Saving, NoneInRange) {
  const Json slow = savings_of(made_up({1.0, 1.0}, 0.05));
  EXPECT_EQ(slow[0]["equal_total"]["half"]["state"], "none");
  EXPECT_FALSE(slow[0]["equal_total"]["half"].contains("batch"));
  // It costs more than the dense model from the start.
  const Json never = savings_of(made_up({5.0, 5.0}));
  EXPECT_EQ(never[0]["equal_total"]["half"]["state"], "none");
  EXPECT_TRUE(never[0]["equal_total"]["half"].contains("why"));
}

TEST(Saving, WhatSamplesDoNotSettleIsSaidSo) {
  // 0.37 of 0.75 are left at 32, but more than half in the resamplings, where it costs less.
  const Json unsettled = savings_of(made_up({1.0, 0.7, 0.7, 0.7}, 0.076));
  EXPECT_EQ(unsettled[0]["equal_total"]["half"]["state"], "undetermined");
  const Json settled = savings_of(made_up({1.0, 0.99, 1.01}));
  const Json& half = settled[0]["equal_total"]["half"];
  EXPECT_EQ(half["state"], "at");
  EXPECT_LT(half["low"].get<double>(), half["batch"].get<double>());
  EXPECT_GT(half["high"].get<double>(), half["batch"].get<double>());
}

TEST(Saving, OneSequenceMustBeThere) {
  auto models = made_up();
  models[0].per_million.erase(1);
  EXPECT_EQ(savings_of(models)[0]["equal_total"]["half"]["state"], "undetermined");
}

TEST(Saving, OnlyDenseModelsOfItsSize) {
  const auto models = made_up();
  EXPECT_EQ(nearest_dense(models, 100), 1);
  EXPECT_EQ(nearest_dense(models, 52), 2);
  EXPECT_EQ(nearest_dense(models, 53), -1);  // 53 / 42 > 1.25
  EXPECT_EQ(nearest_dense(models, 240), 3);
  const Json all = savings_of({models[0], models[3]});
  EXPECT_TRUE(all[0]["equal_total"].contains("not"));
  EXPECT_TRUE(all[0]["equal_active"].contains("not"));
  EXPECT_TRUE(savings_of({models[1], models[2]}).empty());
}

}  // namespace
}  // namespace godwit
