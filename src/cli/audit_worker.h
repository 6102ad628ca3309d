// One model of an audit in a process of its own, so that its memory is its own: the parent asks, it measures.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/json_fwd.h"
#include "cli/options.h"

namespace godwit {

class AuditWorker {
 public:
  /// Starts the process. Only while this one has no threads.
  AuditWorker(const ModelOptions& options, const TalkOptions& talk);
  /// Ends it.
  ~AuditWorker();
  AuditWorker(const AuditWorker&) = delete;
  AuditWorker& operator=(const AuditWorker&) = delete;

  /// Sends a request and waits for its answer. Throws the Error that it failed with, kMemory or kFailed when the
  /// process has ended. After Ctrl-C a measurement ends early with what it has.
  Json ask(const Json& request);

 private:
  std::string model_;
  pid_t process_ = -1;
  int fd_ = -1;
  bool told_ = false;  // of an interrupt
  std::string buffer_;
};

}  // namespace godwit
