// godwit chat from outside: one answer in a pipe, and sessions on a pseudo-terminal.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <regex>

#include "base/json.h"
#include "cli/program.h"
#include "cli/pseudo_terminal.h"

namespace godwit {
namespace {

constexpr const char* kChatTemplate =
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

/// The tiny model with one token a letter. Its weights are random: what it says makes no sense, and it never ends.
class Chat : public Commands {
 protected:
  void SetUp() override {
    Commands::SetUp();
    model_ = (folder_ / "model").string();
    fs::copy(tiny_, model_);
    Json vocabulary = Json::object();
    for (const char* letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:;!?'\"()[]{}/-+_*=";
         *letters != 0; ++letters)
      vocabulary[std::string(1, *letters)] = vocabulary.size();
    vocabulary["\xC4\xA0"] = vocabulary.size();  // space and newline in the byte-level alphabet
    vocabulary["\xC4\x8A"] = vocabulary.size();
    Json added = Json::array();
    for (const char* token : {"<|im_start|>", "<|im_end|>"})
      added.push_back({{"id", vocabulary.size() + added.size()}, {"content", token}, {"special", true}});
    const Json tokenizer = {{"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}}},
                            {"decoder", {{"type", "ByteLevel"}}},
                            {"added_tokens", added},
                            {"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", Json::array()}}}};
    std::ofstream(fs::path(model_) / "tokenizer.json") << dump_json(tokenizer);
    std::ofstream(fs::path(model_) / "chat_template.jinja") << kChatTemplate;
  }

  std::unique_ptr<PseudoTerminal> start(const std::vector<std::string>& more, const std::string& model) {
    std::vector<std::string> command = {GODWIT_BINARY, "chat", model, "-t", "2", "--no-color"};
    command.insert(command.end(), more.begin(), more.end());
    auto terminal = std::make_unique<PseudoTerminal>(
        command,
        PseudoTerminal::Environment{{"XDG_STATE_HOME", (folder_ / "state").string()}, {"HOME", folder_.string()}});
    terminal->expect("> ");
    return terminal;
  }
  std::unique_ptr<PseudoTerminal> start(const std::vector<std::string>& more) { return start(more, model_); }

  /// The messages of the conversation, by way of /save.
  Json messages(PseudoTerminal& terminal) {
    const std::string file = (folder_ / "saved.json").string();
    terminal.type("/save " + file + "\r");
    terminal.expect("saved");
    terminal.expect("> ");
    return parse_json(slurp(file), file)["messages"];
  }
  /// Sends a message and waits for the line of figures behind its answer.
  static std::string say(PseudoTerminal& terminal, const std::string& keys) {
    terminal.type(keys + "\r");
    terminal.expect("tokens in");
    std::string figures = terminal.expect("]");
    terminal.expect("> ");
    return figures;
  }

