#include "serve/truth_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "base/strings.h"

namespace sextant::serve {

Result<std::unique_ptr<TruthLog>> TruthLog::Create(const std::string& path) {
  Fd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!fd.valid()) return IoError("create " + path, errno);
  return std::unique_ptr<TruthLog>(new TruthLog(std::move(fd)));
}

TruthLog::TruthLog(Fd fd) : fd_(std::move(fd)), writer_([this] { Run(); }) {}

TruthLog::~TruthLog() {
  {
    const std::scoped_lock lock(mutex_);
    stop_ = true;
  }
  changed_.notify_one();
  writer_.join();
}

void TruthLog::Add(TruthRecord record) {
  const std::scoped_lock lock(mutex_);
  waiting_.push_back(std::move(record));
}

void TruthLog::Run() {
  std::string text =
      "model,arrived_ns,in_flight,started_ns,ended_ns,service_ns,items,batch,outcome\n";
  bool stop = false;
  while (!stop) {
    std::vector<TruthRecord> records;
    {
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, 200ms, [this] { return stop_; });
      records.swap(waiting_);
      stop = stop_;
    }
    for (const TruthRecord& r : records) {
      AppendFormat(text, "{},{},{},{},{},{},{},{},{}\n", r.model,
                   r.arrived.time_since_epoch().count(), r.in_flight,
                   r.started.time_since_epoch().count(), r.ended.time_since_epoch().count(),
                   r.service.count(), r.items, r.batch, r.outcome);
    }
    // A full disk loses truth, not service.
    [[maybe_unused]] const ssize_t n = write(fd_.get(), text.data(), text.size());
    text.clear();
  }
}

}  // namespace sextant::serve
