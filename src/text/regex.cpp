#include "text/regex.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <map>
#include <mutex>
#include <unordered_map>

#include "base/error.h"
#include "base/text.h"
#include "text/regex_parse.h"
#include "text/unicode.h"

namespace godwit {
namespace {

constexpr uint32_t kNoStep = ~uint32_t{0};
constexpr size_t kMaxClasses = 4096;
constexpr size_t kCacheBytes = size_t{4} << 20;  // of the states that one block of text can make

using Bits = std::vector<uint64_t>;
bool has_bit(const Bits& bits, size_t i) { return (bits[i / 64] >> (i % 64) & 1) != 0; }
void set_bit(Bits& bits, size_t i) { bits[i / 64] |= uint64_t{1} << (i % 64); }

}  // namespace

/// The steps, and the classes of characters that no set of the expression tells apart.
class Regex::Program {
 private:
  /// One step of the program; all but kSet and kMatch take no character.
  struct Step {
    enum Kind : uint8_t { kSet, kSplit, kCheck, kMatch } kind = kMatch;
    bool is_loop = false;  // kSplit: comes back here; `exit` leads on
    bool at_end = false;   // kCheck of kAhead: holds at the end
    RegexNode::Kind check = RegexNode::kEmpty;
    uint32_t next = kNoStep;   // kSplit: what is tried first
    uint32_t other = kNoStep;  // kSplit: what is tried then
    uint32_t exit = kNoStep;
    uint32_t set = 0;  // of kSet and kAhead
  };

  /// What stands before a place, as far as ^ and \b ask.
  enum Before : uint32_t { kStart, kAfterNewline, kAfterWord, kAfterOther, kBefores };

 public:
  Program(std::string_view source, std::string_view where) : source_(source), where_(where) {
    const RegexNode tree = parse_regex(source, where);
    steps_.push_back(Step{});
    start_ = compile(tree, 0);
    sets_of_checks();
    make_classes();
    for (uint32_t i = 0; i < steps_.size(); ++i) {
      const Step& step = steps_[i];
      if (step.kind == Step::kSplit) {
        before_.emplace_back(step.next, i);
        before_.emplace_back(step.other, i);
      } else if (step.kind == Step::kCheck) {
        before_.emplace_back(step.next, i);
      }
    }
    std::sort(before_.begin(), before_.end());
  }

  std::vector<Range> find_all(std::string_view text) const;

 private:
  class Search;

  /// Which steps can still match from a place on, given what stands there; and, as they become known, the states of the
  /// place before.
  struct State {
    Bits viable;
    std::vector<uint32_t> previous;  // by class and Before; kNoStep: not known yet
  };
  struct Cache {
    std::vector<State> states;
    std::unordered_multimap<uint64_t, uint32_t> by_hash;
    std::vector<uint32_t> work;
  };

  [[noreturn]] void refuse(const std::string& what) const {
    invalid("{}: regular expression {}: {}", where_, quoted(source_, 200), what);
  }

  uint32_t add(Step step) {
    if (steps_.size() >= kMaxRegexSteps) refuse(fmt::format("more than {} steps", kMaxRegexSteps));
    steps_.push_back(step);
    return static_cast<uint32_t>(steps_.size() - 1);
  }

  uint32_t set_index(const CharSet& set) {
    const auto less = [](const CharSet& a, const CharSet& b) {
      return std::lexicographical_compare(a.ranges().begin(), a.ranges().end(), b.ranges().begin(), b.ranges().end(),
                                          [](const CharSet::Range& x, const CharSet::Range& y) {
                                            return std::pair(x.first, x.last) < std::pair(y.first, y.last);
                                          });
    };
    const auto place = std::lower_bound(set_order_.begin(), set_order_.end(), set,
                                        [&](uint32_t i, const CharSet& s) { return less(sets_[i], s); });
    if (place != set_order_.end() && sets_[*place] == set) return *place;
    const uint32_t index = static_cast<uint32_t>(sets_.size());
    set_order_.insert(place, index);
    sets_.push_back(set);
    return index;
  }

