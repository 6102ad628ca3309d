// godwit tokenize: text to ids.
#include <iostream>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/chat_session.h"
#include "cli/commands.h"
#include "cli/session.h"
#include "cli/streams.h"

namespace godwit {
namespace {

struct TokenizeOptions {
  ModelOptions model;
  TalkOptions talk;
  std::string prompt, file, chat, chat_template;
  bool pieces = false, no_special = false, no_bos = false;
};

/// Messages and the template's other variables from a file: a list of messages, or an object that has one.
ChatPrompt prompt_from(const TokenizeOptions& o, const OpenModel& open, const Tokenizer& tokenizer) {
  const Json chat = parse_json(read_input(o.chat, uint64_t{64} << 20), printable_path(o.chat));
  Json more = chat.is_object() ? chat : Json({{"messages", chat}, {"add_generation_prompt", true}});
  if (!more.contains("messages") || !more["messages"].is_array())
    invalid("{}: expected a list of messages, or an object with one as \"messages\"", printable_path(o.chat));
  const Json messages = more["messages"];
  more.erase("messages");
  if (!more.contains("add_generation_prompt")) more["add_generation_prompt"] = false;
  const Vocabulary vocabulary = vocabulary_of(open);
  const ChatPrompter prompter(tokenizer, vocabulary, chat_template_for(o.chat_template, open, vocabulary));
  return prompter.prompt(messages, more);
}

void tokenize_command(const TokenizeOptions& o, bool has_prompt) {
  if (int{has_prompt} + int{!o.file.empty()} + int{!o.chat.empty()} != 1)
    fail(ErrorKind::kUsage, "tokenize: give one of -p TEXT, --file FILE and --chat FILE (- is stdin)");
  if (o.chat.empty() && !o.chat_template.empty()) fail(ErrorKind::kUsage, "tokenize: --template goes with --chat");
  std::string text = o.prompt;
  if (!o.file.empty()) text = read_input(o.file, uint64_t{1} << 30);
  const auto open = open_from(o.model);
  const auto tokenizer = need_tokenizer(*open);
  std::vector<int32_t> ids;
  if (!o.chat.empty()) {
    ChatPrompt prompt = prompt_from(o, *open, *tokenizer);
    text = std::move(prompt.text);
    ids = std::move(prompt.ids);
  } else {
    ids = tokenizer->encode(text, {.special = !o.no_special, .bos = !o.no_bos});
  }
  if (o.talk.json) {
    Json pieces = Json::array();
    for (int32_t id : ids) pieces.push_back(std::string(tokenizer->piece(id)));
    Json answer = {{"schema", "godwit.tokenize/1"}, {"ids", ids}, {"pieces", pieces}};
    if (!o.chat.empty()) answer["text"] = text;
    std::cout << dump_json(answer) << '\n';
    return;
  }
  if (o.pieces) {
    for (int32_t id : ids) std::cout << fmt::format("{}\t{}\n", id, quoted(tokenizer->piece(id), 1000));
    return;
  }
  std::cout << fmt::format("{}\n", fmt::join(ids, " "));
}

}  // namespace

void add_tokenize(CLI::App& app) {
  auto o = std::make_shared<TokenizeOptions>();
  Command command = add_command(app, "tokenize",
                                "text to token ids, one line\n\n"
                                "  godwit tokenize model.gguf -p 'Hello world' --pieces\n"
                                "  echo '[{\"role\": \"user\", \"content\": \"Hi\"}]' |\n"
                                "    godwit tokenize model.gguf --chat - --json    # the text and ids of a chat");
  add_model_options(command, o->model);
  const Flag prompt = command.flag("-p,--prompt", o->prompt, "the text");
  command.flag("-f,--file", o->file, "a file, byte for byte; - is stdin");
  command.flag("--chat", o->chat,
               "JSON of messages, or of an object with messages and the template's other variables (tools, "
               "add_generation_prompt, ...): what the model is fed of it; - is stdin");
  command.flag("--template", o->chat_template, "with --chat, instead of the model's own: a file, or a built-in one");
  command.flag("--pieces", o->pieces, "one line a token: id and its text");
  command.flag("--no-special", o->no_special, "special tokens' text is text");
  command.flag("--no-bos", o->no_bos, "no begin-of-text token");
  add_talk_options(command, o->talk);
  command.runs([o, prompt] { tokenize_command(*o, prompt.given()); });
}

}  // namespace godwit
