// Every kernel's arguments, and the table that says which function runs on this CPU. Kernels work on plain pointers;
// they never allocate, lock, log or throw. The order of every sum is fixed by docs/numerics.md: the scalar level
// performs it literally, every other level equals it bit for bit.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"

namespace godwit {

/// How a kernel runs its tasks on the pool. `parallel` calls f(i) once for each i < n_tasks, on any thread, in any
/// order, and returns when all are done; n_tasks of 1 runs on the caller.
struct Launch {
  int n_threads = 1;
  void* pool = nullptr;
  void (*run)(void* pool, int64_t n_tasks, void (*task)(const void* f, int64_t index), const void* f) = nullptr;

  template <class F>
  void parallel(int64_t n_tasks, const F& f) {
    if (n_tasks <= 1 || run == nullptr) {
      for (int64_t i = 0; i < n_tasks; ++i) f(i);
      return;
    }
    run(
        pool, n_tasks, [](const void* g, int64_t index) { (*static_cast<const F*>(g))(index); }, &f);
  }
};

// ---------------------------------------------------------------- products with weights

/// Rounds rows to the 8-bit form that quantized weights meet: groups of 32 along the row; scale = max|x| / 127, code =
/// round-to-nearest-even(x * (127 / max)); max < 2^-100: scale and codes 0; a non-finite x: scale NaN, codes 0.
struct QuantizeArgs {
  int8_t* codes;        // [rows][width]
  float* scales;        // [rows][width / 32]
  int16_t* sums;        // [rows][width / 16]: the sum of 16 codes
  const float* x;       // [rows][width]
  int64_t rows, width;  // width % 32 == 0
};

/// Rounds rows to bf16: nearest even by integer arithmetic; NaN becomes 0x7fc0, infinities stay, overflow gives
/// infinity.
struct RoundBf16Args {
  uint16_t* y;
  const float* x;
  int64_t count;
};

/// The activations of a product, in the forms that its weights ask for; a form nobody asks for is null.
struct Activations {
  const float* f32 = nullptr;      // [rows][k]
  const uint16_t* bf16 = nullptr;  // [rows][k]
  const int8_t* codes = nullptr;   // [rows][k]; with scales and sums as QuantizeArgs makes them
  const float* scales = nullptr;
  const int16_t* sums = nullptr;
  int64_t rows = 0, k = 0;
};

/// y[row][o] = sum over k of w[o][k] * x[row][k] (+ bias[o], added last).
struct ProductMatrix {
  DType type = DType::kF32;
  const std::byte* w = nullptr;  // row-major [n][k] in `type`, or panels of 16 (x16 types; alignment 64)
  float* y = nullptr;            // [rows][n]
  const float* bias = nullptr;   // [n] or null
  int64_t n = 0;
};

/// Computes outputs [first, first + count) of one matrix for all rows. `first` is a multiple of 16; count is one too,
/// except at the matrix's end. Padding outputs of the last panel are never written.
using ProductTile = void (*)(const ProductMatrix& matrix, const Activations& x, int64_t first, int64_t count);

/// Several matrices that read the same activations: one task list, one barrier.
struct ProductArgs {
  Activations x;
  ProductMatrix matrix[4];
  int32_t n_matrices = 0;
  bool exact = false;  // quantized and BF16 weights meet x.f32 as decoded values (--activations f32)
};

/// y[i] = row ids[i] of a table, decoded, times `scale` (skipped when 1). x16 types: fma(code, scale, minimum), rounded
/// once. ids are inside the table.
struct EmbedArgs {
  float* y;            // [n_ids][width]
  const int32_t* ids;  // [n_ids]
  const std::byte* table;
  DType type;
  int64_t n_ids, width, n_rows;
  float scale;
};

// ---------------------------------------------------------------- norms, rotary, element-wise

/// y = x / sqrt(mean(x^2) + eps) * gain, row by row; with `gain_plus_one` the factor is (1 + gain), rounded first
/// (Gemma). With gain_rows > 1, row r takes gain r % gain_rows. The sum of squares is in 16 lanes and the tree. n = x *
/// (1 / sqrt(mean + eps)), then n * gain. y == x is not allowed. Source: Zhang and Sennrich 2019, equation 4.
struct RmsNormArgs {
  float* y;           // [rows][width]
  const float* x;     // [rows][width]
  const float* gain;  // [gain_rows][width]
  int64_t rows, width;
  float eps;
  bool gain_plus_one;
  int64_t gain_rows = 1;
};

/// cos and sin of every token's angles: angle = f32(position * inv_freq), the sine and cosine of that f32 in double,
/// rounded once, times `scale`. Source: Su et al. 2021.
struct RopeTableArgs {
  float* table;              // [tokens][n_pairs][2]: cos, sin
  const int64_t* positions;  // [tokens]
  const float* inv_freq;     // [n_pairs]
  int64_t tokens, n_pairs;
  float scale;
};

/// Rotates the first 2 n_pairs channels of each head, the others are copied. `interleaved`: pairs are (2i, 2i + 1)
/// (ggml NORM); else (i, i + n_pairs) (ggml NEOX). y0 = fma(x0, cos, -(x1 * sin)), y1 = fma(x0, sin, x1 * cos).
struct RopeArgs {
  float* y;            // [tokens][heads][head_dim]
  const float* x;      // same
  const float* table;  // [tokens][n_pairs][2]
  int64_t tokens, heads, head_dim, n_pairs;
  bool interleaved;
};

/// silu(x) = x / (1 + exp(-x)); gelu_tanh(x) = 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))); relu2(x) =
/// max(0, x)^2 (So et al. 2021); identity(x) = x; gelu(x) = 0.5 x (1 + erf(x / sqrt(2))). swiglu_clamped (gpt-oss)
/// always has a gate: see activations.h.
enum class Activation : uint8_t { kSilu, kGeluTanh, kSwigluClamped, kRelu2, kIdentity, kGelu };

/// y = act(gate) * up, or act(gate) without `up`. swiglu_clamped, which needs `up`, in this order: g = min(gate,
/// limit), u = clamp(up, -limit, limit), y = (g * (1 / (1 + exp(-(alpha * g))))) * (u + 1). NaN stays NaN. Source:
/// Shazeer 2020.
struct GatedArgs {
  float* y;
  const float* gate;
  const float* up;  // or null
  int64_t count;
  Activation activation;
  float limit = 0, alpha = 0;  // of swiglu_clamped
};

/// y = x * the factor of its row, rounded once.
struct ScaleRowsArgs {
  float* y;              // [rows][width]
  const float* x;        // [rows][width]
  const float* factors;  // [rows]
  int64_t rows, width;
};

/// y[row * y_step + i] = x[row * x_step + i] for i < count: columns out of a matrix, or into one. Bits are kept.
struct CopyColumnsArgs {
  float* y;
  const float* x;
  int64_t y_step, x_step;
  int64_t rows, count;
};

/// y = x, or the nearer end of [-limit, limit]; NaN stays NaN.
struct ClampArgs {
  float* y;
  const float* x;
  int64_t count;
  float limit;
};

/// y = fma(b, scale, a). y may be a or b.
struct AddArgs {
  float* y;
  const float* a;
  const float* b;
  int64_t count;
  float scale = 1.0f;
};

/// y = cap * tanh(x / cap).
struct SoftcapArgs {
  float* y;
  const float* x;
  int64_t count;
  float cap;
};

/// y = exp(x - max) / sum: the sum in 16 lanes (index mod 16) and the tree. max_out and sum_out, where not null, get
/// each row's maximum and sum, so that log-probability is x - max - log(sum).
struct SoftmaxArgs {
  float* y;        // [rows][width], or null: only max and sum are wanted
  const float* x;  // [rows][width]
  float* max_out;  // [rows] or null
  float* sum_out;  // [rows] or null
  int64_t rows, width;
};

// ---------------------------------------------------------------- experts

inline constexpr int64_t kMostExperts = 1024;  // of a layer; the kernels' buffers are sized by it

/// How a router's logits z become scores. Where kNone, the logits select, and the weights are the softmax of the
/// selected ones.
enum class RouterScore : uint8_t { kNone, kSoftmax, kSigmoid };
/// What a group of experts is worth when only some groups may be chosen from: its best score, or the sum of its two
/// best.
enum class GroupScore : uint8_t { kBest, kTwoBest };

/// Chooses top_k of n_experts for each token: those with the largest score (+ bias), in the groups_used best of
/// n_groups equal groups; ties go to the lowest number. weight = score (without bias), divided by the sum of the chosen
/// ones + epsilon where `normalise`, times `scale`. Experts of a token are given in ascending order, in which every sum
/// runs; softmax: exp(z - max) / sum, the sum over all experts ascending. A logit or a weight that is not finite: its
/// token gets experts 0.. with weight 0, and *invalid the lowest such token. Source: Shazeer et al. 2017; DeepSeek-V2
/// (2024), section 2.2.2; DeepSeek-V3 (2024), section 2.1.2.
struct RouteArgs {
  int32_t* experts;   // [tokens][top_k]
  float* weights;     // [tokens][top_k]
  int64_t* invalid;   // -1: none
  const float* z;     // [tokens][n_experts]
  const float* bias;  // [n_experts] or null
  int64_t tokens, n_experts, top_k;
  RouterScore score;
  int64_t n_groups, groups_used;  // n_groups 1: no groups
  GroupScore group_score;
  bool normalise;
  float epsilon, scale;
};

/// Sorts the pairs (token, expert) by expert, tokens ascending.
struct GroupArgs {
  int64_t* first;          // [n_experts + 1]: expert e has the slots [first[e], first[e + 1])
  int32_t* slot_token;     // [tokens * top_k]
  float* slot_weight;      // [tokens * top_k]
  const int32_t* experts;  // [tokens][top_k], ascending
  const float* weights;    // [tokens][top_k]
  int64_t tokens, n_experts, top_k;
};

/// A matrix for each expert, [n_experts][n][k] in `type`; slices of x16 types are whole panels. w null: there is none.
struct ExpertMatrix {
  DType type = DType::kF32;
  const std::byte* w = nullptr;
  int64_t slice_bytes = 0;
  const float* bias = nullptr;  // [n_experts][n] or null
};

/// y[t] = sum over the experts e of token t, ascending, of fma(weight, down_e(act(gate_e x, up_e x)), .), from +0. One
/// list of tasks computes gate, up, activation and the rounding of the hidden values for all experts that any token
/// chose; a second one computes down and adds up. Weights of other experts are not read. Without gate: act(up_e x).
struct ExpertsArgs {
  float* y;  // [tokens][d_model]
  Activations x;
  ExpertMatrix gate, up, down;
  Activation activation;
  float limit, alpha;  // of kSwigluClamped
  int64_t n_experts, d_model, d_ff;
  const int64_t* first;  // as GroupArgs makes them
  const int32_t* slot_token;
  const float* slot_weight;
  bool exact;
  // Scratch for all slots, in the forms that the matrices ask for, others null: rows of x by slot, and hidden values.
  Activations gathered;  // [slots][d_model]
  Activations hidden;    // [slots][d_ff]
};

/// y[s] = x[s] w[s]^T for a stack of matrices w [slices][n][k]: x [slices][rows][k] -> y [slices][rows][n]. `x` has
/// slices * rows rows.
struct StackProductArgs {
  float* y;
  Activations x;
  ExpertMatrix w;
  int64_t slices, rows, n;
  bool exact;
};

/// y = 1 / (1 + exp(-x)).
struct SigmoidArgs {
  float* y;
  const float* x;
  int64_t count;
};

// ---------------------------------------------------------------- attention

inline constexpr int64_t kPageTokens = 64;      // tokens in a page of keys and values
inline constexpr int64_t kSegmentTokens = 512;  // keys in a segment of attention, at absolute positions
inline constexpr int64_t kMaxHeadDim = 512;  // the widest own_k_dim() and v_dim; the kernels' buffers are sized by it

/// Bytes that one head's keys (or values) of one page take: `dim` channels of 64 tokens in F32, F16, BF16 or Q8_0.
/// Keys lie as [dim][64], values as [64][dim]. Q8_0 keys: int8 codes [dim][64], then f16 scales [dim / 32][64]; Q8_0
/// values: int8 codes [64][dim], then f16 scales [64][dim / 32].
constexpr int64_t kv_head_bytes(DType type, int64_t dim) {
  const int64_t n = dim * kPageTokens;
  return type == DType::kF32 ? 4 * n : type == DType::kQ8_0 ? n + n / 32 * 2 : 2 * n;
}

/// Some tokens of one sequence, as attention sees them.
struct KvRow {
  int32_t first, count;           // tokens [first, first + count) of the batch
  int64_t past;                   // absolute position of the first of them
  const std::byte* const* pages;  // page i holds positions [64 i, 64 i + 64); null behind a window
};

/// Where one place's keys and values lie inside a page, and how. With shared_dim, as multi-head latent attention keeps
/// them (DeepSeek-AI 2024, section 2.1), the first shared_dim channels of a key are its value: shared_dim == v_dim,
/// n_kv_heads == 1, and at k_offset lie only the other channels of the keys (their rotary part).
struct KvLayout {
  int64_t k_offset, v_offset;  // bytes from the page's start to head 0
  int64_t n_kv_heads, k_dim, v_dim;
  DType k_type, v_type;    // F32, F16, BF16 or Q8_0
  int64_t shared_dim = 0;  // 0: keys and values lie apart

