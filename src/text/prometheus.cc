#include "text/prometheus.h"

#include <cmath>

#include "base/strings.h"

namespace sextant::text {
namespace {

void AppendEscaped(std::string& out, std::string_view text, bool quotes) {
  for (const char c : text) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '"' && quotes) {
      out += "\\\"";
    } else {
      out += c;
    }
  }
}

}  // namespace

std::string_view MetricTypeName(MetricType type) {
  switch (type) {
    case MetricType::kCounter:
      return "counter";
    case MetricType::kGauge:
      return "gauge";
    case MetricType::kHistogram:
      return "histogram";
    case MetricType::kGaugeHistogram:
      return "gaugehistogram";
    case MetricType::kSummary:
      return "summary";
    case MetricType::kInfo:
      return "info";
    case MetricType::kStateSet:
      return "stateset";
    case MetricType::kUnknown:
      break;
  }
  return "unknown";
}

void PrometheusWriter::Family(std::string_view name, std::string_view help, MetricType type) {
  name_ = name;
  AppendFormat(text_, "# HELP {} ", name);
  AppendEscaped(text_, help, false);
  AppendFormat(text_, "\n# TYPE {} {}\n", name, MetricTypeName(type));
}

void PrometheusWriter::Sample(Labels labels, double value) {
  text_ += name_;
  if (!labels.empty()) {
    char separator = '{';
    for (const auto& [label, text] : labels) {
      text_ += separator;
      text_ += label;
      text_ += "=\"";
      AppendEscaped(text_, text, true);
      text_ += '"';
      separator = ',';
    }
    text_ += '}';
  }
  if (std::isnan(value)) {
    text_ += " NaN\n";
  } else if (std::isinf(value)) {
    text_ += value > 0 ? " +Inf\n" : " -Inf\n";
  } else {
    AppendFormat(text_, " {}\n", value);
  }
}

}  // namespace sextant::text
