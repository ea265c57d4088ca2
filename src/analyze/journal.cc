#include "analyze/journal.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <filesystem>
#include <optional>
#include <set>
#include <utility>

#include "base/strings.h"
#include "base/units.h"
#include "net/digest.h"
#include "run/run_file.h"

namespace sextant::analyze {
namespace {

using text::Json;

constexpr std::string_view kFormat = "sextant-journal";

std::string Text(const Json& json, std::string_view name) {
  const Json* member = json.Find(name);
  return std::string(member == nullptr ? "" : member->AsString().value_or(""));
}
std::optional<double> Number(const Json& json, std::string_view name) {
  const Json* member = json.Find(name);
  return member == nullptr ? std::nullopt : member->AsDouble();
}

Result<Figures> FiguresFromJson(const Json* json) {
  Figures out;
  if (json == nullptr) return out;
  if (!json->IsObject()) return Corrupt("figures: not an object");
  for (const auto& [name, one] : json->object()) {
    const auto value = Number(one, "value");
    // Not a number is null in JSON, and means missing.
    const Json* member = one.Find("value");
    if (member != nullptr && member->IsNull()) continue;
    if (!value) return Corrupt(Format("figures: '{}' has no value", Printable(name, 60)));
    out[name] = {*value, Number(one, "lower"), Number(one, "upper")};
  }
  return out;
}

Result<std::vector<DeviceFigures>> DevicesFromJson(const Json* json) {
  std::vector<DeviceFigures> out;
  if (json == nullptr) return out;
  if (!json->IsArray()) return Corrupt("devices: not an array");
  for (const Json& one : json->array()) {
    DeviceFigures device{.device = Text(one, "device"),
                         .name = Text(one, "name"),
                         .source = Text(one, "source"),
                         .scope = Text(one, "scope"),
                         .figures = {}};
    SEXTANT_ASSIGN(device.figures, FiguresFromJson(one.Find("figures")), "devices");
    out.push_back(std::move(device));
  }
  return out;
}

constexpr std::pair<std::string_view, Outcome::Status> kStatuses[] = {
    {"measured", Outcome::Status::kMeasured},
    {"failed", Outcome::Status::kFailed},
    {"refused", Outcome::Status::kRefused},
};

Json BaselineToJson(const Baseline& baseline) {
  Json out{Json::Object()};
  out.Set("type", "baseline");
  out.Set("kind", baseline.kind);
  if (!baseline.configuration.empty()) out.Set("configuration", baseline.configuration);
  out.Set("figures", ToJson(baseline.figures));
  out.Set("devices", ToJson(baseline.devices));
  return out;
}
Result<Baseline> BaselineFromJson(const Json& json) {
  Baseline out{.kind = Text(json, "kind"),
               .configuration = Text(json, "configuration"),
               .figures = {},
               .devices = {}};
  SEXTANT_ASSIGN(out.figures, FiguresFromJson(json.Find("figures")));
  SEXTANT_ASSIGN(out.devices, DevicesFromJson(json.Find("devices")));
  return out;
}

Json SessionToJson(const Identity& identity) {
  Json out{Json::Object()}, parts{Json::Object()};
  out.Set("type", "session");
  out.Set("started", FormatWallTime(WallNow()));
  for (const auto& [name, value] : identity) parts.Set(name, value);
  out.Set("identity", std::move(parts));
  return out;
}

// "server: triton 2.50.0 then, triton 2.51.0 now"
std::string Differences(const Identity& then, const Identity& now) {
  std::vector<std::string> out;
  std::set<std::string> names;
  for (const auto* identity : {&then, &now}) {
    for (const auto& [name, value] : *identity) names.insert(name);
  }
  const auto shown = [](const Identity& identity, const std::string& name) {
    const auto found = identity.find(name);
    return found == identity.end() ? "not said" : Printable(found->second, 60);
  };
  for (const std::string& name : names) {
    const auto before = then.find(name), after = now.find(name);
    if (before != then.end() && after != now.end() && before->second == after->second) continue;
    out.push_back(
        Format("{}: {} then, {} now", Printable(name, 60), shown(then, name), shown(now, name)));
  }
  return Join(out, "; ");
}

// What ties points to their session's line, which may be lost.
std::string Mark(const Identity& identity) {
  Json parts{Json::Object()};
  for (const auto& [name, value] : identity) parts.Set(name, value);
  return net::Sha256Hex(text::FormatJson(parts)).substr(0, 12);
}

// Servers' words may hold any bytes; JSON is UTF-8.
std::string Line(const Json& json) {
  std::string out = text::FormatJson(json);
  if (!IsValidUtf8(out)) {
    for (char& c : out) c = static_cast<uint8_t>(c) < 0x80 ? c : '?';
  }
  return out + "\n";
}
std::string Line(Json json, const Identity& identity) {
  json.Set("session", Mark(identity));
  return Line(json);
}

std::string Header() {
  Json header{Json::Object()};
  header.Set("format", kFormat);
  header.Set("version", kJournalVersion);
  return Line(header);
}

Result<void> CheckHeader(std::string_view line) {
  const Result<Json> json = text::ParseJson(line);
  if (!json.has_value() || Text(*json, "format") != kFormat)
    return Corrupt("line 1: not a journal of sextant analyze");
  const auto version = Number(*json, "version");
  if (!version) return Corrupt("line 1: no version of the journal");
  if (*version > kJournalVersion)
    return Corrupt(
        Format("line 1: written by a later version of sextant; this one reads version {}",
               kJournalVersion));
  return {};
}

// Settings whose order makes no difference, in one order: only where one path lies below another
// does it matter which comes first.
std::vector<Setting> InOneOrder(const std::vector<Setting>& settings) {
  std::vector<Setting> out = settings;
  std::sort(out.begin(), out.end(),
            [](const Setting& a, const Setting& b) { return a.path < b.path; });
  const bool nested = std::adjacent_find(out.begin(), out.end(), [](const auto& a, const auto& b) {
                        return b.path.starts_with(a.path);
                      }) != out.end();
  return nested ? settings : out;
}

}  // namespace

Json ToJson(const Figure& figure) {
  if (!std::isfinite(figure.value)) return {};
  const auto finite = [](const std::optional<double>& v) { return v && std::isfinite(*v); };
  Json out{Json::Object()};
  out.Set("value", figure.value);
  if (finite(figure.lower)) out.Set("lower", *figure.lower);
  if (finite(figure.upper)) out.Set("upper", *figure.upper);
  return out;
}

Json ToJson(const Figures& figures) {
  Json out{Json::Object()};
  for (const auto& [name, figure] : figures) {
    if (Json one = ToJson(figure); !one.IsNull()) out.Set(name, std::move(one));
  }
  return out;
}

Json ToJson(const std::vector<DeviceFigures>& devices) {
  Json::Array out;
  for (const DeviceFigures& device : devices) {
    Json one{Json::Object()};
    one.Set("device", device.device);
    one.Set("name", device.name);
    one.Set("source", device.source);
    one.Set("scope", device.scope);
    one.Set("figures", ToJson(device.figures));
    out.push_back(std::move(one));
  }
  return out;
}

Json ToJson(const std::vector<Setting>& settings) {
  Json out{Json::Object()};
  for (const Setting& setting : settings) out.Set(setting.path, setting.value);
  return out;
}

Json ToJson(const Load& load) {
  Json out{Json::Object()};
  const bool closed = load.point.mode == run::LoadMode::kConcurrency;
  out.Set("mode", closed ? "concurrency" : "request_rate");
  out.Set("value", load.point.value);
  out.Set("batch_size", load.point.batch_size);
  if (!closed) out.Set("arrivals", load.point.arrivals);
  if (!load.data.empty()) out.Set("data", load.data);
  return out;
}

std::string_view StatusName(Outcome::Status status) {
  for (const auto& [name, known] : kStatuses) {
    if (known == status) return name;
  }
  return "unknown";
}

std::string PointKey(const Identity& identity, const std::string& model,
                     const std::vector<Setting>& settings, const Load& load) {
  Json key{Json::Object()}, parts{Json::Object()};
  for (const auto& [name, value] : identity) parts.Set(name, value);
  key.Set("identity", std::move(parts));
  key.Set("model", model);
  key.Set("settings", ToJson(InOneOrder(settings)));
  key.Set("load", ToJson(load));
  return net::Sha256Hex(text::FormatJson(key)).substr(0, 32);
}

Json PointToJson(const PointRecord& point) {
  Json out{Json::Object()};
  out.Set("type", "point");
  out.Set("model", point.model);
  out.Set("configuration", point.configuration);
  out.Set("settings", ToJson(point.settings));
  out.Set("load", ToJson(point.load));
  out.Set("take", point.take);
  out.Set("window_s", Seconds(point.window));
  out.Set("reason", point.reason);
  out.Set("started", FormatWallTime(point.started));
  out.Set("status", StatusName(point.measured.status));
  if (!point.measured.error.empty()) out.Set("error", point.measured.error);
  out.Set("cost_s", point.measured.cost_s);
  out.Set("load_cost_s", point.load_cost_s);
  out.Set("figures", ToJson(point.measured.figures));
  out.Set("devices", ToJson(point.measured.devices));
  Json::Array flags;
  for (const std::string& flag : point.measured.flags) flags.emplace_back(flag);
  out.Set("flags", std::move(flags));
  if (point.measured.level) out.Set("level", run::LevelToJson(*point.measured.level));
  return out;
}

Result<PointRecord> PointFromJson(const Json& json) {
  PointRecord out{.model = Text(json, "model"),
                  .configuration = Text(json, "configuration"),
                  .reason = Text(json, "reason")};
  if (const Json* settings = json.Find("settings"); settings != nullptr && settings->IsObject()) {
    for (const auto& [path, value] : settings->object()) out.settings.push_back({path, value});
  }
  const Json* load = json.Find("load");
  if (load == nullptr) return Corrupt("a point without a load");
  const bool closed = Text(*load, "mode") == "concurrency";
  if (!closed && Text(*load, "mode") != "request_rate") return Corrupt("a load of unknown mode");
  out.load.point.mode = closed ? run::LoadMode::kConcurrency : run::LoadMode::kRequestRate;
  out.load.point.value = Number(*load, "value").value_or(0);
  const Json* batch = load->Find("batch_size");
  out.load.point.batch_size = batch == nullptr ? 1 : batch->AsInt().value_or(1);
  out.load.point.arrivals = closed ? "closed" : Text(*load, "arrivals");
  out.load.data = Text(*load, "data");
  out.take = static_cast<int>(std::clamp(Number(json, "take").value_or(1), 1.0, 1e6));
  out.window = FromSeconds(std::clamp(Number(json, "window_s").value_or(0), 0.0, 1e6));
  if (const auto started = ParseWallTime(Text(json, "started")); started.has_value())
    out.started = *started;
  const std::string status = Text(json, "status");
  const auto* known = std::find_if(std::begin(kStatuses), std::end(kStatuses),
                                   [&](const auto& entry) { return entry.first == status; });
  if (known == std::end(kStatuses)) return Corrupt("a point of unknown status");
  out.measured.status = known->second;
  out.measured.error = Text(json, "error");
  out.measured.cost_s = Number(json, "cost_s").value_or(0);
  out.load_cost_s = Number(json, "load_cost_s").value_or(0);
  SEXTANT_ASSIGN(out.measured.figures, FiguresFromJson(json.Find("figures")));
  SEXTANT_ASSIGN(out.measured.devices, DevicesFromJson(json.Find("devices")));
  if (const Json* flags = json.Find("flags"); flags != nullptr && flags->IsArray()) {
    for (const Json& flag : flags->array())
      out.measured.flags.emplace_back(flag.AsString().value_or(""));
  }
  if (const Json* level = json.Find("level")) {
    SEXTANT_ASSIGN(out.measured.level, run::LevelFromJson(*level), "level");
  }
  return out;
}

namespace {

constexpr size_t kReadSize = size_t{256} << 10;

// Told of what a journal's lines are, in their order. An error ends the reading; what cannot be
// read is a fault and no error.
struct Listener {
  std::function<void(const Identity&)> session;
  std::function<Result<void>(PointRecord)> point;
  std::function<Result<void>(Baseline)> baseline;
  std::function<void(std::string)> fault;
};

class JournalReader {
 public:
  explicit JournalReader(const Listener& listener) : listener_(listener) {}

