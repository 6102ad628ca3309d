#include "bases.h"

#include <algorithm>
#include <filesystem>

#include "../../formats/gguf_builder.h"
#include "../../text/vocabularies.h"
#include "base/file.h"
#include "base/json.h"
#include "formats/gguf.h"
#include "models/save.h"
#include "mutate_json.h"
#include "text/chat_template.h"
#include "text/tokenizer_json.h"

namespace godwit::testing {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMostFile = uint64_t{8} << 20;

std::vector<fs::path> sorted(const std::string& folder) {
  std::vector<fs::path> entries;
  for (const auto& entry : fs::directory_iterator(folder)) entries.push_back(entry.path());
  std::sort(entries.begin(), entries.end());
  return entries;
}

GgufParts written(const std::string& path, const Config& config, const std::vector<TensorToWrite>& tensors) {
  write_gguf(path, config, tensors, {});
  GgufParts parts = GgufParts::of(read_text(path, kMostFile));
  fs::remove(path);
  return parts;
}

// A model in two safetensors files and their index, of one in one.
void shard(std::map<std::string, std::string>& folder) {
  const std::string whole = folder.at("model.safetensors");
  uint64_t size = 0;
  std::copy_n(whole.data(), 8, reinterpret_cast<char*>(&size));
  const Json header = parse_json(std::string_view(whole).substr(8, size), "header");
  Json map = Json::object();
  Json headers[2] = {Json::object(), Json::object()};
  std::string data[2];
  const char* names[2] = {"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"};
  size_t which = 0;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    const auto begin = entry["data_offsets"][0].get<uint64_t>(), end = entry["data_offsets"][1].get<uint64_t>();
    Json moved = entry;
    moved["data_offsets"] = {data[which].size(), data[which].size() + end - begin};
    data[which] += whole.substr(8 + size + begin, end - begin);
    headers[which][name] = moved;
    map[name] = names[which];
    which ^= 1;
  }
  for (which = 0; which < 2; ++which) {
    std::string text = dump_json(headers[which]);
    text.resize((text.size() + 7) / 8 * 8, ' ');
    folder[names[which]] = le(uint64_t{text.size()}) + text + data[which];
  }
  folder.erase("model.safetensors");
  folder["model.safetensors.index.json"] =
      dump_json(Json{{"metadata", {{"total_size", whole.size()}}}, {"weight_map", map}});
}

Vocabulary plain(const std::string& model, const std::vector<std::string>& more) {
  Vocabulary v = scored_vocabulary(more, true);
  v.model = model;
  return v;
}

// One of each kind that GGUF names.
std::vector<std::pair<std::string, Vocabulary>> kinds() {
  std::vector<std::pair<std::string, Vocabulary>> all;
  for (const char* pre : {"gpt-2", "llama-bpe", "qwen2", "qwen35", "smollm", "deepseek-v3", "gpt-4o", "dbrx", "falcon",
                          "starcoder", "command-r", "tekken", "kimi-k2"}) {
    Vocabulary v = byte_level_vocabulary({.pre = pre,
                                          .merges = {{"a", "b"}, {"ab", "ab"}, {" ", "a"}, {"1", "2"}, {"\n", "\n"}},
                                          .control = {"<|im_start|>", "<|im_end|>", "<s>"},
                                          .user_defined = {"[tool]"}});
    v.bos = 263;
    v.eos = 262;
    all.emplace_back(pre, std::move(v));
  }
  const std::vector<std::string> pieces = {"ab", "\u2581a", "abab", "\u2581", "a", "b", "e", "l", "o", "\u2581the"};
  for (const char* model : {"llama", "t5", "bytes"}) all.emplace_back(model, plain(model, pieces));
  Vocabulary bert;
  bert.source = "test";
  bert.model = "bert";
  bert.tokens = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "\u2581the", "\u2581a", "b", "c", "\u2581some", "e"};
  bert.types = {3, 2, 3, 3, 3, 1, 1, 1, 1, 1, 1};
  bert.unk = 1, bert.bos = 2, bert.sep = 3, bert.pad = 0;
  bert.add_bos = bert.add_sep = true;
  all.emplace_back("bert", bert);
  Vocabulary rwkv;
  rwkv.source = "test";
  rwkv.model = "rwkv";
  rwkv.tokens = {"<s>"};
  for (int byte = 0; byte < 256; ++byte) rwkv.tokens.push_back(fmt::format("\\x{:02x}", byte));
  rwkv.tokens.insert(rwkv.tokens.end(), {"ab", "the", "\\n\\n", "it's"});
  rwkv.eos = 0;
  all.emplace_back("rwkv", rwkv);
  Vocabulary gemma = plain("gemma4", {"a", "b", "ab", "\u2581", "\u2581a"});
  gemma.merges = {"a b", "\u2581 a"};
  all.emplace_back("gemma4", gemma);
  return all;
}

