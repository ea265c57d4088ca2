// The journal: what an analysis measured, point by point, one JSON value per line. It is appended
// and synced after each point, so that a kill loses at most the point in progress, and read back to
// go on.
//
// A session line says under what the following points were measured (tool, server, model's files,
// data, devices), a point line holds a point. A point is used again only where all of that is the
// same; what is not is listed with the parts that differ. Format name "sextant-journal", version 1:
// docs/journal.md.
//
// A journal may be of any size, for a point's histograms are half a megabyte: it is read line by
// line, and of what is kept nothing has histograms.
//
// Threads: plain values; a Journal belongs to one.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "analyze/stand.h"
#include "base/clock.h"
#include "base/files.h"
#include "text/json.h"

namespace sextant::analyze {

constexpr int kJournalVersion = 1;

// By name, what a measurement depends on beside configuration and load: "model_files", "server",
// "devices", "data", "tool", ...
using Identity = std::map<std::string, std::string>;

struct PointRecord {
  std::string model;          // or several, as they were named
  std::string configuration;  // its name
  std::vector<Setting> settings;
  Load load;
  int take = 1;  // of this configuration and load, counted from 1
  Nanos window{0};
  std::string reason;
  WallTime started{};
  double load_cost_s = 0;
  Measured measured;
};

// What a point is of, whatever was measured there: the same for all takes, and for settings in any
// order that makes the same configuration.
std::string PointKey(const Identity& identity, const std::string& model,
                     const std::vector<Setting>& settings, const Load& load);

struct Session {
  Identity identity;
  std::vector<PointRecord> points;
  std::vector<Baseline> baselines;
};
struct JournalContents {
  std::vector<Session> sessions;
  std::vector<std::string> faults;  // of lines that cannot be read, with their numbers
};
// All of it, histograms included. Errors: kCorrupt when it is not a journal, or of a newer version.
// Lines that cannot be read are faults and are left out.
Result<JournalContents> ParseJournal(std::string_view text);

// As they stand in the journal and in results.
text::Json ToJson(const Figure& figure);  // null where it is not finite
text::Json ToJson(const Figures& figures);
text::Json ToJson(const std::vector<DeviceFigures>& devices);
text::Json ToJson(const std::vector<Setting>& settings);
text::Json ToJson(const Load& load);
std::string_view StatusName(Outcome::Status status);

text::Json PointToJson(const PointRecord& point);
Result<PointRecord> PointFromJson(const text::Json& json);

class Journal {
 public:
  // With `resume`, goes on with the file, if there is one; else kAlreadyExists when there is one
  // with points in it, and always when these are of another model than `model` (empty: any's).
  // kUnavailable while another process has it; kCorrupt, and it stays as it is, when it is no
  // journal. `also` are read and their points and baselines copied.
  struct Options {
    std::string path;
    bool resume = false;
    std::vector<std::string> also = {};
    std::string model = {};
  };
  static Result<Journal> Open(const Options& options, const Identity& identity);
  // The errors of Open, as far as they can be known without an identity and without writing.
  static Result<void> CheckUsable(const Options& options);

  // The point that was measured as the n-th of this key (1 is the first), or null; of those that
  // were there when it was opened. Without its level, which is in the file.
  const PointRecord* Find(const std::string& key, size_t n) const;
  // Changes what Find gives, for figures that follow from options of this run; the file stays.
  void Revise(const std::function<void(Measured&)>& change);
  Result<void> Append(const PointRecord& point);
  Result<void> Append(const Baseline& baseline);
  Result<void> Finish(std::string_view reason);

  const Identity& identity() const { return identity_; }
  const std::vector<Baseline>& baselines() const { return baselines_; }
  size_t reusable() const { return reusable_; }
  // Sentences: how many points of which other conditions are not used, and what differs.
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  Journal(AppendFile file, Identity identity)
      : file_(std::move(file)), identity_(std::move(identity)) {}
  // What the file has of our conditions; `copy`: is appended here, unless it is here already.
  Result<void> TakeIn(const std::string& path, bool copy);

  AppendFile file_;
  Identity identity_;
  std::map<std::string, std::vector<PointRecord>> points_;  // by key, in their order
  std::vector<Baseline> baselines_;
  std::vector<std::string> notes_;
  size_t reusable_ = 0;
};

}  // namespace sextant::analyze
