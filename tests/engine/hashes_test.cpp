// Whether the bits of the logits are those of the last commit: numerics_hashes.txt is our own output, so it says
// nothing of what is right; it says that nothing changed, at any CPU level and with any compiler.
#include <algorithm>
#include <cstdlib>

#include "base/digest.h"
#include "engine/laws.h"

namespace godwit {
namespace {

const std::string kFile = std::string(GODWIT_SOURCE_DIR) + "/tests/engine/numerics_hashes.txt";

TEST(Hashes, Sha256) {
  // FIPS 180-4's examples: one block, and two.
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

// Of the logits of 20 prompts of 1 to 39 tokens, default activations and cache.
std::string hash_of(const OpenModel& open, int level) {
  RunnerOptions options;
  options.level = level;
  std::string bytes;
  for (int64_t prompt = 0; prompt < 20; ++prompt) {
    const auto ids = random_ids(static_cast<uint64_t>(prompt), 1 + 2 * prompt, open.model->vocab_size());
    const auto logits = all_logits(open, options, ids);
    bytes.append(reinterpret_cast<const char*>(logits.data()), logits.size() * sizeof(float));
  }
  return sha256_hex(bytes);
}

/// By model: the goldens, and random ones of every architecture; or without those that run the laws in short.
std::map<std::string, std::string> hashes(int level, bool all = true) {
  std::map<std::string, std::string> result;
  for (const auto& entry : std::filesystem::directory_iterator(oracle("tiny"))) {
    const auto open = opened(entry.path().string());
    if (all || !in_short(*open->architecture)) result[entry.path().filename().string()] = hash_of(*open, level);
  }
  for (size_t i = 0; i < architectures().size(); ++i) {
    const Architecture* a = architectures()[i];
    if (!all && in_short(*a)) continue;
    const TempFolder folder;
    const std::string path = folder.write("config.json", a->tiny);
    OpenOptions options;
    options.random_seed = 1;
    options.random_type = DType::kQ8_0;
    result["random-" + architecture_files()[i]] = hash_of(*opened(path, options), level);
  }
  return result;
}

TEST(Hashes, AreThoseOfTheLastNumericsVersion) {
  const auto got = hashes(static_cast<int>(cpu_level()));
  if (std::getenv("GODWIT_WRITE_HASHES") != nullptr) {
    std::ofstream out(kFile);
    out << "# SHA-256 of logits by model: hashes_test.cpp. A change needs a new version in docs/numerics.md.\n";
    for (const auto& [model, hash] : got) out << model << ' ' << hash << '\n';
    ASSERT_TRUE(out.good()) << kFile;
  }
  std::map<std::string, std::string> expected;
  std::ifstream in(kFile);
  for (std::string line; std::getline(in, line);)
    if (!line.starts_with('#')) expected[line.substr(0, line.find(' '))] = line.substr(line.find(' ') + 1);
  EXPECT_EQ(got, expected) << "The bits of logits changed. If that is meant, raise the version in docs/numerics.md and "
                              "run this test with GODWIT_WRITE_HASHES=1.";
}

TEST(Hashes, AreEqualAtEveryLevel) {
  const auto scalar = hashes(0, false);
  for (int level = 1; level <= static_cast<int>(cpu_level()); ++level) EXPECT_EQ(hashes(level, false), scalar) << level;
}

}  // namespace
}  // namespace godwit
