#include "text/unicode.h"

#include <unordered_map>

namespace godwit {

namespace {

std::vector<CodeMap::Run> unpack(const char* packed_runs) {
  std::vector<CodeMap::Run> runs;
  uint32_t first = 0;
  for (PackedReader reader(packed_runs); reader.more();) {
    first += static_cast<uint32_t>(reader.next());
    runs.push_back({first, reader.next()});
  }
  return runs;
}

}  // namespace

CodeMap::CodeMap(const char* packed_runs) : CodeMap(unpack(packed_runs)) {}

CodeMap::CodeMap(std::vector<Run> runs) : blocks_(0x1100) {
  runs.push_back({0x110000, 0});
  std::unordered_map<int32_t, uint16_t> uniform;  // blocks of one value exist once
  size_t run = 0;
  for (uint32_t block = 0; block < 0x1100; ++block) {
    const uint32_t begin = block << 8;
    while (runs[run + 1].first <= begin) ++run;
    const uint16_t next = static_cast<uint16_t>(values_.size() >> 8);
    if (runs[run + 1].first >= begin + 256) {
      const auto [found, is_new] = uniform.try_emplace(runs[run].value, next);
      blocks_[block] = found->second;
      if (is_new) values_.insert(values_.end(), 256, runs[run].value);
      continue;
    }
    blocks_[block] = next;
    for (uint32_t code = begin; code < begin + 256; ++code) {
      if (runs[run + 1].first <= code) ++run;
      values_.push_back(runs[run].value);
    }
  }
}

uint32_t to_lowercase(uint32_t code) {
  static const CodeMap distances(kPackedLowercase);
  return code + static_cast<uint32_t>(distances[code]);
}

void append_lowercase(std::string& out, uint32_t code) {
  append_utf8(out, code == 0x130 ? 'i' : to_lowercase(code));
  if (code == 0x130) append_utf8(out, 0x307);
}

uint32_t fold_case(uint32_t code) {
  static const CodeMap distances(kPackedCaseFolds);
  return code + static_cast<uint32_t>(distances[code]);
}

int32_t script_of(uint32_t code) {
  static const CodeMap scripts(kPackedScripts);
  return scripts[code];
}

int32_t find_script(std::string_view name) {
  for (size_t i = 0; i < kScriptNamesCount; ++i) {
    if (kScriptNames[i].name == name) return kScriptNames[i].script;
  }
  return -1;
}

Utf8Start utf8_start(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(at);
  if (lead < 0x80) return {1, true};
  if (lead < 0xC2 || lead > 0xF4) return {0, false};
  const uint32_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  // The second byte's range excludes overlong forms, surrogates and what lies past U+10FFFF.
  uint8_t least = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  uint8_t most = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  for (uint32_t i = 1; i < length; ++i) {
    if (at + i >= text.size() || byte(at + i) < least || byte(at + i) > most) return {i, false};
    least = 0x80;
    most = 0xBF;
  }
  return {length, true};
}

Decoded decode_utf8(std::string_view text, size_t at) {
  const Utf8Start start = utf8_start(text, at);
  if (!start.complete) return {kInvalidByte, 1};
  const auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<uint8_t>(text[at + i])); };
  if (start.length == 1) return {byte(0), 1};
  uint32_t code = byte(0) & (0x7Fu >> start.length);
  for (uint32_t i = 1; i < start.length; ++i) code = code << 6 | (byte(i) & 0x3F);
  return {code, start.length};
}

void append_utf8(std::string& out, uint32_t code) {
  const auto put = [&](uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | code >> 6);
    put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3F));
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  }
}

}  // namespace godwit