  /// The first step of `node` followed by step `next`.
  uint32_t compile(const RegexNode& node, uint32_t next);
  uint32_t compile_repeat(const RegexNode& node, uint32_t next);

  void sets_of_checks() {
    bool word = false, line = false;
    for (const Step& step : steps_) {
      if (step.kind != Step::kCheck) continue;
      word = word || step.check == RegexNode::kWordEdge || step.check == RegexNode::kNoWordEdge;
      line = line || step.check == RegexNode::kLineBegin || step.check == RegexNode::kLineEnd;
      looks_back_ = looks_back_ || (step.check != RegexNode::kAhead && step.check != RegexNode::kTextEnd &&
                                    step.check != RegexNode::kLineEnd);
    }
    if (word) word_set_ = set_index(*CharSet::named("word"));
    if (line) line_set_ = set_index(CharSet('\n', '\n'));
  }

  void make_classes();

  bool in_set(uint32_t set, uint32_t c) const {
    return set != kNoStep && c < n_classes_ && members_[set * n_classes_ + c];
  }
  Before before_of(uint32_t c) const {
    if (!looks_back_) return kStart;
    return in_set(line_set_, c) ? kAfterNewline : in_set(word_set_, c) ? kAfterWord : kAfterOther;
  }
  uint32_t n_befores() const { return looks_back_ ? uint32_t{kBefores} : 1u; }

  /// c: the class of what comes, n_classes_ at the end.
  bool holds(const Step& step, uint32_t c, Before before) const {
    const bool end = c == n_classes_;
    switch (step.check) {
      case RegexNode::kAhead:
        return end ? step.at_end : in_set(step.set, c);
      case RegexNode::kTextBegin:
        return before == kStart;
      case RegexNode::kTextEnd:
        return end;
      case RegexNode::kLineBegin:
        return before == kStart || (before == kAfterNewline && !end);
      case RegexNode::kLineEnd:
        return end || in_set(line_set_, c);
      case RegexNode::kWordEdge:
        return (before == kAfterWord) != in_set(word_set_, c);
      case RegexNode::kNoWordEdge:
        return (before == kAfterWord) == in_set(word_set_, c);
      default:
        return false;
    }
  }

  void reset(Cache& cache) const {
    cache.states.clear();
    cache.by_hash.clear();
    intern(cache, Bits((steps_.size() + 63) / 64));  // state 0: behind the end
  }

  uint32_t intern(Cache& cache, Bits viable) const {
    uint64_t hash = 0;
    for (const uint64_t word : viable) hash = (hash ^ word) * 0x9E3779B97F4A7C15u, hash ^= hash >> 29;
    const auto [first, last] = cache.by_hash.equal_range(hash);
    for (auto known = first; known != last; ++known) {
      if (cache.states[known->second].viable == viable) return known->second;
    }
    const uint32_t index = static_cast<uint32_t>(cache.states.size());
    cache.by_hash.emplace(hash, index);
    cache.states.push_back({std::move(viable), std::vector<uint32_t>((n_classes_ + 1) * n_befores(), kNoStep)});
    return index;
  }

  /// The state of a place where class c comes and `state` holds behind it.
  uint32_t previous(Cache& cache, uint32_t state, uint32_t c, Before before) const {
    const size_t slot = size_t{c} * n_befores() + before;
    const uint32_t known = cache.states[state].previous[slot];
    if (known != kNoStep) return known;
    const Bits& behind = cache.states[state].viable;
    Bits viable(behind.size());
    cache.work.clear();
    const auto mark = [&](uint32_t i) {
      if (has_bit(viable, i)) return;
      set_bit(viable, i);
      cache.work.push_back(i);
    };
    for (uint32_t i = 0; i < steps_.size(); ++i) {
      const Step& step = steps_[i];
      if (step.kind == Step::kMatch || (step.kind == Step::kSet && has_bit(behind, step.next) && in_set(step.set, c))) {
        mark(i);
      }
    }
    while (!cache.work.empty()) {
      const uint32_t at = cache.work.back();
      cache.work.pop_back();
      for (auto edge = std::lower_bound(before_.begin(), before_.end(), std::pair(at, 0u));
           edge != before_.end() && edge->first == at; ++edge) {
        const Step& step = steps_[edge->second];
        if (step.kind == Step::kSplit || holds(step, c, before)) mark(edge->second);
      }
    }
    const uint32_t index = intern(cache, std::move(viable));
    cache.states[state].previous[slot] = index;
    return index;
  }

