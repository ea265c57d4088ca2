// A --config file, and the same bytes as a command line.
#include "options/table.h"
#include "target.h"
#include "text/yaml.h"

namespace {

struct Options {
  std::string name;
  int count = 1;
  double rate = 1;
  bool flag = false;
  sextant::Nanos time{0};
  std::vector<std::string> list;
};

const sextant::options::Table<Options>& Table() {
  static const auto table = [] {
    sextant::options::Table<Options> t("fuzz", "Is fuzzed");
    t.Add(&Options::name, {.name = "name", .letter = 'n', .value = "N", .help = "A name."});
    t.Add(&Options::count, {.name = "count", .value = "N", .help = "A count.", .limits = {0, 10}});
    t.Add(&Options::rate, {.name = "rate", .value = "N", .help = "A rate."});
    t.Add(&Options::flag, {.name = "flag", .letter = 'f', .help = "A flag."});
    t.Add(&Options::time, {.name = "time", .value = "T", .help = "A time."});
    t.Add(&Options::list, {.name = "list", .letter = 'l', .value = "L", .help = "A list."});
    return t;
  }();
  return table;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sextant;  // NOLINT
  const std::string_view text = AsText(data, size);
  const auto parse = [&](std::span<const std::string_view> arguments, std::string file,
                         Options& options) {
    options::Common common;
    return Table().Parse(
        options,
        {.arguments = arguments,
         .environment = [](const char*) { return nullptr; },
         .read_file = [&](const std::string&) -> Result<std::string> { return file; }},
        common);
  };
  const std::string_view with_file[] = {"--config", "f"};
  Options options;
  if (parse(with_file, std::string(text), options).empty()) {
    // What was understood prints as a file that means the same.
    Options again;
    const std::string printed = Table().PrintConfig(&options);
    Require(parse(with_file, printed, again).empty());
    Require(Table().PrintConfig(&again) == printed);
  }
  Options from_line;
  parse(Split(text, '\n'), "", from_line);
  return 0;
}
