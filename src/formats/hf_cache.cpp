// find_in_hf_cache. Source: huggingface_hub, docs/source/en/guides/manage-cache.md.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "formats/hf_folder.h"

namespace godwit {
namespace {

namespace fs = std::filesystem;

struct Name {
  std::string org, model, revision = "main", quantization;
};

bool all_of_class(std::string_view text, std::string_view extra) {
  return std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           extra.find(c) != std::string_view::npos;
  });
}

/// A part of a path: no way to climb out of the folder it is looked up in.
bool is_safe(std::string_view text, std::string_view extra) {
  constexpr size_t kMaxBytes = 256;
  return !text.empty() && text.size() <= kMaxBytes && all_of_class(text, extra) && text.front() != '/' &&
         text.front() != '.' && text.back() != '/' && text.find("..") == std::string_view::npos;
}

Name parse_name(const std::string& text) {
  Name name;
  std::string rest = text.rfind("hf:", 0) == 0 ? text.substr(3) : text;
  bool good = true;
  if (const size_t colon = rest.rfind(':'); colon != std::string::npos) {
    name.quantization = rest.substr(colon + 1);
    good &= is_safe(name.quantization, "._-");
    rest.resize(colon);
  }
  if (const size_t at = rest.find('@'); at != std::string::npos) {
    name.revision = rest.substr(at + 1);
    good &= is_safe(name.revision, "._-/");
    rest.resize(at);
  }
  const size_t slash = rest.find('/');
  if (slash != std::string::npos) {
    name.org = rest.substr(0, slash);
    name.model = rest.substr(slash + 1);
  }
  good &= is_safe(name.org, "._-") && is_safe(name.model, "._-");
  if (!good) invalid("{}: expected a name such as org/name, org/name@revision or org/name:Q4_K_M", quoted(text));
  return name;
}

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

fs::path expanded(const std::string& path) {
  if (path == "~" || path.rfind("~/", 0) == 0) return environment("HOME") + path.substr(1);
  return path;
}