  /// A cache for one search; those that are not in use wait here.
  std::unique_ptr<Cache> take_cache() const {
    const std::lock_guard lock(mutex_);
    if (idle_.empty()) return nullptr;
    std::unique_ptr<Cache> cache = std::move(idle_.back());
    idle_.pop_back();
    return cache;
  }
  void give_back(std::unique_ptr<Cache> cache) const {
    const std::lock_guard lock(mutex_);
    if (idle_.size() < 4) idle_.push_back(std::move(cache));
  }

  std::string source_, where_;  // for messages
  std::vector<Step> steps_;
  uint32_t start_ = 0;
  size_t n_compiled_ = 0;
  std::vector<CharSet> sets_;
  std::vector<uint32_t> set_order_;
  uint32_t word_set_ = kNoStep, line_set_ = kNoStep;
  bool looks_back_ = false;
  uint32_t n_classes_ = 0, invalid_class_ = 0;
  std::unique_ptr<CodeMap> classes_;
  std::vector<char> members_;                          // by set and class
  std::vector<std::pair<uint32_t, uint32_t>> before_;  // (to, from) of the ways that take no character
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Cache>> idle_;
};

uint32_t Regex::Program::compile(const RegexNode& node, uint32_t next) {
  if (++n_compiled_ > kMaxRegexSteps * 64) refuse("repeats that are too large");
  switch (node.kind) {
    case RegexNode::kEmpty:
      return next;
    case RegexNode::kSet:
      return add({.kind = Step::kSet, .next = next, .set = set_index(node.set)});
    case RegexNode::kConcat:
      for (auto child = node.children.rbegin(); child != node.children.rend(); ++child) next = compile(*child, next);
      return next;
    case RegexNode::kAlternate: {
      uint32_t entry = compile(node.children.back(), next);
      for (auto child = node.children.rbegin() + 1; child != node.children.rend(); ++child) {
        const uint32_t first = compile(*child, next);
        entry = add({.kind = Step::kSplit, .next = first, .other = entry});
      }
      return entry;
    }
    case RegexNode::kRepeat:
      return compile_repeat(node, next);
    case RegexNode::kAhead:
      return add(
          {.kind = Step::kCheck, .at_end = node.at_end, .check = node.kind, .next = next, .set = set_index(node.set)});
    default:
      return add({.kind = Step::kCheck, .check = node.kind, .next = next});
  }
}

uint32_t Regex::Program::compile_repeat(const RegexNode& node, uint32_t next) {
  const RegexNode& body = node.children[0];
  const auto order = [&](Step& split, uint32_t into, uint32_t out) {
    split.next = node.greedy ? into : out;
    split.other = node.greedy ? out : into;
  };
  uint32_t entry = next;
  uint32_t least = node.least;
  if (node.most == RegexNode::kNoLimit) {
    const uint32_t loop = add({.kind = Step::kSplit, .is_loop = true, .exit = next});
    const uint32_t first = compile(body, loop);
    order(steps_[loop], first, next);
    entry = loop;
    if (least > 0) {  // the loop's own body is the last of those that must be
      entry = first;
      --least;
    }
  } else {
    for (uint32_t i = node.least; i < node.most; ++i) {
      const uint32_t first = compile(body, entry);
      Step split{.kind = Step::kSplit};
      order(split, first, next);
      entry = add(split);
    }
  }
  for (; least > 0; --least) entry = compile(body, entry);
  return entry;
}

void Regex::Program::make_classes() {
  // Where a set begins or ends; a class is known by a sum of numbers, one for each set that has it.
  struct Edge {
    uint32_t at;
    uint64_t sign;
  };
  std::vector<Edge> edges;
  uint64_t random = 0x853C49E6748FEA9Bu;
  for (const CharSet& set : sets_) {
    random = (random ^ random >> 30) * 0xBF58476D1CE4E5B9u + 0x9E3779B97F4A7C15u;
    const uint64_t sign = random ^ random >> 27;
    for (const CharSet::Range& range : set.ranges()) {
      edges.push_back({range.first, sign});
      edges.push_back({range.last + 1, sign});
    }
  }
  std::sort(edges.begin(), edges.end(), [](const Edge& a, const Edge& b) { return a.at < b.at; });
  std::map<uint64_t, uint32_t> known{{0, 0}};
  std::vector<uint32_t> examples;  // of each class
  std::vector<CodeMap::Run> runs;
  uint64_t sign = 0;
  size_t i = 0;
  for (uint32_t at = 0; at <= kInvalidInSet;) {
    for (; i < edges.size() && edges[i].at == at; ++i) sign ^= edges[i].sign;
    const uint32_t c = known.try_emplace(sign, static_cast<uint32_t>(known.size())).first->second;
    if (known.size() > kMaxClasses) refuse("too many characters that differ");
    examples.resize(known.size(), kNoStep);
    if (examples[c] == kNoStep) examples[c] = at;
    if (at < kInvalidInSet) {
      runs.push_back({at, static_cast<int32_t>(c)});
      at = i < edges.size() ? std::min(edges[i].at, kInvalidInSet) : kInvalidInSet;
    } else {
      invalid_class_ = c;
      break;
    }
  }
  n_classes_ = static_cast<uint32_t>(known.size());
  classes_ = std::make_unique<CodeMap>(std::move(runs));
  members_.resize(sets_.size() * n_classes_);
  for (size_t set = 0; set < sets_.size(); ++set) {
    for (uint32_t c = 0; c < n_classes_; ++c) {
      members_[set * n_classes_ + c] = examples[c] != kNoStep && sets_[set].contains(examples[c]);
    }
  }
}

/// One text. The states of its places are made from the end, block by block: first only those between blocks are kept,
/// then a block's own are made again when the walk comes to it.
class Regex::Program::Search {
 public:
  Search(const Program& program, std::string_view text, Cache& cache)
      : program_(program), cache_(cache), seen_(program.steps_.size()) {
    offsets_.reserve(text.size() + 1);
    classes_.reserve(text.size());
    for (size_t at = 0; at < text.size();) {
      const Decoded d = decode_utf8(text, at);
      offsets_.push_back(static_cast<uint32_t>(at));
      classes_.push_back(static_cast<uint16_t>(
          d.code == kInvalidByte ? program.invalid_class_ : static_cast<uint32_t>((*program.classes_)[d.code])));
      at += d.length;
    }
    offsets_.push_back(static_cast<uint32_t>(text.size()));
    const size_t state_bytes = program.steps_.size() / 8 + 4 * (program.n_classes_ + 1) * program.n_befores() + 128;
    most_states_ = std::bit_floor(std::clamp<size_t>(kCacheBytes / state_bytes, 64, 4096));
    shift_ = static_cast<uint32_t>(std::countr_zero(most_states_));
    const size_t n_blocks = (classes_.size() >> shift_) + 1;
    edges_.resize(n_blocks);
    uint32_t state = 0;
    for (size_t b = n_blocks; b-- > 1;) {
      state = run_block(b, state, false);
      edges_[b - 1] = cache_.states[state].viable;
    }
    states_.resize(most_states_);
    load(0);
  }

