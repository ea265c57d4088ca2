// A model repository of our own, made of links into the user's, which is only read: for a server of
// ours, which may leave what it likes beside the models' files (Python's byte code, caches), and
// for one that polls a directory, with a config.pbtxt of ours.
//
// Threads: one at a time.
#pragma once

#include <string>

#include "base/result.h"

namespace sextant::analyze {

class WorkRepository {
 public:
  // `source`: the user's repository; `directory`: what the server polls, which is made if needed.
  WorkRepository(std::string source, std::string directory)
      : source_(std::move(source)), directory_(std::move(directory)) {}

  // The model appears with this configuration, all at once. Errors: kNotFound (the source has no
  // such model), kAlreadyExists (what lies there is not ours), kIo.
  Result<void> Put(const std::string& model, const std::string& config_pbtxt);
  // All models of the source, as they are.
  Result<void> MirrorAll();
  // Not an error when it is not there.
  Result<void> Remove(const std::string& model);

 private:
  Result<void> Make(const std::string& model, const std::string* config_pbtxt);
  Result<void> CheckOurs(const std::string& model) const;

  const std::string source_, directory_;
};

}  // namespace sextant::analyze
