// Models of tokenizer.json that work on one piece of text, and BPE as Hugging Face's tokenizers do it: pairs are merged
// in the order of the list, over characters or bytes.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "text/id_map.h"
#include "text/merge_queue.h"
#include "text/splits.h"

namespace godwit {

/// Turns one piece of text into ids. Models are immutable and usable from any number of threads.
class PieceModel {
 public:
  virtual ~PieceModel() = default;
  virtual void encode(std::string_view piece, std::vector<int32_t>& ids) const = 0;
};

/// A model that is a function; it keeps what it refers to.
class FunctionModel final : public PieceModel {
 public:
  using Encode = std::function<void(std::string_view, std::vector<int32_t>&)>;
  explicit FunctionModel(Encode encode) : encode_(std::move(encode)) {}
  void encode(std::string_view piece, std::vector<int32_t>& ids) const override { encode_(piece, ids); }

 private:
  Encode encode_;
};

/// Appends the ids of pieces of `text`, in order; short pieces that come again are not encoded again.
void encode_pieces(const PieceModel& model, std::string_view text, const std::vector<PieceRange>& pieces,
                   std::vector<int32_t>& ids);

/// A piece is a token as a whole, else it is the unknown token where there is one.
class WordLevelModel final : public PieceModel {
 public:
  /// Tokens by id; empty ones and those that `is_made` (if not empty) denies are no piece.
  WordLevelModel(const std::vector<std::string>& tokens, const std::function<bool(int32_t)>& is_made,
                 std::optional<int32_t> unk);
  void encode(std::string_view piece, std::vector<int32_t>& ids) const override;

 private:
  std::unordered_map<std::string, int32_t> ids_;
  std::optional<int32_t> unk_;
};

/// What a BPE model is made of, by the names of tokenizer.json.
struct MergeModelParts {
  std::vector<std::string> tokens;                          // by id; of equal ones the last counts
  std::vector<std::pair<std::string, std::string>> merges;  // best first
  std::optional<int32_t> unk;
  std::string continuing_subword_prefix, end_of_word_suffix;
  bool fuse_unk = false, byte_fallback = false, ignore_merges = false;
  bool bytes = false;                    // pieces are bytes, tokens are in the byte-level alphabet
  std::function<bool(int32_t)> is_made;  // whether encoding may give a token; empty: any
};

/// Source: Sennrich et al. 2016; Hugging Face tokenizers, models/bpe. What has no token becomes, in this order, the
/// tokens <0xHH> of its bytes (byte_fallback), the unknown token (once for a run, with fuse_unk), nothing.
class MergeModel final : public PieceModel {
 public:
  /// Throws Error (kInvalid) naming `place` for a merge of what is no token, or into what is none.
  MergeModel(const MergeModelParts& parts, const std::string& place);
  void encode(std::string_view piece, std::vector<int32_t>& ids) const override;

 private:
  struct Merge {
    int32_t left, right, result;
  };

  int32_t find(const std::string& text) const {
    const auto found = ids_.find(text);
    return found == ids_.end() ? -1 : found->second;
  }
  void read_merges(const MergeModelParts& parts, const std::string& place);
  void find_joined(const std::vector<std::string>& tokens);
  int32_t byte_symbol(uint32_t code) const;
  int32_t character(uint32_t code) const {
    const auto found = characters_.find(code);
    return found == characters_.end() ? -1 : found->second;
  }
  void add_symbols(std::string_view piece, std::vector<MergePart>& symbols) const;

  std::unordered_map<std::string, int32_t> ids_;      // by what they stand for: bytes, or characters
  std::vector<Merge> merges_;                         // by rank
  IdMap ranks_;                                       // (left, right) -> rank
  IdMap joined_;                                      // pairs of symbols that stand side by side in some result
  std::unordered_map<uint32_t, int32_t> characters_;  // by code point
  bool may_cut_ = false;
  std::array<int32_t, 256> byte_ids_;  // bytes: of the byte; else: of its token <0xHH>
  std::optional<int32_t> unk_;
  std::string prefix_, suffix_;
  bool fuse_unk_, byte_fallback_, ignore_merges_, bytes_;
};

}  // namespace godwit
