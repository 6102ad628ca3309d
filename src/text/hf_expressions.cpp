#include "text/hf_expressions.h"

namespace godwit {

const char* const kGpt2Expression = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

const std::vector<HfExpressions>& hf_expressions() {
  // Sources: tokenizer.json of the models; default and falcon: llama.cpp, src/llama-vocab.cpp.
  static const std::string kLlama3 =
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  static const std::string kQwen2 =
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  static const std::string kQwen35 =
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  static const auto cased = [](const std::string& han, const std::string& contraction, const std::string& digits,
                               const std::string& tail) {
    const std::string lead = R"([^\r\n\p{L}\p{N}]?)";
    const std::string upper = R"([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M})" + han + "]";
    const std::string lower = R"([\p{Ll}\p{Lm}\p{Lo}\p{M})" + han + "]";
    return lead + upper + "*" + lower + "+" + contraction + "|" + lead + upper + "+" + lower + "*" + contraction +
           R"(|\p{N})" + digits + R"(| ?[^\s\p{L}\p{N}]+[\r\n)" + tail + R"(]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  };
  static const std::string kContraction = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?";
  static const std::string kTekken = cased("", "", "", "/");
  static const std::string kO200k = cased("", kContraction, "{1,3}", "/");
  static const std::string kKimiK2 = R"([\p{Han}]+|)" + cased(R"(&&[^\p{Han}])", kContraction, "{1,3}", "");
  static const std::string kDeepseek3 =
      R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+)"
      R"(| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  static const std::string kBailing =
      R"('(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)";
  static const std::string kWideCjk = "[\u4E00-\u9FA5\u0800-\u4E00\uAC00-\uD7FF]+";
  static const std::vector<HfExpressions> table = {
      {"tekken", {kTekken}},  // whole tokens before merges
      {"gpt-4o", {kO200k}},
      {"granite-embed-multi-97m", {kO200k}},
      {"kimi-k2", {kKimiK2}},
      {"deepseek-v3", {R"(\p{N}{1,3})", "[\u4E00-\u9FA5\u3040-\u309F\u30A0-\u30FF]+", kDeepseek3}},
      {"deepseek-coder", {R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)", kWideCjk, R"(\p{N})"}},
      {"bailingmoe", {kBailing}},
      {"minicpm5",
       {R"(\p{N}{1,3})",
        R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"}},
      {"laguna", {R"([^\n]+|[\n]+)", kQwen2}},
      {"poro-chat", {" ?[^(\\s|.,!?\u2026\u3002\uFF0C\u3001\u0964\u06D4\u060C)]+"}},
      {"viking", {" ?[^(\\s|.,!?\u2026\u3002\uFF0C\u3001\u0964\u06D4\u060C)]+", R"(\p{N})"}},
      {"gpt-2", {kGpt2Expression}},
      {"smollm", {R"(\p{N})", kGpt2Expression}},
      {"llama-bpe", {kLlama3}},  // whole tokens before merges
      {"dbrx", {kLlama3}},
      {"qwen2", {kQwen2}},
      {"qwen35", {kQwen35}},
      {"falcon", {R"([\p{P}\$\+<=>\^~\|`]+)", kGpt2Expression, "[0-9][0-9][0-9]"}},
      {"default", {R"([\p{P}\$\+<=>\^~\|]+)", kGpt2Expression, R"(\p{N}+)", "[0-9][0-9][0-9]"}},
  };
  return table;
}

}  // namespace godwit
