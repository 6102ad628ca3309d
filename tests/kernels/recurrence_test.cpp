// Short convolution, selective scan, real-gated linear recurrence and state-space dual: scalar against the definition
// in double, every level against scalar bit for bit, however sequences are cut into steps, whatever their company, and
// after any rewinding; five-token examples computed elsewhere.
#include <cstring>
#include <fstream>
#include <iterator>
#include "base/nlohmann.h"

#include "kernels/recurrence_cases.h"

namespace godwit {
namespace {

using test::BatchRow;
using test::Exact;
using test::Fenced;
using test::Memories;
using test::Part;
using test::Random;
using test::Recurrence;
using test::RgLruCase;
using test::SelectiveScanCase;
using test::Sequence;
using test::ShortConvCase;
using test::SsdCase;
using test::Stream;
using test::Threads;

constexpr float kNotANumber = std::numeric_limits<float>::quiet_NaN();

/// A sequence on its way through a recurrence: its record and its outputs so far.
struct Fed {
  explicit Fed(const Recurrence& r) {
    for (const Part& p : r.parts) {
      Fenced<float>& memory = record.emplace_back(static_cast<size_t>(p.rows * p.width));
      std::fill(memory.span().begin(), memory.span().end(), p.since ? kNotANumber : 0.0f);
    }
  }
  /// What a record says, without rows that hold nothing.
  std::vector<float> kept(const Recurrence& r) const {
    std::vector<float> all;
    for (size_t i = 0; i < record.size(); ++i) {
      const int64_t rows = r.parts[i].since ? past % kEdgeTokens : r.parts[i].rows;
      all.insert(all.end(), record[i].data(), record[i].data() + rows * r.parts[i].width);
    }
    return all;
  }

