// godwit tokenize: text to ids.
#include <iostream>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/session.h"
#include "cli/streams.h"

namespace godwit {
namespace {

struct TokenizeOptions {
  ModelOptions model;
  TalkOptions talk;
  std::string prompt, file;
  bool pieces = false, no_special = false, no_bos = false;
};

void tokenize_command(const TokenizeOptions& o, bool has_prompt) {
  if (has_prompt == !o.file.empty())
    fail(ErrorKind::kUsage, "tokenize: give one of -p TEXT and --file FILE (- is stdin)");
  std::string text = o.prompt;
  if (!o.file.empty()) text = read_input(o.file, uint64_t{1} << 30);
  const auto open = open_from(o.model);
  const auto tokenizer = need_tokenizer(*open);
  const auto ids = tokenizer->encode(text, {.special = !o.no_special, .bos = !o.no_bos});
  if (o.talk.json) {
    Json pieces = Json::array();
    for (int32_t id : ids) pieces.push_back(std::string(tokenizer->piece(id)));
    std::cout << dump_json({{"schema", "godwit.tokenize/1"}, {"ids", ids}, {"pieces", pieces}}) << '\n';
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
                                "  godwit tokenize model.gguf -p 'Hello world' --pieces");
  add_model_options(command, o->model);
  const Flag prompt = command.flag("-p,--prompt", o->prompt, "the text");
  command.flag("-f,--file", o->file, "a file, byte for byte; - is stdin");
  command.flag("--pieces", o->pieces, "one line a token: id and its text");
  command.flag("--no-special", o->no_special, "special tokens' text is text");
  command.flag("--no-bos", o->no_bos, "no begin-of-text token");
  add_talk_options(command, o->talk);
  command.runs([o, prompt] { tokenize_command(*o, prompt.given()); });
}

}  // namespace godwit
