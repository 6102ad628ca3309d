// Finds the tokens that are cut out of text before it is tokenized.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "text/id_map.h"
#include "text/text_range.h"

namespace godwit {

/// A string to look for. Control tokens are matched only where the search allows it, the others everywhere.
struct SpecialToken {
  std::string_view text;
  int32_t id;
  bool control;
};

/// Whether a token is written as those that chat templates mark turns with: <|im_start|>, <｜User｜>.
bool reads_as_marker(std::string_view text);

/// A special token in a text.
struct SpecialMatch {
  uint32_t begin, end;  // bytes
  int32_t id;
};

/// A set of strings with ids, searched in time linear in the text whatever the strings are: an Aho-Corasick automaton
/// (Aho and Corasick 1975) of the strings reversed runs over the text from its end, and so knows at every place the
/// longest string that begins there.
class SpecialTokens {
 public:
  /// Empty strings are ignored; of equal strings the last counts.
  explicit SpecialTokens(const std::vector<SpecialToken>& tokens = {});

  /// Matches from left to right, each the longest allowed at its place; text must be under 4 GiB. Control tokens match
  /// if `control`, and never a byte of `plain`: ranges that rise and do not overlap (else throws Bug). Where control
  /// tokens end just before a range, shorter ones are tried: at most one step for each of their lengths.
  std::vector<SpecialMatch> find(std::string_view text, bool control = true,
                                 std::span<const TextRange> plain = {}) const;

  bool empty() const { return nodes_.size() == 1; }

 private:
  /// What a string read backwards reaches. The strings that end in a node are its own and those of the nodes that
  /// `shorter` leads to.
  struct Node {
    uint32_t parent;
    uint32_t fail = 0;
    uint32_t shorter = 0;  // the next node with a string of its own on the way of fail links; 0: none
    uint32_t user = 0;     // this node or the first one on that way whose own string is no control token; 0: none
    int32_t id = -1;       // of its own string; -1: none
    uint32_t length = 0;   // bytes of its own string
    uint8_t byte;
    bool control = false;
  };

  static uint64_t edge(uint32_t node, uint8_t byte) { return uint64_t{node} << 8 | byte; }
  uint32_t step(uint32_t node, uint8_t byte) const;
  uint32_t longest(uint32_t node, size_t room) const;

  std::vector<Node> nodes_;  // a child comes after its parent; [0] is the root
  IdMap edges_;
};

/// The added tokens of a vocabulary. Control tokens match where they are asked for, the others always; none of the
/// control tokens and of the `markers` (user-defined tokens that mark turns) is made of plain bytes.
class AddedTokenSearch {
 public:
  AddedTokenSearch() = default;
  void add(std::string_view text, int32_t id, bool control, bool marker) {
    all_.push_back({text, id, control || marker});
    if (!control) user_defined_.push_back({text, id, marker});
  }
  /// To be called once, while the texts that were added live.
  void build() {
    with_control_ = SpecialTokens(all_);
    without_ = SpecialTokens(user_defined_);
    all_ = user_defined_ = {};
  }
  std::vector<SpecialMatch> find(std::string_view text, bool control, std::span<const TextRange> plain) const {
    return (control ? with_control_ : without_).find(text, true, plain);
  }
  bool empty() const { return with_control_.empty(); }

 private:
  std::vector<SpecialToken> all_, user_defined_;
  SpecialTokens with_control_, without_;
};

}  // namespace godwit