  std::vector<Range> find_all() {
    std::vector<Range> ranges;
    size_t last_end = kNowhere;
    for (size_t at = 0; at <= classes_.size(); ++at) {
      if (!viable(at, program_.start_)) continue;
      const size_t begin = at;
      const size_t end = walk(begin);
      if (end == begin && last_end == begin) continue;
      ranges.push_back({offsets_[begin], offsets_[end]});
      last_end = end;
      at = end - 1;  // the next begins where this one ends; wraps for an empty match at 0
    }
    return ranges;
  }

 private:
  static constexpr size_t kNowhere = ~size_t{0};

  Before before(size_t at) const { return at == 0 ? kStart : program_.before_of(classes_[at - 1]); }

  /// The state of the first place of block b, given that of the first place behind it (0: none).
  uint32_t run_block(size_t b, uint32_t state, bool keep) {
    if (cache_.states.size() > most_states_) {
      Bits bits = cache_.states[state].viable;
      program_.reset(cache_);
      state = program_.intern(cache_, std::move(bits));
    }
    const size_t begin = b << shift_;
    for (size_t at = std::min(begin + most_states_ - 1, classes_.size()) + 1; at-- > begin;) {
      const uint32_t c = at < classes_.size() ? classes_[at] : program_.n_classes_;
      state = program_.previous(cache_, state, c, before(at));
      if (keep) states_[at - begin] = state;
    }
    return state;
  }

