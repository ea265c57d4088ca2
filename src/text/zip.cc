#include "text/zip.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "base/strings.h"

namespace sextant::text {
namespace {

constexpr uint32_t kEndMark = 0x06054b50, kEnd64Mark = 0x06064b50, kLocator64Mark = 0x07064b50;
constexpr uint32_t kEntryMark = 0x02014b50, kLocalMark = 0x04034b50;
constexpr size_t kEndSize = 22, kLocatorSize = 20, kEnd64Size = 56, kEntrySize = 46,
                 kLocalSize = 30;
constexpr size_t kLongestComment = 65535;
constexpr uint16_t kEncrypted = 1, kStored = 0, kDeflated = 8, kZip64Field = 1;
constexpr uint32_t kIn64 = 0xffffffff;  // the value stands in the ZIP64 field

template <typename T>
T At(std::string_view bytes, size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

Error CutOff() { return Corrupt("a ZIP archive that is cut off or damaged"); }

struct Directory {
  uint64_t entries = 0, size = 0, offset = 0;
};

Result<Directory> FindDirectory(std::string_view bytes) {
  if (bytes.size() < kEndSize) return Corrupt("not a ZIP archive");
  const size_t first = bytes.size() - std::min(bytes.size(), kEndSize + kLongestComment);
  for (size_t at = bytes.size() - kEndSize;; --at) {
    if (At<uint32_t>(bytes, at) == kEndMark) {
      Directory out{.entries = At<uint16_t>(bytes, at + 10),
                    .size = At<uint32_t>(bytes, at + 12),
                    .offset = At<uint32_t>(bytes, at + 16)};
      const bool is64 =
          at >= kLocatorSize && At<uint32_t>(bytes, at - kLocatorSize) == kLocator64Mark;
      if (!is64) return out;
      const auto end64 = At<uint64_t>(bytes, at - kLocatorSize + 8);
      if (end64 > bytes.size() || bytes.size() - end64 < kEnd64Size ||
          At<uint32_t>(bytes, end64) != kEnd64Mark) {
        return CutOff();
      }
      return Directory{.entries = At<uint64_t>(bytes, end64 + 32),
                       .size = At<uint64_t>(bytes, end64 + 40),
                       .offset = At<uint64_t>(bytes, end64 + 48)};
    }
    if (at == first) return Corrupt("not a ZIP archive, or cut off: it has no directory");
  }
}

// Sizes and the offset of an entry, of which those too large for 32 bits stand in an extra field.
struct Extent {
  uint64_t size = 0, compressed = 0, offset = 0;
};

bool ReadZip64(std::string_view extra, Extent& extent) {
  uint64_t* wanted[] = {&extent.size, &extent.compressed, &extent.offset};
  if (std::none_of(std::begin(wanted), std::end(wanted),
                   [](const uint64_t* v) { return *v == kIn64; })) {
    return true;
  }
  while (extra.size() >= 4) {
    const auto id = At<uint16_t>(extra, 0);
    const auto length = At<uint16_t>(extra, 2);
    extra.remove_prefix(4);
    if (length > extra.size()) return false;
    std::string_view field = extra.substr(0, length);
    extra.remove_prefix(length);
    if (id != kZip64Field) continue;
    for (uint64_t* value : wanted) {
      if (*value != kIn64) continue;
      if (field.size() < 8) return false;
      *value = At<uint64_t>(field, 0);
      field.remove_prefix(8);
    }
    return true;
  }
  return false;
}

// `entry` begins at an entry of the directory; it is left behind it.
Result<ZipEntry> ReadEntry(std::string_view bytes, std::string_view& entry) {
  if (entry.size() < kEntrySize || At<uint32_t>(entry, 0) != kEntryMark) return CutOff();
  const auto flags = At<uint16_t>(entry, 8), method = At<uint16_t>(entry, 10);
  const size_t name_size = At<uint16_t>(entry, 28), extra_size = At<uint16_t>(entry, 30),
               comment_size = At<uint16_t>(entry, 32);
  ZipEntry out{.crc = At<uint32_t>(entry, 16)};
  Extent extent{.size = At<uint32_t>(entry, 24),
                .compressed = At<uint32_t>(entry, 20),
                .offset = At<uint32_t>(entry, 42)};
  if (entry.size() - kEntrySize < name_size + extra_size + comment_size) return CutOff();
  out.name = entry.substr(kEntrySize, name_size);
  if (!ReadZip64(entry.substr(kEntrySize + name_size, extra_size), extent)) return CutOff();
  entry.remove_prefix(kEntrySize + name_size + extra_size + comment_size);
  const std::string subject = Format("'{}'", Printable(out.name, 60));
  if ((flags & kEncrypted) != 0) return Unsupported(subject + " is encrypted");
  if (method != kStored && method != kDeflated) {
    return Unsupported(
        Format("{} is compressed by method {}: there are stored and deflate", subject, method));
  }
  out.deflated = method == kDeflated;
  out.size = extent.size;
  if (extent.offset > bytes.size() || bytes.size() - extent.offset < kLocalSize) return CutOff();
  const std::string_view local = bytes.substr(extent.offset);
  if (At<uint32_t>(local, 0) != kLocalMark) return CutOff();
  const size_t skip = kLocalSize + At<uint16_t>(local, 26) + At<uint16_t>(local, 28);
  if (local.size() < skip || local.size() - skip < extent.compressed) return CutOff();
  out.data = local.substr(skip, extent.compressed);
  if (!out.deflated && out.size != out.data.size()) return CutOff();
  return out;
}

}  // namespace

Result<std::vector<ZipEntry>> ParseZip(std::string_view bytes) {
  SEXTANT_ASSIGN(const Directory directory, FindDirectory(bytes));
  if (directory.offset > bytes.size() || bytes.size() - directory.offset < directory.size ||
      directory.entries > directory.size / kEntrySize) {
    return CutOff();
  }
  std::string_view rest = bytes.substr(directory.offset, directory.size);
  std::vector<ZipEntry> out;
  for (uint64_t i = 0; i < directory.entries; ++i) {
    SEXTANT_ASSIGN(ZipEntry entry, ReadEntry(bytes, rest));
    out.push_back(std::move(entry));
  }
  return out;
}

}  // namespace sextant::text