/// The cache's folder. The first variable that is set decides, as in huggingface_hub.
fs::path cache_folder() {
  for (const char* name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"})
    if (const std::string path = environment(name); !path.empty()) return expanded(path);
  if (const std::string path = environment("HF_HOME"); !path.empty()) return expanded(path) / "hub";
  if (const std::string path = environment("XDG_CACHE_HOME"); !path.empty())
    return expanded(path) / "huggingface" / "hub";
  return expanded("~/.cache") / "huggingface" / "hub";
}

bool is_commit(std::string_view text) {
  return text.size() == 40 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

bool is_there(const fs::path& path) {
  std::error_code error;
  return fs::exists(path, error);
}

std::string joined(const std::vector<std::string>& texts) {
  constexpr size_t kShown = 8;
  std::string out;
  for (size_t i = 0; i < std::min(kShown, texts.size()); ++i) out += (i > 0 ? ", " : "") + printable(texts[i], 48);
  if (texts.size() > kShown) out += fmt::format(" and {} more", texts.size() - kShown);
  return out.empty() ? "nothing" : out;
}

std::vector<std::string> names_in(const fs::path& folder) {
  constexpr size_t kMost = 10'000;
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end && names.size() < kMost; it.increment(error))
    names.push_back(it->path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

fs::path snapshot_of(const std::string& asked, const Name& name) {
  const fs::path cache = cache_folder();
  const fs::path model = cache / fmt::format("models--{}--{}", name.org, name.model);
  if (!is_there(model))
    invalid("{}: not in the Hugging Face cache: {} does not exist; download it with: hf download {}/{}", quoted(asked),
            printable_path(model.string()), name.org, name.model);
  std::string commit = name.revision;
  if (!is_commit(commit)) {
    const fs::path reference = model / "refs" / name.revision;
    if (!is_there(reference))
      invalid("{}: revision {} is not in the Hugging Face cache: {} does not exist; refs holds {}, snapshots {}",
              quoted(asked), quoted(name.revision), printable_path(reference.string()),
              joined(names_in(model / "refs")), joined(names_in(model / "snapshots")));
    constexpr uint64_t kMaxBytes = 256;
    commit = read_text(reference.string(), kMaxBytes);
    commit.erase(commit.find_last_not_of(" \n\r\t") + 1);
    if (!is_commit(commit))
      invalid("{}: {}: expected a commit of 40 hexadecimal digits, got {}", quoted(asked),
              printable_path(reference.string()), quoted(commit));
  }
  const fs::path snapshot = model / "snapshots" / commit;
  if (!is_there(snapshot))
    invalid("{}: {} does not exist; download it with: hf download {}/{} --revision {}", quoted(asked),
            printable_path(snapshot.string()), name.org, name.model, name.revision);
  return snapshot;
}

struct Gguf {
  std::string stem;  // relative to the snapshot, without ".gguf" and "-00001-of-00003"
  fs::path path;     // of its first part
};

/// "-00002-of-00005" at the end of a split file's stem: 2; 0 when the file is not split.
int part_of(std::string_view stem) {
  constexpr std::string_view kPattern = "-00000-of-00000";
  if (stem.size() <= kPattern.size()) return 0;
  const std::string_view suffix = stem.substr(stem.size() - kPattern.size());
  int part = 0;
  for (size_t i = 0; i < kPattern.size(); ++i) {
    const bool is_digit = suffix[i] >= '0' && suffix[i] <= '9';
    if (kPattern[i] == '0' ? !is_digit : suffix[i] != kPattern[i]) return 0;
    if (i >= 1 && i <= 5) part = part * 10 + (suffix[i] - '0');
  }
  return part;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

/// The models among the .gguf files of the snapshot and the folders in it: projectors of images are none.
std::vector<Gguf> ggufs_in(const fs::path& snapshot) {
  constexpr int kDeepest = 2, kMost = 10'000;
  constexpr std::string_view kExtension = ".gguf";
  constexpr size_t kSplitBytes = 15;
  std::map<std::string, fs::path> found;
  std::error_code error;
  int seen = 0;
  for (fs::recursive_directory_iterator it(snapshot, error), end; !error && it != end && ++seen < kMost;
       it.increment(error)) {
    if (it.depth() >= kDeepest) it.disable_recursion_pending();
    std::error_code ignored;
    const std::string file = it->path().filename().string();
    if (lower(it->path().extension().string()) != kExtension || !fs::is_regular_file(it->path(), ignored)) continue;
    if (lower(file).find("mmproj") != std::string::npos) continue;
    std::string stem = it->path().lexically_relative(snapshot).string();
    stem.resize(stem.size() - kExtension.size());
    const int part = part_of(stem);
    if (part > 1) continue;
    if (part == 1) stem.resize(stem.size() - kSplitBytes);
    found.emplace(std::move(stem), it->path());
  }
  std::vector<Gguf> ggufs;
  for (auto& [stem, path] : found) ggufs.push_back({stem, path});
  return ggufs;
}

bool ends_in_quantization(const std::string& stem, const std::string& quantization) {
  const std::string all = lower(stem), wanted = lower(quantization);
  if (all.size() < wanted.size() || all.compare(all.size() - wanted.size(), wanted.size(), wanted) != 0) return false;
  return all.size() == wanted.size() ||
         std::string_view("-._/").find(all[all.size() - wanted.size() - 1]) != std::string_view::npos;
}

std::string stems(const std::vector<Gguf>& ggufs) {
  std::vector<std::string> names;
  for (const Gguf& gguf : ggufs) names.push_back(gguf.stem + ".gguf");
  return joined(names);
}

}  // namespace

std::string find_in_hf_cache(const std::string& name) {
  const Name asked = parse_name(name);
  const fs::path snapshot = snapshot_of(name, asked);
  const std::vector<std::string> files = names_in(snapshot);
  const auto has_extension = [&](std::string_view extension) {
    return std::any_of(files.begin(), files.end(), [&](const std::string& f) {
      return f.size() > extension.size() && f.compare(f.size() - extension.size(), extension.size(), extension) == 0;
    });
  };
  const bool has_config = std::binary_search(files.begin(), files.end(), "config.json");
  if (asked.quantization.empty() && has_config && has_extension(".safetensors")) return snapshot.string();
  std::vector<Gguf> ggufs = ggufs_in(snapshot);
  if (!asked.quantization.empty()) {
    const std::string all = stems(ggufs);
    ggufs.erase(std::remove_if(ggufs.begin(), ggufs.end(),
                               [&](const Gguf& g) { return !ends_in_quantization(g.stem, asked.quantization); }),
                ggufs.end());
    if (ggufs.empty())
      invalid("{}: no .gguf in {} ends in {}; there are {}", quoted(name), printable_path(snapshot.string()),
              quoted(asked.quantization), all);
  }
  if (ggufs.size() == 1) return ggufs.front().path.string();
  if (ggufs.size() > 1)
    invalid("{}: {} .gguf files fit in {}: say which as org/name:QUANT, or give its path: {}", quoted(name),
            ggufs.size(), printable_path(snapshot.string()), stems(ggufs));
  if (has_config) return snapshot.string();  // open_hf_folder says what is wrong with it
  invalid("{}: {} holds neither config.json nor a .gguf, but {}", quoted(name), printable_path(snapshot.string()),
          joined(files));
}

}  // namespace godwit
