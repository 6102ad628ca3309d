// Sine and cosine in double, for rotary tables: compiled once for all levels, no libm.
#pragma once

namespace godwit {

struct SinCos {
  double sin, cos;
};

/// Both of a float's value in radians, within 1e-15 relative, for |angle| <= 2^27; NaN for anything larger and for NaN.
SinCos sin_cos(float angle);

}  // namespace godwit
