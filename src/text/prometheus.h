// Prometheus' text exposition format and OpenMetrics: the first is written, both are read.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sextant::text {

enum class MetricType : uint8_t {
  kUnknown,
  kCounter,
  kGauge,
  kHistogram,
  kGaugeHistogram,
  kSummary,
  kInfo,
  kStateSet
};
// "counter", "unknown", ...
std::string_view MetricTypeName(MetricType type);

// Builds an exposition family by family.
class PrometheusWriter {
 public:
  using Labels = std::span<const std::pair<std::string_view, std::string_view>>;

  // HELP and TYPE lines; samples of this family follow.
  void Family(std::string_view name, std::string_view help, MetricType type);
  void Sample(Labels labels, double value);
  std::string Take() { return std::move(text_); }

 private:
  std::string text_;
  std::string name_;
};

struct MetricLabel {
  std::string name, value;
  auto operator<=>(const MetricLabel&) const = default;
};

struct MetricFamily {
  std::string name, help, unit;
  MetricType type = MetricType::kUnknown;
};

struct MetricSample {
  std::string name;                 // as it stands there: with _total, _bucket, ...
  std::vector<MetricLabel> labels;  // in their order
  double value = 0;                 // NaN and infinities included
  std::optional<double> timestamp_s;
  std::optional<size_t> family;  // index, where HELP, TYPE or UNIT named one before
  // Only ever grows, but for a restart of its source: a difference means something, a mean does
  // not.
  bool cumulative = false;
  // The value of one label, if the sample has it.
  std::optional<std::string_view> Label(std::string_view label) const;
};

struct Exposition {
  std::vector<MetricFamily> families;
  std::vector<MetricSample> samples;
  // Lines that are neither: exporters differ in care, and one bad line must not hide the others.
  uint64_t bad_lines = 0;
  std::string first_fault;  // "line 7: ..."
  bool complete = true;     // OpenMetrics: its # EOF was there, and nothing behind it
};

enum class ExpositionFormat : uint8_t { kText, kOpenMetrics };
// By the answer's Content-Type; what does not say is taken for text.
ExpositionFormat FormatOfContentType(std::string_view content_type);

// Reads all of it, whatever its label sets: quoted names, escapes, exponents and hexadecimal
// numbers, timestamps (milliseconds in text, seconds in OpenMetrics), exemplars (read over).
Exposition ParseExposition(std::string_view text, ExpositionFormat format);

}  // namespace sextant::text
