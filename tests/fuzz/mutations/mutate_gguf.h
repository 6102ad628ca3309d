// A GGUF file taken apart, so that each of its fields can be given another value, and put together again.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "dice.h"

namespace godwit::testing {

struct GgufParts {
  struct Key {
    std::string name;
    uint32_t type = 0, element_type = 0;  // as in the file; the latter of an array
    std::optional<uint64_t> count;        // of an array, instead of the true one
    std::vector<std::string> values;      // one, or an array's: bytes as in the file
  };
  struct Tensor {
    std::string name;
    std::optional<uint32_t> rank;  // instead of the true one
    std::vector<uint64_t> sizes;   // innermost first
    uint32_t type = 0;
    uint64_t offset = 0;
  };
  uint32_t version = 3;
  std::optional<uint64_t> n_tensors, n_keys;  // instead of the true counts
  uint64_t alignment = 32;                    // of the data
  std::vector<Key> keys;
  std::vector<Tensor> tensors;
  std::string data;

  /// Of a file that our own writer made.
  static GgufParts of(const std::string& file);
  std::string file() const;
};

/// One change: a key, a tensor's entry, or a count.
void mutate_gguf(GgufParts& parts, const std::vector<std::string>& words, Dice& dice);

}  // namespace godwit::testing
