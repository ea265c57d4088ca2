#include "metrics/collector.h"

#include <pthread.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include "base/strings.h"
#include "net/blocking.h"
#include "net/http1.h"

namespace sextant::metrics {
namespace {

constexpr std::string_view kAccept =
    "Accept: text/plain;version=0.0.4,application/openmetrics-text;version=1.0.0;q=0.8,"
    "*/*;q=0.1\r\n";

}  // namespace

Result<Endpoint> ParseEndpoint(std::string_view url) {
  Endpoint out;
  std::string_view rest = url;
  if (const size_t scheme_end = rest.find("://"); scheme_end != std::string_view::npos) {
    const std::string_view scheme = rest.substr(0, scheme_end);
    out.secure = scheme == "https";
    if (!out.secure && scheme != "http") {
      return InvalidArgument(
          Format("'{}': metrics are read over http:// or https://", Printable(url, 100)));
    }
    rest.remove_prefix(scheme_end + 3);
  }
  const size_t slash = rest.find('/');
  out.path = slash == std::string_view::npos ? "/metrics" : std::string(rest.substr(slash));
  SEXTANT_ASSIGN(out.where, net::ParseHostPort(rest.substr(0, slash), 8002),
                 Format("'{}'", Printable(url, 100)));
  const bool bad_path =
      std::any_of(out.path.begin(), out.path.end(), [](char c) { return c <= ' ' || c == '\x7f'; });
  if (bad_path) return InvalidArgument(Format("'{}': a path has no blanks", Printable(url, 100)));
  const bool v6 = out.where.host.find(':') != std::string::npos;
  out.authority = Format("{}{}{}:{}", v6 ? "[" : "", out.where.host, v6 ? "]" : "", out.where.port);
  out.url = Format("http{}://{}{}", out.secure ? "s" : "", out.authority, out.path);
  return out;
}

// One endpoint and its thread.
class Collector::Scraper {
 public:
  // `tls` is there where the endpoint is secure.
  Scraper(const Endpoint& endpoint, const CollectorOptions& options, const net::TlsContext* tls)
      : endpoint_(endpoint),
        options_(options),
        peer_(tls == nullptr
                  ? nullptr
                  : std::make_unique<net::TlsPeer>(*tls, endpoint.where.host, "http/1.1")),
        thread_([this] { Run(); }) {
    pthread_setname_np(thread_.native_handle(), "metrics");
  }
  ~Scraper() {
    {
      const std::scoped_lock lock(mutex_);
      stop_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  void Ask() {
    const std::scoped_lock lock(mutex_);
    ++asked_;
    changed_.notify_all();
  }
  // Until everything that was asked for has been tried.
  void Wait() {
    std::unique_lock lock(mutex_);
    const uint64_t wanted = asked_;
    // One scrape may be on its way before the one that was asked for.
    changed_.wait_for(lock, 2 * options_.timeout + 1s, [&] { return answered_ >= wanted; });
  }

  std::string Complaint() const {
    const std::scoped_lock lock(mutex_);
    if (attempts_.empty()) return Format("{}: no answer yet", endpoint_.url);
    if (!attempts_.back().fault.empty())
      return Format("{}: {}", endpoint_.url, attempts_.back().fault);
    if (!any_observed_)
      return Format("{}: there is nothing of a GPU or CPU among its metrics", endpoint_.url);
    return {};
  }
  bool Has(const std::string& name) const {
    const std::scoped_lock lock(mutex_);
    return std::find(found_.begin(), found_.end(), name) != found_.end();
  }

  SourceReport Take(Instant begin, Instant end) {
    const std::scoped_lock lock(mutex_);
    SourceReport out{.source = endpoint_.url, .fault = {}, .bad_line = {}, .summaries = {}};
    for (const Attempt& a : attempts_) {
      if (a.ended < begin) continue;
      ++out.scrapes;
      out.missed += a.missed;
      out.longest_s = std::max(out.longest_s, Seconds(a.ended - a.began));
      if (a.fault.empty()) continue;
      ++out.failed;
      if (out.fault.empty()) out.fault = a.fault;
    }
    out.bad_lines = bad_lines_;
    out.bad_line = bad_line_;
    out.summaries = store_.Summarize(begin, end);
    attempts_.clear();
    store_.Forget(end);
    return out;
  }
  void AddDeviceFamilies(std::set<std::string>& to) const {
    const std::scoped_lock lock(mutex_);
    to.insert(device_families_.begin(), device_families_.end());
  }
  void Forget(Instant before) {
    const std::scoped_lock lock(mutex_);
    store_.Forget(before);
    std::erase_if(attempts_, [&](const Attempt& a) { return a.ended < before; });
  }

 private:
  struct Attempt {
    Instant began, ended;
    uint64_t missed = 0;
    std::string fault;
  };

  void Run() {
    Instant next = SteadyNow();
    std::unique_lock lock(mutex_);
    while (!stop_) {
      changed_.wait_until(lock, next, [&] { return stop_ || asked_ > answered_; });
      if (stop_) return;
      const uint64_t answers = asked_;
      Attempt attempt;
      lock.unlock();
      Scrape(attempt);
      lock.lock();
      // The schedule is absolute; what has passed meanwhile is counted, not made up for.
      for (; next <= attempt.ended; next += options_.interval) ++attempt.missed;
      if (attempt.missed > 0) --attempt.missed;
      if (!attempts_.empty() && attempts_.size() > 100'000) attempts_.pop_front();
      attempts_.push_back(std::move(attempt));
      answered_ = answers;
      changed_.notify_all();
    }
  }

  void Scrape(Attempt& attempt) {
    attempt.began = SteadyNow();
    Result<net::HttpReplyText> reply = Fetch();
    attempt.ended = SteadyNow();
    if (!reply.has_value()) {
      attempt.fault = reply.error().message();
      return;
    }
    if (reply->status != 200) {
      attempt.fault = Format("HTTP {}: {}", reply->status, net::HttpReason(reply->status));
      return;
    }
    const text::Exposition exposition = text::ParseExposition(
        reply->body,
        text::FormatOfContentType(net::FindHeader(reply->fields, "content-type").value_or("")));
    if (exposition.samples.empty() && exposition.bad_lines > 0) {
      attempt.fault = "these are no metrics: " + exposition.first_fault;
      return;
    }
    const std::vector<Observation> observations = Observe(exposition, options_.wanted);
    const std::scoped_lock lock(mutex_);
    bad_lines_ = exposition.bad_lines;
    bad_line_ = exposition.first_fault;
    any_observed_ = !observations.empty();
    for (const Observation& observation : observations) {
      if (!observation.device.empty()) device_families_.insert(observation.family);
    }
    for (const std::string& name : options_.wanted) {
      if (std::find(found_.begin(), found_.end(), name) != found_.end()) continue;
      const bool is_there =
          std::any_of(exposition.families.begin(), exposition.families.end(),
                      [&](const text::MetricFamily& f) { return f.name == name; }) ||
          std::any_of(exposition.samples.begin(), exposition.samples.end(),
                      [&](const text::MetricSample& s) { return s.name == name; });
      if (is_there) found_.push_back(name);
    }
    // Of all moments that the figures may be of, the first: what it is off cancels in differences.
    store_.Add(attempt.began, observations);
  }

  Result<net::HttpReplyText> Fetch() {
    if (!client_) {
      SEXTANT_ASSIGN(const net::Address address,
                     net::FindListening(endpoint_.where, options_.timeout));
      SEXTANT_ASSIGN(client_, net::BlockingHttpClient::Create(address, endpoint_.authority,
                                                              std::string(kAccept), peer_.get()));
    }
    Result<net::HttpReplyText> reply = client_->Call("GET", endpoint_.path, {}, options_.timeout);
    // The name may mean another address by now.
    if (!reply.has_value()) client_.reset();
    return reply;
  }

  const Endpoint endpoint_;
  const CollectorOptions& options_;
  const std::unique_ptr<net::TlsPeer> peer_;       // null: plain text
  std::optional<net::BlockingHttpClient> client_;  // of the thread

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  bool stop_ = false;
  uint64_t asked_ = 1, answered_ = 0;
  std::deque<Attempt> attempts_;
  SeriesStore store_;
  uint64_t bad_lines_ = 0;
  std::string bad_line_;
  bool any_observed_ = false;
  std::set<std::string> device_families_;
  std::vector<std::string> found_;  // of what is wanted

  std::thread thread_;  // last: it uses the rest
};

Result<std::unique_ptr<Collector>> Collector::Start(const CollectorOptions& options) {
  std::unique_ptr<Collector> out(new Collector());
  out->options_ = options;
  for (const Endpoint& endpoint : options.endpoints) {
    if (endpoint.secure && out->tls_ == nullptr) {
      SEXTANT_ASSIGN(out->tls_, net::TlsContext::CreateClient(options.tls), "TLS");
    }
    out->scrapers_.push_back(std::make_unique<Scraper>(
        endpoint, out->options_, endpoint.secure ? out->tls_.get() : nullptr));
  }
  for (const auto& scraper : out->scrapers_) scraper->Wait();
  return out;
}

Collector::~Collector() = default;

std::vector<std::string> Collector::Complaints() const {
  std::vector<std::string> out;
  for (const auto& scraper : scrapers_) {
    if (std::string complaint = scraper->Complaint(); !complaint.empty())
      out.push_back(std::move(complaint));
  }
  for (const std::string& name : options_.wanted) {
    if (std::none_of(scrapers_.begin(), scrapers_.end(),
                     [&](const auto& scraper) { return scraper->Has(name); }))
      out.push_back(Format("no endpoint has a metric '{}'", Printable(name, 80)));
  }
  return out;
}

std::vector<std::string> Collector::DeviceFamilies() const {
  std::set<std::string> out;
  for (const auto& scraper : scrapers_) scraper->AddDeviceFamilies(out);
  return {out.begin(), out.end()};
}

void Collector::Edge() {
  // What was seen before the first edge is not needed any more.
  if (edges_.empty()) {
    for (const auto& scraper : scrapers_) scraper->Forget(SteadyNow());
  }
  edges_.push_back(SteadyNow());
  for (const auto& scraper : scrapers_) scraper->Ask();
}

std::vector<SourceReport> Collector::Take() {
  const Instant end = edges_.size() > 1 ? edges_.back() : SteadyNow();
  const Instant begin = edges_.empty() ? end : edges_.front();
  edges_.clear();
  std::vector<SourceReport> out;
  for (const auto& scraper : scrapers_) {
    scraper->Wait();
    out.push_back(scraper->Take(begin, end));
  }
  return out;
}

}  // namespace sextant::metrics
