// Mixtures of experts and stacks of matrices: the scalar level against a definition in double, and every level, layout
// and number of threads against one expert and one token at a time, bit for bit.
#include <sys/mman.h>

#include "kernels/experts_data.h"

namespace godwit::test {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

class Experts : public ::testing::Test {
 protected:
  void SetUp() override {
    saved_ = _mm_getcsr();
    flush_denormals();
  }
  void TearDown() override { _mm_setcsr(saved_); }

  int64_t below(int64_t n) { return static_cast<int64_t>(random_() % static_cast<uint64_t>(n)); }

  std::mt19937 random_{41};
  unsigned saved_ = 0;
};

struct Kind {
  DType inner, down;
  Activation activation = Activation::kSilu;
  bool gated = true, biased = false;
  std::string text() const {
    return std::string(name(inner)) + " and " + std::string(name(down)) + ", activation " +
           std::to_string(static_cast<int>(activation)) + (gated ? ", gated" : "") + (biased ? ", biased" : "");
  }
};

// Every type at either place; activations, biases and experts without a gate among them.
constexpr Kind kKinds[] = {
    {DType::kF32, DType::kF32},
    {DType::kF32, DType::kF16, Activation::kRelu2, false, true},
    {DType::kF16, DType::kBF16, Activation::kGeluTanh},
    {DType::kBF16, DType::kF32, Activation::kSwigluClamped, true, true},
    {DType::kBF16, DType::kBF16, Activation::kSilu, false},
    {DType::kQ8_0, DType::kQ8_0, Activation::kSilu, true, true},
    {DType::kQ4_0, DType::kQ4_0},
    {DType::kMXFP4, DType::kMXFP4, Activation::kSwigluClamped, true, true},
    {DType::kQ4_1, DType::kQ5_0, Activation::kGeluTanh},
    {DType::kQ5_1, DType::kIQ4_NL, Activation::kRelu2, false},
    {DType::kQ4_K, DType::kQ6_K},
    {DType::kQ4_K, DType::kQ8_0},
    {DType::kQ6_K, DType::kQ5_K, Activation::kGeluTanh, false},
    {DType::kQ2_K, DType::kQ3_K},
    {DType::kIQ4_XS, DType::kF32},
    {DType::kF32, DType::kQ8_0},
    {DType::kTQ1_0, DType::kTQ2_0, Activation::kSilu, true, true},
};

Mixture mixture(const Kind& kind, int64_t n_experts, int64_t d_model, int64_t d_ff, std::mt19937& random) {
  Mixture m{.gate = random_stack(kind.inner, kind.gated ? n_experts : 0, d_ff, d_model, kind.biased, random),
            .up = random_stack(kind.inner, n_experts, d_ff, d_model, kind.biased, random),
            .down = random_stack(kind.down, n_experts, d_model, d_ff, kind.biased, random),
            .gated = kind.gated,
            .activation = kind.activation,
            .n_experts = n_experts,
            .d_model = d_model,
            .d_ff = d_ff,
            .x = AllForms(0, d_model)};
  return m;
}

void feed(Mixture& m, const Chosen& chosen, std::mt19937& random) {
  const auto tokens = static_cast<int64_t>(chosen.size());
  m.x = AllForms(tokens, m.d_model);
  m.x.fill(normal_values(tokens * m.d_model, random));
  choose(m, chosen, random);
}

// A width near `about` that rows of this type may have.
int64_t width_for(DType type, int64_t about) {
  const int64_t block = info(type).block;
  return std::max<int64_t>(1, about / block) * block;
}

void expect_one_result(Mixture& m, const std::string& what) {
  for (const bool exact : {false, true}) {
    m.exact = exact;
    const std::vector<float> expected = experts_one_by_one(m);
    for (const Kernels& kernels : levels()) {
      for (const bool in_panels : {false, true}) {
        for (const int n_threads : {1, 2, 3, 8}) {
          // The slow level is the expected one already, and threads are handed tasks alike at every level.
          if (kernels.level == std::string_view("scalar") ? n_threads != 2 : n_threads > 2 && !in_panels) continue;
          EXPECT_TRUE(same_bits(experts_by({kernels, in_panels, n_threads}, m), expected))
              << what << ", " << m.x.rows << " tokens, " << m.d_model << " by " << m.d_ff << ", " << kernels.level
              << (in_panels ? ", panels" : "") << (exact ? ", exact, " : ", ") << n_threads << " threads";
        }
      }
    }
  }
}

TEST_F(Experts, ScalarMeetsTheDefinitionInDouble) {
  for (const Kind& kind : kKinds) {
    Mixture m = mixture(kind, 5, width_for(kind.inner, 64), width_for(kind.down, 40), random_);
    feed(m, random_choice(4, 3, 5, random_), random_);
    for (const bool exact : {false, true}) {
      m.exact = exact;
      const std::vector<Near> expected = experts_in_double(m);
      const std::vector<float> y = experts_by({}, m);
      double worst = 0, error = 0;
      for (size_t i = 0; i < y.size(); ++i) {
        ASSERT_NEAR(y[i], expected[i].value, expected[i].error)
            << kind.text() << (exact ? " exact" : "") << " at " << i;
        worst = std::max(worst, std::fabs(expected[i].value));
        error = std::max(error, expected[i].error);
      }
      // The bound would not hide an expert left out; random bits of other types span too much for that to be said.
      const bool said = exact && can_encode(kind.inner) && can_encode(kind.down) && kind.inner != DType::kQ4_1;
      EXPECT_LT(error, (said ? 0.01 : kInfinity) * worst) << kind.text();
    }
  }
}

TEST_F(Experts, EveryLevelLayoutAndNumberOfThreadsGivesTheSameBits) {
  for (const Kind& kind : kKinds) {
    for (int round = 0; round < 3; ++round) {
      const int64_t n_experts = 1 + below(12), top_k = 1 + below(std::min<int64_t>(n_experts, 4));
      const int64_t d_ff = kind.down == DType::kF32 || kind.down == DType::kF16 || kind.down == DType::kBF16
                               ? 1 + below(210)
                               : width_for(kind.down, 32 + below(220));
      const int64_t d_model = width_for(kind.inner, info(kind.inner).block == 1 ? 1 + below(150) : 32 + below(150));
      Mixture m = mixture(kind, n_experts, d_model, d_ff, random_);
      feed(m, random_choice(round == 0 ? 1 : 1 + below(24), top_k, n_experts, random_), random_);
      expect_one_result(m, kind.text());
    }
  }
}

// More rows than a tile has, and so much work that it is handed out.
TEST_F(Experts, ManyTokens) {
  for (const Kind& kind : {kKinds[0], kKinds[3], kKinds[5], kKinds[7]}) {
    Mixture m = mixture(kind, 6, width_for(kind.inner, 64), width_for(kind.down, 128), random_);
    feed(m, random_choice(150, 2, 6, random_), random_);
    expect_one_result(m, kind.text());
    // All on one expert; then most, in tokens that lie apart.
    feed(m, Chosen(131, {5}), random_);
    expect_one_result(m, kind.text() + ", all on one");
    Chosen some(160);
    for (size_t t = 0; t < some.size(); ++t) some[t] = t % 9 == 4 ? std::vector{1, 3} : std::vector{2};
    feed(m, some, random_);
    expect_one_result(m, kind.text() + ", most on one");
  }
}

TEST_F(Experts, GateAndUpOfDifferentTypes) {
  Mixture m = mixture({DType::kQ8_0, DType::kQ4_0}, 4, 96, 64, random_);
  for (const DType gate : {DType::kQ4_0, DType::kBF16, DType::kF32}) {
    m.gate = random_stack(gate, 4, 64, 96, false, random_);
    feed(m, random_choice(9, 2, 4, random_), random_);
    expect_one_result(m, std::string(name(gate)));
  }
}

TEST_F(Experts, TheOrderOfExpertsShows) {
  // Adding in descending order leaves the exact sum and changes bits: the comparisons above see orders.
  Mixture m = mixture(kKinds[0], 4, 64, 64, random_);
  feed(m, Chosen(5, {0, 1, 2, 3}), random_);
  const std::vector<float> y = experts_by({}, m);
  const auto reverse = [](Stack& s) {
    const int64_t bytes = s.slice_bytes(false);
    for (int64_t e = 0; e < s.slices / 2; ++e)
      std::swap_ranges(s.slice(e, false), s.slice(e, false) + bytes, s.slice(s.slices - 1 - e, false));
  };
  reverse(m.gate), reverse(m.up), reverse(m.down);
  std::vector<float> weight;
  for (int64_t e = 3; e >= 0; --e) weight.insert(weight.end(), &m.slot_weight[5 * e], &m.slot_weight[5 * e] + 5);
  m.slot_weight = weight;
  EXPECT_FALSE(same_bits(experts_by({}, m), y));
}

// What is not finite in one token stays in it.
TEST_F(Experts, NonFiniteTokensStayAlone) {
  for (const Kind& kind : {kKinds[0], kKinds[4], kKinds[6]}) {
    Mixture m = mixture(kind, 3, 64, 64, random_);
    feed(m, Chosen(7, {0, 2}), random_);
    std::vector<float> values = m.x.f32;
    const std::vector<float> sound = experts_by({}, m);
    values[64 * 2 + 3] = std::numeric_limits<float>::infinity();
    values[64 * 5 + 9] = std::numeric_limits<float>::quiet_NaN();
    m.x.fill(values);
    expect_one_result(m, kind.text());
    m.exact = false;
    const std::vector<float> y = experts_by({}, m);
    for (int64_t i = 0; i < 7 * 64; ++i) {
      if (i / 64 == 2 || i / 64 == 5) {
        EXPECT_FALSE(std::isfinite(y[i])) << kind.text();
      } else {
        EXPECT_EQ(y[i], sound[i]) << kind.text();
      }
    }
  }
}

/// The slices of a stack on pages of their own, all but those in use unreadable.
class Pages {
 public:
  Pages(Stack& s, bool in_panels, const std::vector<int32_t>& in_use) : bytes_(s.slices * s.slice_bytes(in_panels)) {
    base_ = static_cast<std::byte*>(mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (base_ == MAP_FAILED) std::abort();
    std::memcpy(base_, s.slice(0, in_panels), bytes_);
    const int64_t slice = s.slice_bytes(in_panels);
    EXPECT_EQ(slice % sysconf(_SC_PAGESIZE), 0);
    for (int32_t e = 0; e < s.slices; ++e)
      if (std::find(in_use.begin(), in_use.end(), e) == in_use.end()) mprotect(base_ + e * slice, slice, PROT_NONE);
  }
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;
  ~Pages() { munmap(base_, bytes_); }
  const std::byte* data() const { return base_; }

 private:
  int64_t bytes_;
  std::byte* base_;
};

TEST_F(Experts, WeightsOfOthersAreNotRead) {
  struct Shape {
    DType type;
    bool in_panels;
    int64_t d_model, d_ff;
  };
  // Shapes whose slices are whole pages.
  for (const Shape& s : {Shape{DType::kF32, false, 64, 96}, Shape{DType::kBF16, false, 64, 128},
                         Shape{DType::kQ8_0, true, 256, 512}, Shape{DType::kQ4_K, true, 512, 256}}) {
    Mixture m = mixture({s.type, s.type}, 5, s.d_model, s.d_ff, random_);
    for (const int64_t tokens : {1, 40}) {
      const std::vector<int32_t> in_use = {1, 4};
      feed(m, Chosen(tokens, in_use), random_);
      const std::vector<float> expected = experts_by({scalar_kernels(), s.in_panels, 1}, m);
      const Pages gate(m.gate, s.in_panels, in_use), up(m.up, s.in_panels, in_use), down(m.down, s.in_panels, in_use);
      for (const Kernels& kernels : levels()) {
        AllForms gathered(m.slots(), m.d_model), hidden(m.slots(), m.d_ff);
        std::vector<float> y(expected.size());
        const auto placed = [&](Stack& stack, const Pages& pages) {
          ExpertMatrix matrix = stack.matrix(s.in_panels);
          matrix.w = pages.data();
          return matrix;
        };
        Launch launch = threads(2);
        kernels.experts({.y = y.data(),
                         .x = m.x.view({s.type}),
                         .gate = placed(m.gate, gate),
                         .up = placed(m.up, up),
                         .down = placed(m.down, down),
                         .activation = m.activation,
                         .limit = 0,
                         .alpha = 0,
                         .n_experts = m.n_experts,
                         .d_model = m.d_model,
                         .d_ff = m.d_ff,
                         .first = m.first.data(),
                         .slot_token = m.slot_token.data(),
                         .slot_weight = m.slot_weight.data(),
                         .exact = false,
                         .gathered = gathered.view({s.type}),
                         .hidden = hidden.view({s.type})},
                        launch, kernels);
        EXPECT_TRUE(same_bits(y, expected)) << name(s.type) << " " << kernels.level;
      }
    }
  }
}

// ---------------------------------------------------------------- stacks

TEST_F(Experts, StackProductIsOneProductASlice) {
  for (const DType type : {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0, DType::kQ4_0, DType::kQ5_1,
                           DType::kQ4_K, DType::kQ6_K, DType::kMXFP4}) {
    for (int round = 0; round < 4; ++round) {
      const int64_t slices = 1 + below(9), n = 1 + below(round == 0 ? 300 : 90), rows = round == 1 ? 40 : 1 + below(12);
      const int64_t k = width_for(type, info(type).block == 1 ? 1 + below(120) : 32 + below(500));
      Stack w = random_stack(type, slices, n, k, false, random_);
      AllForms x(slices * rows, k);
      x.fill(normal_values(slices * rows * k, random_));
      for (const bool exact : {false, true}) {
        const DType form = exact ? DType::kF32 : type;
        std::vector<float> expected;
        for (int64_t s = 0; s < slices; ++s) {
          AllForms part(rows, k);
          part.fill({x.f32.begin() + s * rows * k, x.f32.begin() + (s + 1) * rows * k});
          std::vector<float> y(rows * n);
          const Kernels scalar = scalar_kernels();
          (exact ? scalar.exact_product_tile : scalar.product_tile)[static_cast<size_t>(type)](
              {type, w.slice(s, false), y.data(), nullptr, n}, part.view({form}), 0, n);
          expected.insert(expected.end(), y.begin(), y.end());
        }
        for (const Kernels& kernels : levels()) {
          for (const int n_threads : {1, 2, 3, 8}) {
            const bool in_panels = w.has_panels() && n_threads != 2;
            std::vector<float> y(expected.size());
            Launch launch = threads(n_threads);
            if (n_threads == 1) launch = {};
            kernels.stack_product({.y = y.data(),
                                   .x = x.view({form}),
                                   .w = w.matrix(in_panels),
                                   .slices = slices,
                                   .rows = rows,
                                   .n = n,
                                   .exact = exact},
                                  launch, kernels);
            EXPECT_TRUE(same_bits(y, expected)) << name(type) << " " << slices << " of " << n << " x " << k << ", rows "
                                                << rows << ", " << kernels.level << ", " << n_threads << " threads";
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace godwit::test
