#include "audit/sweep.h"

#include <chrono>
#include <cstring>

#include "base/error.h"
#include "base/random.h"
#include "engine/sampler.h"

namespace godwit {
namespace {

// Of 64 tokens.
void flip_rows(std::byte* at, const std::vector<std::byte>& row) {
  for (int64_t token = 0; token < kPageTokens; ++token, at += row.size())
    for (size_t i = 0; i < row.size(); ++i) at[i] ^= row[i];
}

// Flips the signs of some channels of the values of a sequence, the same ones of all its tokens. Of Q8_0 those of whole
// blocks, by their scales.
void flip_signs(const StateLayout& layout, SequenceState& state, uint64_t seed) {
  for (size_t place = 0; place < layout.places.size(); ++place) {
    const auto& parts = layout.places[place];
    if (parts.size() != 2 || parts[1].part.keep != Keep::kPerToken) continue;
    const StatePart& values = parts[1].part;
    const int64_t dim = values.shape[1], head_bytes = kv_head_bytes(values.dtype, dim);
    const bool scales = values.dtype == DType::kQ8_0;
    const size_t count = static_cast<size_t>(scales ? dim / 32 : dim), size = values.dtype == DType::kF32 ? 4 : 2;
    for (int64_t head = 0; head < values.shape[0]; ++head) {
      std::vector<std::byte> row(count * size);
      for (size_t i = 0; i < count; ++i)
        if ((random_bits(seed, place, static_cast<size_t>(head) * count + i) & 1) != 0)
          row[i * size + size - 1] = std::byte{0x80};
      const int64_t offset = parts[1].offset + head * head_bytes + (scales ? dim * kPageTokens : 0);
      for (std::byte* page : state.pages[static_cast<size_t>(parts[1].group)])
        if (page != nullptr) flip_rows(page + offset, row);
    }
  }
}

}  // namespace

Sweep::Sweep(Runner& runner, int64_t batch, const std::atomic<bool>& stop)
    : runner_(runner), stop_(stop), states_(static_cast<size_t>(batch)) {}

Sweep::~Sweep() {
  for (SequenceState& state : states_) runner_.pool().release(state);
}

std::vector<Sweep::Chunk> Sweep::advance(int64_t context) {
  std::vector<Chunk> chunks;
  const int64_t share = std::max<int64_t>(1, runner_.options().chunk / static_cast<int64_t>(states_.size()));
  while (states_[0].absorbed < context && !stop_) {
    const int64_t from = states_[0].absorbed, n = std::min(share, context - from);
    chunks.push_back({from, from + n, step(states_, n, Want::kNone)});
  }
  return chunks;
}

DecodeTimes Sweep::decode(int64_t sequences, int64_t n) {
  std::vector<SequenceState> states;
  states.reserve(static_cast<size_t>(sequences));
  struct Release {
    StatePool& pool;
    std::vector<SequenceState>& states;
    ~Release() {
      for (SequenceState& state : states) pool.release(state);
    }
  } release{runner_.pool(), states};
  auto fork = runner_.pool().fork(states_[0]);
  if (!fork) fail(ErrorKind::kMemory, "state: no room to decode after {} tokens", states_[0].absorbed);
  states.push_back(std::move(*fork));
  while (static_cast<int64_t>(states.size()) < sequences) {
    states.push_back(copy_of(states_[0]));
    // As if it had other tokens behind it: of those with the same, routers choose the same experts.
    flip_signs(runner_.layout(), states.back(), states.size());
  }
  DecodeTimes times;
  runner_.take_expert_use();
  // By turns, so that both meet the same machine.
  for (int64_t i = 0; i < n && !stop_; ++i) {
    times.steps.push_back(step(states, 1, Want::kLast));
    if (i % 4 == 0) times.layers.push_back(step(states, 1, Want::kNone));
  }
  times.experts = runner_.take_expert_use();
  return times;
}

// A state with pages of its own and the same contents.
SequenceState Sweep::copy_of(const SequenceState& state) {
  StatePool& pool = runner_.pool();
  SequenceState copy;
  copy.rope_length = state.rope_length;
  while (copy.absorbed < state.absorbed) {
    const int64_t n = std::min(runner_.options().chunk, state.absorbed - copy.absorbed);
    if (!pool.reserve(copy, n)) {
      pool.release(copy);
      fail(ErrorKind::kMemory, "state: no room for a copy of {} tokens", state.absorbed);
    }
    copy.advance(n);
  }
  const StateLayout& layout = runner_.layout();
  for (size_t g = 0; g < layout.groups.size(); ++g) {
    const auto bytes = static_cast<size_t>(layout.groups[g].page_bytes);
    for (size_t i = 0; i < std::min(copy.pages[g].size(), state.pages[g].size()); ++i)
      if (copy.pages[g][i] != nullptr && state.pages[g][i] != nullptr)
        std::memcpy(copy.pages[g][i], state.pages[g][i], bytes);
  }
  if (layout.record_bytes > 0) std::memcpy(copy.record, state.record, static_cast<size_t>(layout.record_bytes));
  copy.now_at = state.now_at;
  return copy;
}

// The tokens are random: what a token costs must not depend on what the weights make of it.
double Sweep::step(std::vector<SequenceState>& states, int64_t tokens, Want want) {
  const int64_t vocab = runner_.model().vocab_size();
  std::vector<std::vector<TokenId>> ids(states.size());
  std::vector<Runner::Feed> feeds;
  for (size_t s = 0; s < states.size(); ++s) {
    for (int64_t i = 0; i < tokens; ++i)
      ids[s].push_back(static_cast<TokenId>(random_bits(s, 0, static_cast<uint64_t>(states[s].absorbed + i)) %
                                            static_cast<uint64_t>(vocab)));
    feeds.push_back({.state = &states[s], .tokens = ids[s], .want = want});
  }
  const SamplingOptions greedy{.greedy = true};
  const auto start = std::chrono::steady_clock::now();
  const auto choose = [&](size_t, int64_t position, Tensor logits) {
    sample({logits.f32(), static_cast<size_t>(logits.size())}, greedy, {}, position);
  };
  runner_.step(feeds, choose, Runner::Calls::kAtOnce);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

int64_t decode_state_bytes(const StateLayout& layout, int64_t sequences, int64_t context, int64_t n, int64_t chunk) {
  // What decoding adds: pages of its own from the one that is partly filled on, and for the first sequence a record.
  const int64_t pages = (context % kPageTokens + decoded_tokens(n) + kPageTokens - 1) / kPageTokens;
  int64_t page_bytes = 0;
  for (const StateGroup& group : layout.groups) page_bytes += PageStore::rounded(group.page_bytes);
  return sequences * (StatePool::bytes_for(layout, context, chunk) + pages * page_bytes) +
         PageStore::rounded(layout.record_bytes);
}

}  // namespace godwit
