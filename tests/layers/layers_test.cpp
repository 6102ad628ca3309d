// The rules of the house that a compiler does not check (docs/architecture.md): who may include whom, how long files
// grow, and that code compiled for a CPU level stays in that level's namespace.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace godwit {
namespace {

namespace fs = std::filesystem;
using ::testing::IsEmpty;

// What each layer may include besides itself, std and POSIX, everything spelled out. "folder/" is all of a folder.
const std::map<std::string, std::set<std::string>> kAllowed = {
    {"base", {"fmt/", "nlohmann/", "openssl/"}},
    {"tensor", {"base/", "fmt/"}},
    {"kernels", {"tensor/"}},
    {"ops", {"base/", "tensor/", "kernels/", "fmt/"}},
    {"formats", {"base/", "tensor/", "fmt/", "nlohmann/"}},
    {"blocks", {"base/", "tensor/", "kernels/", "ops/", "formats/", "fmt/"}},
    {"models", {"base/", "tensor/", "kernels/", "ops/", "formats/", "blocks/", "fmt/", "nlohmann/"}},
    {"text", {"base/", "tensor/", "formats/", "fmt/", "nlohmann/"}},
    {"engine", {"base/", "tensor/", "kernels/", "ops/", "formats/", "blocks/", "models/", "text/token_mask.h", "fmt/"}},
    {"audit",
     {"base/", "tensor/", "kernels/", "ops/", "formats/", "blocks/", "models/", "engine/", "fmt/", "nlohmann/",
      "toml++/"}},
    {"cluster", {"base/", "fmt/", "mpi.h"}},
    {"cli",
     {"base/", "tensor/", "kernels/", "ops/", "formats/", "blocks/", "models/", "text/", "engine/", "audit/", "fmt/",
      "nlohmann/", "CLI/"}},
};

// Files whose length says nothing: tables that a script writes.
const std::set<std::string> kGenerated = {"text/unicode_tables.cpp"};

fs::path source_root() { return fs::path(GODWIT_SOURCE_DIR) / "src"; }

struct Include {
  std::string name;
  bool quoted;
  int line;
};

struct SourceFile {
  std::string path;  // below src/: "kernels/math.h"
  std::string layer() const { return path.substr(0, path.find('/')); }
  std::vector<Include> includes;
  int lines = 0;
};

SourceFile read_source(const fs::path& file) {
  SourceFile source{fs::relative(file, source_root()).generic_string(), {}, 0};
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    ++source.lines;
    std::string packed;
    for (char c : line)
      if (c != ' ' && c != '\t') packed += c;
    if (packed.rfind("#include", 0) != 0 || packed.size() < 10) continue;
    const bool quoted = packed[8] == '"';
    const size_t end = packed.find(quoted ? '"' : '>', 9);
    if (end != std::string::npos) source.includes.push_back({packed.substr(9, end - 9), quoted, source.lines});
  }
  return source;
}

const std::map<std::string, SourceFile>& sources() {
  static const std::map<std::string, SourceFile> all = [] {
    std::map<std::string, SourceFile> found;
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(source_root())) {
      const std::string extension = entry.path().extension().string();
      if (!entry.is_regular_file() || (extension != ".cpp" && extension != ".h")) continue;
      SourceFile source = read_source(entry.path());
      found.emplace(source.path, std::move(source));
    }
    return found;
  }();
  return all;
}

bool allowed(const std::set<std::string>& table, const std::string& include) {
  return std::any_of(table.begin(), table.end(), [&](const std::string& entry) {
    return entry.back() == '/' ? include.rfind(entry, 0) == 0 : include == entry;
  });
}

// Headers of C++, C, POSIX and the compiler: no folder or one of the system's, and no third party's.
bool of_the_system(const std::string& name) {
  static const std::set<std::string> third_party = {"mpi.h", "omp.h", "numa.h", "cblas.h", "zlib.h", "gtest.h"};
  const size_t slash = name.find('/');
  if (slash == std::string::npos) return third_party.count(name) == 0;
  static const std::set<std::string> folders = {"sys", "linux", "netinet", "arpa", "asm", "sanitizer"};
  return folders.count(name.substr(0, slash)) == 1;
}

bool is_level_file(const std::string& path) {
  const auto ends = [&](const std::string& tail) {
    return path.size() >= tail.size() && path.compare(path.size() - tail.size(), tail.size(), tail) == 0;
  };
  return ends("avx2.cpp") || ends("avx512.cpp") || ends(".simd.cpp");
}

