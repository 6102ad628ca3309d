#include "formats/hf_folder.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "formats/safetensors.h"

namespace godwit {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxConfigBytes = uint64_t{4} << 20;
constexpr uint64_t kMaxIndexBytes = 100'000'000;
constexpr size_t kMaxIndexTensors = size_t{1} << 20;
constexpr size_t kMaxShards = 4096;

bool is_within(const fs::path& path, const fs::path& folder) {
  return std::mismatch(folder.begin(), folder.end(), path.begin(), path.end()).first == folder.end();
}

/// A model folder and the places where its files may lie: the folder itself and, when it is a snapshot in the Hugging
/// Face cache (.../models--org--name/snapshots/commit), the stores its links point to: models--org--name/blobs and the
/// one shared by all models of the cache.
class Folder {
 public:
  explicit Folder(const std::string& path) : path_(path) {
    std::error_code error;
    root_ = fs::canonical(path, error);
    if (error) fail(kind_of_errno(error.value()), "{}: cannot be opened: {}", printable_path(path), error.message());
    if (!fs::is_directory(root_, error)) invalid("{}: expected a model folder", printable_path(path));
    allowed_.push_back(root_);
    const fs::path model = root_.parent_path().parent_path();
    if (root_.parent_path().filename() == "snapshots" && model.filename().string().rfind("models--", 0) == 0) {
      allowed_.push_back(model / "blobs");
      allowed_.push_back(model.parent_path() / "blobs");
    }
  }

  bool has(const std::string& name) const {
    std::error_code error;
    return fs::exists(fs::path(path_) / name, error);
  }

  std::string named(const std::string& name) const { return (fs::path(path_) / name).string(); }

  /// Where `name` really lies. Throws unless that is in one of the allowed places; `by` says who named it.
  std::string resolve(const std::string& name, const std::string& by) const {
    const fs::path relative(name);
    const bool climbs = std::find(relative.begin(), relative.end(), fs::path("..")) != relative.end();
    if (name.empty() || name.find('\0') != std::string::npos || relative.is_absolute() || climbs)
      invalid("{}: {}: expected the name of a file in the model's folder", printable_path(by), quoted(name));
    std::error_code error;
    const fs::path real = fs::canonical(root_ / relative, error);
    if (error)
      fail(kind_of_errno(error.value()), "{}: {}: cannot be opened: {}", printable_path(by), quoted(name),
           error.message());
    for (const fs::path& place : allowed_)
      if (is_within(real, place)) return real.string();
    invalid("{}: {}: is a link that leaves the model's folder", printable_path(by), quoted(name));
  }

  /// Up to a few names of what lies there, for messages.
  std::string listing() const {
    constexpr size_t kShown = 6, kRead = 1000;
    std::vector<std::string> names;
    std::error_code error;
    for (fs::directory_iterator it(root_, error), end; !error && it != end && names.size() < kRead; it.increment(error))
      names.push_back(it->path().filename().string());
    if (names.empty()) return "nothing";
    std::sort(names.begin(), names.end());
    std::string text;
    for (size_t i = 0; i < std::min(kShown, names.size()); ++i) text += (i > 0 ? ", " : "") + printable(names[i], 40);
    if (names.size() > kShown) text += fmt::format(" and {} more", names.size() - kShown);
    return text;
  }

  /// A pickle of weights that lies there; empty when there is none.
  std::string pickle() const {
    std::error_code error;
    for (fs::directory_iterator it(root_, error), end; !error && it != end; it.increment(error)) {
      const std::string extension = it->path().extension().string();
      if (extension == ".bin" || extension == ".pt" || extension == ".pth" || extension == ".ckpt")
        return it->path().filename().string();
    }
    return "";
  }