  void load(size_t b) {
    uint32_t state = 0;
    if (b + 1 < edges_.size()) state = program_.intern(cache_, edges_[b]);
    run_block(b, state, true);
    loaded_ = b;
  }

  bool viable(size_t at, uint32_t step) {
    if (at >> shift_ != loaded_) load(at >> shift_);
    return has_bit(cache_.states[states_[at & (most_states_ - 1)]].viable, step);
  }

  /// The end of the match that begins at `at`, where one begins.
  size_t walk(size_t at) {
    uint32_t step = program_.start_;
    for (;;) {
      // The first way, in the order of the alternatives, to a character or the end of the match.
      stack_.assign(1, step);
      round_ += 2;
      bool moved = false;
      while (!stack_.empty() && !moved) {
        step = stack_.back();
        stack_.pop_back();
        if (!viable(at, step)) continue;
        const Step& s = program_.steps_[step];
        switch (s.kind) {
          case Step::kMatch:
            return at;
          case Step::kSet:
            ++at;
            step = s.next;
            moved = true;
            break;
          case Step::kCheck:
            stack_.push_back(s.next);
            break;
          case Step::kSplit:
            if (seen_[step] < round_) {
              seen_[step] = round_;
              stack_.push_back(s.other);
              stack_.push_back(s.next);
            } else if (s.is_loop && seen_[step] == round_) {
              seen_[step] = round_ + 1;  // round the loop without a character: on behind it
              stack_.push_back(s.exit);
            }
            break;
        }
      }
      CHECK(moved, "regular expression {}: no way from {}", program_.source_, at);
    }
  }

  const Program& program_;
  Cache& cache_;
  std::vector<uint32_t> offsets_;
  std::vector<uint16_t> classes_;
  size_t most_states_ = 0;  // of the cache, and places in a block; a power of two
  uint32_t shift_ = 0;
  size_t loaded_ = 0;
  std::vector<Bits> edges_;       // by block: what is viable at the first place behind it
  std::vector<uint32_t> states_;  // of the loaded block
  std::vector<uint64_t> seen_;    // by step: the round in which a split was last met
  uint64_t round_ = 0;
  std::vector<uint32_t> stack_;
};

std::vector<Regex::Range> Regex::Program::find_all(std::string_view text) const {
  CHECK(text.size() < std::numeric_limits<uint32_t>::max(), "find_all: {} bytes of text", text.size());
  std::unique_ptr<Cache> cache = take_cache();
  if (cache == nullptr) {
    cache = std::make_unique<Cache>();
    reset(*cache);
  }
  std::vector<Range> ranges = Search(*this, text, *cache).find_all();
  give_back(std::move(cache));
  return ranges;
}

Regex::Regex(std::unique_ptr<const Program> program) : program_(std::move(program)) {}
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;
Regex::~Regex() = default;

Regex Regex::compile(std::string_view source, std::string_view where) {
  return Regex(std::make_unique<const Program>(source, where));
}

std::vector<Regex::Range> Regex::find_all(std::string_view text) const { return program_->find_all(text); }

}  // namespace godwit
