// The option table: one row per option, from which come the command line, the YAML file, the
// environment, --help, --print-config, the reference page, the man page, the JSON schema and the
// shell completions. An option's default is its struct's initialiser.
//
//   struct Options { int port = 8000; std::string model; std::vector<std::string> headers; };
//   Table<Options> MakeTable() {
//     Table<Options> t("serve", "Runs the server", "Longer text.");
//     t.Group("Ports");
//     t.Add(&Options::port, {.name = "http-port", .value = "PORT", .help = "HTTP", .limits = {0,
//     65535}}); return t;
//   }
//
// Precedence: command line, then environment, then file, then default. All mistakes of all sources
// are reported at once.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/result.h"
#include "options/value.h"
#include "text/json.h"

namespace sextant::options {

struct Spec {
  std::string_view name;                       // "http-port"
  char letter = 0;                             // -p
  std::vector<std::string_view> aliases = {};  // further long names
  std::string_view value = {};                 // what the value is called in help; not for flags
  std::string_view help = {};                  // a sentence or more, without the default
  Limits limits = {};
  std::string_view default_text = {};  // in place of the default's own text in help
  bool required = false;
  bool is_file = false;     // for completion
  bool takes_more = false;  // further words are values too, up to the next option
};

// A row without its types: everything the sources and the documents need.
struct Row {
  Spec spec;
  std::string group;
  bool flag = false;     // needs no value
  bool repeats = false;  // each occurrence adds
  std::string allowed;   // "a whole number from 1 to 10"
  std::vector<std::string_view> choices;
  text::Json schema;
  std::function<Result<void>(void*, std::string_view)> set;
  std::function<void(void*)> clear;            // before the first value of a source that adds
  std::function<text::Json(const void*)> get;  // as it goes into YAML
};

struct Mistake {
  std::string source;  // "command line", "environment", "perf.yaml, line 3"
  std::string text;
  bool missing = false;  // something is not given, rather than wrong
};
// `program` is what says it, and what has --help: "sextant perf".
std::string FormatMistakes(std::string_view program, std::span<const Mistake> mistakes);

// What every command has beside its own options.
struct Common {
  bool help = false;
  bool print_config = false;
  std::string config_file;
  // Every option was one, had its value, and so was the file: nothing was lost on the way.
  bool understood = true;
};
// Their rows, which set members of Common.
const std::vector<Row>& CommonRows();

class TableBase {
 public:
  std::string_view command() const { return command_; }
  std::string_view summary() const { return summary_; }
  std::string_view description() const { return description_; }
  std::string_view usage() const { return usage_; }
  // Command lines to begin with, for help and the documents.
  const std::vector<std::string>& examples() const { return examples_; }
  const std::vector<Row>& rows() const { return rows_; }
  // Names that are no options here, and what is said of them.
  const std::map<std::string_view, std::string_view>& refused() const { return refused_; }
  // Rows with this command's and the common options, in order.
  std::vector<std::string> groups() const;

  // Fills `options` from all sources. `environment` maps names to values; `read_file` reads a
  // configuration file. On success the common options say what was asked for beside.
  struct Sources {
    std::span<const std::string_view> arguments;
    std::function<const char*(const char*)> environment;
    std::function<Result<std::string>(const std::string&)> read_file;
  };
  std::vector<Mistake> ParseInto(void* options, const Sources& sources, Common& common) const;

  // The options as a YAML file that reproduces them, as far as `shown` shows their values.
  std::string PrintConfig(
      const void* options,
      const std::function<text::Json(const Row&, const void*)>& shown = {}) const;
  // Default values come from `defaults`, an options struct as constructed.
  std::string Help(const void* defaults, size_t width) const;
  std::string ReferencePage(const void* defaults) const;
  std::string ManPage(const void* defaults, std::string_view version, std::string_view date) const;
  std::string JsonSchema(const void* defaults) const;

 protected:
  TableBase(std::string command, std::string summary, std::string description);
  void AddRow(Row row);

