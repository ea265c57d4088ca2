#include <gtest/gtest.h>

#include <map>

#include "options/completion.h"
#include "options/table.h"
#include "text/yaml.h"

namespace sextant::options {

enum class Color { kRed, kGreen };
template <>
struct EnumNames<Color> {
  static constexpr std::pair<std::string_view, Color> kNames[] = {{"red", Color::kRed},
                                                                  {"green", Color::kGreen}};
};

namespace {

struct Options {
  std::string model;
  int port = 8000;
  double rate = 1.5;
  bool verbose = false;
  bool strict = true;
  Nanos timeout{5s};
  Color color = Color::kRed;
  std::vector<std::string> headers;
  std::optional<uint64_t> seed;
  std::string port_range;
};

Table<Options> MakeTable() {
  Table<Options> t("try", "Tries things", "Tries things out.");
  t.Group("First");
  t.Add(&Options::model, {.name = "model-name",
                          .letter = 'm',
                          .aliases = {"model"},
                          .value = "NAME",
                          .help = "The model.",
                          .required = true});
  t.Add(&Options::port,
        {.name = "port", .letter = 'p', .value = "PORT", .help = "A port.", .limits = {0, 65535}});
  t.Add(&Options::rate, {.name = "rate", .value = "R", .help = "A rate.", .limits = {0}});
  t.Group("Second");
  t.Add(&Options::verbose, {.name = "verbose", .letter = 'v', .help = "Says more."});
  t.Add(&Options::strict, {.name = "strict", .help = "Is strict."});
  t.Add(&Options::timeout, {.name = "timeout", .value = "TIME", .help = "A time."});
  t.Add(&Options::color, {.name = "color", .value = "COLOR", .help = "A color."});
  t.Add(&Options::headers, {.name = "header", .letter = 'H', .value = "H", .help = "A header."});
  t.Add(&Options::seed,
        {.name = "seed", .value = "N", .help = "A seed.", .default_text = "from the clock"});
  t.Add(&Options::port_range, {.name = "port-range", .value = "R", .help = "Ports."});
  return t;
}

struct Parsed {
  Options options;
  Common common;
  std::string mistakes;
};
Parsed Parse(std::vector<std::string_view> arguments,
             std::map<std::string, std::string> environment = {}, std::string file = {}) {
  Parsed out;
  const auto mistakes =
      MakeTable().Parse(out.options,
                        {.arguments = arguments,
                         .environment = [&](const char* name) -> const char* {
                           const auto it = environment.find(name);
                           return it == environment.end() ? nullptr : it->second.c_str();
                         },
                         .read_file = [&](const std::string&) -> Result<std::string> {
                           if (file.empty()) return NotFound("no such file");
                           return file;
                         }},
                        out.common);
  for (const Mistake& m : mistakes) out.mistakes += Format("{}: {}\n", m.source, m.text);
  return out;
}

TEST(CommandLine, EverySpelling) {
  const Parsed p =
      Parse({"-mname", "--port=9", "--rate", "2", "-v", "--no-strict", "--timeout=250ms", "--color",
             "GREEN", "-H", "a", "--header=b", "--seed", "7"});
  EXPECT_EQ(p.mistakes, "");
  EXPECT_EQ(p.options.model, "name");
  EXPECT_EQ(p.options.port, 9);
  EXPECT_EQ(p.options.rate, 2);
  EXPECT_TRUE(p.options.verbose);
  EXPECT_FALSE(p.options.strict);
  EXPECT_EQ(p.options.timeout, 250ms);
  EXPECT_EQ(p.options.color, Color::kGreen);
  EXPECT_EQ(p.options.headers, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(p.options.seed, 7u);
}

TEST(CommandLine, PrefixesAliasesAndBooleansWithValues) {
  EXPECT_EQ(Parse({"--model", "x"}).options.model, "x");
  EXPECT_EQ(Parse({"--mo", "x", "--verb"}).mistakes, "");
  EXPECT_EQ(Parse({"-m", "x", "--strict", "false"}).options.strict, false);
  EXPECT_EQ(Parse({"-m", "x", "--strict=0"}).options.strict, false);
  EXPECT_EQ(Parse({"-m", "x", "--port", "1"}).options.port, 1)
      << "an exact name wins over a prefix";
  EXPECT_EQ(Parse({"-m", "x", "--po", "1"}).mistakes,
            "command line: --po is ambiguous: --port, --port-range\n");
}

TEST(CommandLine, AllMistakesAtOnceWithTheNearestName) {
  EXPECT_EQ(
      Parse({"--prot", "1", "--port", "99999", "--color=gren", "--timeout", "5", "stray", "--rate"})
          .mistakes,
      "command line: --prot is not an option; did you mean --port?\n"
      "command line: --port '99999': must be a number from 0 to 65535\n"
      "command line: --color 'gren': must be red|green; did you mean 'green'?\n"
      "command line: --timeout '5': '5' is not a duration; write a number and a unit, such as "
      "500ms, 10s or 2m30s (units: ns us ms s m h)\n"
      "command line: 'stray' is not expected here: options start with '-'\n"
      "command line: --rate needs a value: a number of at least 0\n"
      "command line: -m, --model-name NAME is required: The model.\n");
}

TEST(CommandLine, HelpNeedsNothingElse) {
  const Parsed p = Parse({"--help"});
  EXPECT_TRUE(p.common.help);
  EXPECT_EQ(p.mistakes, "");
}

TEST(Sources, TheStrongerWins) {
  const std::string file =
      "model_name: from-file\nport: 1\nrate: 3\nheader: [x, y]\nstrict: false\n";
  const Parsed p = Parse({"--config", "f.yaml", "--port", "3"},
                         {{"SEXTANT_PORT", "2"}, {"SEXTANT_RATE", "4"}}, file);
  EXPECT_EQ(p.mistakes, "");
  EXPECT_EQ(p.options.model, "from-file");
  EXPECT_EQ(p.options.port, 3);
  EXPECT_EQ(p.options.rate, 4);
  EXPECT_EQ(p.options.headers, (std::vector<std::string>{"x", "y"}));
  EXPECT_FALSE(p.options.strict);
  EXPECT_EQ(Parse({"-m", "x", "-H", "z", "--config=f"}, {}, file).options.headers,
            std::vector<std::string>{"z"})
      << "replaced, not appended";
}

TEST(Sources, FileMistakesHaveTheirLine) {
  EXPECT_EQ(Parse({"-m", "x", "--config", "f.yaml"}, {},
                  "port: 1\nprot: 2\nrate: [1, 2]\ncolor:\n  a: b\nhelp: true\n")
                .mistakes,
            "f.yaml, line 2: 'prot' is not an option; did you mean --port?\n"
            "f.yaml, line 3: rate '1,2': must be a number of at least 0\n"
            "f.yaml, line 5: 'color' must be red|green, not a mapping\n"
            "f.yaml, line 6: 'help' belongs on the command line\n");
  EXPECT_EQ(Parse({"-m", "x", "--config", "f.yaml"}).mistakes,
            "command line: --config: no such file\n");
}

TEST(PrintConfig, ReadsBackAsTheSameOptions) {
  const Parsed p =
      Parse({"-m", "a: b", "-H", "k: v", "--rate", "0.1", "--timeout", "1500ms", "--no-strict"});
  const std::string yaml = MakeTable().PrintConfig(&p.options);
  const Parsed again = Parse({"--config", "f"}, {}, yaml);
  EXPECT_EQ(again.mistakes, "");
  EXPECT_EQ(MakeTable().PrintConfig(&again.options), yaml);
  EXPECT_EQ(again.options.model, "a: b");
  EXPECT_FALSE(again.options.strict);
}

TEST(Documents, NameEveryOption) {
  const Options defaults;
  const Table<Options> table = MakeTable();
  const std::vector<const TableBase*> tables{&table};
  const std::string documents[] = {
      table.Help(&defaults, 100),       table.ReferencePage(&defaults),
      table.JsonSchema(&defaults),      BashCompletion("sextant", tables),
      ZshCompletion("sextant", tables), FishCompletion("sextant", tables)};
  for (const std::string& document : documents) {
    for (const Row& row : table.rows())
      EXPECT_NE(document.find(row.spec.name), std::string::npos) << row.spec.name << "\n"
                                                                 << document;
  }
  EXPECT_NE(table.ManPage(&defaults, "1", "2026-01-01").find("\\-\\-port\\-range"),
            std::string::npos);
}

TEST(Documents, HelpIsGroupedAndShowsDefaults) {
  const Options defaults;
  const std::string help = MakeTable().Help(&defaults, 100);
  EXPECT_NE(help.find("\nFirst:\n  -m, --model-name NAME           The model. (required)\n  -p, "
                      "--port PORT                 A port. (default: 8000)\n"),
            std::string::npos)
      << help;
  EXPECT_NE(help.find("Is strict. (default: on; --no-strict turns it off)"), std::string::npos);
  EXPECT_NE(help.find("A color. (red|green; default: red)"), std::string::npos);
  EXPECT_NE(help.find("A seed. (default: from the clock)"), std::string::npos);
}

TEST(Documents, SchemaIsJson) {
  const Options defaults;
  const auto schema = text::ParseJson(MakeTable().JsonSchema(&defaults));
  ASSERT_TRUE(schema.has_value());
  EXPECT_EQ(schema->Find("properties")->Find("port")->Find("maximum")->AsInt(), 65535);
}

}  // namespace
}  // namespace sextant::options
