#include "base/error.h"

#include <cstdio>
#include <cstdlib>

namespace godwit {

void bug(const char* file, int line, const char* condition, const std::string& message) {
  const std::string text = fmt::format("{}:{}: {} does not hold: {}", file, line, condition, message);
#ifdef GODWIT_DEBUG
  std::fprintf(stderr, "godwit: bug: %s\n", text.c_str());
  std::abort();
#else
  throw Bug(text);
#endif
}

}  // namespace godwit
