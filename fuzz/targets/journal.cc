// Journals; a point that is read is written and read again the same, and its key with it.
#include "analyze/journal.h"
#include "target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sextant;  // NOLINT
  const auto journal = analyze::ParseJournal(AsText(data, size));
  if (!journal.has_value()) return 0;
  for (const analyze::Session& session : journal->sessions) {
    for (const analyze::PointRecord& point : session.points) {
      const std::string written = text::FormatJson(analyze::PointToJson(point));
      const auto json = text::ParseJson(written);
      Require(json.has_value());
      const auto again = analyze::PointFromJson(*json);
      Require(again.has_value());
      Require(text::FormatJson(analyze::PointToJson(*again)) == written);
      Require(analyze::PointKey(session.identity, again->model, again->settings, again->load) ==
              analyze::PointKey(session.identity, point.model, point.settings, point.load));
    }
  }
  return 0;
}
