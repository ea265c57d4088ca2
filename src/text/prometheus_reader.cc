// Reads Prometheus' text format 0.0.4, its quoted names of version 1, and OpenMetrics 1.0.
#include <algorithm>
#include <charconv>
#include <limits>
#include <map>

#include "base/strings.h"
#include "text/prometheus.h"

namespace sextant::text {
namespace {

constexpr MetricType kTypes[] = {
    MetricType::kCounter, MetricType::kGauge, MetricType::kHistogram, MetricType::kGaugeHistogram,
    MetricType::kSummary, MetricType::kInfo,  MetricType::kStateSet,  MetricType::kUnknown};

bool IsBlank(char c) { return c == ' ' || c == '\t'; }

// Go's strconv.ParseFloat, which defines what a value may look like.
std::optional<double> ParseValue(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  if (text.empty() || text[0] == '-' || text[0] == '+') return std::nullopt;
  double value = 0;
  if (EqualsIgnoreCase(text, "nan")) {
    return std::numeric_limits<double>::quiet_NaN();
  } else if (EqualsIgnoreCase(text, "inf") || EqualsIgnoreCase(text, "infinity")) {
    value = std::numeric_limits<double>::infinity();
  } else {
    auto format = std::chars_format::general;
    if (text.starts_with("0x") || text.starts_with("0X")) {
      text.remove_prefix(2);
      format = std::chars_format::hex;
    } else if (text[0] != '.' && (text[0] < '0' || text[0] > '9')) {
      return std::nullopt;
    }
    const auto [end, error] = std::from_chars(text.begin(), text.end(), value, format);
    if (error != std::errc() || end != text.end()) return std::nullopt;
  }
  return negative ? -value : value;
}

// One line, read from the left. Every step returns whether it found what it looked for.
class Line {
 public:
  explicit Line(std::string_view text) : rest_(text) { SkipBlanks(); }

  bool empty() const { return rest_.empty(); }
  std::string_view rest() const { return rest_; }
  void SkipBlanks() {
    while (!rest_.empty() && IsBlank(rest_[0])) rest_.remove_prefix(1);
  }
  bool Eat(char c) {
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    SkipBlanks();
    return true;
  }
  // What comes before the next blank, or any of `ends`.
  std::string_view Word(std::string_view ends = "") {
    size_t n = 0;
    while (n < rest_.size() && !IsBlank(rest_[n]) && ends.find(rest_[n]) == std::string_view::npos)
      ++n;
    const std::string_view word = rest_.substr(0, n);
    rest_.remove_prefix(n);
    SkipBlanks();
    return word;
  }
  // "..." with \\, \" and \n; any other backslash stands for itself.
  bool Quoted(std::string& out) {
    if (!rest_.starts_with('"')) return false;
    for (size_t i = 1; i < rest_.size(); ++i) {
      if (rest_[i] == '"') {
        rest_.remove_prefix(i + 1);
        SkipBlanks();
        return true;
      }
      i += AppendUnescaped(rest_.substr(i), out);
    }
    return false;
  }
  // Appends one character and returns how many more than one it took.
  static size_t AppendUnescaped(std::string_view text, std::string& out) {
    if (text[0] == '\\' && text.size() > 1) {
      const char next = text[1];
      if (next == 'n' || next == '\\' || next == '"') {
        out += next == 'n' ? '\n' : next;
        return 1;
      }
    }
    out += text[0];
    return 0;
  }

 private:
  std::string_view rest_;
};

bool IsName(std::string_view name) {
  const auto letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':';
  };
  return !name.empty() && letter(name[0]) && std::all_of(name.begin(), name.end(), [&](char c) {
    return letter(c) || (c >= '0' && c <= '9');
  });
}

// A set of labels behind its '{'; a quoted name without a value is the metric's own (version 1 of
// the text format). Empty: what is wrong.
std::string_view ReadLabels(Line& line, std::vector<MetricLabel>& labels, std::string* metric) {
  while (!line.Eat('}')) {
    MetricLabel label;
    const bool quoted = line.Quoted(label.name);
    if (!quoted) label.name = line.Word("={},\"");
    if (quoted && metric != nullptr && metric->empty() && labels.empty() &&
        !line.rest().starts_with('=')) {
      if (label.name.empty()) return "an empty name";
      *metric = std::move(label.name);
    } else {
      if (label.name.empty() || (!quoted && !IsName(label.name))) return "a label without a name";
      if (!line.Eat('=')) return "a label without '='";
      if (!line.Quoted(label.value)) return "a label's value without its quotes";
      for (const MetricLabel& other : labels) {
        if (other.name == label.name) return "a label twice";
      }
      labels.push_back(std::move(label));
    }
    if (!line.Eat(',') && !line.rest().starts_with('}')) return "labels without a comma or '}'";
  }
  return {};
}

class Reader {
 public:
  Reader(std::string_view text, ExpositionFormat format) : text_(text), format_(format) {}

