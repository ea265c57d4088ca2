#include "gpu/sim/waveform.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/files.h"
#include "base/random.h"
#include "base/strings.h"
#include "base/units.h"

namespace sextant::gpu::sim {
namespace {

constexpr double kNoiseStep = 0.01;

Result<std::vector<std::pair<double, double>>> ReadRows(const std::string& path) {
  SEXTANT_ASSIGN(const std::string text, ReadFile(path));
  std::vector<std::pair<double, double>> rows;
  for (const std::string_view line : Split(text, '\n')) {
    if (TrimSpace(line).empty()) continue;
    const std::vector<std::string_view> cells = Split(line, ',');
    const auto at = ParseDouble(TrimSpace(cells[0]));
    const auto value = cells.size() == 2 ? ParseAmount(TrimSpace(cells[1])) : std::nullopt;
    if (!at || !value) return InvalidArgument(Format("{}: '{}' is not SECONDS,VALUE", path, line));
    rows.emplace_back(*at, *value);
  }
  if (rows.size() < 2) return InvalidArgument(Format("{} has fewer than two rows", path));
  return rows;
}

}  // namespace

std::optional<double> ParseAmount(std::string_view text) {
  if (const auto number = ParseDouble(text)) return number;
  if (const auto bytes = ParseBytes(text)) return static_cast<double>(*bytes);
  return {};
}

Waveform Waveform::Constant(double value) {
  Waveform waveform;
  waveform.a_ = value;
  return waveform;
}

Result<Waveform> Waveform::Parse(std::span<const std::string_view> words) {
  struct Form {
    std::string_view name;
    Kind kind;
    size_t least, most;
  };
  constexpr Form kForms[] = {
      {"constant", Kind::kConstant, 1, 1}, {"square", Kind::kSquare, 3, 4},
      {"sine", Kind::kSine, 3, 3},         {"ramp", Kind::kRamp, 3, 3},
      {"noise", Kind::kNoise, 2, 3},       {"replay", Kind::kReplay, 1, 1},
  };
  const auto form = std::ranges::find(kForms, words.empty() ? "" : words[0], &Form::name);
  if (form == std::end(kForms)) return InvalidArgument("not a waveform");
  if (words.size() - 1 < form->least || words.size() - 1 > form->most)
    return InvalidArgument(
        Format("{} takes {} to {} numbers", form->name, form->least, form->most));
  Waveform waveform;
  waveform.kind_ = form->kind;
  if (form->kind == Kind::kReplay) {
    SEXTANT_ASSIGN(waveform.rows_, ReadRows(std::string(words[1])));
    return waveform;
  }
  if (form->kind == Kind::kConstant && words[1] == "na") {
    waveform.available_ = false;
    return waveform;
  }
  std::vector<double> numbers;
  for (const std::string_view word : words.subspan(1)) {
    const auto number = ParseAmount(word);
    if (!number) return InvalidArgument(Format("'{}' is not a number", word));
    numbers.push_back(*number);
  }
  waveform.a_ = numbers[0];
  if (numbers.size() > 1) waveform.b_ = numbers[1];
  if (form->kind == Kind::kNoise) {
    if (numbers.size() > 2) waveform.seed_ = static_cast<uint64_t>(numbers[2]);
  } else if (numbers.size() > 2) {
    waveform.period_ = numbers[2];
  }
  if (numbers.size() > 3) waveform.duty_ = numbers[3];
  if (waveform.period_ <= 0) return InvalidArgument("a period must be longer than nothing");
  return waveform;
}

std::optional<double> Waveform::At(double t) const {
  if (!available_) return {};
  switch (kind_) {
    case Kind::kConstant:
      return a_;
    case Kind::kSquare:
      return std::fmod(t, period_) < duty_ * period_ ? b_ : a_;
    case Kind::kSine:
      return a_ + b_ * std::sin(2 * std::numbers::pi * t / period_);
    case Kind::kRamp:
      return a_ + (b_ - a_) * std::min(1.0, t / period_);
    case Kind::kNoise: {
      Random random(seed_ + static_cast<uint64_t>(t / kNoiseStep));
      return std::max(0.0, a_ + b_ * random.Normal());
    }
    case Kind::kReplay: {
      const double at = std::fmod(t, rows_.back().first);
      auto row = std::ranges::upper_bound(rows_, at, {}, &std::pair<double, double>::first);
      return row == rows_.begin() ? rows_.front().second : std::prev(row)->second;
    }
  }
  return {};
}

std::optional<double> Waveform::Mean(double from, double to) const {
  if (!available_ || kind_ == Kind::kConstant || from >= to) return At(to);
  const double step = std::min((to - from) / 8, 0.001);
  const auto steps = static_cast<int>(std::ceil((to - from) / step));
  double sum = 0;
  for (int i = 0; i < steps; ++i) sum += *At(from + (to - from) * (i + 0.5) / steps);
  return sum / steps;
}

std::optional<double> Shown::At(double seconds) const {
  const double at = refresh_s > 0 ? std::floor(seconds / refresh_s) * refresh_s : seconds;
  return waveform.Mean(std::max(0.0, at - average_s), at);
}

}  // namespace sextant::gpu::sim