  std::string command_, summary_, description_, usage_;
  std::vector<std::string> examples_;
  std::string group_ = "Options";
  std::vector<Row> rows_;
  std::map<std::string_view, std::string_view> refused_;
};

namespace internal {
template <typename T>
struct IsVector : std::false_type {};
template <typename T>
struct IsVector<std::vector<T>> : std::true_type {};
template <typename T>
struct IsOptional : std::false_type {};
template <typename T>
struct IsOptional<std::optional<T>> : std::true_type {};

template <typename T>
text::Json ToJson(const T& value) {
  if constexpr (IsOptional<T>::value) {
    // Unset is the empty text, which PrintConfig leaves out.
    return value ? ToJson<typename T::value_type>(*value) : text::Json(std::string());
  } else if constexpr (std::is_same_v<T, bool>) {
    return value;
  } else if constexpr (std::is_integral_v<T> && std::is_signed_v<T>) {
    return static_cast<int64_t>(value);
  } else if constexpr (std::is_integral_v<T>) {
    return static_cast<uint64_t>(value);
  } else if constexpr (std::is_same_v<T, double>) {
    return value;
  } else {
    return ValueType<T>::Format_(value);
  }
}
}  // namespace internal

template <typename Options>
class Table : public TableBase {
 public:
  Table(std::string command, std::string summary, std::string description = {})
      : TableBase(std::move(command), std::move(summary), std::move(description)) {}

  void Usage(std::string usage) { usage_ = std::move(usage); }
  void Example(std::string line) { examples_.push_back(std::move(line)); }
  void Group(std::string group) { group_ = std::move(group); }
  // An option of similar programs that is missing on purpose: the error says what to do instead.
  void Refuse(std::string_view name, std::string_view why) { refused_[name] = why; }

  // A vector member is an option that repeats; each occurrence may also be a comma-separated list
  // unless the element type says otherwise.
  // The member may be one of a base of Options.
  template <typename T, typename Owner>
    requires std::is_base_of_v<Owner, Options>
  void Add(T Owner::* owner_member, Spec spec) {
    T Options::* const member = owner_member;
    Row row{.spec = std::move(spec), .group = group_};
    const Limits limits = row.spec.limits;
    if constexpr (internal::IsVector<T>::value) {
      using Element = typename T::value_type;
      row.repeats = true;
      row.allowed = ValueType<Element>::Describe(limits);
      row.schema.Set("type", "array");
      row.schema.Set("items", ValueType<Element>::Schema(limits));
      row.set = [member, limits](void* options, std::string_view text) -> Result<void> {
        SEXTANT_ASSIGN(Element value, ValueType<Element>::Parse(text, limits));
        (static_cast<Options*>(options)->*member).push_back(std::move(value));
        return {};
      };
      row.clear = [member](void* options) { (static_cast<Options*>(options)->*member).clear(); };
      row.get = [member](const void* options) {
        text::Json::Array out;
        for (const Element& value : static_cast<const Options*>(options)->*member)
          out.push_back(internal::ToJson<Element>(value));
        return text::Json(std::move(out));
      };
      if constexpr (requires { ValueType<Element>::Choices(); })
        row.choices = ValueType<Element>::Choices();
    } else {
      row.flag = std::is_same_v<T, bool>;
      row.allowed = ValueType<T>::Describe(limits);
      row.schema = ValueType<T>::Schema(limits);
      row.set = [member, limits](void* options, std::string_view text) -> Result<void> {
        SEXTANT_ASSIGN(static_cast<Options*>(options)->*member, ValueType<T>::Parse(text, limits));
        return {};
      };
      row.get = [member](const void* options) {
        return internal::ToJson<T>(static_cast<const Options*>(options)->*member);
      };
      if constexpr (requires { ValueType<T>::Choices(); }) row.choices = ValueType<T>::Choices();
    }
    AddRow(std::move(row));
  }

  // The rows of a base's table that `wanted` takes, with their groups.
  template <typename Base>
    requires std::is_base_of_v<Base, Options>
  void Include(const Table<Base>& other, const std::function<bool(const Row&)>& wanted) {
    const auto base = [](void* options) {
      return static_cast<void*>(static_cast<Base*>(static_cast<Options*>(options)));
    };
    for (Row row : other.rows()) {
      if (!wanted(row)) continue;
      row.set = [base, set = row.set](void* options, std::string_view text) {
        return set(base(options), text);
      };
      if (row.clear) {
        row.clear = [base, clear = row.clear](void* options) { clear(base(options)); };
      }
      row.get = [get = row.get](const void* options) {
        return get(static_cast<const Base*>(static_cast<const Options*>(options)));
      };
      AddRow(std::move(row));
    }
  }

  std::vector<Mistake> Parse(Options& options, const Sources& sources, Common& common) const {
    return ParseInto(&options, sources, common);
  }
};

}  // namespace sextant::options