  Exposition Read() {
    bool ended = false;
    for (size_t number = 1; !text_.empty(); ++number) {
      const size_t end = text_.find('\n');
      std::string_view line = text_.substr(0, end);
      text_.remove_prefix(end == std::string_view::npos ? text_.size() : end + 1);
      if (line.ends_with('\r')) line.remove_suffix(1);
      if (TrimSpace(line).empty()) continue;
      if (ended) out_.complete = false;
      if (format_ == ExpositionFormat::kOpenMetrics && TrimSpace(line) == "# EOF") {
        ended = true;
        continue;
      }
      const std::string_view fault =
          IsValidUtf8(line) ? ReadLine(line) : "bytes that are not UTF-8";
      if (fault.empty()) continue;
      if (out_.bad_lines++ == 0) out_.first_fault = Format("line {}: {}", number, fault);
    }
    if (format_ == ExpositionFormat::kOpenMetrics && !ended) out_.complete = false;
    for (MetricSample& sample : out_.samples) FindFamily(sample);
    return std::move(out_);
  }

 private:
  std::string_view ReadLine(std::string_view text) {
    Line line(text);
    return line.Eat('#') ? ReadComment(line) : ReadSample(line);
  }

  // HELP, TYPE and UNIT; all else behind a '#' is for people.
  std::string_view ReadComment(Line& line) {
    const std::string_view what = line.Word();
    if (what != "HELP" && what != "TYPE" && what != "UNIT") return {};
    std::string name;
    if (!line.Quoted(name)) name = line.Word();
    if (name.empty()) return "a family without a name";
    const auto [at, is_new] = families_.try_emplace(name, out_.families.size());
    if (is_new) out_.families.push_back({.name = name, .help = {}, .unit = {}});
    MetricFamily& family = out_.families[at->second];
    if (what == "HELP") {
      const std::string_view help = line.rest();
      family.help.clear();
      for (size_t i = 0; i < help.size(); ++i)
        i += Line::AppendUnescaped(help.substr(i), family.help);
    } else if (what == "UNIT") {
      family.unit = line.Word();
    } else {
      const std::string_view type = line.Word();
      if (type == "untyped") return {};
      const auto* known = std::find_if(std::begin(kTypes), std::end(kTypes),
                                       [&](MetricType t) { return MetricTypeName(t) == type; });
      if (known == std::end(kTypes)) return "a type that there is not";
      family.type = *known;
    }
    return {};
  }

  std::string_view ReadSample(Line& line) {
    MetricSample sample;
    sample.name = line.Word("{");
    if (!sample.name.empty() && !IsName(sample.name))
      return "a name with characters it cannot have";
    if (line.Eat('{')) {
      const std::string_view fault = ReadLabels(line, sample.labels, &sample.name);
      if (!fault.empty()) return fault;
    }
    if (sample.name.empty()) return "a sample without a name";
    const auto value = ParseValue(line.Word());
    if (!value) return "a value that is no number";
    sample.value = *value;
    if (!line.empty() && !line.rest().starts_with('#')) {
      const auto time = ParseValue(line.Word());
      if (!time) return "a timestamp that is no number";
      sample.timestamp_s = format_ == ExpositionFormat::kText ? *time / 1e3 : *time;
    }
    if (line.Eat('#')) {  // an exemplar
      std::vector<MetricLabel> labels;
      if (!line.Eat('{') || !ReadLabels(line, labels, nullptr).empty() || !ParseValue(line.Word()))
        return "an exemplar that cannot be read";
      if (!line.empty() && !ParseValue(line.Word())) return "an exemplar that cannot be read";
    }
    if (!line.empty()) return "more than a value and a timestamp";
    out_.samples.push_back(std::move(sample));
    return {};
  }

  // The family by the sample's name or by the name without what its type adds.
  void FindFamily(MetricSample& sample) const {
    static constexpr std::string_view kSuffixes[] = {
        "", "_total", "_sum", "_count", "_bucket", "_created", "_gsum", "_gcount", "_info"};
    for (const std::string_view suffix : kSuffixes) {
      std::string_view base = sample.name;
      if (!base.ends_with(suffix)) continue;
      base.remove_suffix(suffix.size());
      const auto at = families_.find(base);
      if (at == families_.end()) continue;
      sample.family = at->second;
      const MetricType type = out_.families[at->second].type;
      const bool adds_up = suffix == "_sum" || suffix == "_count" || suffix == "_bucket";
      sample.cumulative = (type == MetricType::kCounter && suffix != "_created") ||
                          (type == MetricType::kHistogram && adds_up) ||
                          (type == MetricType::kSummary && adds_up);
      if (type == MetricType::kUnknown) sample.cumulative = sample.name.ends_with("_total");
      return;
    }
    // Nothing says: the convention for names is all there is.
    sample.cumulative = sample.name.ends_with("_total");
  }

  std::string_view text_;
  const ExpositionFormat format_;
  Exposition out_;
  std::map<std::string, size_t, std::less<>> families_;
};

}  // namespace

std::optional<std::string_view> MetricSample::Label(std::string_view label) const {
  for (const MetricLabel& l : labels) {
    if (l.name == label) return l.value;
  }
  return std::nullopt;
}

ExpositionFormat FormatOfContentType(std::string_view content_type) {
  return ToLower(TrimSpace(content_type)).starts_with("application/openmetrics-text")
             ? ExpositionFormat::kOpenMetrics
             : ExpositionFormat::kText;
}

Exposition ParseExposition(std::string_view text, ExpositionFormat format) {
  return Reader(text, format).Read();
}

}  // namespace sextant::text
