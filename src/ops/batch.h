// Batch: what one step computes. Prompt, decoding, a resumed prefix are the same thing with other numbers.
#pragma once

#include <cstdint>
#include <vector>

#include "ops/context.h"
#include "ops/state.h"

namespace godwit {

using TokenId = int32_t;

/// Some tokens of one sequence.
struct Row {
  int32_t first = 0, count = 0;  // where they lie in the batch
  int64_t past = 0;              // tokens its state has absorbed before them
  SequenceState* state = nullptr;
};

struct Batch {
  std::vector<TokenId> tokens;
  std::vector<Row> rows;        // cover the tokens in order, without gaps
  std::vector<int32_t> wanted;  // indices of the tokens whose logits are needed, ascending
};

/// How a mixer turns positions into angles. The lists are made in double and rounded to f32, as checkpoints were
/// trained.
struct RopeSpec {
  int64_t n_pairs = 0;          // channels 2 n_pairs of each head rotate
  bool interleaved = false;     // pairs (2i, 2i + 1), else (i, i + n_pairs)
  std::vector<float> inv_freq;  // [n_pairs]
  float scale = 1.0f;           // multiplies cos and sin
  // Long rope: the other list, for sequences submitted with more than long_after tokens; 0: never.
  int64_t long_after = 0;
  std::vector<float> long_inv_freq;
  // Dynamic NTK: the base grows for sequences submitted with more than dynamic_after tokens; 0: never.
  int64_t dynamic_after = 0;
  double base = 10000.0, factor = 1.0;
  int32_t table = -1;  // which of the step's tables; given by Model::add

  bool same(const RopeSpec& other) const;
  /// The list for a sequence submitted with `length` tokens; `storage` is used when it has to be computed.
  const std::vector<float>& frequencies(int64_t length, std::vector<float>& storage) const;
  /// Lengths of equal choice get the same list. Never falls as the length grows.
  int64_t choice(int64_t length) const;
};

/// A step as blocks see it: the batch, its positions, pages and rotary tables, made once for all layers.
class Step {
 public:
  /// Allocates in the arena; throws Bug when the batch is malformed.
  Step(Context& cx, const Batch& batch, const StateLayout& layout, const std::vector<RopeSpec>& ropes);

  const Batch& batch;
  const StateLayout& layout;
  int64_t n_tokens() const { return static_cast<int64_t>(batch.tokens.size()); }
  const std::vector<KvRow>& kv_rows(int32_t group) const { return rows_[static_cast<size_t>(group)]; }
  /// cos and sin of every token, [tokens, n_pairs, 2].
  Tensor rope_table(int32_t table) const { return tables_[static_cast<size_t>(table)]; }
  /// What queries are multiplied by as their position grows: 1 + beta ln(1 + floor(position / length)), in double and
  /// rounded once, [tokens] in the arena. Throws Bug unless length > 0. Source: Llama 4, as Ministral 3 has it.
  Tensor query_temperature(Context& cx, double beta, int64_t length) const;

 private:
  std::vector<std::vector<KvRow>> rows_;  // by group
  std::vector<int64_t> positions_;
  std::vector<Tensor> tables_;
};

/// What a block is told: the step, and which place it stands at.
struct StepInput {
  const Step& step;
  int32_t place = 0;
  StepInput at(int32_t other) const { return {step, other}; }

  /// The memory of the place's part number `part` in the record of a row's sequence; not in a dry pass. A mixer first
  /// takes in since_edge rows [row.state->now_at, row.past) again where it has values as of now; then for each token it
  /// writes its row and computes, and where position + 1 is an edge it moves the values as of the edge.
  float* now(const Row& row, size_t part) const;                           // kNow
  float* edge(const Row& row, size_t part) const;                          // kNow, kEdge
  float* since_edge(const Row& row, size_t part, int64_t position) const;  // kSinceEdge: the row of a position

 private:
  float* in_record(const Row& row, size_t part, bool at_edge) const;
};

}  // namespace godwit