 private:
  std::string path_;
  fs::path root_;
  std::vector<fs::path> allowed_;
};

/// What a quantization_config at `where` says; throws unless it is `usual`, that is in the place of one, and one of
/// ours.
void read_quantization(const Json& part, const std::string& where, bool usual, StoredModel& model) {
  const auto method = part.is_object() ? part.find("quant_method") : part.end();
  const bool named = part.is_object() && method != part.end() && method->is_string();
  const std::string text = named ? method->get<std::string>() : "";
  if (!usual || (text != "mxfp4" && text != "fp8"))
    invalid("{}.quant_method: {} is not supported {}, expected {}an unquantized checkpoint", where,
            named ? printable(text, 40) : std::string("an unnamed method"), usual ? "yet" : "here",
            usual ? "mxfp4, fp8 or " : "");
  model.quant_method = text;
  const auto block = part.find("weight_block_size");
  if (text != "fp8" || block == part.end() || block->is_null()) return;
  const auto is_size = [](const Json& size) {
    return size.is_number_unsigned() && size.get<uint64_t>() >= 1 && size.get<uint64_t>() <= (1 << 30);
  };
  if (!block->is_array() || block->size() != 2 || !is_size((*block)[0]) || !is_size((*block)[1]))
    invalid("{}.weight_block_size: expected two sizes from 1 to 2^30, got {}", where, printable(dump_json(*block), 40));
  model.fp8_block_rows = (*block)[0].get<int64_t>();
  model.fp8_block_columns = (*block)[1].get<int64_t>();
}

/// Reads config.json, and refuses what would be read as something else than it is.
void read_config(const Folder& folder, StoredModel& model) {
  const std::string source = folder.named("config.json");
  if (!folder.has("config.json"))
    invalid("{}: no such file: a model folder needs one; here are {}", printable_path(source), folder.listing());
  std::string text = read_text(folder.resolve("config.json", source), kMaxConfigBytes);
  const Json config = parse_python_json(text, printable_path(source));
  if (!config.is_object()) invalid("{}: expected an object, got {}", printable_path(source), config.type_name());
  const auto check_quantization = [&](const Json& part, const std::string& where) {
    for (const char* key : {"quantization_config", "compression_config"}) {
      const auto found = part.find(key);
      if (found == part.end() || found->is_null()) continue;
      const bool usual = where.empty() && std::string_view(key) == "quantization_config";
      read_quantization(*found, fmt::format("{}: {}{}", printable_path(source), where, key), usual, model);
    }
  };
  check_quantization(config, "");
  if (const auto nested = config.find("text_config"); nested != config.end() && nested->is_object())
    check_quantization(*nested, "text_config.");
  model.config_json = std::move(text);
}

/// weight_map of model.safetensors.index.json: which tensor lies in which file. The rest of it is skipped.
class IndexReader : public JsonHandler {
 public:
  explicit IndexReader(const std::string& source) : source_(source) {}
  bool has_map = false;
  std::vector<std::string> tensors;
  std::vector<size_t> shard_of;     // for each of the tensors
  std::vector<std::string> shards;  // in order of their first tensor

  void begin_object() override {
    ++depth_;
    if (depth_ == 2 && key_ == "weight_map" && std::exchange(has_map, true)) wrong("duplicate key \"weight_map\"");
    if (depth_ > 2 && in_map()) wrong("weight_map: {}: expected a file name, got an object", quoted(tensors.back()));
  }
  void end_object() override { --depth_; }
  void begin_array() override {
    other("an array");
    ++depth_;
  }
  void end_array() override { --depth_; }
  void key(std::string&& name) override {
    if (depth_ == 1) key_ = name;
    if (!in_map()) return;
    if (tensors.size() == kMaxIndexTensors) wrong("weight_map: over {} tensors", kMaxIndexTensors);
    tensors.push_back(std::move(name));
  }
  void string(std::string&& value) override {
    if (!in_map()) return other("a string");
    const auto [found, added] = shard_numbers_.emplace(value, shards.size());
    if (added && shards.size() == kMaxShards) wrong("weight_map: over {} files", kMaxShards);
    if (added) shards.push_back(value);
    shard_of.push_back(found->second);
  }
  void unsigned_integer(uint64_t /*value*/) override { other("a number"); }
  void negative_integer(int64_t /*value*/) override { other("a number"); }
  void real(double /*value*/) override { other("a number"); }
  void boolean(bool /*value*/) override { other("a boolean"); }
  void null() override { other("null"); }

