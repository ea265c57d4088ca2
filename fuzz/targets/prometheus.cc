// An answer of a metrics endpoint, read as either format, and written again.
#include "text/prometheus.h"

#include <cmath>

#include "target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sextant::text;  // NOLINT
  const std::string_view text = AsText(data, size);
  ParseExposition(text, ExpositionFormat::kOpenMetrics);
  const Exposition read = ParseExposition(text, ExpositionFormat::kText);
  Require((read.bad_lines > 0) == !read.first_fault.empty());
  // What was understood is understood again when we write it.
  for (const MetricSample& sample : read.samples) {
    bool plain = sample.name.find_first_of(" \t\n{}\"\\#=,") == std::string::npos;
    std::vector<std::pair<std::string_view, std::string_view>> labels;
    for (const MetricLabel& label : sample.labels) {
      plain = plain && label.name.find_first_of(" \t\n{}\"\\#=,.-") == std::string::npos;
      for (const char c : label.name) plain = plain && (std::isalnum(c) != 0 || c == '_');
      labels.emplace_back(label.name, label.value);
    }
    for (const char c : sample.name) plain = plain && (std::isalnum(c) != 0 || c == '_');
    if (!plain || std::isdigit(sample.name[0]) != 0) continue;  // needs quoted names
    for (const MetricLabel& label : sample.labels) plain = plain && !std::isdigit(label.name[0]);
    if (!plain) continue;
    PrometheusWriter writer;
    writer.Family(sample.name, "", MetricType::kGauge);
    writer.Sample(labels, sample.value);
    const Exposition again = ParseExposition(writer.Take(), ExpositionFormat::kText);
    Require(again.samples.size() == 1 && again.bad_lines == 0);
    Require(again.samples[0].labels == sample.labels);
    Require(again.samples[0].value == sample.value || std::isnan(sample.value));
  }
  return 0;
}
