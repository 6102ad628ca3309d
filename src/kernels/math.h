// exp, log and tanh of floats: one polynomial for all levels, so that the same bits come out everywhere. V is float or
// Vec (simd.h); both perform exactly these operations. No libm but fma. Coefficients: minimax fits over the reduced
// range, made for these forms; the argument reductions are those of Cody and Waite 1980.
#pragma once

#include "kernels/simd.h"

namespace godwit::GODWIT_LEVEL {

inline constexpr float kInfinity = __builtin_inff();
inline constexpr float kLog2E = 0x1.715476p+0f;
inline constexpr float kLn2High = 0x1.62e4p-1f;       // 15 bits, so that n * kLn2High is exact for |n| <= 256
inline constexpr float kLn2Low = 0x1.7f7d1cp-20f;     // ln 2 - kLn2High
inline constexpr float kExpLowest = -0x1.5d589ep+6f;  // ln 2^-126: below, the result would be denormal and is 0
inline constexpr float kExpHighest = 0x1.62e42ep+6f;  // ln of the largest float: above, infinity
inline constexpr float kSmallestNormal = 0x1p-126f;

/// e^x within 2 ulp; exp(0) == 1, exp(-inf) == 0; results below 2^-126 are 0; above the largest float infinity; NaN
/// stays.
template <class V>
V exp(V x) {
  // Adding 1.5 * 2^23 rounds to an integer n, whose low bits are then those of the sum.
  const V magic = splat<V>(0x1.8p+23f);
  const V shifted = fma(x, splat<V>(kLog2E), magic);
  const V n = shifted - magic;
  V r = fma(n, splat<V>(-kLn2High), x);
  r = fma(n, splat<V>(-kLn2Low), r);
  V q = splat<V>(0x1.6d7ee8p-10f);
  q = fma(q, r, splat<V>(0x1.123b18p-7f));
  q = fma(q, r, splat<V>(0x1.5554bcp-5f));
  q = fma(q, r, splat<V>(0x1.55549p-3f));
  q = fma(q, r, splat<V>(0.5f));
  const V p = fma(r * r, q, r) + splat<V>(1.0f);
  // p * 2^n, by adding n to the exponent; only arguments inside the bounds use it.
  const V scaled = from_bits(to_bits(p) + shift_left<23>(to_bits(shifted)));
  const V tiny = select(less(x, splat<V>(kExpLowest)), splat<V>(0.0f), scaled);
  return select(less_equal(x, splat<V>(kExpHighest)), tiny, x + splat<V>(kInfinity));
}

/// The natural logarithm within 2 ulp; log(0) == -inf (denormals count as 0), log(inf) == inf, NaN for negatives.
template <class V>
V log(V x) {
  // x = m * 2^e with sqrt(1/2) <= m < sqrt(2): 0x3f3504f3 is sqrt(1/2).
  const auto half_root = splat_bits<V>(0x3f3504f3);
  const auto biased = to_bits(x) - half_root + splat_bits<V>(0x3f800000);
  const V e = int_to_float(shift_right<23>(biased) - splat_bits<V>(127));
  const V m = from_bits((biased & splat_bits<V>(0x007fffff)) + half_root);
  const V f = m - splat<V>(1.0f);
  V q = splat<V>(0x1.14858cp-4f);
  q = fma(q, f, splat<V>(-0x1.de10bep-4f));
  q = fma(q, f, splat<V>(0x1.e6c064p-4f));
  q = fma(q, f, splat<V>(-0x1.fc269ep-4f));
  q = fma(q, f, splat<V>(0x1.233b76p-3f));
  q = fma(q, f, splat<V>(-0x1.555c4ep-3f));
  q = fma(q, f, splat<V>(0x1.99a478p-3f));
  q = fma(q, f, splat<V>(-0x1.000006p-2f));
  q = fma(q, f, splat<V>(0x1.555548p-2f));
  const V square = f * f;
  V y = fma(square * f, q, e * splat<V>(kLn2Low));
  y = fma(square, splat<V>(-0.5f), y);
  y = fma(e, splat<V>(kLn2High), f + y);
  y = select(less(x, splat<V>(kSmallestNormal)), splat<V>(-kInfinity), y);
  y = select(less_equal(x, splat<V>(-kSmallestNormal)), splat<V>(__builtin_nanf("")), y);
  return select(less(x, splat<V>(kInfinity)), y, x);  // infinity and NaN
}

/// tanh within 2 ulp, odd, NaN stays.
template <class V>
V tanh(V x) {
  const auto sign = to_bits(x) & splat_bits<V>(0x80000000);
  const V a = from_bits(to_bits(x) & splat_bits<V>(0x7fffffff));
  const V square = a * a;
  V q = splat<V>(-0x1.769df8p-8f);
  q = fma(q, square, splat<V>(0x1.525328p-6f));
  q = fma(q, square, splat<V>(-0x1.b8439ap-5f));
  q = fma(q, square, splat<V>(0x1.110762p-3f));
  q = fma(q, square, splat<V>(-0x1.555534p-2f));
  const V small = fma(a * square, q, a);
  const V large = splat<V>(1.0f) - splat<V>(2.0f) / (exp(a + a) + splat<V>(1.0f));
  const V y = select(less(a, splat<V>(0.625f)), small, large);
  return from_bits(to_bits(y) | sign);
}

/// x / (1 + e^-x).
template <class V>
V silu(V x) {
  return x / (splat<V>(1.0f) + exp(-x));
}

/// 0.5 x (1 + tanh(z)) with z = sqrt(2 / pi) (x + 0.044715 x^3), computed as the equal x / (1 + e^-2z), which does not
/// cancel for negative x. Source: Hendrycks and Gimpel 2016.
template <class V>
V gelu_tanh(V x) {
  const V cubic = fma(splat<V>(0.044715f) * (x * x), x, x);
  return x / (splat<V>(1.0f) + exp(splat<V>(-0x1.988454p+0f) * cubic));  // -2 sqrt(2 / pi)
}

/// x times the normal distribution's share below x, which is 0.5 x (1 + erf(x / sqrt(2))): max(0, x) - a h with a = |x|
/// and h = e^(-a^2 / 2) t p(t), the share above a, t = 1 / (1 + a / 4). Nothing cancels; error (10 + x^2) 2^-24 of the
/// result. Above a = 15, h is 0. Source: Hendrycks and Gimpel 2016.
template <class V>
V gelu(V x) {
  const V a = min(splat<V>(15.0f), from_bits(to_bits(x) & splat_bits<V>(0x7fffffff)));
  const V t = splat<V>(1.0f) / fma(splat<V>(0.25f), a, splat<V>(1.0f));
  V p = splat<V>(0x1.93d9f4p-6f);
  p = fma(p, t, splat<V>(-0x1.2e2802p-3f));
  p = fma(p, t, splat<V>(0x1.23f3aap-2f));
  p = fma(p, t, splat<V>(-0x1.8b4f5ap-3f));
  p = fma(p, t, splat<V>(0x1.8adec6p-3f));
  p = fma(p, t, splat<V>(0x1.2d8d36p-5f));
  p = fma(p, t, splat<V>(0x1.a4c9f4p-4f));
  p = fma(p, t, splat<V>(0x1.941f72p-4f));
  p = fma(p, t, splat<V>(0x1.98bbfcp-4f));
  const V h = p * t * exp(splat<V>(-0.5f) * (a * a));
  return max(splat<V>(0.0f), x) - a * h;
}

/// 1 / (1 + e^-x).
template <class V>
V sigmoid(V x) {
  return splat<V>(1.0f) / (splat<V>(1.0f) + exp(-x));
}

/// log(1 + e^x), relative error within a few ulp; x itself above 20, as torch has it. log(1 + e) is taken as log(u) e /
/// (u - 1) with u = 1 + e rounded, in which the rounding of u cancels. Source: Kahan, as in Goldberg 1991, theorem 4.
template <class V>
V softplus(V x) {
  const V e = exp(x);
  const V u = splat<V>(1.0f) + e;
  const V y = select(less_equal(u, splat<V>(1.0f)), e, log(u) * (e / (u - splat<V>(1.0f))));
  return select(less(splat<V>(20.0f), x), x, y);
}

}  // namespace godwit::GODWIT_LEVEL