 private:
  bool in_map() const { return depth_ >= 2 && key_ == "weight_map"; }
  template <class... Args>
  [[noreturn]] void wrong(fmt::format_string<Args...> format, Args&&... args) const {
    invalid("{}: byte {}: {}", source_, offset, fmt::format(format, std::forward<Args>(args)...));
  }
  void other(const char* got) const {
    if (depth_ == 0) wrong("expected an object, got {}", got);
    if (depth_ == 1 && key_ == "weight_map") wrong("weight_map: expected an object, got {}", got);
    if (in_map()) wrong("weight_map: {}: expected a file name, got {}", quoted(tensors.back()), got);
  }

  const std::string source_;
  size_t depth_ = 0;
  std::string key_;  // of the outer object
  std::map<std::string, size_t> shard_numbers_;
};

/// Opens the shards that weight_map names, and checks that each tensor lies where it says.
void open_shards(const Folder& folder, StoredModel& model) {
  const std::string name = "model.safetensors.index.json";
  const std::string source = folder.named(name);
  IndexReader index(printable_path(source));
  walk_json(read_text(folder.resolve(name, source), kMaxIndexBytes), printable_path(source), kJsonFileDepth, index);
  if (!index.has_map) invalid("{}: no weight_map", printable_path(source));
  if (index.shards.empty()) invalid("{}: weight_map is empty", printable_path(source));
  const std::vector<std::string_view> names(index.tensors.begin(), index.tensors.end());
  if (const size_t i = find_duplicate(names); i != std::string_view::npos)
    invalid("{}: weight_map: duplicate tensor {}", printable_path(source), quoted(names[i]));

  std::vector<std::vector<size_t>> tensors_of(index.shards.size());
  for (size_t i = 0; i < index.tensors.size(); ++i) tensors_of[index.shard_of[i]].push_back(i);
  const auto holds = [&](const std::string& tensor) {
    return model.by_name.count(tensor) != 0 || model.codes.count(tensor) != 0 || model.other_dtypes.count(tensor) != 0;
  };
  const auto check = [&](size_t shard, bool opened) {
    for (size_t i : tensors_of[shard])
      if (holds(index.tensors[i]) != opened)
        invalid("{}: weight_map: tensor {} should lie in {}, {}", printable_path(source), quoted(index.tensors[i]),
                quoted(index.shards[shard]), opened ? "which does not hold it" : "but another file holds it");
  };
  for (size_t shard = 0; shard < index.shards.size(); ++shard) {
    check(shard, false);
    open_safetensors(folder.resolve(index.shards[shard], source), model);
    check(shard, true);
  }
}

}  // namespace

StoredModel open_hf_folder(const std::string& path) {
  const Folder folder(path);
  StoredModel model;
  model.container = Container::kHuggingFace;
  model.path = path;
  read_config(folder, model);
  model.config.source = printable_path(path);
  if (folder.has("model.safetensors")) {
    open_safetensors(folder.resolve("model.safetensors", folder.named("model.safetensors")), model);
  } else if (folder.has("model.safetensors.index.json")) {
    open_shards(folder, model);
  } else if (const std::string pickle = folder.pickle(); !pickle.empty()) {
    invalid(
        "{}: a pickle can run code and is not read: expected model.safetensors; convert with "
        "transformers: AutoModelForCausalLM.from_pretrained(folder).save_pretrained(new_folder)",
        printable_path(folder.named(pickle)));
  } else {
    invalid("{}: expected model.safetensors or model.safetensors.index.json; here are {}", printable_path(path),
            folder.listing());
  }
  return model;
}

}  // namespace godwit
