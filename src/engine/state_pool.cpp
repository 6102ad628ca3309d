#include "engine/state_pool.h"

#include <algorithm>
#include <cstring>
#include <new>

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
  if (layout.record_bytes > 0) bytes.push_back(layout.record_bytes);
  return bytes;
}

}  // namespace

StatePool::StatePool(const StateLayout& layout, int64_t budget_bytes, int64_t chunk)
    : layout_(layout), chunk_(chunk), store_(page_bytes(layout), budget_bytes), tree_(store_, layout.groups.size()) {
  CHECK(chunk > 0, "a chunk of {} tokens", chunk);
}

int64_t StatePool::bytes_for(const StateLayout& layout, int64_t tokens, int64_t chunk) {
  int64_t bytes = PageStore::rounded(layout.record_bytes);
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
  if (window(group) == 0) return 0;
  return std::max<int64_t>(0, std::min(absorbed + tokens - slack(), absorbed) - window(group));
}

// ---------------------------------------------------------------- reserve

bool StatePool::last_page_shared(size_t group, const SequenceState& state, bool with_tree) const {
  if (state.absorbed % kPageTokens == 0) return false;
  const std::byte* page = state.pages[group][page_of(state.absorbed)];
  return store_.holds(group, page, Holder::kSequence) > 1 ||
         (with_tree && store_.holds(group, page, Holder::kTree) > 0);
}

int64_t StatePool::bytes_needed(const SequenceState& state, int64_t tokens, bool copy_remembered) const {
  int64_t bytes = state.record == nullptr ? record_bytes() : 0;
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
  // Room in the lists before pages are taken: a page is always in somebody's list, whatever fails.
  state.pages.resize(n_groups());
  const size_t n_pages = pages_of(state.absorbed + tokens);
  for (auto& pages : state.pages)
    if (pages.capacity() < n_pages) pages.reserve(std::max(n_pages, 2 * pages.size()));
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
    while (state.pages[g].size() < n_pages) state.pages[g].push_back(store_.acquire(g));
  }
  if (has_records() && state.record == nullptr) {
    CHECK(state.absorbed == 0, "{} tokens absorbed without a record", state.absorbed);
    state.record = store_.acquire(record_group());
    std::memset(state.record, 0, static_cast<size_t>(record_bytes()));
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
  if (has_records() && to < last_edge(state.absorbed)) to = 0;
  for (size_t g = 0; g < state.pages.size(); ++g) {
    // Pages of a windowed group are there without gaps up to the last.
    if (window(g) > 0 && to > 0 && state.pages[g][page_of(std::min(first_read(window(g), to), to - 1))] == nullptr)
      to = 0;
  }
  for (size_t g = 0; g < state.pages.size(); ++g) {
    while (state.pages[g].size() > pages_of(to)) {
      if (state.pages[g].back() != nullptr) store_.drop(g, state.pages[g].back(), Holder::kSequence);
      state.pages[g].pop_back();
    }
  }
  if (has_records() && to > 0) set_back(state.record, state.now_at, to);
  if (state.record != nullptr && to == 0) {
    store_.drop(record_group(), state.record, Holder::kSequence);
    state.record = nullptr;
    state.now_at = 0;
  }
  return state.absorbed = to;
}

void StatePool::set_back(std::byte* record, int64_t& now_at, int64_t to) const {
  if (now_at <= to) return;
  for (const auto& place : layout_.places) {
    for (const PlacedPart& p : place) {
      if (p.part.keep == Keep::kNow)
        std::memcpy(record + p.offset, record + p.edge_offset,
                    static_cast<size_t>(p.part.shape.count()) * sizeof(float));
    }
  }
  now_at = last_edge(to);
}

void StatePool::release(SequenceState& state) {
  rewind(state, 0);
  state = {};
}

std::optional<SequenceState> StatePool::fork(const SequenceState& state) {
  const bool partly = state.absorbed % kPageTokens != 0;
  int64_t bytes = state.absorbed > 0 ? record_bytes() : 0;
  for (size_t g = 0; partly && g < n_groups(); ++g) bytes += store_.page_bytes(g);
  if (!make_room(bytes)) return std::nullopt;
  SequenceState copy;
  try {
    fill_fork(copy, state);
  } catch (const std::bad_alloc&) {
    release(copy);
    throw;
  }
  return copy;
}

void StatePool::fill_fork(SequenceState& copy, const SequenceState& state) {
  copy.absorbed = state.absorbed;
  copy.rope_length = state.rope_length;
  copy.pages.resize(n_groups());
  for (auto& pages : copy.pages) pages.reserve(pages_of(state.absorbed));
  if (has_records() && state.absorbed > 0) {
    copy.record = copy_of(record_group(), state.record);
    copy.now_at = state.now_at;
  }
  for (size_t g = 0; g < state.pages.size(); ++g) {
    for (size_t i = 0; i < pages_of(state.absorbed); ++i) {
      std::byte* page = state.pages[g][i];
      if (state.absorbed % kPageTokens != 0 && i == page_of(state.absorbed)) {
        page = copy_of(g, page);
      } else if (page != nullptr) {
        store_.hold(g, page, Holder::kSequence);
      }
      copy.pages[g].push_back(page);
    }
  }
}

