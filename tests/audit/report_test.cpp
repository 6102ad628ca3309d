// A report is believed only as it was written, and only when its figures follow from it.
#include "audit/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "audit/report_harness.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/json.h"

namespace godwit {
namespace {

using ::testing::HasSubstr;

ErrorKind refused(const std::string& text, const std::string& hint = "") {
  try {
    verified_report(text, "report.json");
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr(hint));
    EXPECT_THAT(error.what(), HasSubstr("report.json"));
    return error.kind();
  }
  ADD_FAILURE() << "was believed";
  return ErrorKind::kUsage;
}

// With a digest that fits what it now says.
std::string forged(std::string text) {
  const std::string key = "\"digest\":\"sha256:";
  const size_t at = text.rfind(key);
  text.replace(at + key.size(), 64, sha256_hex(text.substr(0, at)));
  return text;
}

TEST(Report, ComesBackAsItWas) {
  const Report report = made_up_report();
  const std::string text = report_text(report);
  const Report again = verified_report(text, "report.json");
  EXPECT_EQ(again.samples.size(), report.samples.size());
  EXPECT_EQ(report_text(again), text);
}

TEST(Report, AnyDigitChangedIsFound) {
  const std::string text = report_text(made_up_report(0.01, 3));
  size_t tried = 0;
  for (size_t i = text.find("date"), digits = 0; i < text.size(); ++i) {  // of another schema it is no report
    if (text[i] < '0' || text[i] > '9' || digits++ % 97 != 0) continue;
    std::string changed = text;
    changed[i] = changed[i] == '9' ? '8' : static_cast<char>(changed[i] + 1);
    EXPECT_EQ(refused(changed), ErrorKind::kCheck) << text.substr(i < 20 ? 0 : i - 20, 40);
    ++tried;
  }
  EXPECT_GT(tried, 100U);
}

TEST(Report, FiguresThatDoNotFollowAreFoundWhateverTheDigest) {
  const std::string text = report_text(made_up_report());
  const Json json = Json::parse(text);
  const auto with = [&](const std::function<void(Json&)>& change) {
    Json changed = json;
    change(changed);
    return forged(dump_json(changed) + "\n");
  };
  EXPECT_NO_THROW(verified_report(with([](Json&) {}), "report.json"));
  const auto nudge = [](Json& value) { value = value.get<double>() * 1.001; };
  EXPECT_EQ(refused(with([&](Json& j) { nudge(j["figures"]["points"][3]["decode"]["value"]); }),
                    "figures.points[3].decode.value"),
            ErrorKind::kCheck);
  EXPECT_EQ(refused(with([&](Json& j) { nudge(j["samples"][0]["seconds"][0]); }), "figures"), ErrorKind::kCheck);
  EXPECT_EQ(refused(with([&](Json& j) { nudge(j["machine"]["profile"]["price"]); }), "figures"), ErrorKind::kCheck);
  EXPECT_EQ(refused(with([&](Json& j) { j["figures"].erase("growth"); }), "figures"), ErrorKind::kCheck);
  EXPECT_EQ(refused(with([&](Json& j) { j["figures"]["growth"].erase(0); }), "figures"), ErrorKind::kCheck);
}

TEST(Report, WhatIsNoReportNeverCrashes) {
  const std::string text = report_text(made_up_report(0.01, 1));
  EXPECT_EQ(refused(""), ErrorKind::kInvalid);
  EXPECT_EQ(refused("{}"), ErrorKind::kInvalid);
  EXPECT_EQ(refused("[1]"), ErrorKind::kInvalid);
  EXPECT_EQ(refused(text.substr(0, text.size() / 2)), ErrorKind::kInvalid);
  EXPECT_EQ(refused(R"({"schema":"godwit.audit/1"})"), ErrorKind::kCheck);
  EXPECT_EQ(refused(text + " "), ErrorKind::kCheck);
  // Every value replaced by one of another kind, under a fitting digest.
  const Json json = Json::parse(text);
  size_t tried = 0;
  const Json flat = json.flatten();
  for (const auto& [path, value] : flat.items()) {
    if (path.starts_with("/digest") || path.starts_with("/figures") || ++tried % 7 != 0) continue;
    for (const Json& other : {Json(), Json("x"), Json(-1), Json::array({1e300}), Json(1e308)}) {
      Json changed = json;
      changed[Json::json_pointer(path)] = other;
      try {
        verified_report(forged(dump_json(changed) + "\n"), "report.json");  // a date may be any text
      } catch (const Error&) {
      }
    }
  }
  EXPECT_GT(tried, 100U);
}

}  // namespace
}  // namespace godwit
