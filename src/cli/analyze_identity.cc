#include "cli/analyze_identity.h"

#include <algorithm>
#include <filesystem>

#include "base/files.h"
#include "base/host.h"
#include "base/units.h"
#include "base/version.h"
#include "net/digest.h"

namespace sextant::cli {
namespace {

namespace fs = std::filesystem;

// Hash of what lies in the model's directory. Of a very large file its size and both ends stand for
// the whole: reading a hundred gigabytes before every analysis helps nobody.
std::string HashFiles(const std::string& directory) {
  constexpr uintmax_t kWhole = uintmax_t{64} << 20, kEnd = uintmax_t{1} << 20;
  net::Sha256 hash;
  std::vector<fs::path> files;
  std::error_code error;
  for (fs::recursive_directory_iterator
           it(directory, fs::directory_options::follow_directory_symlink, error),
       end;
       !error && it != end; it.increment(error)) {
    if (it->is_regular_file(error)) files.push_back(it->path());
  }
  std::sort(files.begin(), files.end());
  for (const fs::path& file : files) {
    const Result<MappedFile> mapped = MappedFile::Open(file.string());
    if (!mapped.has_value()) continue;
    const std::string_view bytes = mapped->bytes();
    hash.Add(Format("{}:{}:", fs::relative(file, directory, error).string(), bytes.size()));
    if (bytes.size() <= kWhole) {
      hash.Add(bytes);
    } else {
      hash.Add(bytes.substr(0, kEnd));
      hash.Add(bytes.substr(bytes.size() - kEnd));
    }
  }
  return hash.Hex().substr(0, 16);
}

// The data's sources: files by their content, rules by their text.
std::string HashData(const AnalyzeOptions& options) {
  net::Sha256 hash;
  for (const auto* list : {&options.input_data, &options.data, &options.dims, &options.shapes,
                           &options.random_ranges}) {
    for (const std::string& text : *list) {
      hash.Add(text + "\n");
      if (IsDirectory(text)) {
        hash.Add(HashFiles(text));
      } else if (const Result<MappedFile> file = MappedFile::Open(text); file.has_value()) {
        hash.Add(file->bytes());
      }
    }
  }
  for (const std::string& named : options.data_sets) {
    hash.Add(named + "\n");
    const std::string file = named.substr(named.find('=') + 1);
    if (const Result<MappedFile> mapped = MappedFile::Open(file); mapped.has_value())
      hash.Add(mapped->bytes());
  }
  hash.Add(Format("{} {} {} {}", options.rows, options.string_length, options.string_data,
                  *options.seed));
  return hash.Hex().substr(0, 16);
}

}  // namespace

analyze::Identity MakeIdentity(const AnalyzeOptions& options, const ModelStand& stand,
                               bool remote) {
  const kserve::ServerMetadata& server = stand.subject().server;
  const HostFacts host = ReadHostFacts();
  const auto brief = [](std::string_view text) { return net::Sha256Hex(text).substr(0, 16); };
  analyze::Identity out{
      {"tool", std::string(Version())},
      {"server", Format("{} {}", server.name, server.version)},
      {"protocol", std::string(kserve::ProtocolName(options.protocol))},
      {"model_version", options.model_version},
      {"base_configuration", ""},
      {"data", HashData(options)},
      {"measurement",
       Format("warm-up {}, percentiles {}, timeout {}, arrivals {}, streaming {}, sequences {}, "
              "parameters {}, GPUs by {} {}",
              options.warmup.text, options.percentiles, FormatDuration(options.timeout),
              load::ArrivalLawName(options.distribution), options.streaming, options.sequences,
              Join(options.request_parameters, " "), static_cast<int>(options.gpu_source),
              Join(options.gpus, " "))},
      {"launch",
       brief(Format("{} {} {} {}", options.image, options.server_program,
                    Join(options.server_arguments, " "), Join(options.server_environment, " ")))},
      {"client_machine", Format("{}, {} cores", host.cpu_model, host.cores_usable)}};
  // One model's are hashed once, several models' again as a whole.
  std::vector<std::string> configurations, files;
  for (const analyze::NamedConfig& base : stand.bases()) {
    configurations.push_back(brief(kserve::ModelConfigToJson(base.config)));
    const std::string folder = JoinPath(options.repository, base.name);
    files.push_back(!options.repository.empty() && IsDirectory(folder) ? HashFiles(folder)
                                                                       : brief(stand.metadata()));
  }
  const auto whole = [&](const std::vector<std::string>& hashes) {
    return hashes.size() == 1 ? hashes.front() : brief(Join(hashes, " "));
  };
  out["base_configuration"] = whole(configurations);
  out["model_files"] = whole(files);
  if (!options.mix.empty()) out["mix"] = options.mix;
  if (remote) out["url"] = Join(options.urls, ",");
  return out;
}

}  // namespace sextant::cli