  std::string model_;
};

TEST_F(Chat, OneAnswerFromAPipe) {
  const Result r = execute("printf 'Hello\\n' | " GODWIT_BINARY " chat " + model_ + " -n 8 --ignore-eos", "");
  EXPECT_EQ(r.code, 0) << r.err;
  EXPECT_EQ(r.out.back(), '\n');
  EXPECT_NE(r.err.find("tok/s"), std::string::npos) << r.err;
  EXPECT_EQ(r.err.find('\033'), std::string::npos) << r.err;
  // The line's end is not part of the message, so -p is the same.
  const Result same = run("chat " + model_ + " -n 8 --ignore-eos -q -p Hello");
  EXPECT_EQ(same.code, 0) << same.err;
  EXPECT_EQ(same.out, r.out);
  EXPECT_EQ(same.err, "");
  const Result json = run("chat " + model_ + " -n 8 --ignore-eos -p Hello --system 'Be brief' --json");
  EXPECT_EQ(json.code, 0) << json.err;
  const Json object = parse_json(json.out, "stdout");
  EXPECT_EQ(object["schema"], "godwit.chat/1");
  for (const char* key : {"text", "ids", "prompt_tokens", "completion_tokens", "finish_reason", "timing"})
    EXPECT_TRUE(object.contains(key)) << key;
  for (const char* key : {"load_s", "prefill_s", "decode_s", "ttft_s"}) EXPECT_TRUE(object["timing"].contains(key));
  EXPECT_EQ(object["completion_tokens"], 8);
  EXPECT_EQ(object["finish_reason"], "length");
  // <|im_start|>system\nBe brief<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n, a token a
  // letter
  EXPECT_EQ(object["prompt_tokens"], 1 + 7 + 8 + 2 + 1 + 5 + 5 + 2 + 1 + 10);
}

TEST_F(Chat, ControlTokensInAMessageAreText) {
  const auto tokens = [&](const std::string& message) {
    const Result r = run("chat " + model_ + " -n 1 --ignore-eos --json -p '" + message + "'");
    EXPECT_EQ(r.code, 0) << r.err;
    return parse_json(r.out, "stdout")["prompt_tokens"].get<int>();
  };
  // Letters without the signs that the vocabulary does not have, and no control token: im_end.
  EXPECT_EQ(tokens("a<|im_end|>b"), tokens("ab") + 6);
}

TEST_F(Chat, WrongUseAndWrongModels) {
  struct Case {
    std::string arguments;
    int code;
    std::string hint;
  };
  const std::string bare = (folder_ / "bare").string(), loops = (folder_ / "loops.jinja").string(),
                    broken = (folder_ / "broken.jinja").string();
  fs::copy(model_, bare);
  fs::remove(fs::path(bare) / "chat_template.jinja");
  std::ofstream(loops) << "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}";
  std::ofstream(broken) << "{% for m in messages %}";
  const Case cases[] = {
      {bare + " -p hi", 3, "--template FILE"},
      {bare + " -p hi", 3, "run"},
      {bare + " -p hi --template nosuch", 3, "chatml"},
      {model_ + " -p hi --template " + loops, 3, "loops.jinja"},
      {model_ + " -p hi --template " + broken, 3, "broken.jinja"},
      {tiny_ + " -p hi", 3, "text cannot be read"},
      {model_ + " -p hi -f " + loops, 2, "-f"},
      {model_ + " -p hi --set x", 2, "KEY=VALUE"},
      {model_ + " -p hi --set messages=[]", 2, "KEY=VALUE"},
      {model_ + " -p hi -c 8", 2, "context"},
      {model_ + " -p hi --temp -1", 2, "temp"},
      {model_ + " -f " + folder_.string() + "/absent", 3, "absent"},
  };
  for (const auto& [arguments, code, hint] : cases) {
    const Result r = run("chat " + arguments);
    EXPECT_EQ(r.code, code) << arguments << "\n" << r.err;
    EXPECT_NE(r.err.find(hint), std::string::npos) << arguments << "\n" << r.err;
    EXPECT_EQ(std::count(r.err.begin(), r.err.end(), '\n'), 1) << r.err;
    EXPECT_EQ(r.out, "") << arguments;
    EXPECT_LT(r.seconds, 5.0) << arguments;
  }
  const Result named = run("chat " + bare + " -p hi -n 2 --ignore-eos --template chatml");
  EXPECT_EQ(named.code, 0) << named.err;
}

TEST_F(Chat, VariablesReachTheTemplate) {
  const std::string file = (folder_ / "set.jinja").string();
  std::ofstream(file) << "{{ raise_exception(a ~ ' ' ~ (b + 1) ~ ' ' ~ enable_thinking) }}";
  const Result r = run("chat " + model_ + " -p hi --set a=word --set b=41 --no-think --template " + file);
  EXPECT_EQ(r.code, 3);
  EXPECT_NE(r.err.find("word 42 False"), std::string::npos) << r.err;
}

TEST_F(Chat, ConversationOnATerminal) {
  const auto t = start({"-n", "6", "--ignore-eos", "--system", "Be brief"});
  // First turn: nothing to reuse; 18 tokens of system, 13 of message (a token a letter) and 11 to begin the answer.
  std::string figures = say(*t, "Hello");
  EXPECT_NE(figures.find("6 out"), std::string::npos) << figures;
  EXPECT_NE(figures.find("context 48 of 128 (37 %)"), std::string::npos) << figures;
  // The next turn reuses all but the end of the answer: its last token was chosen, not fed.
  figures = say(*t, "Go on");
  EXPECT_NE(figures.find("(47 reused)"), std::string::npos) << figures;
  Json now = messages(*t);
  ASSERT_EQ(now.size(), 5u);
  EXPECT_EQ(now[0], (Json{{"role", "system"}, {"content", "Be brief"}}));
  EXPECT_EQ(now[1], (Json{{"role", "user"}, {"content", "Hello"}}));
  EXPECT_EQ(now[2]["role"], "assistant");
  EXPECT_EQ(now[2]["content"].get<std::string>().size(), 6u);
  EXPECT_EQ(now[3]["content"], "Go on");

  t->type("/stats\r");
  EXPECT_NE(t->expect("loaded in").find("2 answers"), std::string::npos);
  t->expect("> ");
  t->type("/system\r");
  t->expect("Be brief");
  t->expect("> ");
  t->type("/system Be long\r");
  t->expect("> ");
  t->type("/undo\r");
  t->expect("> ");
  EXPECT_EQ(messages(*t).size(), 3u);
  EXPECT_EQ(messages(*t)[0]["content"], "Be long");
  say(*t, "/retry");
  EXPECT_EQ(messages(*t).size(), 3u);
  t->type("/reset\r");
  t->expect("> ");
  EXPECT_EQ(messages(*t).size(), 1u);
  t->type("/system \"\"\r");
  t->expect("> ");
  EXPECT_EQ(messages(*t).size(), 0u);
  t->type("/halp\r");
  t->expect("did you mean /help?");
  t->expect("> ");
  t->type("/help\r");
  t->expect("/load FILE");
  t->expect("> ");
  say(*t, "//slash");
  EXPECT_EQ(messages(*t)[0]["content"], "/slash");
  t->type("\004");
  EXPECT_EQ(t->wait_for_end(), 0);
}

TEST_F(Chat, WhatIsTypedIsKeptForTheNextSession) {
  auto t = start({"-n", "1", "--ignore-eos"});
  say(*t, "first");
  t->paste("two\nlines");
  say(*t, "");
  t->type("/exit\r");
  EXPECT_EQ(t->wait_for_end(), 0);
  t = start({"-n", "1", "--ignore-eos"});
  t->type("\033[A\033[A");  // past /exit
  say(*t, "!");
  say(*t, "\022firs");  // found by Ctrl-R
  const Json now = messages(*t);
  EXPECT_EQ(now[0]["content"], "two\nlines!");
  EXPECT_EQ(now[2]["content"], "first");
  t->type("/quit\r");
  EXPECT_EQ(t->wait_for_end(), 0);
}

TEST_F(Chat, PasteAndWindowChanges) {
  const auto t = start({"-n", "1", "--ignore-eos"});
  t->type("look: ");
  t->paste("def f():\n\treturn 1\n\033[2J");
  t->resize(30, 40);
  t->expect("def f():");
  say(*t, "");
  EXPECT_EQ(messages(*t)[0]["content"], "look: def f():\n\treturn 1\n\xE2\x90\x9B[2J");
  EXPECT_EQ(t->shown().find("\033[2J"), std::string::npos);
  t->type("\004");
  EXPECT_EQ(t->wait_for_end(), 0);
}

TEST_F(Chat, CtrlCStopsTheAnswerNotTheProgram) {
  const auto t = start({"--ignore-eos", "-c", "1000000", "--system", "x"});
  for (int turn = 1; turn <= 2; ++turn) {
    t->type("Hello\r");
    t->expect("\n");
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    t->type("\003");
    t->expect("; stopped]");
    t->expect("> ");
    const Json now = messages(*t);
    ASSERT_EQ(now.size(), 1u + 2 * static_cast<size_t>(turn));
    EXPECT_GT(now.back()["content"].get<std::string>().size(), 10u);  // what came stays
  }
  t->type("dropped\003");
  t->expect("> ");
  t->type("\003");
  t->expect("> ");
  t->type("\003");
  t->expect("Ctrl-D or /exit leaves");
  t->expect("> ");
  t->type("\004");
  EXPECT_EQ(t->wait_for_end(), 0);
}

TEST_F(Chat, SigtermEndsItWith130) {
  auto t = start({"-n", "1"});
  ::kill(t->pid(), SIGTERM);
  EXPECT_EQ(t->wait_for_end(), 130);
  t = start({"--ignore-eos", "-c", "1000000"});
  t->type("Hello\r");
  t->expect("\n");
  ::kill(t->pid(), SIGTERM);
  EXPECT_EQ(t->wait_for_end(), 130);
}

TEST_F(Chat, SavedConversationsGoOn) {
  auto t = start({"-n", "4", "--ignore-eos"});
  say(*t, "one");
  const Json before = messages(*t);
  t->type("\004");
  EXPECT_EQ(t->wait_for_end(), 0);
  t = start({"-n", "4", "--ignore-eos"});
  const std::string saved = (folder_ / "saved.json").string(), other = (folder_ / "other.json").string();
  std::ofstream(other) << "precious";
  t->type("/load " + other + "\r");
  t->expect("other.json");
  t->expect("> ");
  t->type("/save " + other + "\r");
  t->expect("other.json");
  t->expect("> ");
  EXPECT_EQ(slurp(other), "precious");
  t->type("/load\r");
  t->expect("which file");
  t->expect("> ");
  t->type("/load " + (folder_ / "absent").string() + "\r");
  t->expect("cannot be opened");
  t->expect("> ");
  t->type("/load ~/saved.json\r");
  t->expect("2 messages loaded");
  t->expect("> ");
  say(*t, "two");
  const Json after = messages(*t);
  ASSERT_EQ(after.size(), 4u);
  EXPECT_EQ(after[0], before[0]);
  EXPECT_EQ(after[1], before[1]);
  t->type("\004");
  EXPECT_EQ(t->wait_for_end(), 0);
}

TEST_F(Chat, AConversationThatIsTooLongIsSaidToBe) {
  const auto t = start({"-n", "4", "--ignore-eos", "-c", "64"});
  say(*t, "Hello");
  t->type(std::string(60, 'x') + "\r");
  const std::string said = t->expect("/reset begins again");
  // 13 + 11 + 4 tokens so far; <|im_end|>, newline, 6 and 60 of the message, 2, and 11 for the answer: 109, of 63.
  EXPECT_NE(said.find("46 tokens too long"), std::string::npos) << said;
  t->expect("> ");
  EXPECT_EQ(messages(*t).size(), 2u);
  say(*t, "ok");
  t->type("\004");
  EXPECT_EQ(t->wait_for_end(), 0);
  const auto full = start({"--ignore-eos", "-c", "64"});
  full->type("Hello\r");
  full->expect("the context is full");
  full->expect("> ");
  full->type("\004");
  EXPECT_EQ(full->wait_for_end(), 0);
}

TEST_F(Chat, ATemplateThatRefusesLeavesTheConversationAsItWas) {
  const std::string file = (folder_ / "strict.jinja").string();
  std::ofstream(file) << "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system here') }}{% endif %}"
                      << kChatTemplate;
  const auto t = start({"-n", "2", "--ignore-eos", "--template", file});
  t->type("/system Be brief\r");
  t->expect("> ");
  t->type("Hello\r");
  t->expect("no system here");
  t->expect("> ");
  t->type("/system \"\"\r");
  t->expect("> ");
  say(*t, "Hello");
  EXPECT_EQ(messages(*t).size(), 2u);
  t->type("\004");
  EXPECT_EQ(t->wait_for_end(), 0);
}

/// Of a real model, where it is there.
class RealChat : public Chat {
 protected:
  static std::string real(const std::string& name) {
    const char* cache = std::getenv("XDG_CACHE_HOME");
    const char* home = std::getenv("HOME");
    const fs::path cached = cache != nullptr ? fs::path(cache) : fs::path(home != nullptr ? home : "/") / ".cache";
    return (cached / "godwit/models" / name).string();
  }
};

TEST_F(RealChat, SmolLM2Answers) {
  const std::string model = real("SmolLM2-135M-Instruct.Q4_1.gguf");
  if (!fs::exists(model)) GTEST_SKIP() << model << " is not there";
  const auto t = start({"--greedy", "--activations", "f32", "-n", "64"}, model);
  t->type("What is the capital of France?\r");
  const std::string answer = t->expect("tokens in", 120);
  EXPECT_NE(answer.find("Paris"), std::string::npos) << answer;
  t->expect("> ");
  t->type("And of Italy?\r");
  EXPECT_NE(t->expect("]\r", 120).find("reused"), std::string::npos);
  t->expect("> ");
  t->type("\004");
  EXPECT_EQ(t->wait_for_end(), 0);
}

TEST_F(RealChat, BaseModelsAreRefusedWithAHint) {
  const std::string model = real("gemma-3-270m.Q4_K_M.gguf");
  if (!fs::exists(model)) GTEST_SKIP() << model << " is not there";
  const Result r = run("chat " + model + " -p hi");
  EXPECT_EQ(r.code, 3) << r.err;
  EXPECT_NE(r.err.find("--template FILE"), std::string::npos) << r.err;
  EXPECT_NE(r.err.find("run"), std::string::npos) << r.err;
}

}  // namespace
}  // namespace godwit
