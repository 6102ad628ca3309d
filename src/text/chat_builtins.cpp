#include "text/chat_template.h"

namespace godwit {
const char* builtin_template(std::string_view name) { return name.empty() ? nullptr : nullptr; }
std::vector<std::string> builtin_template_names() { return {}; }
}  // namespace godwit
