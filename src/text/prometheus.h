// Prometheus' text exposition format, writing side.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace sextant::text {

enum class MetricType { kCounter, kGauge };

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

}  // namespace sextant::text
