#include "load/image_data.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/strings.h"
#include "load/columns.h"

namespace sextant::load {
namespace {

using kserve::DataType;
using kserve::Shape;
using kserve::TensorMetadata;
using Layout = ImageOptions::Layout;
using Scale = ImageOptions::Scale;

template <typename T>
using Names = std::initializer_list<std::pair<std::string_view, T>>;

template <typename T>
bool ParseWord(std::string_view word, Names<T> names, T& out) {
  for (const auto& [name, value] : names) {
    if (name == word) {
      out = value;
      return true;
    }
  }
  return false;
}

// value * factor - offset, per colour (red, green, blue).
struct Scaling {
  std::array<double, 3> factor{1, 1, 1}, offset{};
};

// The usual constants of models trained on ImageNet, on a scale of 0 to 1, and those of VGG's first
// authors on 0 to 255. Grey pictures take the colours' mean.
Scaling ScalingOf(Scale scale, bool grey) {
  switch (scale) {
    case Scale::kNone:
      return {};
    case Scale::kUnit:
      return {.factor = {1 / 255.0, 1 / 255.0, 1 / 255.0}};
    case Scale::kInception:
      return {.factor = {1 / 127.5, 1 / 127.5, 1 / 127.5}, .offset = {1, 1, 1}};
    case Scale::kVgg:
      if (grey) return {.offset = {128, 128, 128}};
      return {.offset = {123, 117, 104}};
    case Scale::kImagenet:
      break;
  }
  const std::array<double, 3> mean =
      grey ? std::array{0.449, 0.449, 0.449} : std::array{0.485, 0.456, 0.406};
  const std::array<double, 3> deviation =
      grey ? std::array{0.226, 0.226, 0.226} : std::array{0.229, 0.224, 0.225};
  Scaling out;
  for (size_t c = 0; c < 3; ++c) {
    out.factor[c] = 1 / (255 * deviation[c]);
    out.offset[c] = mean[c] / deviation[c];
  }
  return out;
}

// Which dimensions of the shape are what.
struct Axes {
  size_t channel = 0, height = 0, width = 0;
  int64_t channels = 0;
};

Result<Axes> AxesOf(const Shape& shape, Layout layout) {
  const auto fault = [&](std::string_view why) {
    return InvalidArgument(
        Format("an image does not fit shape {}: {}", kserve::FormatShape(shape), why));
  };
  const size_t skip = shape.size() == 4 && (shape[0] == 1 || shape[0] == -1) ? 1 : 0;
  if (shape.size() != skip + 3)
    return fault("it takes three dimensions, such as [3,224,224] or [224,224,3]");
  const auto colours = [](int64_t d) { return d == 3 || d == 1; };
  if (layout == Layout::kFromShape) {
    if (colours(shape[skip]) == colours(shape[skip + 2]))
      return fault("which dimension is the channels is not plain: add layout=chw or layout=hwc");
    layout = colours(shape[skip]) ? Layout::kChw : Layout::kHwc;
  }
  Axes out =
      layout == Layout::kChw ? Axes{skip, skip + 1, skip + 2} : Axes{skip + 2, skip, skip + 1};
  out.channels = shape[out.channel] < 0 ? 3 : shape[out.channel];
  if (!colours(out.channels)) return fault("the channels must be 3, or 1 for grey");
  if (shape[out.height] == 0 || shape[out.width] == 0) return fault("it has no pixels");
  return out;
}

// The luma of ITU-R BT.601, rounded.
uint8_t Grey(uint8_t red, uint8_t green, uint8_t blue) {
  return static_cast<uint8_t>((299 * red + 587 * green + 114 * blue + 500) / 1000);
}

// Pictures in, a row's bytes out.
class Writer {
 public:
  Writer(const TensorMetadata& tensor, const ImageOptions& options, const Axes& axes)
      : type_(tensor.type), bgr_(options.bgr), axes_(axes) {
    // There are 256 values a colour can have: each is converted once.
    const Scaling scaling = ScalingOf(options.scale, axes.channels == 1);
    for (size_t c = 0; c < 3; ++c) {
      for (int v = 0; v < 256 && ok_.has_value(); ++v)
        ok_ = kserve::AppendElement(type_, v * scaling.factor[c] - scaling.offset[c], values_[c]);
    }
  }

  const Result<void>& ok() const { return ok_; }

  void Append(const image::Image& image, std::string& out) const {
    const size_t pixels = image.rgb.size() / 3;
    const auto channels = static_cast<size_t>(axes_.channels);
    const bool planes = axes_.channel < axes_.height;
    if (planes) {
      for (size_t c = 0; c < channels; ++c) {
        for (size_t i = 0; i < pixels; ++i) AppendOne(image, i, c, out);
      }
    } else {
      for (size_t i = 0; i < pixels; ++i) {
        for (size_t c = 0; c < channels; ++c) AppendOne(image, i, c, out);
      }
    }
  }

 private:
  void AppendOne(const image::Image& image, size_t pixel, size_t channel, std::string& out) const {
    const auto* rgb = reinterpret_cast<const uint8_t*>(image.rgb.data()) + pixel * 3;
    const size_t size = kserve::ElementSize(type_);
    const size_t colour = bgr_ && axes_.channels == 3 ? 2 - channel : channel;
    const uint8_t value = axes_.channels == 1 ? Grey(rgb[0], rgb[1], rgb[2]) : rgb[colour];
    out.append(values_[colour], value * size, size);
  }

