#include "cli/audit_worker.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <iostream>
#include <set>

#include "audit/energy.h"
#include "audit/limits.h"
#include "audit/report.h"
#include "audit/sweep.h"
#include "base/cpu.h"
#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/session.h"
#include "ops/experts.h"

namespace godwit {
namespace {

// False: the other side is gone.
bool send_line(int fd, const std::string& line) {
  for (size_t sent = 0; sent < line.size();) {
    const ssize_t n = send(fd, line.data() + sent, line.size() - sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    sent += static_cast<size_t>(n);
  }
  return true;
}

// The next line, without its end; `meanwhile` is called now and then while it waits. False: the other side is gone.
template <class Meanwhile>
bool receive_line(int fd, std::string& buffer, std::string& line, const Meanwhile& meanwhile) {
  while (true) {
    const size_t end = buffer.find('\n');
    if (end != std::string::npos) {
      line = buffer.substr(0, end);
      buffer.erase(0, end + 1);
      return true;
    }
    meanwhile();
    pollfd waiting{fd, POLLIN, 0};
    if (poll(&waiting, 1, 100) <= 0) continue;
    char piece[65536];
    const ssize_t n = recv(fd, piece, sizeof piece, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    buffer.append(piece, static_cast<size_t>(n));
  }
}

// The process's side.
class Measurer {
 public:
  Measurer(ModelOptions options, TalkOptions talk) : options_(std::move(options)), talk_(talk) {}

  Json answer(const Json& request) {
    const std::string what = request.at("do");
    if (what == "open") return open(request);
    if (what == "load") return load();
    if (what == "limits") return limits();
    if (what == "begin") return begin(request.at("batch"));
    if (what == "advance") return advance(request.at("to"));
    if (what == "decode") return decode(request.at("sequences"), request.at("tokens"));
    if (what == "kernels") return kernel_rates(request);
    if (what == "attention") return attention_rates(request);
    fail(ErrorKind::kFailed, "audit: no request {}", what);
  }

 private:
  /// Opens the model and says what it is and which points fit: {contexts, batches, most_of_several, generate,
  /// taken_bytes}.
  Json open(const Json& request) {
    open_ = open_from(options_);
    runner_options_ = runner_options(options_, *open_, DType::kF16);
    const std::vector<int64_t> batches = request.at("batches");
    const int64_t context = open_->model->context_length(), most = std::min(runner_options_.context, context);
    generate_ = request.at("generate");
    runner_options_.chunk = std::max(runner_options_.chunk, batches.back());
    // One sequence is what anatomies are compared by.
    std::vector<int64_t> counted = batches;
    if (counted.front() != 1) counted.insert(counted.begin(), 1);
    const Anatomy anatomy = anatomy_of(*open_, runner_options_, counted, context);
    std::vector<int64_t> contexts = request.at("contexts");
    // The last point is the context less the tokens that are generated there.
    Json left_out = Json::array(), points = Json::array();
    const bool given = request.at("given");
    for (int64_t& c : contexts) {
      if (c + decoded_tokens(generate_) <= most) continue;
      if (given)
        left_out.push_back(fmt::format("context {}: with the {} tokens decoded there it is beyond the model's {}", c,
                                       decoded_tokens(generate_), most));
      c = given ? 0 : std::max<int64_t>(0, most - decoded_tokens(generate_));
    }
    std::sort(contexts.begin(), contexts.end());
    contexts.erase(std::unique(contexts.begin(), contexts.end()), contexts.end());
    std::erase(contexts, 0);
    if (contexts.empty())
      fail(ErrorKind::kUsage, "{}: none of the contexts fits its own, {} tokens", open_->config.source, most);
    measure_memory(request, batches, contexts, left_out, points);
    return {{"anatomy", to_json(anatomy)},
            {"weight_types", types_text(bytes_by_type(*open_->weights))},
            {"points", points},
            {"left_out", left_out},
            {"taken_bytes", need_.weights + need_.work + runner_options_.state_budget}};
  }

  /// Which of the points fit what the machine grants and what other models leave; sets the runner's options to these.
  void measure_memory(const Json& request, const std::vector<int64_t>& batches, const std::vector<int64_t>& contexts,
                      Json& left_out, Json& points) {
    runner_options_.context = contexts.back() + decoded_tokens(generate_);
    runner_options_.sequences = batches.back();
    runner_options_.state_budget = 0;
    const StateLayout layout = open_->model->state_layout(runner_options_.cache);
    const auto state = [&](int64_t batch, int64_t context) {
      return decode_state_bytes(layout, batch, context, generate_, runner_options_.chunk);
    };
    runner_options_.state_budget = state(batches.front(), contexts.front());
    take_need();
    const int64_t taken = request.at("taken_bytes"), granted = clamped(granted_memory()) - taken;
    if (need_.total() > granted)
      fail(ErrorKind::kMemory, "{}: needs {} MiB, {} MiB are left{}", open_->config.source, need_.total() >> 20,
           std::max<int64_t>(0, granted) >> 20, taken > 0 ? " beside the other models; audit fewer at once" : "");
    int64_t budget = granted - need_.weights - need_.work;
    if (!options_.memory.empty()) {
      budget = std::min(budget, clamped(parse_size(options_.memory)) - need_.weights);
      if (runner_options_.state_budget > budget)
        fail(ErrorKind::kMemory, "{}: weights {} MiB and state {} MiB exceed --memory {}", open_->config.source,
             need_.weights >> 20, (runner_options_.state_budget >> 20) + 1, options_.memory);
    }
    for (int64_t batch : batches) {
      Json fitting = Json::array();
      for (int64_t context : contexts) {
        if (batch > 1 && context > request.at("most_of_several").get<int64_t>()) continue;
        const int64_t bytes = state(batch, context);
        if (bytes <= budget) {
          fitting.push_back(context);
          runner_options_.state_budget = std::max(runner_options_.state_budget, bytes);
        } else {
          left_out.push_back(fmt::format("context {} of {}: its state takes {} MiB, {} MiB are left", context, batch,
                                         bytes >> 20, std::max<int64_t>(0, budget) >> 20));
        }
      }
      points.push_back({{"batch", batch}, {"contexts", fitting}});
    }
  }

  /// Mapped weights count as all others: what is read again and again from a disk says nothing of a model.
  void take_need() {
    need_ = fit_of_process(*open_, runner_options_);
    need_.mapped = 0;
  }

  Json load() {
    take_need();
    runner_ = std::make_unique<Runner>(*open_, runner_options_);
    load_weights(*open_, *runner_, talk_);
    return Json::object();
  }

  Json limits() {
    const Limits limits =
        measured_limits(kernels_at(runner_options_.level), runner_->threads(), open_->weights->stretches());
    return {{"read_bytes_per_s", limits.read_bytes_per_s},
            {"f32_ops_per_s", limits.f32_ops_per_s},
            {"int8_ops_per_s", limits.int8_ops_per_s},
            {"call_s", limits.call_s},
            {"threads", runner_->threads().size()}};
  }

  /// Operations a second that the kernels reach on this model: {op: {rows: rate}}. Request: {rows, chunk}: of so many
  /// rows with weights from memory, of a chunk with weights in the caches.
  Json kernel_rates(const Json& request) {
    const Kernels kernels = kernels_at(runner_options_.level);
    const std::vector<int64_t> batches = request.at("rows");
    const int64_t chunk = request.at("chunk");
    Json rates = Json::object();
    const auto measure = [&](const char* op, const std::vector<Tensor>& matrices, const std::set<int64_t>& few,
                             int64_t many) {
      std::set<DType> types;
      for (const Tensor& m : matrices) types.insert(m.dtype);
      const auto set = [&](DType type, int64_t rows, double rate) {
        rates[fmt::format("{} {}", op, name(type))][std::to_string(rows)] = rate;
      };
      for (DType type : types)
        set(type, many, product_rate(kernels, runner_->threads(), type, many, runner_options_.exact));
      for (const int64_t rows : few)
        for (const auto& [type, rate] :
             product_rates(kernels, runner_->threads(), matrices, rows, runner_options_.exact))
          set(type, rows, rate);
    };
    const bool tied = open_->model->tied();
    std::vector<Tensor> matrices, experts;
    for (const Parameter& p : open_->weights->parameters()) {
      if (kept_in_f32(p.name, p.tensor.shape) || (!tied && p.name == "token_embd.weight")) continue;
      if (p.name.ends_with("_exps.weight"))
        add_slices(p.tensor, experts);
      else
        matrices.push_back(p.tensor);
    }
    measure("linear", matrices, {batches.begin(), batches.end()}, chunk);
    if (!experts.empty()) measure("experts", some_of(experts), expert_rows(batches), rows_of_experts(chunk).second);
    return rates;
  }

  static void add_slices(const Tensor& stack, std::vector<Tensor>& slices) {
    for (int64_t i = 0; i < stack.shape[0]; ++i)
      slices.push_back({stack.data + i * stack.slice_bytes(), stack.dtype, {stack.shape[1], stack.width()}});
  }

  /// Evenly, so many that they do not fit the caches.
  static std::vector<Tensor> some_of(const std::vector<Tensor>& all) {
    constexpr int64_t kEnoughBytes = int64_t{512} << 20;
    int64_t bytes = 0;
    for (const Tensor& t : all) bytes += t.bytes();
    std::vector<Tensor> some;
    const auto step = static_cast<size_t>(std::max<int64_t>(1, bytes / kEnoughBytes));
    for (size_t i = 0; i < all.size(); i += step) some.push_back(all[i]);
    return some;
  }

  /// Rows for each expert that a step of so many tokens reads, on average: rounded down and up. Of the first layer that
  /// has some.
  std::pair<int64_t, int64_t> rows_of_experts(int64_t tokens) const {
    const ExpertCount e = open_->model->experts().front();
    const double rows = static_cast<double>(tokens * e.used) / expected_experts(e.all, e.used, tokens) * (1 - 1e-12);
    const auto down = std::max<int64_t>(1, static_cast<int64_t>(rows));
    return {down, std::max(down, static_cast<int64_t>(std::ceil(rows)))};
  }

  std::set<int64_t> expert_rows(const std::vector<int64_t>& batches) const {
    std::set<int64_t> all{1};
    for (int64_t batch : batches) {
      const auto [down, up] = rows_of_experts(batch);
      all.insert({down, up});
    }
    return all;
  }

  /// The same of attention, by the first place that keeps keys and values. Request: {rows, chunk, attention_flops},
  /// these of one key, all places together. Before weights are loaded, as it takes memory for a while.
  Json attention_rates(const Json& request) {
    Json rates = Json::object();
    int64_t n_places = 0;
    KvLayout layout{};
    for (const auto& parts : open_->model->state_layout(runner_options_.cache).places) {
      if (parts.size() != 2 || parts[0].part.keep != Keep::kPerToken) continue;
      if (n_places++ > 0) continue;
      layout = kv_layout(parts);
      layout.k_offset = 0;
      layout.v_offset = layout.k_bytes();
    }
    if (n_places == 0) return rates;
    const int64_t heads = request.at("attention_flops").get<int64_t>() / (n_places * 2 * (layout.k_dim + layout.v_dim));
    if (heads < layout.n_kv_heads || heads % layout.n_kv_heads != 0) return rates;  // places differ
    constexpr int64_t kMostBytes = int64_t{48} << 20;
    const int64_t bytes = std::clamp<int64_t>(open_->weights->bytes() / 2, 1, kMostBytes);
    const Kernels kernels = kernels_at(runner_options_.level);
    ThreadPool pool(runner_options_.threads);
    for (const int64_t rows : request.at("rows").get<std::vector<int64_t>>())
      rates[std::to_string(rows)] = attention_rate(kernels, pool, layout, heads, rows, bytes);
    const int64_t chunk = request.at("chunk");
    rates[std::to_string(chunk)] = attention_rate(kernels, pool, layout, heads, chunk, 0);
    return rates;
  }

  Json begin(int64_t batch) {
    sweep_.reset();
    sweep_.emplace(*runner_, batch, interrupted());
    batch_ = batch;
    context_ = 0;
    return Json::object();
  }

  Json advance(int64_t to) {
    Json chunks = Json::array();
    meter_.joules();
    for (const Sweep::Chunk& c : sweep_->advance(to)) {
      chunks.push_back({{"from", c.from}, {"to", c.to}, {"seconds", c.seconds}});
      context_ = c.to;
    }
    return with_memory(batch_ * StatePool::bytes_for(runner_->layout(), context_, runner_options_.chunk),
                       {{"chunks", chunks}, {"joules", meter_.joules()}});
  }

  Json decode(int64_t sequences, int64_t tokens) {
    meter_.joules();
    const DecodeTimes times = sweep_->decode(sequences, tokens);
    return with_memory(decode_state_bytes(runner_->layout(), sequences, context_, tokens, runner_options_.chunk),
                       {{"steps", times.steps},
                        {"layers", times.layers},
                        {"joules", meter_.joules()},
                        {"experts", times.experts.distinct_a_pass()}});
  }

  Json with_memory(int64_t state, Json result) {
    predicted_ = std::max(predicted_, need_.weights + need_.work + state);
    result["predicted_bytes"] = predicted_;
    result["peak_bytes"] = peak_memory();
    return result;
  }

  ModelOptions options_;
  TalkOptions talk_;
  RunnerOptions runner_options_;
  std::unique_ptr<OpenModel> open_;
  std::unique_ptr<Runner> runner_;
  std::optional<Sweep> sweep_;
  EnergyMeter meter_;
  Fit need_;
  int64_t generate_ = 0, batch_ = 1, context_ = 0, predicted_ = 0;
};

[[noreturn]] void serve(int fd, const ModelOptions& options, const TalkOptions& talk) {
  int code = 0;
  try {
    Measurer measurer(options, talk);
    std::string buffer, line;
    bool on = true;
    while (on && receive_line(fd, buffer, line, [] {})) {
      Json answer;
      try {
        answer = measurer.answer(Json::parse(line));
      } catch (const Error& error) {
        answer = {{"error", error.what()}, {"kind", static_cast<int>(error.kind())}};
      } catch (const std::bad_alloc&) {
        answer = {{"error", options.model + ": the system refuses more memory"}, {"kind", 4}};
      } catch (const std::exception& error) {
        answer = {{"error", error.what()}, {"kind", 1}};
      }
      on = send_line(fd, dump_json(answer) + "\n");
    }
  } catch (...) {
    code = 1;
  }
  std::_Exit(code);
}

}  // namespace

AuditWorker::AuditWorker(const ModelOptions& options, const TalkOptions& talk) : model_(options.model) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    fail(ErrorKind::kFailed, "audit: no pipe to a process: {}", std::strerror(errno));
  std::cout.flush();
  const pid_t parent = getpid();
  process_ = fork();
  if (process_ < 0) {
    const int error = errno;
    close(ends[0]);
    close(ends[1]);
    fail(error == ENOMEM ? ErrorKind::kMemory : ErrorKind::kFailed, "audit: no process for {}: {}", model_,
         std::strerror(error));
  }
  if (process_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGTTOU, SIG_IGN);  // it may write to the terminal all the same
    setpgid(0, 0);             // Ctrl-C goes to the parent, which hands it on once
    if (getppid() != parent) std::_Exit(1);
    close(ends[0]);
    serve(ends[1], options, talk);
  }
  close(ends[1]);
  fd_ = ends[0];
}

AuditWorker::~AuditWorker() {
  close(fd_);
  if (process_ < 0) return;
  kill(process_, SIGKILL);  // it may be in the middle of a long step
  while (waitpid(process_, nullptr, 0) < 0 && errno == EINTR) continue;
}

Json AuditWorker::ask(const Json& request) {
  std::string line;
  const auto hand_on = [&] {
    if (interrupted() && !told_) told_ = kill(process_, SIGTERM) == 0;
  };
  if (!send_line(fd_, dump_json(request) + "\n") || !receive_line(fd_, buffer_, line, hand_on)) {
    // It has closed its end, so it ends, or has ended.
    int status = 0;
    while (waitpid(process_, &status, 0) < 0 && errno == EINTR) continue;
    process_ = -1;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
      fail(ErrorKind::kMemory, "{}: the process that measures it was killed, most likely for want of memory", model_);
    fail(ErrorKind::kFailed, "{}: the process that measures it ended{}", model_,
         WIFSIGNALED(status) ? fmt::format(" by signal {}", WTERMSIG(status)) : "");
  }
  Json answer = Json::parse(line);
  if (answer.contains("error")) throw Error(static_cast<ErrorKind>(answer["kind"].get<int>()), answer["error"]);
  return answer;
}

}  // namespace godwit
