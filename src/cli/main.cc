// The program: finds the command, runs it.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "base/strings.h"
#include "base/version.h"
#include "cli/command.h"
#include "cli/perf_compat.h"

namespace {

using namespace sextant;  // NOLINT: the program is the one user of all of it

int PrintCommands(std::FILE* to) {
  std::fputs(
      "Usage: sextant COMMAND [options]\n\nMeasures models on inference servers (Triton, or any "
      "that speaks KServe v2).\n\nCommands:\n",
      to);
  for (const cli::Command& command : cli::Commands()) {
    std::fputs(Format("  {:<12}{}\n", command.table->command(), command.table->summary()).c_str(),
               to);
  }
  std::fputs("\n'sextant COMMAND --help' lists a command's options.\n", to);
  return to == stdout ? cli::kExitOk : cli::kExitUsage;
}

// What could not be written to stdout was not delivered, however well the work went.
int CheckOutput(int exit_code) {
  errno = 0;
  const bool flushed = std::fflush(stdout) == 0;
  const int reason = errno;
  if (flushed && std::ferror(stdout) == 0) return exit_code;
  // An earlier write that failed has left no reason.
  const std::string_view why =
      !flushed && reason != 0 ? std::strerror(reason) : "the disk is full, or its reader is gone";
  std::fputs(Format("sextant: not all of the output could be written to stdout: {}\n", why).c_str(),
             stderr);
  return exit_code == cli::kExitOk ? cli::kExitFailure : exit_code;
}

int Run(int argc, char** argv) {
  std::vector<std::string_view> arguments(argv + 1, argv + argc);
  if (argc > 0 && cli::IsPerfAnalyzerName(argv[0])) {
    const std::string_view path = argv[0];
    cli::SetProgramName(std::string(path.substr(path.rfind('/') + 1)));  // npos + 1 is 0
    arguments.insert(arguments.begin(), {"--compat", "perf_analyzer"});
    return cli::FindCommand("perf")->run(arguments);
  }
  if (arguments.empty()) return PrintCommands(stderr);
  if (arguments[0] == "help" && arguments.size() > 1) arguments = {arguments[1], "--help"};
  if (arguments[0] == "help" || arguments[0] == "--help" || arguments[0] == "-h")
    return PrintCommands(stdout);
  if (arguments[0] == "--version")
    return std::printf("sextant %s\n", Version().data()), cli::kExitOk;
  if (const cli::Command* command = cli::FindCommand(arguments[0]))
    return command->run(std::span(arguments).subspan(1));
  std::vector<std::string_view> names;
  for (const cli::Command& command : cli::Commands()) names.push_back(command.table->command());
  const auto nearest = NearestName(arguments[0], names);
  std::fputs(Format("sextant: '{}' is not a command{}\n", Printable(arguments[0], 60),
                    nearest ? Format("; did you mean '{}'?", *nearest) : "")
                 .c_str(),
             stderr);
  return cli::kExitUsage;
}

}  // namespace

int main(int argc, char** argv) { return CheckOutput(Run(argc, argv)); }