// `path` and all of our headers that it reaches.
std::set<std::string> reached_from(const std::string& path) {
  std::set<std::string> reached;
  std::vector<std::string> open = {path};
  while (!open.empty()) {
    const std::string current = open.back();
    open.pop_back();
    const auto at = sources().find(current);
    if (at == sources().end() || !reached.insert(current).second) continue;
    for (const Include& include : at->second.includes)
      if (include.quoted) open.push_back(include.name);
  }
  return reached;
}

TEST(Layers, SourcesAreFound) {
  EXPECT_GT(sources().size(), 50u);
  EXPECT_EQ(sources().count("base/error.h"), 1u);
  EXPECT_EQ(read_source(source_root() / "kernels/kernels.h").includes.back().name, "tensor/dtype.h");
}

TEST(Layers, EveryFolderHasARow) {
  std::vector<std::string> without;
  for (const auto& [path, source] : sources())
    if (kAllowed.count(source.layer()) == 0) without.push_back(path);
  EXPECT_THAT(without, IsEmpty());
}

TEST(Layers, IncludesAreThoseOfTheTable) {
  std::vector<std::string> wrong;
  for (const auto& [path, source] : sources()) {
    const auto row = kAllowed.find(source.layer());
    if (row == kAllowed.end()) continue;
    for (const Include& include : source.includes) {
      const bool own = include.name.rfind(source.layer() + "/", 0) == 0;
      if (own || (!include.quoted && of_the_system(include.name)) || allowed(row->second, include.name)) continue;
      wrong.push_back("src/" + path + ":" + std::to_string(include.line) + " includes " + include.name);
    }
  }
  EXPECT_THAT(wrong, IsEmpty());
}

TEST(Layers, QuotedIncludesNameFilesOfOurs) {
  std::vector<std::string> wrong;
  for (const auto& [path, source] : sources())
    for (const Include& include : source.includes)
      if (include.quoted && sources().count(include.name) == 0)
        wrong.push_back("src/" + path + ":" + std::to_string(include.line) + " includes " + include.name);
  EXPECT_THAT(wrong, IsEmpty());
}

// Whatever a level file sees is compiled with that level's instructions: an inline function of another folder could
// reach a CPU without them. tensor/float16.h is always inlined by its own rule.
TEST(Layers, LevelFilesSeeOnlyKernelHeaders) {
  const std::set<std::string> table = {"kernels/", "tensor/dtype.h", "tensor/blocks.h", "tensor/float16.h"};
  std::vector<std::string> wrong;
  int level_files = 0;
  for (const auto& [path, source] : sources()) {
    if (!is_level_file(path)) continue;
    ++level_files;
    for (const std::string& header : reached_from(path))
      if (!allowed(table, header)) wrong.push_back("src/" + path + " reaches " + header);
  }
  EXPECT_THAT(wrong, IsEmpty());
  EXPECT_GE(level_files, 2);
}

TEST(Layers, FilesStayShort) {
  std::vector<std::string> wrong;
  for (const auto& [path, source] : sources()) {
    const int limit = source.layer() == "models" ? 150 : 800;
    if (source.lines > limit && kGenerated.count(path) == 0)
      wrong.push_back("src/" + path + ": " + std::to_string(source.lines) + " lines, at most " + std::to_string(limit));
  }
  EXPECT_THAT(wrong, IsEmpty());
}

#ifdef GODWIT_LEVEL_OBJECTS
// Functions that the linker may choose among (weak ones) and that a level's object files define though neither
// they nor their template arguments belong to the level: on an older CPU the chosen copy would be an illegal
// instruction.
TEST(Layers, LevelObjectsShareNoCode) {
  std::ifstream list(GODWIT_LEVEL_OBJECTS);
  std::vector<std::string> wrong;
  int functions = 0;
  for (std::string object; std::getline(list, object);) {
    const std::string level = object.find("godwit_kernels_avx512") != std::string::npos ? "avx512" : "avx2";
    // A mangled name that stands in namespace avx2, or is a template over something that does, contains "4avx2".
    const std::string space = std::to_string(level.size()) + level;
    FILE* nm = popen(("nm --defined-only '" + object + "'").c_str(), "r");
    ASSERT_NE(nm, nullptr);
    char line[4096];
    while (std::fgets(line, sizeof line, nm) != nullptr) {
      std::istringstream words(line);
      std::string address, type, symbol;
      words >> address >> type >> symbol;
      functions += type == "T" || type == "t" || type == "W";
      if (type == "W" && symbol.find(space) == std::string::npos) wrong.push_back(level + ": " + symbol);
    }
    ASSERT_EQ(pclose(nm), 0) << object;
  }
  EXPECT_THAT(wrong, IsEmpty());
  EXPECT_GT(functions, 10);
}
#endif

}  // namespace
}  // namespace godwit