// A tokenizer.model: a protobuf by hand, of the fields that matter. Source: sentencepiece_model.proto.
std::string protobuf(int number, const std::string& bytes) {
  std::string out(1, static_cast<char>(number << 3 | 2));
  size_t size = bytes.size();
  for (; size >= 0x80; size >>= 7) out += static_cast<char>(size | 0x80);
  return out + static_cast<char>(size) + bytes;
}
std::string protobuf(int number, char value) { return {static_cast<char>(number << 3), value}; }
std::string sentencepiece_file(char kind) {
  const auto piece = [](const std::string& text, float score, char type) {
    return protobuf(1, protobuf(1, text) + "\x15" + le(score) + protobuf(3, type));
  };
  std::string file = piece("<unk>", 0, 2) + piece("<s>", 0, 3) + piece("</s>", 0, 3);
  for (int byte = 0; byte < 256; ++byte) file += piece(fmt::format("<0x{:02X}>", byte), 0, 6);
  for (const char* text : {"\u2581", "a", "b", "ab", "\u2581a", "e", "\u2581the"}) file += piece(text, -2, 1);
  return file + piece("[tool]", 0, 4) + protobuf(2, protobuf(3, kind) + "\x98\x02\x01") +  // 35: byte_fallback
         protobuf(3, protobuf(1, std::string("identity")) + protobuf(3, 1) + protobuf(4, 0) + protobuf(5, 1));
}

}  // namespace

Bases::Bases(const std::string& oracle, const std::string& only, const std::string& scratch) {
  read_models(oracle, only, scratch);
  read_tokenizers(oracle, scratch);
  for (const std::string& name : builtin_template_names()) templates_.push_back(builtin_template(name));
  std::sort(words_.begin(), words_.end());
  words_.erase(std::unique(words_.begin(), words_.end()), words_.end());
  std::erase_if(words_, [](const std::string& word) { return word.size() > 200; });
}

void Bases::read_models(const std::string& oracle, const std::string& only, const std::string& scratch) {
  for (const fs::path& path : sorted(oracle + "/tiny")) {
    Model model;
    model.name = path.filename().string();
    if (!fs::is_directory(path) || model.name.find(only) == std::string::npos) continue;
    for (const fs::path& file : sorted(path.string()))
      if (file.filename() != "golden.safetensors")
        model.folder[file.filename().string()] = read_text(file.string(), kMostFile);
    if (model.folder.count("config.json") == 0) continue;
    collect_words(model.folder["config.json"], words_);
    try {
      const auto open = open_model(path.string(), {});
      const GgufPlan plan = plan_gguf(*open, std::nullopt);
      model.gguf = written(scratch + "/base.gguf", plan.config, plan.tensors);
      std::erase_if(model.gguf.keys, [](const auto& key) { return key.name.starts_with("tokenizer."); });
      for (const auto& key : model.gguf.keys) words_.push_back(key.name);
    } catch (const Error& error) {
      fmt::print("{} has no GGUF form: {}\n", model.name, error.what());
    }
    models_.push_back(std::move(model));
  }
  CHECK(!models_.empty(), "{}/tiny has no model whose name contains \"{}\"", oracle, only);
}

void Bases::read_tokenizers(const std::string& oracle, const std::string& scratch) {
  const auto add = [&](const std::string& name, const Vocabulary& vocabulary) {
    Config config;
    config.architecture = "llama";
    vocabulary_to(vocabulary, config);
    auto keys = written(scratch + "/base.gguf", config, {}).keys;
    std::erase_if(keys, [](const auto& key) { return !key.name.starts_with("tokenizer."); });
    keys_.emplace_back(name, std::move(keys));
  };
  for (const auto& [name, vocabulary] : kinds()) {
    add(name, vocabulary);
    if (!has_hf_form(vocabulary)) continue;
    const HfTokenizerFiles files = hf_from_vocabulary(vocabulary);
    texts_.emplace_back(name, std::map<std::string, std::string>{{"tokenizer.json", files.tokenizer},
                                                                 {"tokenizer_config.json", files.config},
                                                                 {"generation_config.json", files.generation}});
  }
  for (const fs::path& path : sorted(oracle + "/tokenizers")) {
    const Json json = parse_json(read_text(path.string(), kMostFile), path.string());
    HfTokenizerFiles files;
    files.source = path.filename().string();
    files.tokenizer = dump_json(json.at("tokenizer"));
    collect_words(files.tokenizer, words_);
    files.config =
        R"({"add_bos_token": true, "bos_token": "<|bos|>", "eos_token": {"content": "<|eos|>", "special": true},
      "unk_token": null, "model_max_length": 1000000000000000019884624838656, "tokenizer_class": "PreTrainedTokenizerFast",
      "added_tokens_decoder": {"1": {"content": "[tool]", "special": false}}, "clean_up_tokenization_spaces": false})";
    files.generation = R"({"bos_token_id": 1, "eos_token_id": [1, 2], "pad_token_id": 0, "temperature": 0.7})";
    texts_.emplace_back(files.source, std::map<std::string, std::string>{{"tokenizer.json", files.tokenizer},
                                                                         {"tokenizer_config.json", files.config},
                                                                         {"generation_config.json", files.generation}});
    add(files.source, vocabulary_from_hf(files));
  }
  for (const char kind : {1, 2})
    texts_.emplace_back(
        "tokenizer.model",
        std::map<std::string, std::string>{{"tokenizer.model", sentencepiece_file(kind)},
                                           {"tokenizer_config.json", R"({"add_bos_token": true, "legacy": false})"}});
}