  const DataType type_;
  const bool bgr_;
  const Axes axes_;
  std::array<std::string, 3> values_;  // per colour, the elements of values 0 to 255
  Result<void> ok_;
};

Result<std::vector<std::string>> ListImages(const std::string& path) {
  if (!IsDirectory(path)) return std::vector<std::string>{path};
  SEXTANT_ASSIGN(const std::vector<std::string> names, ListDirectory(path));
  std::vector<std::string> out;
  for (const std::string& name : names) {
    const std::string lower = ToLower(name);
    const bool image = lower.ends_with(".png") || lower.ends_with(".jpg") ||
                       lower.ends_with(".jpeg") || lower.ends_with(".jpe");
    if (image && !name.starts_with('.')) out.push_back(JoinPath(path, name));
  }
  if (out.empty()) return InvalidArgument(Format("'{}' has no .png, .jpg or .jpeg files", path));
  return out;
}

// One picture as a row of `builder`.
Result<void> AddImage(const std::string& path, const ImageOptions& options,
                      const TensorMetadata& tensor, const Shape& wanted, const Writer& writer,
                      const Axes& axes, ColumnsBuilder& builder) {
  SEXTANT_ASSIGN(const MappedFile file, MappedFile::Open(path));
  SEXTANT_ASSIGN(image::Image image, image::Decode(file.bytes()));
  Shape shape = wanted;
  if (shape.size() == 4) shape[0] = 1;
  shape[axes.channel] = axes.channels;
  if (shape[axes.height] < 0) shape[axes.height] = image.height;
  if (shape[axes.width] < 0) shape[axes.width] = image.width;
  image = image::ResizeTo(image, static_cast<int>(shape[axes.width]),
                          static_cast<int>(shape[axes.height]), options.resize);
  std::string bytes;
  writer.Append(image, bytes);
  return builder.Add(tensor.name, shape, bytes, bytes.size() / kserve::ElementSize(tensor.type));
}

}  // namespace

bool ParseImageOptions(std::string_view text, ImageOptions& options) {
  for (const std::string_view part : Split(text, ',')) {
    const size_t equals = part.find('=');
    if (equals == std::string_view::npos) return false;
    const std::string_view key = TrimSpace(part.substr(0, equals)),
                           word = TrimSpace(part.substr(equals + 1));
    bool known = false;
    if (key == "resize") {
      known = ParseWord<image::Resize>(word,
                                       {{"stretch", image::Resize::kStretch},
                                        {"fit", image::Resize::kFit},
                                        {"crop", image::Resize::kCrop}},
                                       options.resize);
    } else if (key == "layout") {
      known =
          ParseWord<Layout>(word, {{"chw", Layout::kChw}, {"hwc", Layout::kHwc}}, options.layout);
    } else if (key == "scale") {
      known = ParseWord<Scale>(word,
                               {{"none", Scale::kNone},
                                {"unit", Scale::kUnit},
                                {"inception", Scale::kInception},
                                {"imagenet", Scale::kImagenet},
                                {"vgg", Scale::kVgg}},
                               options.scale);
    } else if (key == "channels") {
      known = ParseWord<bool>(word, {{"rgb", false}, {"bgr", true}}, options.bgr);
    }
    if (!known) return false;
  }
  return true;
}

TensorRows ReadImages(const std::string& path, const ImageOptions& options,
                      const TensorMetadata& tensor, const ShapeByName& shapes, FaultList& faults) {
  const auto add = [&](const std::string& where, const Error& error) {
    faults.Add(Format("input '{}': {}: {}", tensor.name, where, error.message()));
    return TensorRows{};
  };
  const Result<std::vector<std::string>> files = ListImages(path);
  if (!files.has_value()) return add("images", files.error());
  const std::vector<TensorMetadata> tensors{tensor};
  ColumnsBuilder builder("input", tensors, {}, shapes);
  const bool as_file = tensor.type == DataType::kBytes;
  Shape wanted = tensor.shape;
  Axes axes;
  if (!as_file) {
    if (const auto given = shapes.find(tensor.name); given != shapes.end()) wanted = given->second;
    const Result<Axes> found = AxesOf(wanted, options.layout);
    if (!found.has_value()) return add("images", found.error());
    axes = *found;
  }
  const Writer writer(as_file ? TensorMetadata{.type = DataType::kUint8} : tensor,
                      as_file ? ImageOptions{} : options, axes);
  if (!writer.ok().has_value()) {
    return add("images", InvalidArgument(Format(
                             "{} does not hold its colours ({}){}",
                             kserve::DataTypeName(tensor.type), writer.ok().error().message(),
                             options.scale == Scale::kNone ? "" : ": use scale=none")));
  }
  for (const std::string& file : *files) {
    Result<void> added;
    if (as_file) {
      const Result<std::string> bytes = ReadFile(file);
      std::string element;
      if (bytes.has_value()) kserve::AppendBytesElement(*bytes, element);
      added = bytes.has_value() ? builder.Add(tensor.name, {}, element, 1) : bytes.error();
    } else {
      added = AddImage(file, options, tensor, wanted, writer, axes, builder);
    }
    if (added.has_value()) added = builder.EndRow();
    if (!added.has_value()) {
      builder.DropRow();
      add(file, added.error());
    }
  }
  const size_t rows = builder.rows();
  if (rows == 0) return {};
  return {std::move(builder.Take().front()), rows};
}

}  // namespace sextant::load