// ---------------------------------------------------------------- prefixes

void StatePool::remember(const SequenceState& state, std::span<const TokenId> tokens, const CacheKey& key) {
  CHECK(static_cast<int64_t>(tokens.size()) <= state.absorbed, "{} tokens to remember, {} absorbed", tokens.size(),
        state.absorbed);
  int64_t now_at = 0;
  std::byte* record = snapshot(state, tokens, key, now_at);
  const auto drop_record = [&] {
    if (record != nullptr) store_.drop(record_group(), record, Holder::kSequence);
  };
  try {
    tree_.insert(key, tokens, state.pages, record, now_at);
  } catch (const std::bad_alloc&) {
    drop_record();
    throw;
  }
  drop_record();
}

std::byte* StatePool::snapshot(const SequenceState& state, std::span<const TokenId> tokens, const CacheKey& key,
                               int64_t& now_at) {
  const auto to = static_cast<int64_t>(tokens.size());
  if (!has_records() || to == 0 || to < last_edge(state.absorbed)) return nullptr;
  // Looking for them is a use: what is known of these tokens is not forgotten below.
  for (const PrefixTree::Reach& reach : tree_.find(key, tokens).reaches) {
    if (reach.last != to) continue;
    tree_.use(*reach.snapshot);
    return nullptr;
  }
  if (store_.free_bytes() + store_.cached_bytes() < record_bytes()) return nullptr;
  while (store_.free_bytes() < record_bytes())
    if (!tree_.forget_one(tree_.now())) return nullptr;
  std::byte* copy = copy_of(record_group(), state.record);
  now_at = state.now_at;
  set_back(copy, now_at, to);
  return copy;
}

int64_t StatePool::whole(const PrefixTree::Match& match, int64_t length) const {
  for (bool found = false; !found && length > 0;) {
    found = true;
    for (size_t g = 0; g < n_groups() && found; ++g) {
      const size_t first = window(g) == 0 ? 0 : page_of(std::min(first_read(window(g), length), length - 1));
      for (size_t i = pages_of(length); i > first && found; --i) {
        if (match.path[i - 1]->pages[g] != nullptr) continue;
        length = static_cast<int64_t>(i - 1) * kPageTokens;  // nothing that reads this page
        found = false;
      }
    }
  }
  return length;
}

int64_t StatePool::usable(const PrefixTree::Match& match, const PrefixTree::Snapshot*& snapshot) const {
  int64_t length = whole(match, match.tokens);
  while (has_records() && length > 0) {
    int64_t best = 0;
    for (const PrefixTree::Reach& reach : match.reaches) {
      const int64_t reached = std::min(reach.last, length);
      if (reach.first > length || reached <= best) continue;
      best = reached;
      snapshot = reach.snapshot;
    }
    if (best == length) break;
    length = whole(match, best);
  }
  return length;
}

SequenceState StatePool::resume(std::span<const TokenId> tokens, const CacheKey& key) {
  SequenceState state;
  try {
    fill_resumed(state, tokens, key);
  } catch (const std::bad_alloc&) {
    release(state);
    throw;
  }
  return state;
}

void StatePool::fill_resumed(SequenceState& state, std::span<const TokenId> tokens, const CacheKey& key) {
  state.pages.resize(n_groups());
  if (tokens.size() < 2) return;
  const PrefixTree::Match match = tree_.find(key, tokens.first(tokens.size() - 1));
  const PrefixTree::Snapshot* found = nullptr;
  const int64_t length = usable(match, found);
  if (length == 0) return;
  state.absorbed = length;
  for (auto& pages : state.pages) pages.assign(pages_of(state.absorbed), nullptr);
  for (size_t g = 0; g < n_groups(); ++g) {
    const size_t first = page_of(first_kept(g, state.absorbed, 0));
    for (size_t i = pages_of(state.absorbed); i > first && match.path[i - 1]->pages[g] != nullptr; --i) {
      state.pages[g][i - 1] = match.path[i - 1]->pages[g];
      store_.hold(g, state.pages[g][i - 1], Holder::kSequence);
    }
  }
  // What is held survives when the tree forgets it while room is made for the copies.
  if (has_records()) {
    tree_.use(*found);
    state.record = found->record;
    state.now_at = found->now_at;
    store_.hold(record_group(), state.record, Holder::kSequence);
    if (!make_room(record_bytes())) {
      rewind(state, 0);
      return;
    }
    std::byte* copy = copy_of(record_group(), state.record);
    store_.drop(record_group(), state.record, Holder::kSequence);
    state.record = copy;
    set_back(state.record, state.now_at, length);
  }
  if (state.absorbed % kPageTokens != 0 && !reserve(state, 0))
    rewind(state, state.absorbed / kPageTokens * kPageTokens);
}

void StatePool::check(std::span<const SequenceState* const> live) const {
  std::vector<std::vector<PageStore::Held>> held(store_.n_groups());
  for (const SequenceState* state : live) {
    if (state->record != nullptr) held[record_group()].push_back({state->record, Holder::kSequence});
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
