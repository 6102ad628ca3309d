// Renders chat templates for tests/oracle/template_check.py: JSON lines {"template", "variables", "now", "trusted"} in,
// {"text", "ranges"} or {"error"} out.
#include <fstream>
#include <iostream>
#include <string>

#include "base/error.h"
#include "base/json.h"
#include "text/chat_template.h"

int main() {
  std::ios::sync_with_stdio(false);
  for (std::string line; std::getline(std::cin, line);) {
    godwit::Json answer = godwit::Json::object();
    try {
      const godwit::Json job = godwit::Json::parse(line);
      godwit::RenderLimits limits;
      if (job.contains("now")) limits.now = job["now"].get<int64_t>();
      std::vector<std::string> trusted;
      if (job.contains("trusted")) trusted = job["trusted"].get<std::vector<std::string>>();
      std::string source;
      if (job.contains("builtin")) {
        const char* known = godwit::builtin_template(job["builtin"].get<std::string>());
        source = known != nullptr ? known : "{{ raise_exception('no such built-in') }}";
      } else {
        source = job["template"].get<std::string>();
      }
      const godwit::ChatTemplate chat(source, "template");
      const godwit::RenderedText result = chat.render(job["variables"], limits, trusted);
      answer["text"] = result.text;
      answer["ranges"] = godwit::Json::array();
      for (const godwit::TextRange& range : result.from_data) answer["ranges"].push_back({range.begin, range.end});
    } catch (const godwit::Error& error) {
      answer = {{"error", error.what()}};
    }
    std::cout << godwit::dump_json(answer) << '\n' << std::flush;
  }
  return 0;
}
