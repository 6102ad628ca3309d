// Normalizers, regular expressions and models against other implementations (tests/oracle/units_fuzz.py, which compares
// far more strings).
#include "text/units.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/json.h"
#include "text/base64.h"

namespace godwit {
namespace {

/// Without empty matches, which Split does not show.
std::string without_empty_matches(const std::string& matches) {
  std::istringstream in(matches);
  std::string out;
  for (std::string match; in >> match;) {
    const size_t dash = match.find('-');
    if (match.substr(0, dash) != match.substr(dash + 1)) out += (out.empty() ? "" : " ") + match;
  }
  return out;
}

TEST(Units, AsOtherImplementations) {
  const std::string path = std::string(GODWIT_SOURCE_DIR) + "/tests/oracle/units/units.json";
  const Json golden = parse_json(read_text(path, 1 << 20), path);
  std::vector<std::string> texts;
  for (const Json& text : golden.at("texts")) texts.push_back(testing::from_base64(text.get<std::string>()));
  ASSERT_EQ(texts.size(), 24u);
  size_t n_units = 0;
  for (const Json& unit : golden.at("units")) {
    const auto args = unit.at("args").get<std::vector<std::string>>();
    const std::string file = unit.contains("file") ? testing::from_base64(unit.at("file").get<std::string>()) : "";
    const testing::Unit run = testing::make_unit(args, [&](const std::string&) { return file; });
    for (size_t i = 0; i < texts.size(); ++i) {
      std::string result = run(texts[i]);
      if (args[0] == "regex") result = without_empty_matches(result);
      EXPECT_EQ(result, unit.at("results").at(i).get<std::string>()) << unit.at("name") << ": " << texts[i];
    }
    ++n_units;
  }
  EXPECT_GT(n_units, 90u);
}

}  // namespace
}  // namespace godwit
