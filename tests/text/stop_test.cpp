#include "text/stop.h"

#include <gtest/gtest.h>

#include <random>

#include "base/error.h"
#include "text/vocabularies.h"

namespace godwit {
namespace {

TEST(Stop, HoldsBackWhatMayBecomeAStop) {
  StopMatcher m({"\n\nUser:", "END"});
  EXPECT_EQ(m.push("Hello E"), "Hello ");
  EXPECT_EQ(m.push("Nx"), "ENx");
  EXPECT_EQ(m.push("\n"), "");
  EXPECT_EQ(m.push("\n\nUs"), "\n");
  EXPECT_FALSE(m.stopped());
  EXPECT_EQ(m.push("er: more"), "");
  EXPECT_TRUE(m.stopped());
  EXPECT_EQ(m.which(), 0);
  EXPECT_EQ(m.push("and more"), "");
  EXPECT_EQ(m.flush(), "");
}

TEST(Stop, WhatWasHeldBackComesAtTheEnd) {
  StopMatcher m({"abc"});
  EXPECT_EQ(m.push("xab"), "x");
  EXPECT_EQ(m.flush(), "ab");
  EXPECT_EQ(m.which(), -1);
}

TEST(Stop, TheFirstToEndWinsThenTheFirstToBegin) {
  StopMatcher first({"bcd", "c"});
  EXPECT_EQ(first.push("abcd"), "ab");
  EXPECT_EQ(first.which(), 1);
  StopMatcher longest({"c", "bc"});
  EXPECT_EQ(longest.push("abc"), "a");
  EXPECT_EQ(longest.which(), 1);
}

TEST(Stop, NothingToFindHoldsNothingBack) {
  StopMatcher m({});
  EXPECT_EQ(m.push("abc"), "abc");
  EXPECT_FALSE(m.stopped());
}

TEST(Stop, RefusesWhatCannotBeAStop) {
  EXPECT_THROW(StopMatcher({""}), Error);
  EXPECT_THROW(StopMatcher({std::string(257, 'x')}), Error);
  EXPECT_THROW(StopMatcher(std::vector<std::string>(17, "x")), Error);
  EXPECT_NO_THROW(StopMatcher(std::vector<std::string>(16, std::string(256, 'x'))));
}

TEST(Stop, DoesNotDependOnTheParts) {
  std::mt19937 random(9);
  const std::vector<std::string> alphabet = {"a", "b", "c"};
  for (int round = 0; round < 3000; ++round) {
    std::vector<std::string> stops;
    for (size_t n = random() % 4; n > 0; --n) {
      const std::string stop = testing::random_bytes(random, 4, alphabet);
      if (!stop.empty()) stops.push_back(stop);
    }
    const std::string text = testing::random_bytes(random, 30, alphabet);
    // By definition: the shortest beginning of the text that ends with a stop, without the longest stop it ends with.
    std::string expected = text;
    bool stops_at_all = false;
    for (size_t end = 1; end <= text.size() && !stops_at_all; ++end) {
      size_t longest = 0;
      for (const std::string& s : stops) {
        if (std::string_view(text).substr(0, end).ends_with(s)) longest = std::max(longest, s.size());
      }
      if (longest > 0) stops_at_all = true, expected = text.substr(0, end - longest);
    }
    StopMatcher m(stops);
    std::string got;
    for (size_t at = 0; at < text.size();) {
      const size_t n = 1 + random() % 5;
      got += m.push(std::string_view(text).substr(at, n));
      at += n;
    }
    got += m.flush();
    ASSERT_EQ(got, expected) << text;
    ASSERT_EQ(m.stopped(), stops_at_all);
  }
}

}  // namespace
}  // namespace godwit
