// Header fields and tokens of `sextant perf`.
#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <condition_variable>
#include <mutex>

#include "base/files.h"
#include "base/process.h"
#include "base/secrets.h"
#include "base/strings.h"
#include "cli/perf_transport.h"

namespace sextant::cli {
namespace {

constexpr std::string_view kAuthorization = "Authorization";
constexpr Nanos kCommandLimit = 30s;
// How often a token file is looked at.
constexpr Nanos kFileInterval = 1s;

std::string Lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

// The value and, of "Bearer abc", what follows the scheme.
void AddHeaderSecret(const net::HeaderField& field) {
  if (!IsSensitiveHeader(field.name)) return;
  AddSecret(field.value);
  if (const size_t space = field.value.rfind(' '); space != std::string::npos)
    AddSecret(std::string_view(field.value).substr(space + 1));
}

Result<std::vector<net::HeaderField>> ReadHeaderFile(const std::string& file) {
  std::vector<net::HeaderField> out;
  if (file.empty()) return out;
  SEXTANT_ASSIGN(const std::string bytes, ReadFile(file), "--header-file");
  size_t number = 0;
  for (const std::string_view raw : Split(bytes, '\n')) {
    ++number;
    const std::string_view line = TrimSpace(raw);
    if (line.empty() || line.front() == '#') continue;
    Result<net::HeaderField> field = ParseHeaderLine(line);
    if (!field.has_value())
      return std::move(field).error().In(Format("--header-file '{}', line {}", file, number));
    out.push_back(*std::move(field));
  }
  return out;
}

// When the file was last changed, in a form that only serves to be compared.
std::string FileState(const std::string& file) {
  struct stat facts{};
  if (stat(file.c_str(), &facts) != 0) return "";
  return Format("{} {} {}.{:09}", facts.st_ino, facts.st_size, facts.st_mtim.tv_sec,
                facts.st_mtim.tv_nsec);
}

}  // namespace

Result<net::HeaderField> ParseHeaderLine(std::string_view line) {
  const size_t colon = line.find(':');
  // The text may be a secret that lost its name: it is not repeated.
  if (colon == std::string_view::npos || colon == 0) {
    return InvalidArgument(
        "a header is 'Name: Value', with a colon; this one has none (it is not shown, as it may be "
        "a secret)");
  }
  net::HeaderField field{std::string(TrimSpace(line.substr(0, colon))),
                         std::string(TrimSpace(line.substr(colon + 1)))};
  constexpr std::string_view kTokenSigns = "!#$%&'*+-.^_`|~";
  const bool name_fits = std::all_of(field.name.begin(), field.name.end(), [&](unsigned char c) {
    return std::isalnum(c) != 0 || kTokenSigns.find(static_cast<char>(c)) != std::string_view::npos;
  });
  if (!name_fits || field.name.empty()) {
    return InvalidArgument(
        "a header's name consists of letters, digits and -; this one does not (it is not shown, as "
        "it may be a secret)");
  }
  const bool value_fits = std::none_of(field.value.begin(), field.value.end(), [](unsigned char c) {
    return (c < 0x20 && c != '\t') || c == 0x7f;
  });
  if (!value_fits)
    return InvalidArgument(Format("the value of '{}' has control characters", field.name));
  for (const std::string_view own :
       {"content-length", "transfer-encoding", "content-type", "host",
        "inference-header-content-length", "connection", "te", "content-encoding"}) {
    if (Lower(field.name) == own)
      return InvalidArgument(Format("'{}' is set by the protocol itself", field.name));
  }
  return field;
}

bool IsSensitiveHeader(std::string_view name) {
  const std::string lower = Lower(name);
  for (const std::string_view part : {"auth", "cookie", "token", "key", "secret", "password"}) {
    if (lower.find(part) != std::string::npos) return true;
  }
  return false;
}

text::Json ShownOption(const options::Row& row, const void* options) {
  const text::Json value = row.get(options);
  if (row.spec.name == "header") {
    text::Json::Array shown;
    for (const text::Json& line : value.array()) {
      const std::string_view text = *line.AsString();
      const std::string_view name = text.substr(0, text.find(':'));
      shown.emplace_back(IsSensitiveHeader(name) ? Format("{}: [secret]", name)
                                                 : std::string(text));
    }
    return text::Json(std::move(shown));
  }
  if (value.AsString()) return RedactSecrets(*value.AsString());
  return value;
}

struct Credentials::Stop {
  std::mutex mutex;
  std::condition_variable changed;
  bool now = false;
};

Credentials::Credentials(const TransportOptions& options) : options_(options) {}

Result<std::unique_ptr<Credentials>> Credentials::Create(const TransportOptions& options,
                                                         const Target& target,
                                                         std::function<void(const Error&)> warn) {
  std::unique_ptr<Credentials> out(new Credentials(options));
  out->fixed_ = target.headers;
  SEXTANT_ASSIGN(const auto more, ReadHeaderFile(options.header_file));
  out->fixed_.insert(out->fixed_.end(), more.begin(), more.end());
  for (net::HeaderField& field : out->fixed_) {
    AddHeaderSecret(field);
    if (target.protocol == kserve::Protocol::kGrpc) field.name = Lower(field.name);
  }
  if (options.token_file.empty() && options.token_command.empty()) return out;
  out->live_ = std::make_shared<load::LiveHeader>(std::string(kAuthorization));
  out->warn_ = std::move(warn);
  SEXTANT_TRY(out->TakeToken());
  if (!options.token_file.empty() || options.token_refresh > Nanos(0)) {
    out->stop_ = std::make_unique<Stop>();
    out->thread_ = std::thread([raw = out.get()] { raw->KeepFresh(); });
  }
  return out;
}

Credentials::~Credentials() {
  if (stop_ == nullptr) return;
  {
    const std::scoped_lock lock(stop_->mutex);
    stop_->now = true;
  }
  stop_->changed.notify_all();
  thread_.join();
}

std::vector<net::HeaderField> Credentials::headers() const {
  std::vector<net::HeaderField> out = fixed_;
  if (live_ != nullptr) {
    net::HeaderField field = live_->field();
    field.name = Lower(field.name);
    out.push_back(std::move(field));
  }
  return out;
}

std::vector<net::HeaderField> GrpcMetadata(const TransportOptions& options,
                                           const Credentials& credentials) {
  std::vector<net::HeaderField> out = credentials.fixed();
  if (options.grpc_compression != net::Compression::kNone)
    out.push_back({"grpc-encoding", std::string(net::CompressionName(options.grpc_compression))});
  return out;
}

Result<void> Credentials::TakeToken() {
  std::string text;
  const bool from_file = !options_.token_file.empty();
  if (from_file) {
    SEXTANT_ASSIGN(text, ReadFile(options_.token_file), "--token-file");
  } else {
    SEXTANT_ASSIGN(ProcessResult result,
                   RunProcess({.argv = {"/bin/sh", "-c", options_.token_command}}, kCommandLimit),
                   "--token-command");
    // What it printed may be a token, or half of one: not shown.
    if (result.exit_code != 0) {
      return Unavailable(
          Format("--token-command: exit code {} (what it printed is not shown)", result.exit_code));
    }
    text = std::move(result.out);
  }
  const std::string_view token = TrimSpace(text);
  const std::string_view source = from_file ? "--token-file" : "--token-command";
  if (token.empty()) return InvalidArgument(Format("{}: there is no token", source));
  if (std::any_of(token.begin(), token.end(),
                  [](unsigned char c) { return c <= 0x20 || c >= 0x7f; }))
    return InvalidArgument(
        Format("{}: a token is one word of printable characters; this is not", source));
  AddSecret(token);
  live_->Set(Format("Bearer {}", token));
  return {};
}

void Credentials::KeepFresh() {
  const bool from_file = !options_.token_file.empty();
  const Nanos interval = from_file ? kFileInterval : options_.token_refresh;
  std::string state = FileState(options_.token_file);
  std::unique_lock lock(stop_->mutex);
  while (!stop_->changed.wait_for(lock, interval, [&] { return stop_->now; })) {
    if (from_file) {
      std::string now = FileState(options_.token_file);
      if (now == state) continue;
      state = std::move(now);
    }
    lock.unlock();
    if (Result<void> taken = TakeToken(); !taken.has_value())
      warn_(std::move(taken).error().In("the token is not renewed, the old one stays"));
    lock.lock();
  }
}

}  // namespace sextant::cli