  int64_t past = 0, now_at = 0;
  Memories record;
  std::vector<float> y;
};

/// One call for the next counts[i] tokens of every sequence, which lie in the batch last to first.
void step(const Kernels& kernels, Launch& launch, const Recurrence& r, const std::vector<Sequence>& sequences,
          std::deque<Fed>& feds, const std::vector<int64_t>& counts) {
  int64_t tokens = 0;
  std::vector<BatchRow> rows(sequences.size());
  for (size_t i = sequences.size(); i-- > 0; tokens += counts[i]) {
    rows[i] = {static_cast<int32_t>(tokens), static_cast<int32_t>(counts[i]), feds[i].past, feds[i].now_at, {}};
    for (Fenced<float>& memory : feds[i].record) rows[i].parts.push_back(memory.data());
  }
  if (tokens == 0) return;
  Memories inputs;
  for (size_t s = 0; s < r.streams.size(); ++s) {
    const Stream& stream = r.streams[s];
    Fenced<float>& memory = inputs.emplace_back(static_cast<size_t>((tokens - 1) * stream.step + stream.width));
    std::fill(memory.span().begin(), memory.span().end(), kNotANumber);
    for (size_t i = 0; i < rows.size(); ++i)
      for (int64_t t = 0; t < counts[i]; ++t)
        std::copy_n(sequences[i].inputs[s].data() + (feds[i].past + t) * stream.width, stream.width,
                    memory.data() + (rows[i].first + t) * stream.step);
  }
  Fenced<float> y(static_cast<size_t>(tokens * r.width));
  r.run(kernels, launch, y.data(), inputs, rows, tokens);
  for (size_t i = 0; i < rows.size(); ++i) {
    const float* from = y.data() + rows[i].first * r.width;
    feds[i].y.insert(feds[i].y.end(), from, from + counts[i] * r.width);
    feds[i].past = feds[i].now_at = feds[i].past + counts[i];
  }
}

/// Back to a position since the edge, from which what replays starts at the edge's state.
void rewind(const Recurrence& r, Fed& fed, int64_t back) {
  const int64_t edge = last_edge(fed.past);
  fed.past = std::max(edge, fed.past - back);
  fed.y.resize(static_cast<size_t>(fed.past * r.width));
  fed.now_at = fed.past;
  if (!r.replays) return;
  std::copy(fed.record[1].span().begin(), fed.record[1].span().end(), fed.record[0].data());
  fed.now_at = edge;
}

enum class Plan { kWhole, kOnes, kToEdges, kRandom, kRewinding };

std::deque<Fed> feed(const Kernels& kernels, int n_threads, const Recurrence& r, const std::vector<Sequence>& sequences,
                     Plan plan = Plan::kWhole, Random* random = nullptr) {
  Threads threads(n_threads);
  std::deque<Fed> feds;
  for (size_t i = 0; i < sequences.size(); ++i) feds.emplace_back(r);
  for (bool more = true; more;) {
    std::vector<int64_t> counts;
    for (size_t i = 0; i < sequences.size(); ++i) {
      if (plan == Plan::kRewinding && feds[i].past < sequences[i].n && random->below(2) == 0)
        rewind(r, feds[i], random->below(10));
      const int64_t left = sequences[i].n - feds[i].past, past = feds[i].past;
      const int64_t wanted = plan == Plan::kWhole     ? left
                             : plan == Plan::kOnes    ? 1
                             : plan == Plan::kToEdges ? kEdgeTokens - past % kEdgeTokens
                                                      : random->below(random->below(3) == 0 ? 100 : 35);
      counts.push_back(std::min(left, wanted));
    }
    step(kernels, threads.launch(), r, sequences, feds, counts);
    more = false;
    for (size_t i = 0; i < sequences.size(); ++i) more = more || feds[i].past < sequences[i].n;
  }
  return feds;
}

template <class T>
class Recurrences : public testing::Test {};
using AllCases = testing::Types<ShortConvCase, SelectiveScanCase, RgLruCase, SsdCase>;
TYPED_TEST_SUITE(Recurrences, AllCases);

TYPED_TEST(Recurrences, AreTheirDefinitionWithinRounding) {
  Random random(1);
  for (int round = 0; round < 12; ++round) {
    const TypeParam r(random);
    const Sequence s = r.sequence(random, 1 + random.below(110));
    const std::vector<float> y = feed(scalar_kernels(), 1, r, {s})[0].y;
    const std::vector<Exact> exact = r.definition(s);
    ASSERT_EQ(exact.size(), y.size());
    double largest = 0, bound = 0;
    for (size_t i = 0; i < y.size(); ++i) {
      ASSERT_NEAR(exact[i].value, y[i], exact[i].bound) << "round " << round << ", index " << i;
      largest = std::max(largest, std::fabs(exact[i].value)), bound = std::max(bound, exact[i].bound);
    }
    EXPECT_LT(bound, 1e-3 * largest);  // so that the comparison says something
  }
}

TYPED_TEST(Recurrences, GiveTheSameBitsHoweverTheyAreRun) {
  Random random(2);
  for (int round = 0; round < 9; ++round) {
    const TypeParam r(random);
    std::vector<Sequence> sequences;
    for (int64_t i = random.below(4); i >= 0; --i)
      sequences.push_back(r.sequence(random, 1 + random.below(i == 0 ? 140 : 60), 2, round % 3 == 2 ? 3000 : 0));
    std::deque<Fed> expected;
    for (const Sequence& s : sequences) expected.push_back(std::move(feed(scalar_kernels(), 1, r, {s})[0]));
    for (const Kernels& kernels : test::levels()) {
      for (const Plan plan : {Plan::kWhole, Plan::kOnes, Plan::kToEdges, Plan::kRandom, Plan::kRewinding}) {
        const std::string what =
            kernels.level + (", round " + std::to_string(round)) + ", plan " + std::to_string(static_cast<int>(plan));
        const std::deque<Fed> got = feed(kernels, plan == Plan::kOnes ? 1 : 3, r, sequences, plan, &random);
        for (size_t i = 0; i < got.size(); ++i) {
          test::expect_same_bits(expected[i].y, got[i].y, what);
          test::expect_same_bits(expected[i].kept(r), got[i].kept(r), what + ", record");
        }
      }
    }
  }
}

// ---------------------------------------------------------------- examples computed elsewhere, in double

/// sin(a i + b) for i < n.
std::vector<float> sines(int64_t n, double a, double b) {
  std::vector<float> all;
  for (int64_t i = 0; i < n; ++i) all.push_back(static_cast<float>(std::sin(a * static_cast<double>(i) + b)));
  return all;
}

void expect_near(const std::vector<double>& expected, const float* got, const std::string& what) {
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(expected[i], got[i], 2e-6) << what << " " << i;
}

/// y silu(z).
std::vector<float> gated(const Kernels& kernels, Launch& launch, const std::vector<float>& y,
                         const std::vector<float>& z) {
  std::vector<float> out(y.size());
  kernels.gated({out.data(), z.data(), y.data(), static_cast<int64_t>(y.size()), Activation::kSilu}, launch);
  return out;
}

double loss(const std::vector<float>& out) {
  double sum = 0;
  for (size_t i = 0; i < out.size(); ++i) sum += out[i] * std::sin(0.37 * static_cast<double>(i) + 0.9);
  return sum;
}

TEST(SelectiveScan, OfFiveTokens) {
  SelectiveScanCase r(3, 4);
  for (const auto& w : {sines(12, .5, .3), sines(3, .8, .6), std::vector<float>(3, 0.0f)}) r.weights.emplace_back(w);
  const Sequence s{5, {sines(15, .7, .1), sines(15, .9, .2), sines(20, 1.1, .4), sines(20, 1.3, .5)}};
  for (const Kernels& kernels : test::levels()) {
    Threads one(1);
    const Fed fed = std::move(feed(kernels, 1, r, {s})[0]);
    const std::vector<float> out = gated(kernels, one.launch(), fed.y, sines(15, .6, .7));
    expect_near({0.08043196843, 1.533348549, 1.978339743}, &out[0], "out[0]");
    expect_near({0.03255054073, -0.1792329235, -0.123302448}, &out[12], "out[4]");
    EXPECT_NEAR(loss(out), 4.799421998, 1e-5);
    const float* h = fed.record[0].data();  // [state][channel]
    const float h0[] = {h[0], h[3], h[6], h[9]}, h2[] = {h[2], h[5], h[8], h[11]};
    expect_near({-0.1622145891, 0.1348236568, 0.2467561097, 0.1045081848}, h0, "h[0]");
    expect_near({0.6624594254, 0.9690750895, 0.1327361494, -0.5972579638}, h2, "h[2]");
  }
}

/// Out of five tokens that are alike in all but what reaches the state: those after them decay nothing and add nothing.
Sequence dual_sequence(int64_t n) {
  const auto x = sines(40, .7, .1), b = sines(30, 1.1, .4), c = sines(30, 1.3, .5), dt = sines(20, .9, .2);
  Sequence s{n, {{}, dt}};
  s.inputs[1].resize(static_cast<size_t>(n * 4), -200.0f);  // softplus: 0
  for (int64_t t = 0; t < n; ++t) {
    const int64_t from = std::min<int64_t>(t, 4);
    const auto append = [&](const std::vector<float>& part, int64_t width) {
      const auto row = part.begin() + from * width;
      s.inputs[0].insert(s.inputs[0].end(), row, row + width);
    };
    append(x, 8), append(b, 6), append(c, 6);
  }
  return s;
}

TEST(StateSpaceDual, OfFiveTokens) {
  SsdCase r(4, 2, 3, 2);
  for (const auto& w : {sines(4, .5, .3), sines(4, .8, .6), sines(4, .4, .3)}) r.weights.emplace_back(w);
  std::vector<float> gain = sines(8, .3, .2);
  for (float& g : gain) g = 1 + 0.1f * g;
  for (const Kernels& kernels : test::levels()) {
    Threads one(1);
    const std::vector<float> y = feed(kernels, 1, r, {dual_sequence(5)})[0].y;
    const std::vector<float> out = gated(kernels, one.launch(), y, sines(40, .6, .7));
    expect_near({-0.4769614841, -0.9334919484, -0.7943909969, -0.1240995724, -0.06543288748, -0.4233976366,
                 -0.3924703697, -0.2356646181},
                &out[32], "out[4]");
    std::vector<float> normed(out.size());
    kernels.rms_norm({normed.data(), out.data(), gain.data(), 10, 4, 1e-5f, false, 2}, one.launch());
    expect_near({-0.7363930396, -1.48091764, -1.288857277, -0.2046110885, -0.2292769842, -1.484425614, -1.365683904,
                 -0.8077479048},
                &normed[32], "by groups");
    EXPECT_NEAR(loss(normed), -9.739477182, 2e-5);
    kernels.rms_norm({normed.data(), out.data(), gain.data(), 5, 8, 1e-5f, false}, one.launch());
    expect_near({-0.9408309516, -1.892050954, -1.646670668, -0.2614153512, -0.1390268562, -0.9001122682, -0.8281107687,
                 -0.4897947004},
                &normed[32], "by rows");
    const Fed fed = std::move(feed(kernels, 1, r, {dual_sequence(kEdgeTokens)})[0]);
    const float* state = fed.record[0].data();  // [head][state][channel]
    const auto rows = [&](int64_t head) {       // [channel][state]
      const float* h = state + head * 6;
      return std::vector<float>{h[0], h[2], h[4], h[1], h[3], h[5]};
    };
    expect_near({-0.8580532581, -0.3928129364, 0.5016964093, -1.461191225, -0.5821599018, 0.933060278}, rows(0).data(),
                "state[0]");
    expect_near({-0.9234354338, -0.2774201323, 0.6717620418, -0.5753187774, -0.1449573339, 0.4438146086},
                rows(3).data(), "state[3]");
  }
}

// ---------------------------------------------------------------- long, extreme and broken sequences

// Decays and steps as models begin with: a in [-16, -1], dt around 0.001 to 0.1.
TEST(StateSpaceDual, StaysNearThePlainRecurrenceOver4096Tokens) {
  Random random(3);
  SsdCase r(2, 32, 64, 1);
  r.add_weight(2, [&] { return std::log(random.uniform(1, 16)); });
  r.add_weight(2, [&] { return random.normal(); });
  r.add_weight(2, [&] { return random.uniform(-6.9f, -2.3f); });
  const Sequence s = r.sequence(random, 4096);
  const std::vector<Exact> exact = r.definition(s);
  double largest = 0;
  for (const Exact& e : exact) largest = std::max(largest, std::fabs(e.value));
  for (const Kernels& kernels : test::levels()) {
    const std::vector<float> y = feed(kernels, 2, r, {s})[0].y;
    double off = 0;
    for (size_t i = 0; i < y.size(); ++i) off = std::max(off, std::fabs(exact[i].value - y[i]));
    EXPECT_LE(off, 1e-4 * largest) << kernels.level;
  }
}

/// A tensor of tests/oracle/ssd.safetensors.
template <class T>
std::vector<T> stored(const std::string& name) {
  std::ifstream in(std::string(GODWIT_SOURCE_DIR) + "/tests/oracle/ssd.safetensors", std::ios::binary);
  const std::string all{std::istreambuf_iterator<char>(in), {}};
  uint64_t header = 0;
  std::memcpy(&header, all.data(), sizeof header);
  const auto json = nlohmann::json::parse(all.substr(sizeof header, header));
  const auto& at = json.at(name).at("data_offsets");
  std::vector<T> values((at[1].get<size_t>() - at[0].get<size_t>()) / sizeof(T));
  std::memcpy(values.data(), all.data() + sizeof header + header + at[0].get<size_t>(), values.size() * sizeof(T));
  return values;
}

// Against NumPy in double, where the recurrence, its chunks and the quadratic form of the whole sequence agree
// (tests/oracle/ssd.py): decays of A, and of A / 256, which remember hundreds of tokens.
TEST(StateSpaceDual, Of4096TokensEqualsAllThreeFormsInDouble) {
  constexpr int64_t kTokens = 4096, kHeads = 2, kDim = 4, kStates = 8;
  const std::vector<int32_t> tokens = stored<int32_t>("tokens");
  for (const auto& [name, shift] : {std::pair{"fast", 0.0}, std::pair{"slow", std::log(256.0)}}) {
    SsdCase r(kHeads, kDim, kStates, 1);
    std::vector<float> a_log = sines(kHeads, .5, .3);
    for (float& a : a_log) a = static_cast<float>(a - shift);
    for (const auto& w : {a_log, sines(kHeads, .8, .6), sines(kHeads, .4, .3)}) r.weights.emplace_back(w);
    const auto x = sines(kTokens * kHeads * kDim, .7, .1), b = sines(kTokens * kStates, 1.1, .4),
               c = sines(kTokens * kStates, 1.3, .5);
    Sequence s{kTokens, {{}, sines(kTokens * kHeads, .9, .2)}};
    for (int64_t t = 0; t < kTokens; ++t) {
      const auto append = [&](const std::vector<float>& from, int64_t width) {
        s.inputs[0].insert(s.inputs[0].end(), from.begin() + t * width, from.begin() + (t + 1) * width);
      };
      append(x, kHeads * kDim), append(b, kStates), append(c, kStates);
    }
    const std::vector<float> golden = stored<float>(std::string(name) + ".y");
    ASSERT_EQ(golden.size(), tokens.size() * kHeads * kDim);
    float largest = 0;
    for (float y : golden) largest = std::max(largest, std::fabs(y));
    for (const Kernels& kernels : test::levels()) {
      const std::vector<float> y = feed(kernels, 2, r, {s})[0].y;
      for (size_t i = 0; i < golden.size(); ++i) {
        const auto at = static_cast<size_t>(tokens[i / (kHeads * kDim)]) * kHeads * kDim + i % (kHeads * kDim);
        ASSERT_NEAR(y[at], golden[i], 1e-4f * largest) << kernels.level << ", " << name << " at " << at;
      }
    }
  }
}

// A step that is not a number shows in what it reaches, clamped or not; a state that decays at once is no overflow.
TEST(StateSpaceDual, OfExtremeSteps) {
  Random random(4);
  for (const float dt : {kNotANumber, 1e4f, -1e4f}) {
    for (const float low : {0.0f, 0.01f}) {
      SsdCase r(1, 5, 3, 1);
      r.dt_low = low;
      for (const float w : {3.0f, 1.0f, 0.0f}) r.add_weight(1, [&] { return w; });
      Sequence s = r.sequence(random, 70);
      s.inputs[1][40] = dt;
      for (const Kernels& kernels : test::levels()) {
        const std::vector<float> y = feed(kernels, 1, r, {s})[0].y;
        for (size_t i = 0; i < y.size(); ++i)
          ASSERT_EQ(std::isfinite(y[i]), i < 40 * 5 || !std::isnan(dt)) << kernels.level << ", " << dt << " at " << i;
      }
    }
  }
}

}  // namespace
}  // namespace godwit