  // Without its line break.
  Result<void> Line(std::string_view line) {
    if (++number_ == 1) return CheckHeader(line);
    const Result<Json> json = text::ParseJson(line);
    if (!json.has_value()) return Fault(json.error()), Result<void>();
    const std::string type = Text(*json, "type");
    if (type == "session") return ReadSession(*json), Result<void>();
    if (type == "end") return {};
    // Of a later version, which may add kinds of lines.
    if (type != "point" && type != "baseline")
      return Fault(Corrupt(Format("a line of type '{}'", Printable(type, 40)))), Result<void>();
    if (!mark_) return Fault(Corrupt("a point before any session")), Result<void>();
    const std::string mark = Text(*json, "session");
    if (!mark.empty() && mark != *mark_)
      return Fault(Corrupt("of a session whose own line is lost")), Result<void>();
    return type == "point" ? Tell(PointFromJson(*json), listener_.point)
                           : Tell(BaselineFromJson(*json), listener_.baseline);
  }
  // What follows the last line break was being written when the run was killed. Killed while the
  // header was written, there is nothing yet; else it is no journal.
  Result<void> End(std::string_view rest) const {
    if (number_ == 0 && !Header().starts_with(rest))
      return Corrupt("line 1: not a journal of sextant analyze");
    return {};
  }

