// Stands in for libFuzzer: runs the target once on every file of the given folders.
#include <cstdint>
#include <cstdio>
#include <string>

#include "base/files.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

int main(int argc, char** argv) {
  int files = 0;
  for (int i = 1; i < argc; ++i) {
    const auto names = sextant::ListDirectory(argv[i]);
    if (!names.has_value()) return std::fprintf(stderr, "%s\n", names.error().message().c_str()), 1;
    for (const std::string& name : *names) {
      const auto bytes = sextant::ReadFile(sextant::JoinPath(argv[i], name));
      if (!bytes.has_value())
        return std::fprintf(stderr, "%s\n", bytes.error().message().c_str()), 1;
      LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes->data()), bytes->size());
      ++files;
    }
  }
  std::printf("%d files\n", files);
  return files == 0;
}
