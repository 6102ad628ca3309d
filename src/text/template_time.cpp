// strftime, for templates that print today's date.
#include <ctime>

#include "text/template_interpreter.h"

namespace godwit::jinja {

std::string format_time(Interpreter& in, std::string_view format, int64_t now) {
  Runtime& runtime = in.runtime();
  runtime.scanned(format.size());
  const std::time_t seconds = static_cast<std::time_t>(now);
  std::tm local{};
  if (localtime_r(&seconds, &local) == nullptr) runtime.fail("strftime_now: no such time");
  std::string out;
  for (size_t at = 0; at < format.size(); ++at) {
    runtime.check_room(out.size() + 64);
    if (format[at] != '%' || at + 1 == format.size()) {
      out += format[at];
      continue;
    }
    ++at;
    runtime.step();
    // glibc's flag for no padding and the like, which Python passes on.
    std::string directive = "%";
    if (std::string_view("-_0^#").find(format[at]) != std::string_view::npos && at + 1 < format.size()) {
      directive += format[at++];
    }
    const char kind = format[at];
    if (kind == 'f') {
      out += "000000";  // the time has no microseconds
    } else if (kind == 'z' || kind == 'Z') {
      // Python's datetime.now() knows no zone.
    } else if (std::string_view("aAbBcCdDeFgGhHIjklmMnprRsStTuUVwWxXyY%").find(kind) != std::string_view::npos) {
      directive += kind;
      char buffer[128];
      const size_t length = std::strftime(buffer, sizeof(buffer), directive.c_str(), &local);
      out.append(buffer, length);
    } else {
      directive += kind;
      out += directive;
    }
  }
  return out;
}

}  // namespace godwit::jinja
