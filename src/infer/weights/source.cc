#include "infer/weights/source.h"

#include <algorithm>
#include <filesystem>

#include "base/strings.h"
#include "infer/weights/json_file.h"
#include "infer/weights/mapped_file.h"
#include "infer/weights/safetensors_header.h"
#include "infer/weights/shard_index.h"

namespace sis::weights {
namespace {

constexpr int64_t kScaleBlock = 128;  // weight_block_size of published FP8 checkpoints
constexpr const char* kSingleFile = "model.safetensors";
constexpr const char* kIndexFile = "model.safetensors.index.json";

Error bad(std::string message) { return Error{Code::kInvalidArgument, std::move(message)}; }

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (const int64_t size : shape) text += concat(text.size() == 1 ? "" : ", ", size);
  return text + "]";
}

std::string wanted_text(int64_t size) { return size < 0 ? "any" : concat(size); }

struct Entry {
  TensorInfo info;
  uint32_t file = 0;
  int64_t begin = 0;  // in bytes, from the start of the file
};

class MappedSource final : public WeightSource {
 public:
  MappedSource(std::vector<MappedFile> files, std::vector<Entry> entries)
      : files_(std::move(files)), entries_(std::move(entries)) {
    for (const Entry& entry : entries_) bytes_ += entry.info.bytes;
  }

  bool has(std::string_view name) const override { return find(name) != nullptr; }
  const TensorInfo* info(std::string_view name) const override {
    const Entry* entry = find(name);
    return entry ? &entry->info : nullptr;
  }
  std::vector<std::string> names() const override {
    std::vector<std::string> names;
    names.reserve(entries_.size());
    for (const Entry& entry : entries_) names.push_back(entry.info.name);
    return names;
  }
  int64_t bytes() const override { return bytes_; }

  Result<WeightView> matrix(std::string_view name, int64_t rows, int64_t cols) const override {
    SIS_ASSIGN(const Entry* entry, find_float(name));
    return view(*entry, rows, cols);
  }

  Result<WeightView> linear(std::string_view name, int64_t rows, int64_t cols) const override {
    const Entry* entry = find(name);
    if (!entry || entry->info.stored != StoredType::kF8E4M3) return matrix(name, rows, cols);
    SIS_ASSIGN(WeightView weights, view(*entry, rows, cols));
    SIS_ASSIGN(weights.scales, scales_of(*entry, weights.rows, weights.cols));
    return weights;
  }

  Result<std::vector<float>> vector(std::string_view name, int64_t size) const override {
    SIS_ASSIGN(const Entry* entry, find_float(name));
    const std::vector<int64_t>& shape = entry->info.shape;
    if (shape.size() != 1 || (size >= 0 && size != shape[0]))
      return bad(concat(place(*entry), ": want shape [", wanted_text(size), "], found ",
                        shape_text(shape)));
    std::vector<float> values(static_cast<size_t>(shape[0]));
    if (!values.empty())
      WeightView{data(*entry), *entry->info.dtype, 1, shape[0]}.row_to(0, values.data());
    return values;
  }

  void release(std::string_view name) const override {
    if (const Entry* entry = find(name))
      files_[entry->file].release(entry->begin, entry->begin + entry->info.bytes);
  }

 private:
  const Entry* find(std::string_view name) const {
    const auto at = std::ranges::lower_bound(
        entries_, name, {}, [](const Entry& e) -> std::string_view { return e.info.name; });
    return at != entries_.end() && at->info.name == name ? &*at : nullptr;
  }

  Result<WeightView> view(const Entry& entry, int64_t rows, int64_t cols) const {
    const std::vector<int64_t>& shape = entry.info.shape;
    const int64_t rows_found = shape.size() == 2 ? shape[0] : 1;
    const int64_t cols_found = shape.empty() ? 1 : shape.back();
    if (shape.size() > 2 || (rows >= 0 && rows != rows_found) || (cols >= 0 && cols != cols_found))
      return bad(concat(place(entry), ": want shape [", wanted_text(rows), ", ", wanted_text(cols),
                        "], found ", shape_text(shape)));
    return WeightView{data(entry), *entry.info.dtype, rows_found, cols_found};
  }

  // The factors of an F8_E4M3 tensor of [rows, cols].
  Result<BlockScales> scales_of(const Entry& weights, int64_t rows, int64_t cols) const {
    const std::string by_block = weights.info.name + "_scale_inv";
    const std::string by_tensor = weights.info.name + "_scale";
    const Entry* scales = find(by_block);
    const bool blocks = scales != nullptr;
    if (!scales) scales = find(by_tensor);
    if (!scales)
      return bad(concat(place(weights), ": F8_E4M3 weights want ", in_quotes(by_block), " or ",
                        in_quotes(by_tensor), " beside them, found neither"));
    if (!is_float_weight(scales->info.stored))
      return bad(concat(place(*scales), ": want F32, F16 or BF16 scales, found ",
                        stored_type_name(scales->info.stored)));
    using Shape = std::vector<int64_t>;
    const Shape& shape = scales->info.shape;
    BlockScales found{data(*scales), *scales->info.dtype, kScaleBlock, kScaleBlock};
    if (blocks) {
      const Shape wanted{(rows + kScaleBlock - 1) / kScaleBlock,
                         (cols + kScaleBlock - 1) / kScaleBlock};
      if (shape == wanted) return found;
      return bad(concat(place(*scales), ": want shape ", shape_text(wanted), " for weights of ",
                        shape_text(weights.info.shape), ", found ", shape_text(shape)));
    }
    found.block_cols = std::max<int64_t>(cols, 1);
    if (shape.empty() || shape == Shape{1}) {
      found.block_rows = std::max<int64_t>(rows, 1);
    } else if (shape == Shape{rows} || shape == Shape{rows, 1}) {
      found.block_rows = 1;
    } else {
      return bad(concat(place(*scales), ": want shape [], [1], [", rows, "] or [", rows,
                        ", 1] for weights of ", shape_text(weights.info.shape), ", found ",
                        shape_text(shape)));
    }
    return found;
  }

