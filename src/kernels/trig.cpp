// Argument reduction by three parts of pi / 2 (Cody and Waite 1980), then the polynomials of fdlibm's __kernel_sin and
// __kernel_cos (Sun Microsystems 1993) on [-pi/4, pi/4].
#include "kernels/trig.h"

#include <cstdint>

namespace godwit {

namespace {

// pi / 2 in parts of 27, 27 and 53 bits. With n < 2^27 the first two products below, and both differences, are exact:
// the angle is a float, so that only the last step rounds.
constexpr double kHalfPi1 = 0x1.921fb54p+0;
constexpr double kHalfPi2 = 0x1.10b4610p-30;
constexpr double kHalfPi3 = 0x1.a62633145c06ep-58;
constexpr double kTwoOverPi = 0x1.45f306dc9c883p-1;
constexpr double kRounder = 0x1.8p+52;  // adding it leaves the nearest integer in the low bits

double sin_polynomial(double x) {
  const double z = x * x;
  const double r =
      8.33333333332248946124e-03 +
      z * (-1.98412698298579493134e-04 +
           z * (2.75573137070700676789e-06 + z * (-2.50507602534068634195e-08 + z * 1.58969099521155010221e-10)));
  return x + (z * x) * (-1.66666666666666324348e-01 + z * r);
}

double cos_polynomial(double x) {
  const double z = x * x;
  const double r = z * (4.16666666666666019037e-02 +
                        z * (-1.38888888888741095749e-03 +
                             z * (2.48015872894767294178e-05 +
                                  z * (-2.75573143513906633035e-07 +
                                       z * (2.08757232129817482790e-09 + z * -1.13596475577881948265e-11)))));
  const double half = 0.5 * z;
  const double w = 1.0 - half;
  return w + (((1.0 - w) - half) + z * r);
}

}  // namespace

SinCos sin_cos(float angle) {
  const double x = angle;
  if (!(x <= 0x1p27 && x >= -0x1p27)) return {__builtin_nan(""), __builtin_nan("")};
  const double n = (x * kTwoOverPi + kRounder) - kRounder;
  const double r = ((x - n * kHalfPi1) - n * kHalfPi2) - n * kHalfPi3;
  const double s = sin_polynomial(r);
  const double c = cos_polynomial(r);
  switch (static_cast<int64_t>(n) & 3) {
    case 0:
      return {s, c};
    case 1:
      return {c, -s};
    case 2:
      return {-s, -c};
    default:
      return {-c, s};
  }
}

}  // namespace godwit
