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

// The data's sources: files by their content, rules by their text. Either may have a name: of a
// data set, or of a model of a mix.
std::string HashData(const AnalyzeOptions& options) {
  net::Sha256 hash;
  for (const auto* list : {&options.input_data, &options.data, &options.dims, &options.shapes,
                           &options.random_ranges, &options.data_sets}) {
    for (const std::string& text : *list) {
      hash.Add(text + "\n");
      const size_t named = text.find('=');
      std::vector<std::string> paths{text};
      if (named != std::string::npos) paths.push_back(text.substr(named + 1));
      for (const std::string& path : paths) {
        if (IsDirectory(path)) {
          hash.Add(HashFiles(path));
        } else if (const Result<MappedFile> file = MappedFile::Open(path); file.has_value()) {
          hash.Add(file->bytes());
        }
      }
    }
  }
  hash.Add(Format("{} {} {} {}", options.rows, options.string_length, options.string_data,
                  *options.seed));
  return hash.Hex().substr(0, 16);
}

// How they are made and sent, as far as figures depend on it.
std::string DescribeRequests(const AnalyzeOptions& options) {
  std::string out =
      Format("workers {}, connections {}, compression {} {}, tensors {} {}, shared memory {}",
             options.workers, options.connections, static_cast<int>(options.http_compression),
             static_cast<int>(options.grpc_compression), static_cast<int>(options.input_format),
             static_cast<int>(options.output_format), static_cast<int>(options.shared_memory));
  if (options.spin) out += ", spinning";
  if (options.retries > 0) AppendFormat(out, ", {} retries", options.retries);
  if (options.streaming) AppendFormat(out, ", {} streams", options.streams);
  if (options.priority) AppendFormat(out, ", priority {}", *options.priority);
  if (options.server_timeout)
    AppendFormat(out, ", server's timeout {}", FormatDuration(*options.server_timeout));
  AppendFormat(out, ", sequences of {} +- {} %{}", options.sequence_length,
               options.sequence_length_variation, options.serial_sequences ? ", serial" : "");
  return out;
}

}  // namespace

analyze::Identity MakeIdentity(const Circumstances& circumstances) {
  const auto& [options, models, stand, devices, gpu_source, remote] = circumstances;
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
       brief(Format("{} {} {} {} {}", options.image, Join(options.container_arguments, " "),
                    options.server_program, Join(options.server_arguments, " "),
                    Join(options.server_environment, " ")))},
      {"requests", DescribeRequests(options)},
      {"client_machine", Format("{}, {} cores", host.cpu_model, host.cores_usable)}};
  // One model's are hashed once, several models' again as a whole.
  std::vector<std::string> configurations, files;
  for (const analyze::NamedConfig& base : stand.bases()) {
    configurations.push_back(brief(kserve::ModelConfigToJson(base.config)));
    const std::string folder = JoinPath(options.repository, models[files.size()]);
    files.push_back(!options.repository.empty() && IsDirectory(folder) ? HashFiles(folder)
                                                                       : brief(stand.metadata()));
  }
  const auto whole = [&](const std::vector<std::string>& hashes) {
    return hashes.size() == 1 ? hashes.front() : brief(Join(hashes, " "));
  };
  out["base_configuration"] = whole(configurations);
  out["model_files"] = whole(files);
  if (!devices.empty()) out["devices"] = Format("{} ({})", Join(devices, ", "), gpu_source);
  if (!options.mix.empty()) out["mix"] = options.mix;
  if (remote) out["url"] = Join(options.urls, ",");
  return out;
}

}  // namespace sextant::cli
