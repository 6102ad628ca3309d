// One unit of text/ made from words, as tests/oracle/units_fuzz.py writes them: for its reader program and for its
// golden file.
//   regex HEX                  begin-end of each match
//   normalizer STEP...         text in hexadecimal; steps as step_of reads them
//   sentencepiece FILE         ids; FILE: a tokenizer.model
//   unigram FILE UNK FALLBACK  ids as tokenizers has them; FILE: a token in hexadecimal and a score a line
//   wordpiece FILE UNK         ids; FILE: a token in hexadecimal a line
//   rwkv FILE                  ids; FILE: a vocabulary in RWKV's format
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "text/normalizer.h"
#include "text/regex.h"
#include "text/rwkv.h"
#include "text/sentencepiece_encoder.h"
#include "text/unigram.h"
#include "text/wordpiece.h"

namespace godwit::testing {

using UnitIds = std::vector<int32_t>;
using Unit = std::function<std::string(const std::string&)>;
using ReadFile = std::function<std::string(const std::string& path)>;

inline std::string from_hex(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return bytes;
}

inline std::string to_hex(const std::string& bytes) {
  static const char digits[] = "0123456789abcdef";
  std::string hex;
  for (const char c : bytes) {
    hex += digits[static_cast<uint8_t>(c) >> 4];
    hex += digits[static_cast<uint8_t>(c) & 15];
  }
  return hex;
}

inline std::string joined(const UnitIds& ids) { return fmt::format("{}", fmt::join(ids, " ")); }

/// NAME, or NAME:HEX, NAME:HEX:HEX, bert:1010.
inline NormalizerStep step_of(const std::string& text, const ReadFile& read_file) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, ':');) parts.push_back(part);
  parts.resize(3);
  NormalizerStep step;
  const std::vector<std::pair<std::string, NormalizerStep::Kind>> kinds{
      {"nfc", NormalizerStep::kNfc},
      {"nfd", NormalizerStep::kNfd},
      {"nfkc", NormalizerStep::kNfkc},
      {"nfkd", NormalizerStep::kNfkd},
      {"lowercase", NormalizerStep::kLowercase},
      {"strip", NormalizerStep::kStrip},
      {"accents", NormalizerStep::kStripAccents},
      {"nmt", NormalizerStep::kNmt},
      {"bert", NormalizerStep::kBert},
      {"precompiled", NormalizerStep::kPrecompiled},
      {"string", NormalizerStep::kReplaceString},
      {"regex", NormalizerStep::kReplaceRegex},
      {"prepend", NormalizerStep::kPrepend},
      {"bytes", NormalizerStep::kByteLevel},
  };
  for (const auto& kind : kinds) {
    if (kind.first == parts[0]) step.kind = kind.second;
  }
  const std::string& flags = parts[1];
  switch (step.kind) {
    case NormalizerStep::kStrip:
      step.left = flags[0] == '1';
      step.right = flags[1] == '1';
      break;
    case NormalizerStep::kBert:
      step.clean_text = flags[0] == '1';
      step.chinese = flags[1] == '1';
      step.strip_accents = flags[2] == '1';
      step.lowercase = flags[3] == '1';
      break;
    case NormalizerStep::kPrecompiled:
      step.text = read_file(from_hex(parts[1]));
      break;
    default:
      step.text = from_hex(parts[1]);
      step.content = from_hex(parts[2]);
      if (step.kind == NormalizerStep::kPrepend) step.content = step.text;
      break;
  }
  return step;
}

template <class Encoder>
Unit ids_of(std::shared_ptr<Encoder> encoder) {
  return [encoder](const std::string& text) {
    UnitIds ids;
    encoder->encode(text, ids);
    return joined(ids);
  };
}

inline Unit make_unit(const std::vector<std::string>& args, const ReadFile& read_file) {
  const std::string& kind = args.at(0);
  if (kind == "regex") {
    const auto regex = std::make_shared<Regex>(Regex::compile(from_hex(args.at(1))));
    return [regex](const std::string& text) {
      std::string out;
      for (const Regex::Range& range : regex->find_all(text)) out += fmt::format("{}-{} ", range.begin, range.end);
      return out;
    };
  }
  if (kind == "normalizer") {
    std::vector<NormalizerStep> steps;
    for (size_t i = 1; i < args.size(); ++i) steps.push_back(step_of(args[i], read_file));
    const auto normalizer = std::make_shared<Normalizer>(std::move(steps));
    return [normalizer](const std::string& text) { return to_hex(normalizer->apply(text)); };
  }
  const std::string file = read_file(args.at(1));
  if (kind == "sentencepiece") {
    return ids_of(std::make_shared<SentencePieceEncoder>(parse_sentencepiece_model(file, args.at(1))));
  }
  if (kind == "rwkv") {
    std::vector<std::string> tokens;
    for (const RwkvToken& token : parse_rwkv_vocabulary(file, args.at(1))) {
      tokens.resize(static_cast<size_t>(token.id) + 1);
      tokens.back() = token.bytes;
    }
    return ids_of(std::make_shared<Rwkv>(tokens, std::nullopt));
  }
  std::vector<std::string> tokens;
  std::vector<double> scores;
  std::istringstream in(file);
  for (std::string line; std::getline(in, line);) {
    const size_t space = std::min(line.find(' '), line.size());
    tokens.push_back(from_hex(line.substr(0, space)));
    if (kind == "unigram") scores.push_back(std::stod(line.substr(space)));
  }
  const std::optional<int32_t> unk = args.at(2) == "-" ? std::nullopt : std::optional<int32_t>(std::stoi(args.at(2)));
  if (kind == "unigram") {
    UnigramModel model;
    model.tokens = tokens;
    model.scores = scores;
    model.unk = unk;
    model.byte_fallback = args.at(3) == "1";
    return ids_of(std::make_shared<Unigram>(model, kind));
  }
  WordPieceModel model;
  model.tokens = tokens;
  model.unk = unk;
  return ids_of(std::make_shared<WordPiece>(model, kind));
}

}  // namespace godwit::testing
