#include "formats/config.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/text.h"

namespace godwit {
namespace {

Config sample() {
  Config c;
  c.architecture = "llama";
  c.source = "m.gguf";
  c.set("block_count", int64_t{3});
  c.set("huge", ~uint64_t{0});
  c.set("rope.freq_base", 10000.0);
  c.set("nan", std::numeric_limits<double>::quiet_NaN());
  c.set("on", true);
  c.set("general.name", std::string("a name"));
  c.set("ints", std::vector<int64_t>{1, -2, 3});
  c.set("flags", std::vector<bool>{true, false, true});
  c.set("factors", std::vector<double>{1.0, 1.5});
  c.set("infinite", std::vector<double>{1.0, std::numeric_limits<double>::infinity()});
  c.set("tokenizer.ggml.tokens", std::vector<std::string>{"a", "b"});
  c.set("empty", std::vector<bool>{});
  return c;
}

template <class Act>
std::string refusal_of(Act act) {
  try {
    act();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kInvalid);
    EXPECT_LE(std::string(e.what()).size(), 512u);
    EXPECT_EQ(find_invalid_utf8(e.what()), std::string::npos);
    return e.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

TEST(Config, KeysStandUnderTheArchitecture) {
  const Config c = sample();
  EXPECT_EQ(c.full_key("block_count"), "llama.block_count");
  EXPECT_EQ(c.full_key("general.name"), "general.name");
  EXPECT_EQ(c.full_key("tokenizer.ggml.tokens"), "tokenizer.ggml.tokens");
  EXPECT_EQ(c.full_key("split.count"), "split.count");
  EXPECT_TRUE(c.values.contains("llama.block_count"));
  EXPECT_TRUE(c.values.contains("general.name"));
  EXPECT_TRUE(c.has("block_count"));
  EXPECT_FALSE(c.has("llama.block_count"));
}

TEST(Config, GivesWhatIsThere) {
  const Config c = sample();
  EXPECT_EQ(c.integer("block_count"), 3);
  EXPECT_EQ(c.integer("block_count", 7), 3);
  EXPECT_EQ(c.integer("none", 7), 7);
  EXPECT_EQ(c.real("rope.freq_base"), 10000.0);
  EXPECT_EQ(c.real("block_count"), 3.0);
  EXPECT_EQ(c.real("none", 0.5), 0.5);
  EXPECT_TRUE(c.boolean("on", false));
  EXPECT_TRUE(c.boolean("none", true));
  EXPECT_EQ(c.text("general.name"), "a name");
  EXPECT_EQ(c.text("none", "else"), "else");
  EXPECT_EQ(*c.integers("ints"), (std::vector<int64_t>{1, -2, 3}));
  EXPECT_EQ(*c.integers("flags"), (std::vector<int64_t>{1, 0, 1}));
  EXPECT_EQ(*c.reals("factors"), (std::vector<double>{1.0, 1.5}));
  EXPECT_EQ(*c.texts("tokenizer.ggml.tokens"), (std::vector<std::string>{"a", "b"}));
  EXPECT_FALSE(c.integers("none"));
  EXPECT_FALSE(c.reals("none"));
  EXPECT_EQ(c.texts("none"), nullptr);
  EXPECT_TRUE(c.integers("empty")->empty());
  EXPECT_TRUE(c.reals("empty")->empty());
  EXPECT_TRUE(c.texts("empty")->empty());
}

TEST(Config, SetReplaces) {
  Config c = sample();
  c.set("block_count", 0.5);
  EXPECT_EQ(c.real("block_count"), 0.5);
}

TEST(Config, NamesFileKeyExpectedAndGot) {
  const Config c = sample();
  EXPECT_EQ(refusal_of([&] { c.integer("none"); }), "m.gguf: key llama.none: expected an integer, got nothing");
  EXPECT_EQ(refusal_of([&] { c.integer("rope.freq_base"); }),
            "m.gguf: key llama.rope.freq_base: expected an integer below 2^63, got 10000");
  EXPECT_EQ(refusal_of([&] { c.integer("huge"); }),
            "m.gguf: key llama.huge: expected an integer below 2^63, got 18446744073709551615");
  EXPECT_EQ(refusal_of([&] { c.integer("on", 1); }), "m.gguf: key llama.on: expected an integer below 2^63, got true");
  EXPECT_EQ(refusal_of([&] { c.real("general.name"); }),
            "m.gguf: key general.name: expected a finite real number, got the text \"a name\"");
  EXPECT_EQ(refusal_of([&] { c.real("nan"); }), "m.gguf: key llama.nan: expected a finite real number, got nan");
  EXPECT_EQ(refusal_of([&] { c.boolean("block_count", true); }),
            "m.gguf: key llama.block_count: expected true or false, got 3");
  EXPECT_EQ(refusal_of([&] { c.text("on"); }), "m.gguf: key llama.on: expected a text, got true");
  EXPECT_EQ(refusal_of([&] { c.integers("factors"); }),
            "m.gguf: key llama.factors: expected an array of integers, got an array of 2 reals");
  EXPECT_EQ(refusal_of([&] { c.reals("ints"); }),
            "m.gguf: key llama.ints: expected an array of reals, got an array of 3 integers");
  EXPECT_EQ(refusal_of([&] { c.reals("infinite"); }),
            "m.gguf: key llama.infinite: expected finite reals, got inf at index 1");
  EXPECT_EQ(refusal_of([&] { c.texts("flags"); }),
            "m.gguf: key llama.flags: expected an array of texts, got an array of 3 booleans");
}

TEST(Config, HoldsToARange) {
  Config c = sample();
  EXPECT_EQ(c.integer_in("block_count", 3, 3), 3);
  EXPECT_EQ(c.integer_in("none", 5, 1, 9), 5);
  EXPECT_EQ(c.integer_in("block_count", 5, 1, 9), 3);
  EXPECT_EQ(c.real_in("rope.freq_base", 1, 1e9), 10000.0);
  EXPECT_EQ(c.real_in("none", 2.0, 1, 9), 2.0);
  for (const int64_t bad : {int64_t{513}, int64_t{1} << 31, int64_t{0}, int64_t{-1}, INT64_MIN}) {
    c.set("block_count", bad);
    EXPECT_EQ(refusal_of([&] { c.integer_in("block_count", 1, 512); }),
              fmt::format("m.gguf: key llama.block_count: expected an integer from 1 to 512, got {}", bad));
  }
  EXPECT_EQ(refusal_of([&] { c.integer_in("huge", 1, 512); }),
            "m.gguf: key llama.huge: expected an integer from 1 to 512, got 18446744073709551615");
  EXPECT_EQ(refusal_of([&] { c.integer_in("none", 1, 512); }),
            "m.gguf: key llama.none: expected an integer from 1 to 512, got nothing");
  c.set("rope.freq_base", 0.0);
  EXPECT_EQ(refusal_of([&] { c.real_in("rope.freq_base", 1, 1e9); }),
            "m.gguf: key llama.rope.freq_base: expected a real number from 1 to 1000000000, got 0");
  EXPECT_NE(refusal_of([&] { c.real_in("nan", 0, 1); }).find("got nan"), std::string::npos);
}

TEST(Config, OneOrOneForEachLayer) {
  const Config c = sample();
  EXPECT_EQ(c.per_layer("block_count", 2), (std::vector<int64_t>{3, 3}));
  EXPECT_EQ(c.per_layer("ints", 3), (std::vector<int64_t>{1, -2, 3}));
  EXPECT_EQ(c.per_layer("flags", 3), (std::vector<int64_t>{1, 0, 1}));
  EXPECT_EQ(refusal_of([&] { c.per_layer("ints", 4); }),
            "m.gguf: key llama.ints: expected an integer, or an array of 4, got an array of 3 integers");
  EXPECT_EQ(refusal_of([&] { c.per_layer("none", 4); }),
            "m.gguf: key llama.none: expected an integer, or an array of 4, got nothing");
  EXPECT_NE(refusal_of([&] { c.per_layer("rope.freq_base", 4); }).find("got 10000"), std::string::npos);
}

TEST(Config, HostileNamesAreEscaped) {
  Config c = sample();
  c.source = std::string(4000, 'd') + "/\x1B[31m\xFF.gguf";
  const std::string message = refusal_of([&] { c.text(std::string(300, '\n')); });
  EXPECT_EQ(message.find('\n'), std::string::npos);
  EXPECT_NE(message.find("/\\x1b[31m\\xff.gguf"), std::string::npos) << message;
}

}  // namespace
}  // namespace godwit
