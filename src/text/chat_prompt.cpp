#include "text/chat_prompt.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include "base/json.h"

namespace godwit {
namespace {

/// The ranges that lie behind `from`, counted from there.
std::vector<TextRange> ranges_behind(const std::vector<TextRange>& ranges, size_t from) {
  std::vector<TextRange> behind;
  for (const TextRange& range : ranges)
    if (range.end > from) behind.push_back({std::max(range.begin, from) - from, range.end - from});
  return behind;
}

}  // namespace

ChatPrompter::ChatPrompter(const Tokenizer& tokenizer, const Vocabulary& v, ChatTemplate chat_template)
    : tokenizer_(&tokenizer), template_(std::move(chat_template)) {
  for (const auto& [name, id] : {std::pair("bos_token", v.bos), std::pair("eos_token", v.eos),
                                 std::pair("unk_token", v.unk), std::pair("pad_token", v.pad)})
    if (id && *id < tokenizer.size()) tokens_.emplace_back(name, tokenizer.piece(*id));
}

ChatPrompt ChatPrompter::prompt(const Json& messages, const Json& more, const ChatPast* past) const {
  Json variables = Json::object();
  for (const auto& [name, text] : tokens_) variables[name] = text;
  variables["tools"] = nullptr;  // transformers passes None, so that `tools is defined` holds
  variables["documents"] = nullptr;
  variables["add_generation_prompt"] = true;
  for (const auto& [name, value] : more.items()) variables[name] = value;
  variables["messages"] = messages;
  RenderedText rendered = template_.render(variables);

  ChatPrompt prompt;
  prompt.text = std::move(rendered.text);
  const std::string_view text = prompt.text;
  if (past != nullptr && !past->ids.empty() && text.size() > past->text.size() && text.starts_with(past->text)) {
    const std::string_view rest = text.substr(past->text.size());
    const auto plain = ranges_behind(rendered.from_data, past->text.size());
    const auto ids = tokenizer_->encode(rest, {.special = true, .bos = false, .plain = plain});
    // Only there no token reaches across.
    if (!ids.empty() && tokenizer_->is_special(ids.front()) && rest.starts_with(tokenizer_->piece(ids.front()))) {
      prompt.past_ids = past->ids.size();
      prompt.ids = past->ids;
      prompt.ids.insert(prompt.ids.end(), ids.begin(), ids.end());
      return prompt;
    }
  }
  prompt.ids = tokenizer_->encode(text, {.special = true, .bos = false, .plain = rendered.from_data});
  // Templates that spell the begin token do not get another; the model's end token has no place in a prompt.
  if (const std::optional<int32_t> bos = tokenizer_->bos();
      bos && tokenizer_->adds_bos() && (prompt.ids.empty() || prompt.ids.front() != *bos))
    prompt.ids.insert(prompt.ids.begin(), *bos);
  return prompt;
}

}  // namespace godwit
