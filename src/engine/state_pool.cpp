#include "engine/state_pool.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"

namespace godwit {
namespace {

/// Fewest tokens behind the newest that a rewind reaches in windowed groups.
constexpr int64_t kLeastSlack = 256;

constexpr size_t page_of(int64_t position) { return static_cast<size_t>(position / kPageTokens); }
constexpr size_t pages_of(int64_t tokens) { return static_cast<size_t>((tokens + kPageTokens - 1) / kPageTokens); }

/// The first position that a token at `position` reads; without a window all are kept, and nothing has to be looked
/// for.
int64_t first_read(int64_t window, int64_t position) { return std::max<int64_t>(0, position - window + 1); }

std::vector<int64_t> page_bytes(const StateLayout& layout) {
  std::vector<int64_t> bytes;
  for (const StateGroup& group : layout.groups) bytes.push_back(group.page_bytes);
  return bytes;
}

std::vector<int64_t> windows(const StateLayout& layout) {
  std::vector<int64_t> list;
  for (const StateGroup& group : layout.groups) list.push_back(group.window);
  return list;
}

}  // namespace

StatePool::StatePool(const StateLayout& layout, int64_t budget_bytes, int64_t chunk)
    : windows_(windows(layout)), chunk_(chunk), store_(page_bytes(layout), budget_bytes), tree_(store_) {
  CHECK(chunk > 0, "a chunk of {} tokens", chunk);
}

int64_t StatePool::bytes_for(const StateLayout& layout, int64_t tokens, int64_t chunk) {
  int64_t bytes = 0;
  for (const StateGroup& group : layout.groups) {
    int64_t pages = static_cast<int64_t>(pages_of(tokens));
    // So many rows begin and end inside a page.
    const int64_t rows = group.window + std::max(chunk, kLeastSlack);
    if (group.window > 0) pages = std::min(pages, static_cast<int64_t>(pages_of(rows)) + 1);
    bytes += pages * PageStore::rounded(group.page_bytes);
  }
  return bytes;
}

int64_t StatePool::slack() const { return std::max(chunk_, kLeastSlack); }

int64_t StatePool::first_kept(size_t group, int64_t absorbed, int64_t tokens) const {
  if (windows_[group] == 0) return 0;
  return std::max<int64_t>(0, std::min(absorbed + tokens - slack(), absorbed) - windows_[group]);
}

// ---------------------------------------------------------------- reserve

bool StatePool::last_page_shared(size_t group, const SequenceState& state, bool with_tree) const {
  if (state.absorbed % kPageTokens == 0) return false;
  const std::byte* page = state.pages[group][page_of(state.absorbed)];
  return store_.holds(group, page, Holder::kSequence) > 1 ||
         (with_tree && store_.holds(group, page, Holder::kTree) > 0);
}

int64_t StatePool::bytes_needed(const SequenceState& state, int64_t tokens, bool copy_remembered) const {
  int64_t bytes = 0;
  for (size_t g = 0; g < n_groups(); ++g) {
    const size_t has = state.pages[g].size(), needs = pages_of(state.absorbed + tokens);
    const size_t pages = (needs > has ? needs - has : 0) + (last_page_shared(g, state, copy_remembered) ? 1 : 0);
    bytes += static_cast<int64_t>(pages) * store_.page_bytes(g);
  }
  return bytes;
}

int64_t StatePool::bytes_behind_windows(const SequenceState& state, int64_t tokens) const {
  int64_t bytes = 0;
  for (size_t g = 0; g < n_groups(); ++g) {
    for (size_t i = std::min(page_of(first_kept(g, state.absorbed, tokens)), state.pages[g].size());
         i > 0 && state.pages[g][i - 1] != nullptr; --i) {
      if (store_.holds(g, state.pages[g][i - 1], Holder::kSequence) == 1) bytes += store_.page_bytes(g);
    }
  }
  return bytes;
}

void StatePool::drop_behind_windows(SequenceState& state, int64_t tokens) {
  for (size_t g = 0; g < n_groups(); ++g) {
    for (size_t i = std::min(page_of(first_kept(g, state.absorbed, tokens)), state.pages[g].size());
         i > 0 && state.pages[g][i - 1] != nullptr; --i) {
      store_.drop(g, state.pages[g][i - 1], Holder::kSequence);
      state.pages[g][i - 1] = nullptr;
    }
  }
}

bool StatePool::make_room(int64_t bytes) {
  if (bytes > store_.free_bytes() + store_.cached_bytes()) return false;
  while (store_.free_bytes() < bytes)
    CHECK(tree_.forget_one(), "{} bytes cached in an empty tree", store_.cached_bytes());
  return true;
}

bool StatePool::reserve(SequenceState& state, int64_t tokens) {
  CHECK(tokens >= 0, "{} tokens to reserve", tokens);
  state.pages.resize(n_groups());
  // Once the tree has forgotten a page, the sequence has it alone and needs no copy; that much must be possible.
  const int64_t least = bytes_needed(state, tokens, false) - bytes_behind_windows(state, tokens);
  if (least > store_.free_bytes() + store_.cached_bytes()) return false;
  drop_behind_windows(state, tokens);
  while (bytes_needed(state, tokens, true) > store_.free_bytes())
    CHECK(tree_.forget_one(), "{} bytes cached in an empty tree", store_.cached_bytes());
  for (size_t g = 0; g < n_groups(); ++g) {
    if (last_page_shared(g, state, true)) {
      std::byte*& page = state.pages[g][page_of(state.absorbed)];
      std::byte* copy = copy_of(g, page);
      store_.drop(g, page, Holder::kSequence);
      page = copy;
    }
    while (state.pages[g].size() < pages_of(state.absorbed + tokens)) state.pages[g].push_back(store_.acquire(g));
  }
  return true;
}

std::byte* StatePool::copy_of(size_t group, const std::byte* page) {
  std::byte* copy = store_.acquire(group);
  std::memcpy(copy, page, static_cast<size_t>(store_.page_bytes(group)));
  return copy;
}

// ---------------------------------------------------------------- rewind, fork, release

int64_t StatePool::rewind(SequenceState& state, int64_t to) {
  CHECK(to >= 0 && to <= state.absorbed, "rewind of {} tokens to {}", state.absorbed, to);
  for (size_t g = 0; g < state.pages.size(); ++g) {
    // Pages of a windowed group are there without gaps up to the last.
    if (windows_[g] > 0 && to > 0 && state.pages[g][page_of(std::min(first_read(windows_[g], to), to - 1))] == nullptr)
      to = 0;
  }
  for (size_t g = 0; g < state.pages.size(); ++g) {
    while (state.pages[g].size() > pages_of(to)) {
      if (state.pages[g].back() != nullptr) store_.drop(g, state.pages[g].back(), Holder::kSequence);
      state.pages[g].pop_back();
    }
  }
  return state.absorbed = to;
}

void StatePool::release(SequenceState& state) {
  rewind(state, 0);
  state = {};
}

std::optional<SequenceState> StatePool::fork(const SequenceState& state) {
  const bool partly = state.absorbed % kPageTokens != 0;
  int64_t bytes = 0;
  for (size_t g = 0; partly && g < n_groups(); ++g) bytes += store_.page_bytes(g);
  if (!make_room(bytes)) return std::nullopt;
  SequenceState copy{.absorbed = state.absorbed, .rope_length = state.rope_length, .pages = {}};
  copy.pages.resize(n_groups());
  for (size_t g = 0; g < state.pages.size(); ++g) {
    for (size_t i = 0; i < pages_of(state.absorbed); ++i) {
      std::byte* page = state.pages[g][i];
      if (partly && i == page_of(state.absorbed)) {
        page = copy_of(g, page);
      } else if (page != nullptr) {
        store_.hold(g, page, Holder::kSequence);
      }
      copy.pages[g].push_back(page);
    }
  }
  return copy;
}

// ---------------------------------------------------------------- prefixes

void StatePool::remember(const SequenceState& state, std::span<const TokenId> tokens, const CacheKey& key) {
  CHECK(static_cast<int64_t>(tokens.size()) <= state.absorbed, "{} tokens to remember, {} absorbed", tokens.size(),
        state.absorbed);
  tree_.insert(key, tokens, state.pages);
}

int64_t StatePool::usable(const PrefixTree::Match& match) const {
  int64_t length = match.tokens;
  for (bool whole = false; !whole && length > 0;) {
    whole = true;
    for (size_t g = 0; g < n_groups() && whole; ++g) {
      const size_t first = windows_[g] == 0 ? 0 : page_of(std::min(first_read(windows_[g], length), length - 1));
      for (size_t i = pages_of(length); i > first && whole; --i) {
        if (match.path[i - 1]->pages[g] != nullptr) continue;
        length = static_cast<int64_t>(i - 1) * kPageTokens;  // nothing that reads this page
        whole = false;
      }
    }
  }
  return length;
}

SequenceState StatePool::resume(std::span<const TokenId> tokens, const CacheKey& key) {
  SequenceState state;
  state.pages.resize(n_groups());
  if (tokens.size() < 2) return state;
  const PrefixTree::Match match = tree_.find(key, tokens.first(tokens.size() - 1));
  state.absorbed = usable(match);
  for (size_t g = 0; g < n_groups(); ++g) {
    state.pages[g].assign(pages_of(state.absorbed), nullptr);
    const size_t first = page_of(first_kept(g, state.absorbed, 0));
    for (size_t i = pages_of(state.absorbed); i > first && match.path[i - 1]->pages[g] != nullptr; --i) {
      state.pages[g][i - 1] = match.path[i - 1]->pages[g];
      store_.hold(g, state.pages[g][i - 1], Holder::kSequence);
    }
  }
  // What is held survives when the tree forgets it while room is made for the copies.
  if (state.absorbed % kPageTokens != 0 && !reserve(state, 0))
    rewind(state, state.absorbed / kPageTokens * kPageTokens);
  return state;
}

void StatePool::check(std::span<const SequenceState* const> live) const {
  std::vector<std::vector<PageStore::Held>> held(n_groups());
  for (const SequenceState* state : live) {
    for (size_t g = 0; g < state->pages.size(); ++g) {
      for (const std::byte* page : state->pages[g]) {
        if (page != nullptr) held[g].push_back({page, Holder::kSequence});
      }
    }
  }
  tree_.list(held);
  store_.check(held);
}

}  // namespace godwit