GgufParts Bases::parts(size_t model, size_t tokenizer, Dice& dice) const {
  GgufParts parts = models_[model].gguf;
  const auto& keys = keys_[tokenizer % keys_.size()].second;
  parts.keys.insert(parts.keys.end(), keys.begin(), keys.end());
  if (!dice.one_in(4))
    parts.keys.push_back({"tokenizer.chat_template", kString, 0, {}, {gguf_string(dice.of(templates_))}});
  return parts;
}

std::map<std::string, std::string> Bases::folder(size_t model, size_t tokenizer, Dice& dice) const {
  auto folder = models_[model].folder;
  for (const auto& [name, contents] : texts_[tokenizer % texts_.size()].second) folder[name] = contents;
  if (dice.one_in(3)) {
    Json config = parse_json(folder["tokenizer_config.json"], "tokenizer_config.json");
    config["chat_template"] = dice.of(templates_);
    folder["tokenizer_config.json"] = dump_json(config);
  } else {
    folder["chat_template.jinja"] = dice.of(templates_);
  }
  if (folder.count("model.safetensors") != 0 && dice.one_in(4)) shard(folder);
  return folder;
}

ModelFiles Bases::whole(size_t model, bool gguf, size_t tokenizer, Dice& dice) const {
  ModelFiles whole;
  whole.gguf = gguf && !models_[model].gguf.tensors.empty();
  whole.name = models_[model].name;
  whole.name +=
      whole.gguf ? ".gguf, " + keys_[tokenizer % keys_.size()].first : "/, " + texts_[tokenizer % texts_.size()].first;
  if (whole.gguf) {
    whole.files["model.gguf"] = parts(model, tokenizer, dice).file();
  } else {
    whole.files = folder(model, tokenizer, dice);
  }
  return whole;
}

void Bases::mutate(std::map<std::string, std::string>& folder, Dice& dice) const {
  // Files that say more are changed more often.
  static const std::map<std::string, size_t> kWeights = {
      {"config.json", 6}, {"tokenizer.json", 8}, {"chat_template.jinja", 2}, {"tokenizer_config.json", 2}};
  std::vector<std::string> names;
  for (const auto& [name, contents] : folder) {
    const auto weight = kWeights.find(name);
    const size_t times = name.ends_with(".safetensors") ? 5 : weight != kWeights.end() ? weight->second : 1;
    names.insert(names.end(), times, name);
  }
  if (names.empty()) return;
  const std::string name = dice.of(names);
  std::string& contents = folder[name];
  dice.log += " " + name;
  if (dice.one_in(40)) {
    if (dice.one_in(2)) {
      folder.erase(name);
      dice.log += " removed;";
    } else {
      const std::string other = dice.of(names);
      dice.log += " is " + other + ";";
      contents = std::string(folder[other]);
    }
  } else if (name.ends_with(".safetensors")) {
    mutate_safetensors(contents, dice);
  } else if (name.ends_with(".json")) {
    contents = mutate_json(contents, words_, dice);
  } else if (name.ends_with(".jinja")) {
    mutate_template(contents, dice);
  } else {
    mutate_bytes(contents, dice);
  }
}

ModelFiles Bases::mutated(Dice& dice) const {
  const size_t model = dice.below(models_.size()), tokenizer = dice.bits() % 1000;
  const bool gguf = dice.one_in(2) && !models_[model].gguf.tensors.empty();
  ModelFiles changed;
  changed.gguf = gguf;
  changed.name = models_[model].name;
  const size_t n = 1 + dice.below(4);
  if (gguf) {
    changed.name += ".gguf, " + keys_[tokenizer % keys_.size()].first;
    GgufParts all = parts(model, tokenizer, dice);
    for (size_t i = 0; i < n; ++i) mutate_gguf(all, words_, dice);
    std::string& file = changed.files["model.gguf"] = all.file();
    if (dice.one_in(12)) mutate_bytes(file, dice);
    // Of the header, where a bit says more.
    const size_t header = file.size() - std::min(file.size(), all.data.size());
    if (header > 0 && dice.one_in(12)) {
      char& byte = file[dice.below(header)];
      byte = static_cast<char>(byte ^ (1 << dice.below(8)));
      dice.log += " a bit of the header;";
    }
  } else {
    changed.name += "/, " + texts_[tokenizer % texts_.size()].first;
    changed.files = folder(model, tokenizer, dice);
    for (size_t i = 0; i < n; ++i) mutate(changed.files, dice);
  }
  changed.name += ":" + dice.log;
  return changed;
}

}  // namespace godwit::testing
