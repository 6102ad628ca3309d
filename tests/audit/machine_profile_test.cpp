#include "audit/machine_profile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "temp_folder.h"

namespace godwit {
namespace {

using ::testing::HasSubstr;

TEST(MachineProfile, ReadsEveryKey) {
  const TempFolder folder;
  const MachineProfile p = read_machine_profile(folder.write("m.toml", R"(# a box
name = "box under a desk"
currency = "EUR"
price = 900
life_years = 5.5
power_price = 0.31
watts_idle = 8
watts_busy = 65.5
utilisation = 0.25
)"));
  EXPECT_EQ(p.name, "box under a desk");
  EXPECT_EQ(p.currency, "EUR");
  EXPECT_EQ(p.price, 900);
  EXPECT_EQ(p.life_years, 5.5);
  EXPECT_EQ(p.power_price, 0.31);
  EXPECT_EQ(p.watts_idle, 8);
  EXPECT_EQ(p.watts_busy, 65.5);
  EXPECT_EQ(p.utilisation, 0.25);
}

TEST(MachineProfile, WhatIsNotSaidIsTheDefault) {
  const TempFolder folder;
  const MachineProfile p = read_machine_profile(folder.write("m.toml", "price = 1\n"));
  EXPECT_EQ(p.price, 1);
  EXPECT_EQ(p.watts_busy, MachineProfile{}.watts_busy);
}

TEST(MachineProfile, CostOfASecond) {
  MachineProfile p;
  p.price = 3155.76;  // of 365.25 days: a ten-thousandth a second
  p.life_years = 1;
  p.utilisation = 1;
  p.power_price = 3.6;  // a millionth a joule
  p.watts_busy = 100;
  p.watts_idle = 50;
  EXPECT_NEAR(p.cost_per_s(), 1e-4 + 100e-6, 1e-12);
  // Used half of the time, each second carries an idle one, and twice the wear.
  p.utilisation = 0.5;
  EXPECT_NEAR(p.cost_per_s(), 2e-4 + 150e-6, 1e-12);
}

TEST(MachineProfile, WhatMakesNoSenseIsRefusedByLineAndKey) {
  const std::pair<const char*, const char*> cases[] = {
      {"price = 0", "price = 0"},
      {"price = nan", "price = nan"},
      {"price = inf", "price"},
      {"price = -1", "price = -1"},
      {"\nprise = 100", "line 2: unknown key prise"},
      {"price = \"cheap\"", "price: expected a number"},
      {"price = true", "price: expected a number"},
      {"currency = 5", "currency: expected a text"},
      {"utilisation = 0", "utilisation"},
      {"utilisation = 1.5", "to 1"},
      {"life_years = 0", "life_years"},
      {"life_years = 1e-10", "from 0.01"},
      {"utilisation = 1e-300", "from 0.001"},
      {"watts_busy = 10\nwatts_idle = 20", "watts_idle"},
      {"[price]\nvalue = 3", "price"},
      {"price = ", "line 1"},
      {"price = 1\nprice = 2", "line 2"},
  };
  const TempFolder folder;
  for (const auto& [text, hint] : cases) {
    try {
      read_machine_profile(folder.write("m.toml", text));
      ADD_FAILURE() << text << ": was read";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kInvalid) << text;
      EXPECT_THAT(error.what(), HasSubstr(hint)) << text;
      EXPECT_THAT(error.what(), HasSubstr("m.toml")) << text;
    }
  }
  EXPECT_THROW(read_machine_profile(folder.file("absent.toml")), Error);
}

}  // namespace
}  // namespace godwit