  Result<const Entry*> find_float(std::string_view name) const {
    const Entry* entry = find(name);
    if (!entry)
      return bad(concat("tensor ", in_quotes(name), ": not in the checkpoint of ", entries_.size(),
                        " tensors"));
    if (!is_float_weight(entry->info.stored))
      return bad(concat(place(*entry), ": want F32, F16 or BF16 weights, found ",
                        stored_type_name(entry->info.stored),
                        entry->info.dtype ? "" : ", which is not supported"));
    return entry;
  }

  std::string place(const Entry& entry) const {
    return concat(files_[entry.file].path(), ": tensor ", in_quotes(entry.info.name));
  }
  const std::byte* data(const Entry& entry) const {
    return files_[entry.file].bytes().data() + entry.begin;
  }

  std::vector<MappedFile> files_;
  std::vector<Entry> entries_;  // by name
  int64_t bytes_ = 0;
};

Result<SafetensorsHeader> checked_header(const MappedFile& file) {
  auto header = parse_header(file.bytes());
  if (!header) return prefixed(file.path(), std::move(header).error());
  if (file.changed()) return bad(concat(file.path(), ": the file changed while it was read"));
  return header;
}

Entry entry_of(HeaderTensor tensor, uint32_t file) {
  return {.info = {.name = std::move(tensor.name),
                   .stored = tensor.type,
                   .dtype = dtype_of(tensor.type),
                   .shape = std::move(tensor.shape),
                   .bytes = tensor.end - tensor.begin},
          .file = file,
          .begin = tensor.begin};
}

Result<std::unique_ptr<WeightSource>> open_sharded(const std::string& folder,
                                                   const std::string& index_path) {
  SIS_ASSIGN(const std::string text, read_text_file(index_path, kIndexBytesMax));
  auto index = parse_shard_index(text);
  if (!index) return prefixed(index_path, std::move(index).error());

  std::vector<MappedFile> files;
  std::vector<SafetensorsHeader> headers;
  for (const std::string& shard : index->shards) {
    auto file = MappedFile::open(folder + "/" + shard);
    // A missing shard is a broken checkpoint, not a missing one.
    if (!file)
      return bad(concat(index_path, ": shard ", in_quotes(shard), ": ", file.error().message));
    SIS_ASSIGN(SafetensorsHeader header, checked_header(*file));
    files.push_back(*std::move(file));
    headers.push_back(std::move(header));
  }
  std::vector<Entry> entries;
  entries.reserve(index->entries.size());
  for (const auto& [name, shard] : index->entries) {
    auto& tensors = headers[shard].tensors;
    const auto at = std::ranges::lower_bound(tensors, name, {}, &HeaderTensor::name);
    if (at == tensors.end() || at->name != name)
      return bad(concat(index_path, ": tensor ", in_quotes(name), ": not in its shard ",
                        in_quotes(index->shards[shard])));
    // A copy: a moved-from name would break the order this search stands on.
    entries.push_back(entry_of(*at, shard));
  }
  return std::unique_ptr<WeightSource>(new MappedSource(std::move(files), std::move(entries)));
}

}  // namespace

Result<std::unique_ptr<WeightSource>> WeightSource::open(const std::string& folder) {
  const std::string single = folder + "/" + kSingleFile;
  const std::string index = folder + "/" + kIndexFile;
  std::error_code ignored;
  if (std::filesystem::exists(single, ignored)) return open_file(single);
  if (std::filesystem::exists(index, ignored)) return open_sharded(folder, index);
  return Error{Code::kNotFound, concat(folder, ": no ", kSingleFile, " and no ", kIndexFile)};
}

Result<std::unique_ptr<WeightSource>> WeightSource::open_file(const std::string& path) {
  SIS_ASSIGN(MappedFile file, MappedFile::open(path));
  SIS_ASSIGN(SafetensorsHeader header, checked_header(file));
  std::vector<Entry> entries;
  entries.reserve(header.tensors.size());
  for (HeaderTensor& tensor : header.tensors) entries.push_back(entry_of(std::move(tensor), 0));
  std::vector<MappedFile> files;
  files.push_back(std::move(file));
  return std::unique_ptr<WeightSource>(new MappedSource(std::move(files), std::move(entries)));
}

}  // namespace sis::weights