 private:
  void Fault(const Error& error) const {
    listener_.fault(Format("line {}: {}", number_, error.message()));
  }
  void ReadSession(const Json& json) {
    const Json* parts = json.Find("identity");
    if (parts == nullptr || !parts->IsObject()) return Fault(Corrupt("a session without identity"));
    Identity identity;
    for (const auto& [name, value] : parts->object())
      identity[name] = std::string(value.AsString().value_or(""));
    mark_ = Mark(identity);
    listener_.session(identity);
  }
  template <typename T>
  Result<void> Tell(Result<T> read, const std::function<Result<void>(T)>& listener) const {
    if (!read.has_value()) return Fault(read.error()), Result<void>();
    return listener(*std::move(read));
  }

  const Listener& listener_;
  size_t number_ = 0;
  std::optional<std::string> mark_;  // of the session that the lines are in
};

// Calls `take` with each line until it returns false, and with what follows the last line break at
// the end of the file; in the memory of the longest line.
Result<void> ReadLines(const std::string& path,
                       const std::function<Result<bool>(std::string_view, bool whole)>& take) {
  const Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return IoError("open " + path, errno);
  std::string text;
  for (size_t searched = 0;;) {
    const size_t before = text.size();
    text.resize(before + kReadSize);
    const ssize_t n = read(file.get(), text.data() + before, kReadSize);
    text.resize(before + static_cast<size_t>(std::max<ssize_t>(n, 0)));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return IoError("read " + path, errno);
    if (n == 0) break;
    size_t begin = 0;
    for (size_t newline; (newline = text.find('\n', searched)) != std::string::npos;) {
      SEXTANT_ASSIGN(const bool more,
                     take(std::string_view(text).substr(begin, newline - begin), true));
      if (!more) return {};
      begin = searched = newline + 1;
    }
    text.erase(0, begin);
    searched = text.size();
  }
  SEXTANT_TRY(take(text, false));
  return {};
}

Result<void> ReadJournal(const std::string& path, const Listener& listener) {
  JournalReader reader(listener);
  return ReadLines(path, [&](std::string_view line, bool whole) -> Result<bool> {
    SEXTANT_TRY(whole ? reader.Line(line) : reader.End(line), path);
    return true;
  });
}

// By its first line, whatever else it is.
Result<void> CheckKind(const std::string& path) {
  const Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return IoError("open " + path, errno);
  char buffer[1 << 10];  // a header is shorter
  const ssize_t n = read(file.get(), buffer, sizeof buffer);
  if (n < 0) return IoError("read " + path, errno);
  const std::string_view text(buffer, static_cast<size_t>(n));
  const size_t newline = text.find('\n');
  const Listener nobody;
  JournalReader reader(nobody);
  SEXTANT_TRY(
      newline == std::string_view::npos ? reader.End(text) : reader.Line(text.substr(0, newline)),
      path);
  return {};
}

// Whose the first point is.
Result<std::optional<std::string>> ModelOf(const std::string& path) {
  std::optional<std::string> model;
  SEXTANT_TRY(ReadLines(path, [&](std::string_view line, bool whole) -> Result<bool> {
    // Other lines are not read for that.
    if (!whole || !line.starts_with("{\"type\":\"point\"")) return true;
    const Result<Json> json = text::ParseJson(line);
    model = json.has_value() ? Text(*json, "model") : "";
    return false;
  }));
  return model;
}

// Measured points that must not be lost, or that are not ours to go on with.
Result<void> CheckPoints(const Journal::Options& options) {
  SEXTANT_ASSIGN(const std::optional<std::string> model, ModelOf(options.path));
  if (!model) return {};
  if (!options.model.empty() && !model->empty() && *model != options.model) {
    return Error(ErrorCode::kAlreadyExists,
                 Format("{} has points of the model '{}': give '{}' another --journal or "
                        "--export-path",
                        options.path, Printable(*model, 60), options.model));
  }
  if (options.resume) return {};
  return Error(ErrorCode::kAlreadyExists,
               Format("{} has measured points: --resume goes on with them; give another --journal "
                      "or --export-path, or remove it, to begin anew",
                      options.path));
}

}  // namespace

Result<JournalContents> ParseJournal(std::string_view text) {
  JournalContents out;
  const Listener listener{
      .session =
          [&](const Identity& identity) {
            out.sessions.push_back({.identity = identity, .points = {}, .baselines = {}});
          },
      .point = [&](PointRecord point) -> Result<void> {
        out.sessions.back().points.push_back(std::move(point));
        return {};
      },
      .baseline = [&](Baseline baseline) -> Result<void> {
        out.sessions.back().baselines.push_back(std::move(baseline));
        return {};
      },
      .fault = [&](std::string fault) { out.faults.push_back(std::move(fault)); }};
  JournalReader reader(listener);
  for (size_t newline; (newline = text.find('\n')) != std::string_view::npos;) {
    SEXTANT_TRY(reader.Line(text.substr(0, newline)));
    text.remove_prefix(newline + 1);
  }
  SEXTANT_TRY(reader.End(text));
  return out;
}

// Points of other journals are appended to this one, so that it is whole without them. Baselines
// have no time, and none is there twice by chance: figures are sampled.
Result<void> Journal::TakeIn(const std::string& path, bool copy) {
  // What is in both was copied before.
  std::map<std::string, std::vector<WallTime>> points_here;
  std::set<std::string> baselines_here;
  if (copy) {
    for (const auto& [key, points] : points_) {
      for (const PointRecord& point : points) points_here[key].push_back(point.started);
    }
    for (const Baseline& baseline : baselines_)
      baselines_here.insert(text::FormatJson(BaselineToJson(baseline)));
  }
  Identity identity;  // of the session
  size_t others = 0;  // points of it that are not used
  std::vector<std::string> unused;
  const auto end_session = [&] {
    if (others > 0)
      unused.push_back(
          Format("{}: {} points were measured under other conditions and are not used: {}", path,
                 others, Differences(identity, identity_)));
    others = 0;
  };
  const Listener listener{
      .session =
          [&](const Identity& next) {
            end_session();
            identity = next;
          },
      .point = [&](PointRecord point) -> Result<void> {
        if (identity != identity_) return ++others, Result<void>();
        const std::string key = PointKey(identity_, point.model, point.settings, point.load);
        if (copy) {
          const std::vector<WallTime>& times = points_here[key];
          if (std::find(times.begin(), times.end(), point.started) != times.end()) return {};
          SEXTANT_TRY(Append(point));
        }
        // Nobody asks for it again.
        point.measured.level.reset();
        points_[key].push_back(std::move(point));
        ++reusable_;
        return {};
      },
      .baseline = [&](Baseline baseline) -> Result<void> {
        if (identity != identity_) return {};
        if (!copy) return baselines_.push_back(std::move(baseline)), Result<void>();
        if (!baselines_here.insert(text::FormatJson(BaselineToJson(baseline))).second) return {};
        return Append(baseline);
      },
      .fault =
          [&](const std::string& fault) {
            notes_.push_back(Format("{}: {}: left out", path, fault));
          }};
  SEXTANT_TRY(ReadJournal(path, listener));
  end_session();
  notes_.insert(notes_.end(), unused.begin(), unused.end());
  return {};
}

Result<void> Journal::CheckUsable(const Options& options) {
  for (const std::string& path : options.also) SEXTANT_TRY(CheckKind(path));
  if (!FileExists(options.path)) return {};
  SEXTANT_TRY(CheckKind(options.path));
  // Nobody else has it.
  SEXTANT_TRY(AppendFile::Continue(options.path));
  return CheckPoints(options);
}

Result<Journal> Journal::Open(const Options& options, const Identity& identity) {
  // Before it is touched: what is not a journal, because somebody mistook a name, stays as it is.
  if (FileExists(options.path)) SEXTANT_TRY(CheckKind(options.path));
  // The lock next: what is read must not change any more.
  SEXTANT_ASSIGN(AppendFile file, AppendFile::Continue(options.path));
  SEXTANT_TRY(CheckPoints(options));
  Journal journal(std::move(file), identity);
  std::error_code unknown;
  if (std::filesystem::file_size(options.path, unknown) == 0) {
    SEXTANT_TRY(journal.file_.Append(Header()));
  } else {
    SEXTANT_TRY(journal.TakeIn(options.path, false));
  }
  SEXTANT_TRY(journal.file_.Append(Line(SessionToJson(identity))));
  for (const std::string& path : options.also) SEXTANT_TRY(journal.TakeIn(path, true));
  return journal;
}

const PointRecord* Journal::Find(const std::string& key, size_t n) const {
  const auto found = points_.find(key);
  return found == points_.end() || found->second.size() < n ? nullptr : &found->second[n - 1];
}

void Journal::Revise(const std::function<void(Measured&)>& change) {
  for (auto& [key, points] : points_) {
    for (PointRecord& point : points) change(point.measured);
  }
}

Result<void> Journal::Append(const PointRecord& point) {
  return file_.Append(Line(PointToJson(point), identity_));
}
Result<void> Journal::Append(const Baseline& baseline) {
  baselines_.push_back(baseline);
  return file_.Append(Line(BaselineToJson(baseline), identity_));
}
Result<void> Journal::Finish(std::string_view reason) {
  Json out{Json::Object()};
  out.Set("type", "end");
  out.Set("reason", reason);
  out.Set("ended", FormatWallTime(WallNow()));
  return file_.Append(Line(out));
}

}  // namespace sextant::analyze
