// Ops by themselves: what attention finds where, shapes and refusals, and what they cost.
#include "ops/ops.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>

namespace godwit {
namespace {

/// What an op runs in.
struct Bench {
  Arena arena{int64_t{64} << 20};
  Kernels kernels = kernels_at(0);
  ThreadPool pool{2};
  Meter meter;
  Context cx{.arena = arena, .kernels = kernels, .pool = pool, .exact = false, .meter = &meter, .dry = false};

  /// Values that differ: first, first + step, ...
  Tensor tensor(Shape shape, float first = 0.0f, float step = 1.0f) {
    Tensor t = empty(cx, shape);
    for (int64_t i = 0; i < t.size(); ++i) t.f32()[i] = first + step * static_cast<float>(i);
    return t;
  }
};

std::vector<float> values(Tensor t) { return {t.f32(), t.f32() + t.size()}; }

/// One sequence with pages of its own.
struct Sequence {
  explicit Sequence(const StateLayout& layout, int64_t n_pages) {
    for (const StateGroup& group : layout.groups) {
      auto& table = state.pages.emplace_back();
      for (int64_t i = 0; i < n_pages; ++i) {
        memory.push_back(std::make_unique<std::byte[]>(static_cast<size_t>(group.page_bytes) + 64));
        const auto at = reinterpret_cast<uintptr_t>(memory.back().get());
        table.push_back(memory.back().get() + (64 - at % 64) % 64);
      }
    }
  }
  Batch next(int32_t count) {
    Batch batch;
    batch.tokens.resize(static_cast<size_t>(count));
    batch.rows = {{.first = 0, .count = count, .past = state.absorbed, .state = &state}};
    state.advance(count);
    return batch;
  }
  SequenceState state;
  std::vector<std::unique_ptr<std::byte[]>> memory;
};

std::vector<StatePart> keys_and_values_of(DType type) {
  return {{.name = "k", .shape = {2, 32}, .dtype = type}, {.name = "v", .shape = {2, 64}, .dtype = type}};
}
std::vector<StatePart> latents_of(DType k_type, DType v_type) {
  return {{.name = "k_pe", .shape = {1, 8}, .dtype = k_type}, {.name = "latent", .shape = {1, 32}, .dtype = v_type}};
}
StateLayout place_of(const std::vector<StatePart>& parts) {
  StateLayout layout;
  layout.add_place(parts);
  return layout;
}
StateLayout keys_and_values(DType type = DType::kF32) { return place_of(keys_and_values_of(type)); }
StateLayout latents(DType k_type = DType::kF32, DType v_type = DType::kF32) {
  return place_of(latents_of(k_type, v_type));
}

TEST(Ops, KvLayoutOfKeysAndValues) {
  const StateLayout layout = keys_and_values(DType::kF16);
  const KvLayout kv = kv_layout(layout.places[0]);
  EXPECT_EQ(0, kv.k_offset);
  EXPECT_EQ(2 * 32 * 64 * 2, kv.v_offset);
  EXPECT_EQ(2, kv.n_kv_heads);
  EXPECT_EQ(32, kv.k_dim);
  EXPECT_EQ(64, kv.v_dim);
  EXPECT_EQ(0, kv.shared_dim);
  EXPECT_EQ(layout.groups[0].page_bytes, kv.k_bytes() + kv.v_bytes());
}

TEST(Ops, KvLayoutOfLatents) {
  const StateLayout layout = latents(DType::kF16, DType::kQ8_0);
  const KvLayout kv = kv_layout(layout.places[0]);
  EXPECT_EQ(8 * 64 * 2, kv.v_offset);
  EXPECT_EQ(1, kv.n_kv_heads);
  EXPECT_EQ(40, kv.k_dim);
  EXPECT_EQ(8, kv.own_k_dim());
  EXPECT_EQ(32, kv.v_dim);
  EXPECT_EQ(32, kv.shared_dim);
  EXPECT_EQ(layout.groups[0].page_bytes, kv.k_bytes() + kv.v_bytes());
  EXPECT_EQ(8 * 2 + 34, layout.bytes_per_token());
}

// With one key in sight softmax is 1, so that the output is the latent itself; later it lies between latents.
TEST(Ops, LatentAttentionGivesLatents) {
  Bench bench;
  const StateLayout layout = latents();
  Sequence sequence(layout, 1);
  const Batch first = sequence.next(1);
  const Step one(bench.cx, first, layout, {});
  const Tensor c = bench.tensor({1, 32}, 1), k_pe = bench.tensor({1, 8}), q = bench.tensor({1, 3, 40}, 0.0f, 0.001f);
  const Tensor y = latent_attention(bench.cx, q, c, k_pe, 0.5f, {one});
  EXPECT_EQ((Shape{1, 3, 32}), y.shape);
  for (int64_t i = 0; i < y.size(); ++i) EXPECT_EQ(c.f32()[i % 32], y.f32()[i]);

  const Batch second = sequence.next(1);
  const Step two(bench.cx, second, layout, {});
  const Tensor zero_q = bench.tensor({1, 3, 40}, 0.0f, 0.0f), other = bench.tensor({1, 32}, 3);
  bench.meter = {};
  const Tensor mean = latent_attention(bench.cx, zero_q, other, k_pe, 0.5f, {two});
  for (int64_t i = 0; i < mean.size(); ++i) EXPECT_EQ(static_cast<float>(i % 32) + 2.0f, mean.f32()[i]);
  EXPECT_EQ(2 * 2 * 3 * (40 + 32), bench.meter.by_op["attention"].flops);
  EXPECT_EQ(2 * 40 * 4, bench.meter.by_op["attention"].state_bytes);
}

// Scores of 0 and a sink of ln 3: one key has weight 1 / (1 + 3).
TEST(Ops, AttentionWithSinks) {
  Bench bench;
  const StateLayout layout = keys_and_values();
  Sequence sequence(layout, 1);
  const Batch batch = sequence.next(1);
  const Step step(bench.cx, batch, layout, {});
  const Tensor q = bench.tensor({1, 2, 32}, 0.0f, 0.0f), k = bench.tensor({1, 2, 32}), v = bench.tensor({1, 2, 64}, 1);
  const Tensor y = attention(bench.cx, q, k, v,
                             {.scale = 1, .softcap = 0, .sinks = bench.tensor({2}, std::log(3.0f), 0.0f)}, {step});
  for (int64_t i = 0; i < y.size(); ++i) EXPECT_NEAR(v.f32()[i] / 4, y.f32()[i], 1e-5f * v.f32()[i]);
}

TEST(Ops, QueryTemperatureGrowsByWholeLengths) {
  Bench bench;
  const StateLayout layout = keys_and_values();
  SequenceState state;
  state.pages.assign(1, std::vector<std::byte*>(1000));
  Batch batch;
  batch.tokens.resize(4);
  for (const int64_t past : {0, 8191, 8192, 40000})
    batch.rows.push_back({.first = static_cast<int32_t>(batch.rows.size()), .count = 1, .past = past, .state = &state});
  const Step step(bench.cx, batch, layout, {});
  const Tensor factors = step.query_temperature(bench.cx, 0.1, 8192);
  EXPECT_EQ((std::vector<float>{1, 1, static_cast<float>(1 + 0.1 * std::log(2.0)),
                                static_cast<float>(1 + 0.1 * std::log(5.0))}),
            values(factors));
  EXPECT_EQ((Shape{4}), factors.shape);
}

TEST(Ops, ColumnsAndConcatAreInverse) {
  Bench bench;
  const Tensor x = bench.tensor({3, 2, 5});
  const Tensor left = columns(bench.cx, x, 0, 2), right = columns(bench.cx, x, 2, 3);
  EXPECT_EQ((Shape{3, 2, 2}), left.shape);
  EXPECT_EQ((std::vector<float>{0, 1, 5, 6, 10, 11, 15, 16, 20, 21, 25, 26}), values(left));
  const Tensor both = concat(bench.cx, left, right);
  EXPECT_EQ(x.shape, both.shape);
  EXPECT_EQ(values(x), values(both));
}

TEST(Ops, ScaleRowsClampAndActivations) {
  Bench bench;
  const Tensor x = bench.tensor({2, 3, 2}, -6);
  EXPECT_EQ((std::vector<float>{-12, -10, -8, -6, -4, -2, 0, 3, 6, 9, 12, 15}),
            values(scale_rows(bench.cx, x, bench.tensor({2}, 2))));
  EXPECT_EQ((std::vector<float>{-2, -2, -2, -2, -2, -1, 0, 1, 2, 2, 2, 2}), values(clamp(bench.cx, x, 2)));
  EXPECT_EQ((std::vector<float>{0, 0, 0, 0, 0, 0, 0, 1, 4, 9, 16, 25}),
            values(gated(bench.cx, x, {}, Activation::kRelu2)));
  const Tensor up = bench.tensor({2, 3, 2}, -1.0f, 0.0f);  // u + 1 == 0
  EXPECT_EQ(std::vector<float>(12, 0.0f), values(gated(bench.cx, x, up, Activation::kSwigluClamped, 7, 1)));
}

TEST(Ops, RefuseWhatDoesNotFit) {
#ifndef GODWIT_DEBUG  // a Bug aborts in debug builds
  Bench bench;
  Context& cx = bench.cx;
  const Tensor x = bench.tensor({2, 3, 4});
  EXPECT_THROW(scale_rows(cx, x, bench.tensor({3})), Bug);
  EXPECT_THROW(columns(cx, x, 2, 3), Bug);
  EXPECT_THROW(columns(cx, x, -1, 3), Bug);
  EXPECT_THROW(columns(cx, x, 0, 0), Bug);
  EXPECT_THROW(concat(cx, x, bench.tensor({2, 2, 4})), Bug);
  EXPECT_THROW(concat(cx, x, bench.tensor({6, 4})), Bug);
  EXPECT_THROW(clamp(cx, x, 0), Bug);
  EXPECT_THROW(gated(cx, x, {}, Activation::kSwigluClamped, 7, 1), Bug);
  EXPECT_THROW(gated(cx, x, bench.tensor({2, 3, 5}), Activation::kSilu), Bug);

  StateLayout layout = keys_and_values();
  layout.add_place(latents_of(DType::kF32, DType::kF32));
  layout.add_place({{.name = "k", .shape = {1, 8}, .dtype = DType::kF32}});
  Sequence sequence(layout, 1);
  const Batch batch = sequence.next(2);
  const Step step(cx, batch, layout, {});
  EXPECT_THROW(step.query_temperature(cx, 0.1, 0), Bug);
  const StepInput ordinary{step, 0}, latent{step, 1}, alone{step, 2};
  const auto t = [&](Shape shape) { return bench.tensor(shape); };
  EXPECT_NO_THROW(attention(cx, t({2, 4, 32}), t({2, 2, 32}), t({2, 2, 64}), {}, ordinary));
  EXPECT_THROW(attention(cx, t({2, 3, 32}), t({2, 2, 32}), t({2, 2, 64}), {}, ordinary), Bug);
  EXPECT_THROW(attention(cx, t({2, 4, 32}), t({2, 2, 32}), t({2, 2, 32}), {}, ordinary), Bug);
  EXPECT_THROW(attention(cx, t({1, 4, 32}), t({1, 2, 32}), t({1, 2, 64}), {}, ordinary), Bug);
  EXPECT_THROW(
      attention(cx, t({2, 4, 32}), t({2, 2, 32}), t({2, 2, 64}), {.scale = 1, .softcap = 0, .sinks = t({3})}, ordinary),
      Bug);
  EXPECT_THROW(attention(cx, t({2, 4, 40}), t({2, 1, 8}), t({2, 1, 32}), {}, latent), Bug);
  EXPECT_NO_THROW(latent_attention(cx, t({2, 4, 40}), t({2, 32}), t({2, 8}), 1, latent));
  EXPECT_THROW(latent_attention(cx, t({2, 4, 32}), t({2, 32}), t({2, 8}), 1, latent), Bug);
  EXPECT_THROW(latent_attention(cx, t({2, 4, 40}), t({2, 8}), t({2, 32}), 1, latent), Bug);
  EXPECT_THROW(latent_attention(cx, t({2, 4, 32}), t({2, 32}), t({2, 64}), 1, ordinary), Bug);
  EXPECT_THROW(latent_attention(cx, t({2, 4, 40}), t({2, 32}), t({2, 8}), 1, alone), Bug);
#endif
}

}  // namespace
}  // namespace godwit