  /// Channels of a key that lie at k_offset. Inlined, so that no CPU level leaves a copy for others.
  [[gnu::always_inline]] constexpr int64_t own_k_dim() const { return k_dim - shared_dim; }
  /// Bytes of all heads' keys in a page, and of their values.
  constexpr int64_t k_bytes() const { return n_kv_heads * kv_head_bytes(k_type, own_k_dim()); }
  constexpr int64_t v_bytes() const { return n_kv_heads * kv_head_bytes(v_type, v_dim); }
};

/// Writes this step's keys and values into their pages, rounded to the cache's types (F16, BF16: nearest even; Q8_0:
/// per 32 channels as ggml's quantize_row_q8_0 defines: d = max / 127 rounded to f16, code = round-half-away(x * (127 /
/// max))).
struct KvStoreArgs {
  const float* k;  // [tokens][n_kv_heads][own_k_dim]
  const float* v;  // [tokens][n_kv_heads][v_dim]
  const KvRow* rows;
  int64_t n_rows;
  KvLayout layout;
};

/// Causal attention of each token over its own sequence's pages, this step's tokens included (they are stored before).
/// Key j is visible to position i iff j <= i and (window == 0 or i - j < window). Query head h reads kv head
/// h / (n_heads / n_kv_heads). Order of sums: docs/numerics.md, Attention. Scores are q.k * scale: the chain over k_dim
/// (shared channels first) runs on q, the scale is multiplied afterwards; with a cap they become cap * tanh(score /
/// cap) (Gemma 2). A head's sink joins its softmax as a key of that score and of value 0 would (gpt-oss). Source:
/// Vaswani et al. 2017; segments merge as in Dao et al. 2022 (FlashAttention).
struct AttentionArgs {
  float* y;        // [tokens][n_heads][v_dim]
  const float* q;  // [tokens][n_heads][k_dim]
  const KvRow* rows;
  int64_t n_rows;
  KvLayout layout;
  int64_t n_heads;
  int64_t window;  // 0: none
  float scale;
  float softcap = 0;             // 0: none
  const float* sinks = nullptr;  // [n_heads] or null
};

// ---------------------------------------------------------------- recurrences

/// The state of recurrences moves at edges: every so many tokens, counted from the sequence's first.
inline constexpr int64_t kEdgeTokens = 32;
static_assert(kPageTokens % kEdgeTokens == 0);
/// The last edge at or before `position`.
constexpr int64_t last_edge(int64_t position) { return position / kEdgeTokens * kEdgeTokens; }

inline constexpr int64_t kMostTaps = 32;       // of a short convolution
inline constexpr int64_t kMostDiagonal = 256;  // states of a channel of a selective scan

/// Some tokens of one sequence, and what the short convolution remembers of it.
struct ConvRow {
  int32_t first, count;  // tokens [first, first + count) of the batch
  int64_t past;          // absolute position of the first of them
  float* tail;           // [taps - 1][channels]: inputs before the last edge
  float* since;          // [kEdgeTokens][channels]: inputs since, that of position p at p % kEdgeTokens
};

/// Causal depthwise convolution: y[t][c] = sum over j of w[c][j] x[t - taps + 1 + j][c], from +0, ascending, zeros
/// before the sequence's start; then + bias; then SiLU where asked. Afterwards tail and since are as of the last token.
struct ShortConvArgs {
  float* y;           // [tokens][channels]
  const float* x;     // [tokens][x_step], channels of them
  const float* w;     // [channels][taps]
  const float* bias;  // [channels] or null
  const ConvRow* rows;
  int64_t n_rows, x_step, channels, taps;  // taps in [1, kMostTaps]
  bool silu;
};

/// Some tokens of one sequence, and what a selective scan remembers of it. h are states [d_state][channels] as of
/// now_at and of the last edge; rows since the edge, that of position p at p % kEdgeTokens, step it from now_at to
/// past.
struct ScanRow {
  int32_t first, count;
  int64_t past, now_at;
  float *now, *edge;
  float *dt_since, *x_since;  // [kEdgeTokens][channels]
  float* b_since;             // [kEdgeTokens][d_state]
};

/// Mamba's selective scan, channel c: dt = softplus(dt_raw + dt_bias), u = dt x; for n ascending h[n] = fma(exp(dt
/// a[n]), h[n], u b[n]) with a = -exp(a_log), y = fma(c[n], h[n], y) from +0; then y = fma(d, x, y). Source: Gu and Dao
/// 2023, algorithm 2.
struct SelectiveScanArgs {
  float* y;              // [tokens][channels]
  const float* x;        // [tokens][channels]
  const float* dt;       // [tokens][channels], raw
  const float* b;        // [tokens][b_step], d_state of them
  const float* c;        // [tokens][c_step]
  const float* a_log;    // [channels][d_state]
  const float* d;        // [channels]
  const float* dt_bias;  // [channels]
  const ScanRow* rows;
  int64_t n_rows, channels, d_state, b_step, c_step;  // d_state <= kMostDiagonal
};

/// As ScanRow, for the real-gated linear recurrence: h [width]; rows of a and of what is added.
struct RgLruRow {
  int32_t first, count;
  int64_t past, now_at;
  float *now, *edge;          // [width]
  float *a_since, *in_since;  // [kEdgeTokens][width]
};

/// r = sigmoid(r_raw + r_bias), i = sigmoid(i_raw + i_bias), l = (-8 softplus(lambda)) r, a = exp(l), m = sqrt(1 - a^2)
/// as sqrt(-2 t / (1 - t)) with t = tanh(l), which does not cancel where a is near 1, in = m (i x); at the sequence's
/// first token a = 0 and m = 1; h = fma(a, h, in), y = h. Source: De et al. 2024 (Griffin), section 2.4.
struct RgLruArgs {
  float* y;            // [tokens][width]
  const float* x;      // [tokens][width]
  const float* r_raw;  // [tokens][width]
  const float* i_raw;
  const float* r_bias;  // [width]
  const float* i_bias;
  const float* lambda;  // [width]
  const RgLruRow* rows;
  int64_t n_rows, width;
};

/// Some tokens of one sequence, and what a state-space dual layer remembers of it: the state at the last edge, and what
/// came in since, that of position p at row p % kEdgeTokens.
struct SsdRow {
  int32_t first, count;
  int64_t past;
  float* state;     // [heads][d_state][head_dim]
  float* x_since;   // [kEdgeTokens][heads * head_dim]
  float* b_since;   // [kEdgeTokens][groups * d_state]
  float* dt_since;  // [kEdgeTokens][heads]
};

/// Mamba-2 by chunk rows (docs/numerics.md, Recurrences). Head h, group h / (heads / groups); dt = softplus(dt_raw +
/// dt_bias) or the nearer end of [dt_low, dt_high], NaN stays NaN; cum_t = sum of dt a since the edge, ascending from
/// +0, with a = -exp(a_log). For token t of a chunk: g_j = chain over n of c_t[n] b_j[n]; y = (chain over n of c_t[n]
/// S[n][p]) exp(cum_t); for j <= t ascending y = fma((g_j dt_j) exp(cum_t - cum_j), x_j[p], y); y = fma(d, x_t[p], y).
/// At an edge S = exp(cum_T) S, then for j ascending S = fma(b_j[n], (dt_j exp(cum_T - cum_j)) x_j[p], S). Source: Dao
/// and Gu 2024, section 6.
struct SsdArgs {
  float* y;              // [tokens][heads * head_dim]
  const float* x;        // [tokens][x_step], heads * head_dim of them
  const float* b;        // [tokens][x_step], groups * d_state of them
  const float* c;        // [tokens][x_step]
  const float* dt;       // [tokens][dt_step], raw, heads of them
  const float* a_log;    // [heads]
  const float* d;        // [heads]
  const float* dt_bias;  // [heads]
  const SsdRow* rows;
  int64_t n_rows, x_step, dt_step, heads, head_dim, d_state, groups;
  float dt_low, dt_high;
  float* g;  // scratch [tokens][groups][kEdgeTokens]
};

// ---------------------------------------------------------------- the machine's limits

/// Work that only shows how fast the machine is. Each task repeats `rounds` times: read adds up its share of the bytes;
/// the others keep kProbeAccumulators independent accumulators busy, one multiply-add each a round.
struct ProbeArgs {
  const std::byte* data;  // read: `bytes` of it, in tasks of kProbeTaskBytes
  int64_t bytes;
  int64_t rounds;
  int64_t tasks;  // the others: how many tasks
  float* sink;    // [tasks]: keeps the work from being dropped
};
inline constexpr int64_t kProbeTaskBytes = int64_t{1} << 18;
inline constexpr int64_t kProbeAccumulators = 12;

// ---------------------------------------------------------------- the table

struct Kernels {
  const char* level = "scalar";
  void (*quantize)(const QuantizeArgs&, Launch&) = nullptr;
  void (*round_bf16)(const RoundBf16Args&, Launch&) = nullptr;
  void (*product)(const ProductArgs&, Launch&, const Kernels&) = nullptr;
  ProductTile product_tile[kDTypeCount] = {};        // default activations
  ProductTile exact_product_tile[kDTypeCount] = {};  // f32 activations
  void (*embed)(const EmbedArgs&, Launch&) = nullptr;
  void (*rms_norm)(const RmsNormArgs&, Launch&) = nullptr;
  void (*rope_table)(const RopeTableArgs&, Launch&) = nullptr;
  void (*rope)(const RopeArgs&, Launch&) = nullptr;
  void (*gated)(const GatedArgs&, Launch&) = nullptr;
  void (*add)(const AddArgs&, Launch&) = nullptr;
  void (*scale_rows)(const ScaleRowsArgs&, Launch&) = nullptr;
  void (*copy_columns)(const CopyColumnsArgs&, Launch&) = nullptr;
  void (*clamp)(const ClampArgs&, Launch&) = nullptr;
  void (*softcap)(const SoftcapArgs&, Launch&) = nullptr;
  void (*softmax)(const SoftmaxArgs&, Launch&) = nullptr;
  void (*route)(const RouteArgs&, Launch&) = nullptr;
  void (*group)(const GroupArgs&, Launch&) = nullptr;
  void (*experts)(const ExpertsArgs&, Launch&, const Kernels&) = nullptr;
  void (*stack_product)(const StackProductArgs&, Launch&, const Kernels&) = nullptr;
  void (*sigmoid)(const SigmoidArgs&, Launch&) = nullptr;
  void (*kv_store)(const KvStoreArgs&, Launch&) = nullptr;
  void (*attention)(const AttentionArgs&, Launch&) = nullptr;
  void (*short_conv)(const ShortConvArgs&, Launch&) = nullptr;
  void (*selective_scan)(const SelectiveScanArgs&, Launch&) = nullptr;
  void (*rg_lru)(const RgLruArgs&, Launch&) = nullptr;
  void (*ssd)(const SsdArgs&, Launch&) = nullptr;
  void (*probe_read)(const ProbeArgs&, Launch&) = nullptr;
  void (*probe_fma)(const ProbeArgs&, Launch&) = nullptr;       // 16 lanes of f32 an accumulator
  void (*probe_int8_dot)(const ProbeArgs&, Launch&) = nullptr;  // 64 products an accumulator; null: scalar
};

/// The scalar level: every entry filled.
Kernels scalar_kernels();
/// Replaces the entries for which the level has a faster kernel of equal bits. Only on a CPU that has the level.
void use_avx2(Kernels& kernels);
void use_avx512(Kernels& kernels);

}  // namespace godwit
